"""The command against a real socket: what it prints, how it waits, how it ends.

Runs in: the test process; the command runs in a thread of it, or in a process of its own where signals matter.
"""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from eventually import eventually, eventually_async
from running_api import CREATED, RunningApi
from structlog.testing import capture_logs

from client import steno
from client.daemon import here
from client.daemon.connection import DaemonClient
from client.daemon.private import FailIfTranscriberGivesUp, private_daemon
from client.following import follow as following
from client.following.follow import follow
from client.terminal.errors import NoDaemon, Refusal
from config.places import find_places
from ipc.api_messages import JobView, SubmitFile
from ipc.events import DaemonEvent, JobChanged, WorkerChanged
from ipc.status_views import LastDeath, WorkerView
from ipc.transcript import EnginesUsed, Transcript
from ipc.vocabulary import Role
from supervisor.system.refused import RequestRefused


@pytest.fixture(autouse=True)
def quiet_daemon() -> Iterator[None]:
    """The daemon shares our process here; its log must not stand between the command's lines."""
    with capture_logs():
        yield


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A STENO_HOME short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="steno-", dir="/tmp") as name:
        monkeypatch.setenv("STENO_HOME", name)
        yield Path(name)


@pytest.fixture
def socket(home: Path) -> Path:
    return find_places({"STENO_HOME": str(home)}).socket


@pytest.fixture
async def api(socket: Path) -> AsyncIterator[RunningApi]:
    async with RunningApi(socket)() as running:
        yield running


class Typed:
    """`steno …` in a thread, so that the daemon's loop can answer it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capfd = capfd

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self.monkeypatch.setattr(sys, "argv", ["steno", *words])
        code = await asyncio.to_thread(self._main)
        said = self.capfd.readouterr()
        return code, said.out, said.err

    @staticmethod
    def _main() -> int:
        try:
            steno.main()
        except SystemExit as left:
            return int(left.code or 0)
        return 0


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    return Typed(monkeypatch, capfd)


async def finish(api: RunningApi, job_id: int, **facts: object) -> JobView:
    """The job is there, and soon finished."""
    await eventually_async(lambda: job_id in api.desk.list and api.desk.bus._listeners, what="somebody waits")
    return api.desk.move(JobView.model_validate(api.desk.list[job_id].model_dump() | {"status": "done"} | facts))


async def test_submit_prints_the_number_and_sends_only_what_was_said(
    api: RunningApi, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert (await typed("submit", "here/../-x\n.wav", "--language", "German"))[:2] == (0, "1\n")
    said = await typed("submit", "a.wav", "b.wav", "-f", "srt", "-o", "here/../out")
    assert said[:2] == (0, f"2  {tmp_path}/a.wav\n3  {tmp_path}/b.wav\n")
    first, second, _ = api.desk.asked
    assert first.path == f"{tmp_path}/-x\n.wav"
    assert first.options.model_dump(exclude_none=True) == {"language": "de"}
    assert second.options.model_dump(exclude_none=True) == {"formats": ("srt",), "output_dir": f"{tmp_path}/out"}


async def test_submit_wait_json_prints_each_final_job_and_the_worst_code(api: RunningApi, typed: Typed) -> None:
    waiting = asyncio.create_task(
        typed("submit", "/a.wav", "/b.wav", "/c.wav", "--wait", "--json", "--require-words")
    )
    await eventually_async(lambda: len(api.desk.list) == 3)
    await finish(api, 3, status="cancelled")
    await finish(api, 1, timing="mixed", degraded_reason="aligner_crashed")
    await finish(api, 2, status="failed", error={"code": "not_media", "message": "no", "hint": "none"})
    code, out, err = await asyncio.wait_for(waiting, 20)
    lines = [json.loads(line) for line in out.splitlines()]
    assert {job["id"]: job["status"] for job in lines} == {1: "done", 2: "failed", 3: "cancelled"}
    assert (code, err) == (4, "")


@pytest.mark.parametrize(("no_speech", "expected"), [(False, 3), (True, 0)])
async def test_required_words_that_were_never_tried_are_missed_unless_nobody_speaks(
    api: RunningApi, typed: Typed, monkeypatch: pytest.MonkeyPatch, no_speech: bool, expected: int
) -> None:
    transcript = Transcript(
        text="",
        language=None,
        duration=1,
        timing="segment",
        no_speech=no_speech,
        segments=(),
        word_segments=(),
        engine=EnginesUsed(),
    )

    async def stored(job_id: int, format: str) -> str:
        return transcript.model_dump_json()

    monkeypatch.setattr(api.desk, "transcript", stored)
    waiting = asyncio.create_task(typed("submit", "/a.wav", "--wait", "--require-words"))
    await finish(api, 1, timing="segment")
    assert (await asyncio.wait_for(waiting, 20))[0] == expected


async def test_a_refused_file_is_told_and_the_others_go_on(
    api: RunningApi, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = api.desk.submit

    async def picky(wanted: SubmitFile, key: str | None = None) -> JobView:
        if "gone" in wanted.path:
            raise RequestRefused(400, "no_such_file", "there is no such file", "look for it")
        return await take(wanted, key)

    monkeypatch.setattr(api.desk, "submit", picky)
    code, out, err = await typed("submit", "/gone.wav", "/\udcff.wav", "/here.wav", "--json")
    gone, undecodable, here = (json.loads(line) for line in out.splitlines())
    assert code == 2
    assert gone == {
        "path": "/gone.wav",
        "error": {"code": "no_such_file", "message": "there is no such file", "hint": "look for it"},
    }
    assert (undecodable["path"], undecodable["error"]["code"]) == ("/\udcff.wav", "bad_name")
    assert (here["path"], here["status"]) == ("/here.wav", "waiting")
    assert "look for it" in err


async def test_reading_verbs_speak_json_and_plain(api: RunningApi, typed: Typed) -> None:
    await api.desk.submit(SubmitFile(path="/talk.wav"))
    assert json.loads((await typed("jobs", "--json"))[1])[0]["path"] == "/talk.wav"
    assert json.loads((await typed("show", "1", "--json"))[1])["status"] == "waiting"
    assert json.loads((await typed("status", "--json"))[1])["queue"]["paused"] is False
    assert json.loads((await typed("watch", "list", "--json"))[1])[0]["path"] == "/in"
    assert "talk.wav" in (await typed("jobs"))[1]
    assert "/talk.wav" in (await typed("show", "1"))[1]
    assert "/in" in (await typed("watch", "list"))[1]
    code, out, err = await typed("show", "9")
    assert (code, out) == (2, "")
    assert "there is no job 9" in err
    assert "paused" in (await typed("pause"))[1]
    role: Role = "aligner"
    assert (await typed("restart", role))[0] == 2
    assert (await typed("unload", role))[0] == 2
    assert api.desk.asked[-1] == role


async def test_without_a_daemon_every_verb_says_so_with_69(home: Path, typed: Typed) -> None:
    for words in (["status"], ["submit", "/a.wav"], ["wait", "1"], ["jobs", "--json"], ["status", "--watch"]):
        code, out, err = await typed(*words)
        assert code == 69
        assert json.loads(out)["error"]["code"] == "no_daemon" if "--json" in words else out == ""
        assert "steno serve" in err


def test_a_home_too_deep_for_a_socket_is_told_from_a_daemon_that_is_not_there(tmp_path: Path) -> None:
    with DaemonClient(tmp_path / ("d" * 100) / "stenod.sock") as daemon, pytest.raises(NoDaemon) as nobody:
        daemon.status()
    assert "103 bytes" in nobody.value.message and "STENO_HOME" in nobody.value.hint


async def test_waiting_survives_a_restart_of_the_daemon(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BETWEEN_TRIES_SECONDS", 0.02)
    heard: list[DaemonEvent] = []
    first = RunningApi(socket)
    async with first():
        job = await first.desk.submit(SubmitFile(path="/a.wav"))
        waiting = asyncio.create_task(
            asyncio.to_thread(lambda: list(follow(DaemonClient(socket), [job.id], heard.append)))
        )
        await eventually_async(lambda: heard, what="the first state")
    second = RunningApi(socket)
    second.desk.list[job.id] = job.model_copy(update={"status": "aligning"})
    async with second():
        await eventually_async(lambda: len(heard) == 2, what="the state after the restart")
        await finish(second, job.id)
        (finished,) = await asyncio.wait_for(waiting, 20)
    assert finished.status == "done"
    assert [event.job.status for event in heard if isinstance(event, JobChanged)] == ["waiting", "aligning", "done"]


async def test_waiting_has_an_end_when_the_daemon_stays_away(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BETWEEN_TRIES_SECONDS", 0.02)
    heard: list[DaemonEvent] = []

    def wait() -> None:
        list(follow(DaemonClient(socket), [1], heard.append, patience_seconds=0.1))

    with pytest.raises(NoDaemon):
        await asyncio.to_thread(wait)  # never seen: no patience at all
    api = RunningApi(socket)
    async with api():
        await api.desk.submit(SubmitFile(path="/a.wav"))
        waiting = asyncio.create_task(asyncio.to_thread(wait))
        await eventually_async(lambda: heard)
    with pytest.raises(NoDaemon):
        await asyncio.wait_for(waiting, 20)
    async with (again := RunningApi(socket))():
        with pytest.raises(Refusal, match="no job 1"):
            await asyncio.to_thread(wait)
        assert again.desk.asked == []


async def test_ctrl_c_leaves_the_job_running_and_says_the_way_back(api: RunningApi) -> None:
    command = (sys.executable, "-P", "-m", "client.steno", "submit", "/a.wav", "--wait")
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await eventually_async(lambda: 1 in api.desk.list and api.desk.bus._listeners, within_seconds=30)
    child.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(child.communicate(), 20)
    assert (child.returncode, out) == (130, b"")
    assert b"steno wait 1" in err
    assert b"Traceback" not in err
    assert api.desk.list[1].status == "waiting"


def test_a_private_daemon_that_cannot_start_says_why_and_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(here, "SUPERVISOR", (sys.executable, "-c", "import sys; sys.exit('no engine here')"))
    monkeypatch.setattr("client.daemon.private.SHORT_PLACE", str(tmp_path))
    with pytest.raises(Refusal, match="no engine here"), private_daemon({}):
        pass
    eventually(lambda: not list(tmp_path.iterdir()))


async def test_a_transcriber_that_cannot_load_ends_the_hope_and_one_that_died_has_another_chance(
    api: RunningApi, socket: Path
) -> None:
    death = LastDeath(signal="SIGSEGV", exit_code=-11, reason="r", during_job=None, at=CREATED)
    about = {"role": "transcriber", "engine": "mlx", "model": None, "device": None, "pid": None, "restarts": 6}
    dead = WorkerView.model_validate(about | {"state": "broken", "last_death": death})
    starting = dead.model_copy(update={"state": "starting"})
    job = await api.desk.submit(SubmitFile(path="/a.wav"))
    hope = FailIfTranscriberGivesUp(DaemonClient(socket))
    api.desk.workers = (dead,)
    await asyncio.to_thread(hope, JobChanged(job=job))
    for state in (dead, starting):
        hope(WorkerChanged(worker=state))
    with pytest.raises(Refusal, match="keeps crashing"):
        hope(WorkerChanged(worker=dead))
    api.desk.workers = (dead.model_copy(update={"last_death": None, "note": "needs model small"}),)
    with pytest.raises(Refusal, match="needs model small"):
        await asyncio.to_thread(FailIfTranscriberGivesUp(DaemonClient(socket)), JobChanged(job=job))
