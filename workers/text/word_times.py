"""Times of text pieces, however a tokenizer cut them → times of the text's own words. Pure.

Runs in: worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages written without spaces between words, by ISO 639 code; as in whisper's tokenizer."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """Some characters of the text and their start and end, in seconds."""

    text: str
    start: float
    end: float
    score: float


def split_words(text: str, language: str) -> list[str]:
    """The words of a text. Joined, except for white space, they are the text.

    In scripts without spaces, each character is a word; Latin letters and digits stay together, and punctuation stays
    with the character before it.
    """
    if language not in WITHOUT_SPACES:
        return text.split()
    words: list[str] = []
    for run in text.split():
        beginning = len(words)
        for character in run:
            mark = not character.isalnum()
            same_run = len(words) > beginning
            if same_run and (mark or (character.isascii() and words[-1][-1].isascii())):
                words[-1] += character
            else:
                words.append(character)
    return words


def times_of_words(words: Sequence[str], pieces: Sequence[WordPiece]) -> list[WordPiece] | None:
    """The times of each word; None unless the pieces spell exactly these words.

    A word lasts from its first to its last letter or digit: the time of punctuation is the pause after it. The time
    of a piece that spans several words is distributed evenly over its characters.
    """
    letters = [letter for piece in pieces for letter in spread(piece)]
    if "".join(letter.text for letter in letters) != "".join("".join(word.split()) for word in words):
        return None
    timed: list[WordPiece] = []
    position = 0
    for word in words:
        own = letters[position : position + len("".join(word.split()))]
        position += len(own)
        spoken = [letter for letter in own if letter.text.isalnum()] or own
        score = sum(letter.score for letter in spoken) / len(spoken)
        timed.append(WordPiece(word, spoken[0].start, spoken[-1].end, score))
    return timed


def spread(piece: WordPiece) -> list[WordPiece]:
    """The piece's characters except white space, each with its share of the time."""
    characters = "".join(piece.text.split())
    share = (piece.end - piece.start) / max(len(characters), 1)
    return [
        WordPiece(character, piece.start + n * share, piece.start + (n + 1) * share, piece.score)
        for n, character in enumerate(characters)
    ]


def shorten_long_words(words: Sequence[WordPiece]) -> list[WordPiece]:
    """Removes pauses that cross-attention adds to the word before or after them.

    A word longer than twice the median (at most 0.7 s) loses the excess: at its start if it follows the end of a
    sentence or begins the text, at its end if it ends a sentence. Source: `add_word_timestamps` in
    https://github.com/openai/whisper/blob/main/whisper/timing.py
    """
    lasting = sorted(word.end - word.start for word in words if word.end > word.start)
    if not lasting:
        return list(words)
    longest = 2 * min(0.7, lasting[len(lasting) // 2])
    shortened: list[WordPiece] = []
    for n, word in enumerate(words):
        start, end = word.start, word.end
        if end - start > longest:
            if n == 0 or ends_sentence(words[n - 1].text):
                start = end - longest
            elif ends_sentence(word.text):
                end = start + longest
        shortened.append(WordPiece(word.text, start, end, word.score))
    return shortened


def ends_sentence(word: str) -> bool:
    return word.rstrip("\"'”’)]}»").endswith((".", "。", "!", "！", "?", "？"))
