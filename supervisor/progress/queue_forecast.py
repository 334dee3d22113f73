"""How long the whole queue will take: pure.

Runs in: supervisor.

One transcriber and one aligner take the jobs in turn, the aligner while the next job is transcribed already: the one
that has more to do decides.
"""

from collections.abc import Sequence

from supervisor.progress.estimate import LAST_BATCH_SECONDS, Expected, Left

ALL_BUT = 0.1
"""So many of the waiting jobs may be a riddle and count like the others; with more of them nothing is said."""


def work_of(expected: Expected, transcribed_seconds: float = 0.0, *, only_words: bool = False) -> Left | None:
    """What a waiting job asks of each worker, and takes if it is alone; None: nobody knows."""
    audio_seconds = expected.audio_seconds
    if audio_seconds is None or (expected.transcribing is None and not only_words):
        return None
    if expected.aligning is None and expected.wants_words:
        return None
    words = audio_seconds / expected.aligning if expected.aligning and expected.wants_words else 0.0
    text = 0.0
    if not only_words and expected.transcribing:
        text = max(audio_seconds - transcribed_seconds, 0.0) / expected.transcribing
        text += audio_seconds / expected.decoding if expected.decoding else 0.0
    last_batch = words * min(LAST_BATCH_SECONDS / audio_seconds, 1.0) if audio_seconds else 0.0
    return Left(text, words, max(text + last_batch, words))


def seconds_for_all(
    running: Sequence[Left | None], waiting: Sequence[Left | None], jobs_waiting: int
) -> float | None:
    """Until the last one is done; None where that would be a guess.

    `waiting` may be a sample of the `jobs_waiting`.
    """
    under_way = [left for left in running if left is not None]
    known = [work for work in waiting if work is not None]
    if len(under_way) < len(running) or not (under_way or known):
        return None
    if jobs_waiting and len(known) < max(len(waiting), 1) * (1 - ALL_BUT):
        return None
    each_stands_for = jobs_waiting / len(known) if known else 0.0
    transcriber = sum(left.transcriber for left in under_way)
    transcriber += each_stands_for * sum(work.transcriber for work in known)
    aligner = max((left.aligner for left in under_way), default=0.0)
    aligner += each_stands_for * sum(work.aligner for work in known)
    tail = sum(work.job - work.transcriber for work in known) / len(known) if known else 0.0
    return max(transcriber + tail, aligner, *(left.job for left in under_way))
