"""Where nobody speaks in a recording's track, each of the others is listened to once.

Runs in: the test process.
"""

from ipc.api_messages import JobOptions
from ipc.transcript import RecordingFacts, Track
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.transcription import UnheardTracks
from supervisor.store.job import Job


def job_in(track: int | None, *others: int) -> Job:
    tracks = {number: Track(number=number) for number in (track, *others) if number is not None}
    recording = RecordingFacts(
        read_seconds=1.0,
        track=None if track is None else tracks[track],
        other_tracks=tuple(tracks[number] for number in others),
    )
    identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
    return Job(
        id=7,
        path="/x/a.mkv",
        options=JobOptions(),
        status="transcribing",
        identity=identity,
        created_at=0.0,
        audio_seconds=1.0,
        recording=recording,
    )


def test_each_track_is_tried_once_and_the_first_one_is_told_in_the_end() -> None:
    search = UnheardTracks().after(job_in(2, 1, 3))
    assert search.next_track == 1
    search = search.after(job_in(1, 2, 3))
    assert search.next_track == 3
    search = search.after(job_in(3, 1, 2))
    assert search.next_track is None
    recording = search.first_facts["recording"]
    assert recording is not None and recording.track == Track(number=2)


def test_a_single_track_leaves_nothing_to_try() -> None:
    for job in (job_in(1), job_in(None)):
        assert UnheardTracks().after(job).next_track is None


def test_a_track_that_cannot_be_decoded_is_passed_over() -> None:
    search = UnheardTracks().after(job_in(1, 2, 3))
    search = search.after_refused(job_in(1, 2, 3))
    assert search.next_track == 3
    assert search.after_refused(job_in(1, 2, 3)).next_track is None
    assert UnheardTracks().after_refused(job_in(1, 2)).next_track is None
