"""How many chunks the engine is given at once. Pure.

Runs in: worker.

The same recording gives the same text, whatever happens to its worker: an engine whose text depends on what it hears
together gets batches that follow from the recording alone. Any other may hear as many together as it likes, but never
in a step that looks like a hang: the decoder is one call into native code, silent until it returns. On a slow machine
a large model can sit longer over four chunks than the supervisor waits for a sign of life, and would be killed.
"""

from dataclasses import dataclass

LONGEST_SILENCE_SECONDS = 20.0
"""What a group should take at most: a sixth of the default deadline for progress. So much work is done again after a
crash, too, and so long a job that is cancelled goes on."""
REMEMBERED = 0.8
"""Of a slow group's pace, with each group after it: one bad moment does not make all the rest of a job small."""
SHORT_RECORDING_SECONDS = 300.0
"""Up to ten chunks; one ahead of the others would cost about as many steps of the decoder as all the others."""
LAST_CHUNK_SECONDS = 40.0
"""Towards the end a batch has one chunk for every so many seconds that are left."""


def planned_size(most: int, heard_until: float, audio_seconds: float, shows_life: bool) -> int:
    """Chunks for the batch at this place of the recording: always the same, also for a worker that begins there.

    The first batch of a long recording is one chunk, so that the aligner has something to do.
    """
    left = audio_seconds - heard_until
    if shows_life:
        return 1 if heard_until == 0 and left > SHORT_RECORDING_SECONDS else most
    return 1 if heard_until == 0 else fewer_near_the_end(most, left)


def fewer_near_the_end(chunks: int, seconds_left: float) -> int:
    """How many of the chunks that would make a batch, so much before the end of the recording."""
    return max(1, min(chunks, int(seconds_left / LAST_CHUNK_SECONDS)))


@dataclass(frozen=True, slots=True)
class Pace:
    """What was seen of the engine's speed in this job."""

    seconds_a_chunk: float | None = None
    """None: it has not been tried yet."""

    def size(self, most: int) -> int:
        """Chunks that are decoded together: one to find out, then as many as fit into the time."""
        if self.seconds_a_chunk is None:
            return 1
        return max(1, min(most, int(LONGEST_SILENCE_SECONDS / max(self.seconds_a_chunk, 1e-3))))

    def after(self, chunks: int, seconds: float) -> "Pace":
        """The pace once a group has taken so long. Slow ones count for longer: chunks may be heard more than once."""
        remembered = REMEMBERED * (self.seconds_a_chunk or 0.0)
        return Pace(max(seconds / chunks, remembered))
