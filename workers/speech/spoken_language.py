"""Which language a recording is in: where most is spoken near its beginning tells, and if that is unsure, more of it.

Runs in: worker. The engine is asked; all else is pure. Stands alone: it asks an engine, and the requests know none.

A recording may begin with music, a cough, or three words: what Whisper takes those for is no language of anybody's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from workers.engine import Audio, Chunk

CHUNKS_ASKED = 4
"""At most, of the first in the recording: two minutes."""
ENOUGH_VOICE_SECONDS = 10.0
"""The first chunk with so much is asked first."""
SURE = 0.8
"""A language that is so probable needs no second witness."""

Ask = Callable[[Audio], tuple[str, float]]


def first_chunks(chunks: Iterable[Chunk]) -> list[Chunk]:
    """The first of a recording, as many as it may take to find its language."""
    return list(islice(chunks, CHUNKS_ASKED))


def find_language(chunks: Sequence[Chunk], ask: Ask) -> tuple[str, float]:
    """ISO 639-1 code and probability, 0 to 1, of what is spoken in these chunks, at least one."""
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
    """Those with speech, or all if none has any: the first with enough, then those with most."""
    voice = {id(chunk): _voice_seconds(chunk) for chunk in chunks}
    spoken = [chunk for chunk in chunks if voice[id(chunk)] > 0] or list(chunks)
    first = next((chunk for chunk in spoken if voice[id(chunk)] >= ENOUGH_VOICE_SECONDS), None)
    return sorted(spoken, key=lambda chunk: (chunk is not first, -voice[id(chunk)]))


def _voice_seconds(chunk: Chunk) -> float:
    seconds = chunk.voice_seconds(chunk.start, chunk.end)
    return chunk.end - chunk.start if seconds is None else seconds
