"""Recordings with several sound tracks: where nobody speaks in one, the next is listened to. Pure.

Runs in: supervisor.
"""

from dataclasses import dataclass, field, replace

from supervisor.store.job import Job
from supervisor.store.job_rows import JobChanges


@dataclass(frozen=True, slots=True)
class UnheardTracks:
    """How far the search for speech is."""

    next_track: int | None = None
    """What is decoded next, counted from 1; None: what the decoder thinks best."""
    first_facts: JobChanges = field(default_factory=JobChanges)
    """What the job says in the end, if nobody speaks in any: the track that would have been taken."""
    _tried: frozenset[int] = frozenset()

    def after(self, job: Job) -> "UnheardTracks":
        """The job's track held no speech: the next one in the order of their numbers that was not tried."""
        if job.recording is None or job.recording.track is None:
            return self
        facts = self.first_facts or JobChanges(recording=job.recording, audio_seconds=job.audio_seconds)
        return replace(self, first_facts=facts)._following(job, job.recording.track.number)

    def after_refused(self, job: Job) -> "UnheardTracks":
        """The next track could not be decoded."""
        return self if self.next_track is None else self._following(job, self.next_track)

    def _following(self, job: Job, tried: int) -> "UnheardTracks":
        all_tried = self._tried | {tried}
        recording = job.recording
        tracks = () if recording is None else (recording.track, *recording.other_tracks)
        left = sorted(track.number for track in tracks if track is not None and track.number not in all_tried)
        return replace(self, next_track=left[0] if left else None, _tried=all_tried)
