"""Row 7: a worker dies, or stops, in the middle of what it says.

Runs in: the chaos run; the keepers are the supervisor's own, in this process.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import astuple
from pathlib import Path
from unittest.mock import patch

from loop_lag import Lag, loop_lag
from no_leftovers import no_leftovers, open_descriptors
from recordings import noise, wav
from running_worker import BRIEF, ask, kept, setup_for
from structlog.testing import capture_logs

from chaos.tally import Tally
from chaos.trial import Trial
from ipc.worker_messages import Transcribe
from supervisor.worker.handle import WorkerDied, WorkerHandle

TITLE = "Torn frames"
DEMAND = "256 cuts through a frame of 1 MiB and 20 stops in mid-frame; the loop is never held up for 50 ms"
FRAME_BYTES, STEP_BYTES = 1 << 20, 4096
CUTS, STOPS = FRAME_BYTES // STEP_BYTES, 20
LONGEST_LAG_SECONDS = 0.05
SIDE_BY_SIDE = 2
TRIES = 3
"""As a job has."""
HARDENED = BRIEF.model_copy(
    update={
        "deadlines": BRIEF.deadlines.model_copy(update={"progress_seconds": 2.0}),
        "restarts": BRIEF.restarts.model_copy(update={"deaths_allowed": 100_000}),
    }
)
CHUNK_SECONDS = 0.5


def run(trial: Trial) -> Tally:
    """Each cut is a worker's death, and the next request finds a fresh worker."""
    tally = Tally()
    luck = trial.luck()
    cuts = luck.sample(range(0, FRAME_BYTES, STEP_BYTES), trial.number(CUTS))
    cases = [(cut, "kill") for cut in cuts]
    cases += [(luck.randrange(FRAME_BYTES), "stop") for _ in range(trial.number(STOPS))]
    luck.shuffle(cases)
    with ExitStack() as around:
        around.enter_context(patch.dict(os.environ, FAKE_CHUNK_SECONDS=str(CHUNK_SECONDS)))
        around.enter_context(no_leftovers(trial.folder))
        # A thousand lines of a supervisor that does what it should.
        around.enter_context(capture_logs())
        before, lags = asyncio.run(_run(trial, cases, tally))
    tally.expect(open_descriptors() <= before, f"{open_descriptors()} descriptors are open, before it were {before}")
    tally.figures["the loop's longest lag, less waiting for a core"] = _ms(max(lag.worst_own_seconds for lag in lags))
    tally.figures["the loop's longest lag, all told"] = _ms(max(lag.worst_seconds for lag in lags))
    return tally


async def _run(trial: Trial, cases: list[tuple[int, str]], tally: Tally) -> tuple[int, list[Lag]]:
    """How many descriptors were open before the first worker, and the longest lags."""
    before = open_descriptors()
    pcm = trial.folder / "audio.s16"
    pcm.write_bytes(wav(trial.folder / "noise.wav", noise(CHUNK_SECONDS)).read_bytes()[44:])
    left = iter(cases)
    folders = [trial.folder / str(number) for number in range(SIDE_BY_SIDE)]
    for folder in folders:
        folder.mkdir()
    lines = [_line(folder, pcm, left, tally) for folder in folders]
    return before, await asyncio.gather(*lines)


async def _line(folder: Path, pcm: Path, cases: Iterator[tuple[int, str]], tally: Tally) -> Lag:
    """Takes one case after the other; the longest lag of any."""
    told = folder / "cut"
    setup = setup_for("transcriber", "Echo", folder).model_copy(
        update={"engine_path": "chaos.daemon.stub_engines:TearingTranscriber", "model": str(told)}
    )
    worst = Lag()
    async with kept([setup], folder, HARDENED) as handle:
        for cut, how in cases:
            tally.trials += 1
            case = f"{cut} {how}"
            lag = await _torn(handle, pcm, told, case, tally)
            seconds = lag.worst_own_seconds
            tally.expect(seconds < LONGEST_LAG_SECONDS, f"{case}: the loop stood for {_ms(seconds)}")
            worst = Lag(*map(max, astuple(worst), astuple(lag)))
    return worst


async def _torn(handle: WorkerHandle, pcm: Path, told: Path, case: str, tally: Tally) -> Lag:
    """One torn answer and a whole one after it; how long the loop was held up meanwhile."""
    request = Transcribe(request_id=0, pcm_path=str(pcm), language="en")
    loop = asyncio.get_running_loop()
    await handle.wait_until_available()
    await asyncio.to_thread(told.write_text, case)
    async with loop_lag() as lag:
        # Its engine takes the file away when it begins to tear.
        answered = False
        while not answered and await asyncio.to_thread(told.exists):
            answered = await _answered(handle, request)
        tally.faults += not answered
        tally.expect(not answered, f"{case}: the request did not fail")
        began = loop.time()
        for _ in range(TRIES):
            if await _answered(handle, request):
                break
        else:
            tally.lost += 1
        tally.recoveries_seconds.append(loop.time() - began)
    return lag


async def _answered(handle: WorkerHandle, request: Transcribe) -> bool:
    """Whether the worker lived to answer. On a machine that is busy with other things it may miss its deadline."""
    try:
        return bool(await ask(handle, request))
    except WorkerDied:
        return False


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
