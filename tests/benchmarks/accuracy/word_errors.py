"""How many words were heard wrongly, and which were heard: OpenAI's normaliser for English, jiwer's alignment.

Runs in: a contestant's process, under the peers' Python. Knows nothing of stenod.

"At nine thirty," and "at 9.30" are the same words to it, "colour" and "color" are one, "uh" is none.
"""

from typing import Any

from benchmarks.contestants.turns import Asked, Loaded, Turn, take_turns


def word_errors(setup: Asked) -> Loaded:
    """`reference` and `heard`, two texts → `words` of the reference, and how many are wrong, missing, too many."""
    import jiwer
    from whisper.normalizers import EnglishTextNormalizer

    whisper = EnglishTextNormalizer()

    def plain(text: str) -> str:
        # It knows only the straight apostrophe: "beauty’s" would become "beauty s".
        words: str = whisper(text.replace("’", "'"))
        return words

    def ready(asked: Asked) -> Turn:
        def turn() -> dict[str, Any]:
            reference = plain(asked["reference"])
            found = jiwer.process_words(reference, plain(asked["heard"]))
            return {
                "words": len(reference.split()),
                "substituted": found.substitutions,
                "deleted": found.deletions,
                "inserted": found.insertions,
            }

        return turn

    return ready


def same_words(setup: Asked) -> Loaded:
    """`reference` and `heard`, two lists of words → `pairs` of places, one in each, with the same word."""
    import jiwer

    def plain(words: list[str]) -> str:
        # One word stays one, whatever is in it.
        return " ".join("".join(filter(str.isalnum, word.lower())) or "?" for word in words)

    def ready(asked: Asked) -> Turn:
        def turn() -> dict[str, Any]:
            [parts] = jiwer.process_words(plain(asked["reference"]), plain(asked["heard"])).alignments
            return {
                "pairs": [
                    (part.ref_start_idx + number, part.hyp_start_idx + number)
                    for part in parts
                    if part.type == "equal"
                    for number in range(part.ref_end_idx - part.ref_start_idx)
                ]
            }

        return turn

    return ready


if __name__ == "__main__":
    take_turns({"word errors": word_errors, "same words": same_words})
