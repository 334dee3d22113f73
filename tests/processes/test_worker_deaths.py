"""Every way a worker can die or hang, for both roles: charged right, restarted, and nothing is left.

Runs in: the test process; each worker is a real child with a fake engine in the real shell.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from eventually import eventually_async
from loop_lag import loop_lag
from running_worker import BRIEF, ROLES, ask, kept, request_for, setup_for

from ipc.vocabulary import Role
from ipc.worker_messages import SegmentsTranscribed, TranscriptionFinished, WordsAligned
from supervisor.worker.circuit_breaker import WorkerUnavailable
from supervisor.worker.death import Cause
from supervisor.worker.handle import WorkerDied

LAG_ALLOWED_SECONDS = 0.25
"""A blocked loop lags for as long as the worker hangs; a free one by what its neighbours on the cores cost."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to go, and what is to be known about it afterwards."""

    fake: str
    signal: str | None
    cause: Cause = "crashed"
    exit_code: int | None = None
    reason: str = ""
    model: str = "at=0"


WAYS = [
    Way("SegfaultOnCall", "SIGSEGV", reason="segmentation fault (SIGSEGV) while"),
    Way("SegfaultOnCall", "SIGSEGV", reason="segmentation fault", model="at=1"),
    Way("KillSelf", "SIGKILL", reason="killed from outside"),
    Way("AbortSelf", "SIGABRT", reason="aborted by a library"),
    Way("ExitZero", None, exit_code=0, reason="exited without a request to stop"),
    Way("OutOfMemory", None, exit_code=1, reason="exited with code 1"),
    Way("OutOfMemoryInOtherWords", None, exit_code=1, reason="exited with code 1"),
    Way("HangForever", "SIGKILL", "timeout", reason="no progress for 1.5 s"),
    Way("HangHoldingGil", "SIGKILL", "timeout", reason="no progress for 1.5 s"),
    Way("IgnoresSigterm", "SIGKILL", "timeout", reason="no progress for 1.5 s"),
    Way("StopsItself", "SIGKILL", "timeout", reason="no progress for 1.5 s"),
    Way("TearsFrame", "SIGKILL", "timeout", reason="no progress for 1.5 s"),
    Way("SpeaksGarbage", "SIGKILL", reason="sent an invalid message"),
]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.fake}-{way.model}")
async def test_a_death_on_a_request_is_charged_to_its_job_and_a_fresh_worker_follows(
    way: Way, role: Role, three_chunks: Path, tmp_path: Path
) -> None:
    phase = "transcribing" if role == "transcriber" else "aligning"
    async with kept([setup_for(role, way.fake, tmp_path, model=way.model)], tmp_path) as keeper:
        await keeper.wait_until_available()
        first_pid = keeper.view.pid
        async with loop_lag() as lag:
            with pytest.raises(WorkerDied) as died:
                await ask(keeper, request_for(role, three_chunks))
        death = died.value.death
        exit_code = -signal.Signals[way.signal] if way.signal else way.exit_code
        assert (death.signal, death.cause, death.exit_code) == (way.signal, way.cause, exit_code)
        assert (death.phase, death.during_job) == (phase, 7)
        assert way.reason in death.reason
        assert lag.worst_seconds < LAG_ALLOWED_SECONDS
        await keeper.wait_until_available()
        view = keeper.view
        assert view.state == "ready"
        assert view.pid != first_pid
        assert view.restarts == 1
        assert view.last_death is not None
        assert view.last_death.during_job == 7


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("role", ROLES)
async def test_the_next_request_after_a_crash_succeeds(
    role: Role, three_chunks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = tmp_path / "crashes-left"
    crashes.write_text("1")
    monkeypatch.setenv("FAKE_CRASHES", str(crashes))
    async with kept([setup_for(role, "CrashTimes", tmp_path)], tmp_path) as keeper:
        with pytest.raises(WorkerDied):
            await ask(keeper, request_for(role, three_chunks))
        replies = await ask(keeper, request_for(role, three_chunks))
        assert isinstance(replies[-1], TranscriptionFinished | WordsAligned)


@pytest.mark.usefixtures("nothing_left")
async def test_what_was_answered_before_the_death_counts(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("transcriber", "SegfaultOnCall", tmp_path, model="at=2")], tmp_path) as keeper:
        heard = []
        with pytest.raises(WorkerDied):
            async with keeper.request(request_for("transcriber", three_chunks), deadline_seconds=9.0) as replies:
                async for reply in replies:
                    # Slower than the worker dies: its last words must still be there.
                    await asyncio.sleep(0.05)
                    if isinstance(reply, SegmentsTranscribed):
                        heard += [segment.id for segment in reply.segments]
        assert heard == [0, 1]


@pytest.mark.usefixtures("nothing_left")
async def test_the_traceback_of_a_segfault_is_kept(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("aligner", "SegfaultOnCall", tmp_path)], tmp_path) as keeper:
        with pytest.raises(WorkerDied) as died:
            await ask(keeper, request_for("aligner", three_chunks))
    assert "Segmentation fault" in died.value.death.traceback
    assert "fake_engines.py" in died.value.death.traceback


@pytest.mark.usefixtures("nothing_left")
async def test_a_hung_worker_writes_down_where_it_hangs(three_chunks: Path, tmp_path: Path) -> None:
    async with kept([setup_for("aligner", "HangHoldingGil", tmp_path)], tmp_path) as keeper:
        with pytest.raises(WorkerDied) as died:
            await ask(keeper, request_for("aligner", three_chunks))
    assert "hang_holding_the_gil" in died.value.death.traceback


@pytest.mark.usefixtures("nothing_left")
async def test_the_worker_ends_itself_when_native_code_keeps_it_too_long(three_chunks: Path, tmp_path: Path) -> None:
    setup = setup_for("aligner", "HangHoldingGil", tmp_path).model_copy(update={"stuck_after_seconds": 0.5})
    patient = BRIEF.model_copy(update={"deadlines": BRIEF.deadlines.model_copy(update={"progress_seconds": 15.0})})
    async with kept([setup], tmp_path, patient) as keeper:
        with pytest.raises(WorkerDied) as died:
            await ask(keeper, request_for("aligner", three_chunks))
    assert died.value.death.cause == "timeout"
    assert "its own watchdog" in died.value.death.reason


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("role", ROLES)
async def test_a_worker_that_always_dies_on_load_is_broken_after_six_starts(role: Role, tmp_path: Path) -> None:
    async with kept([setup_for(role, "SegfaultOnLoad", tmp_path)], tmp_path) as keeper:
        with pytest.raises(WorkerUnavailable) as refused:
            await ask(keeper, request_for(role, tmp_path / "never opened"))
        assert refused.value.code == "broken"
        view = keeper.view
        assert (view.state, view.pid, view.restarts) == ("broken", None, 6)
        assert view.last_death is not None
        assert view.last_death.reason == "segmentation fault (SIGSEGV) while loading the model"
        assert keeper.is_worn_out()


@pytest.mark.usefixtures("nothing_left")
async def test_a_worker_that_never_says_ready_is_killed_at_the_boot_deadline(tmp_path: Path) -> None:
    brief = BRIEF.model_copy(
        update={
            "deadlines": BRIEF.deadlines.model_copy(update={"boot_seconds": 0.7}),
            "restarts": BRIEF.restarts.model_copy(update={"deaths_allowed": 1}),
        }
    )
    async with kept([setup_for("transcriber", "HangOnLoad", tmp_path)], tmp_path, brief) as keeper:
        with pytest.raises(WorkerUnavailable):
            await ask(keeper, request_for("transcriber", tmp_path / "never opened"))
        assert keeper.view.last_death is not None
        assert "not ready after 0.7 s" in keeper.view.last_death.reason


@pytest.mark.parametrize(("role", "phase"), [("transcriber", "speech"), ("aligner", "aligning")])
async def test_a_worker_that_dies_before_its_first_word_is_charged_with_what_it_was_asked(
    role: Role, phase: str, three_chunks: Path, tmp_path: Path
) -> None:
    async with kept([setup_for(role, "Echo", tmp_path)], tmp_path) as keeper:
        await keeper.wait_until_available()
        pid = keeper.view.pid or 0
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.create_task(ask(keeper, request_for(role, three_chunks)))
        await eventually_async(lambda: keeper.view.state == "busy")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerDied) as died:
            await asked
        assert (died.value.death.phase, died.value.death.during_job) == (phase, 7)


async def test_a_load_longer_than_any_step_is_no_hang(three_chunks: Path, tmp_path: Path) -> None:
    setup = setup_for("aligner", "Echo", tmp_path, model="load=1.5")
    setup = setup.model_copy(update={"stuck_after_seconds": 0.5})
    async with kept([setup], tmp_path) as keeper:
        await ask(keeper, request_for("aligner", three_chunks))
        assert keeper.view.restarts == 0
