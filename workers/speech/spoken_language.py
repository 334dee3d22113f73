"""The language of a recording: detected in its first chunks with the most speech, and in more of them if unsure.

Runs in: worker. The engine detects; all else is pure. Stands alone: the policy is independent of engines and
requests.

A recording may begin with music, a cough, or three words, for which Whisper guesses a wrong language.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from workers.engine import Audio, Chunk

CHUNKS_ASKED = 4
"""The largest number of chunks, from the start of the recording: two minutes."""
ENOUGH_VOICE_SECONDS = 10.0
"""The first chunk with this much speech is tried first."""
SURE = 0.8
"""A language this probable needs no second chunk."""

DetectLanguage = Callable[[Audio], tuple[str, float]]


def first_chunks(chunks: Iterable[Chunk]) -> list[Chunk]:
    """The first chunks of a recording, as many as may be needed to detect its language."""
    return list(islice(chunks, CHUNKS_ASKED))


def find_language(chunks: Sequence[Chunk], ask: DetectLanguage) -> tuple[str, float]:
    """ISO 639-1 code and probability, 0 to 1, of the language of these chunks, at least one."""
    votes: dict[str, float] = defaultdict(float)
    asked = 0
    for chunk in by_voice(chunks):
        language, probability = ask(chunk.audio)
        votes[language] += probability
        asked += 1
        if probability >= SURE:
            break
    language = max(votes, key=votes.__getitem__)
    return language, votes[language] / asked


def by_voice(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks with speech, or all if none has any: the first with enough, then those with the most."""
    voice = {id(chunk): _voice_seconds(chunk) for chunk in chunks}
    spoken = [chunk for chunk in chunks if voice[id(chunk)] > 0] or list(chunks)
    first = next((chunk for chunk in spoken if voice[id(chunk)] >= ENOUGH_VOICE_SECONDS), None)
    return sorted(spoken, key=lambda chunk: (chunk is not first, -voice[id(chunk)]))


def _voice_seconds(chunk: Chunk) -> float:
    seconds = chunk.voice_seconds(chunk.start, chunk.end)
    return chunk.end - chunk.start if seconds is None else seconds
