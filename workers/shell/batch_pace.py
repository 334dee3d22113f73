"""How many chunks an engine to which company matters is given at once. Pure.

Runs in: worker.

The same recording gives the same text, whatever happens to its worker: such an engine gets batches that follow from the
recording alone.
"""

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
