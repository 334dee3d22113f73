"""How many chunks the engine is given at once. Pure.

Runs in: worker.

The same recording gives the same text, whatever happens to its worker: an engine whose text depends on what it hears
together gets batches that follow from the recording alone. Any other gets as many as it likes, but never a step that
looks like a hang. For some a batch is one call into native code, silent until it returns: on a slow machine a large
model can sit longer over four chunks than the supervisor waits for a sign of life, and would be killed as hung.
"""

from dataclasses import dataclass

LONGEST_SILENCE_SECONDS = 20.0
"""What a batch should take at most if the engine is silent over it: a sixth of the default deadline for progress."""
LONGEST_BATCH_SECONDS = 120.0
"""And if it is not: so much work is done again after a crash, and so long the percent of a job stands still."""
REMEMBERED = 0.8
"""Of a slow batch's pace, with each batch after it: one bad moment does not make all the rest of a job small."""
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


@dataclass(frozen=True, slots=True)
class BatchPace:
    """What was seen of the engine's speed in this job."""

    shows_life: bool = False
    """Whether the engine is heard from within a batch."""
    seconds_a_chunk: float | None = None
    """None: it has not been tried yet."""

    def size(self, most: int, audio_left_seconds: float) -> int:
        """Chunks for the next batch: one to find out, then as many as fit into the time."""
        if self.seconds_a_chunk is None:
            return most if self.shows_life and audio_left_seconds <= SHORT_RECORDING_SECONDS else 1
        longest_seconds = LONGEST_BATCH_SECONDS if self.shows_life else LONGEST_SILENCE_SECONDS
        size = max(1, min(most, int(longest_seconds / max(self.seconds_a_chunk, 1e-3))))
        # An engine that decodes in one go gains more from a whole batch than the aligner from an early start.
        return size if self.shows_life else fewer_near_the_end(size, audio_left_seconds)

    def after(self, chunks: int, seconds: float) -> "BatchPace":
        """The pace once a batch has taken so long. Slow ones count for longer: chunks may be heard more than once."""
        remembered = REMEMBERED * (self.seconds_a_chunk or 0.0)
        return BatchPace(self.shows_life, max(seconds / chunks, remembered))


def fewer_near_the_end(chunks: int, seconds_left: float) -> int:
    """How many of the chunks that would make a batch, so much before the end of the recording."""
    return max(1, min(chunks, int(seconds_left / LAST_CHUNK_SECONDS)))
