"""How many chunks the engine is given at once: as many as it likes, but never a step that looks like a hang. Pure.

Runs in: worker.

A batch is one call into native code, silent until it returns. On a slow machine a large model can sit longer over
four chunks than the supervisor waits for a sign of life, and would be killed for being slow.
"""

from dataclasses import dataclass

LONGEST_STEP_SECONDS = 20.0
"""What a batch should take at most: a sixth of the default deadline for progress."""


@dataclass(frozen=True, slots=True)
class BatchPace:
    """What was seen of the engine's speed in this process."""

    seconds_a_chunk: float | None = None
    """None: it has not been tried yet."""

    def size(self, most: int) -> int:
        """Chunks for the next batch: one to find out, then as many as fit into a step."""
        if self.seconds_a_chunk is None:
            return 1
        return max(1, min(most, int(LONGEST_STEP_SECONDS / max(self.seconds_a_chunk, 1e-3))))

    def after(self, chunks: int, seconds: float) -> "BatchPace":
        """The pace once a batch has taken so long. The slowest counts: a chunk that is heard again takes longer."""
        return BatchPace(max(seconds / chunks, self.seconds_a_chunk or 0.0))
