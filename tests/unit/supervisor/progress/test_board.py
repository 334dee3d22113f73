"""What is told of running jobs: moves forward, with figures that are true of this run.

Runs in: the test process.
"""

from ipc.api_messages import JobOptions
from ipc.vocabulary import JobStatus
from supervisor.disks.file_identity import FileIdentity
from supervisor.jobs.dispatch_order import PAUSED
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.store.job import Job


class Turned:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_job(status: JobStatus = "transcribing", **facts: float) -> Job:
    return Job(
        id=7,
        path="/a/talk.wav",
        options=JobOptions(),
        status=status,
        identity=FileIdentity(1, 2, 3, 4),
        created_at=0.0,
        audio_seconds=facts.get("audio_seconds"),
        transcribed_seconds=facts.get("transcribed_seconds", 0.0),
    )


def test_a_job_is_followed_from_its_first_step_to_its_last() -> None:
    clock = Turned()
    board = JobBoard(EventBus(), clock=clock)
    board.begin(a_job())
    step = board.stepper(7)

    def seen() -> tuple[str | None, float, float | None, float | None]:
        view = board.running_view(7)
        assert view is not None
        return view.phase, view.done_seconds, view.share, view.speed

    step("decoding", 300.0)
    assert seen() == ("decoding", 300.0, None, None)
    board.tell(a_job(audio_seconds=600.0))
    step("speech", 0.0)
    assert seen()[:2] == ("speech", 0.0)
    for place in range(0, 300, 60):
        step("transcribing", float(place))
        clock.now += 6.0
        step("transcribing", float(place + 60))
        step("speech", float(place + 200))  # far ahead, and no step back
        step("aligning", float(place))  # the other worker, behind
        assert seen()[:2] == ("transcribing", float(place + 60))
    view = board.running[0]
    assert (view.speed, view.eta_seconds) == (10.0, 36.0)
    clock.now += 3.0
    later = board.running[0]
    assert (view.eta_seconds or 0) - (later.eta_seconds or 0) == 3.0
    share = view.share or 0.0
    board.tell(a_job("aligning", audio_seconds=600.0))
    assert seen()[:2] == ("aligning", 240.0)
    step("aligning", 400.0)
    step("aligning", 0.0)  # the next request begins
    assert seen()[:2] == ("aligning", 400.0)
    assert (board.running[0].share or 0.0) > share
    board.end(7)
    board.end(7)
    step("aligning", 500.0)
    assert board.running == []


def test_a_waiting_job_says_why_it_waits() -> None:
    board = JobBoard(EventBus())
    board.why_waiting = PAUSED
    assert board.view(a_job("waiting")).note == PAUSED
    assert board.view(a_job("transcribing")).note is None


def test_a_job_that_makes_way_keeps_its_place() -> None:
    board = JobBoard(EventBus(), clock=Turned())
    board.begin(a_job(audio_seconds=600.0))
    step = board.stepper(7)
    shown = []
    for phase, place in (("transcribing", 60.0), ("paused", 60.0), ("aligning", 30.0), ("transcribing", 60.0)):
        step(phase, place)  # type: ignore[arg-type]  # phases, all of them
        view = board.running_view(7)
        assert view is not None
        shown.append((view.phase, view.done_seconds))
    assert shown == [("transcribing", 60.0), ("paused", 60.0), ("paused", 60.0), ("transcribing", 60.0)]
