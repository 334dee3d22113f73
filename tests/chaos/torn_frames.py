"""Row 7: a worker dies, or stops, in the middle of what it says.

Runs in: the chaos run; the keeper is the supervisor's own, in this process.
"""

import asyncio
from pathlib import Path

from kept_worker import ask, kept, setup_for
from loop_lag import loop_lag
from recordings import noise, wav

from chaos.tally import Tally
from chaos.trial import Trial
from ipc.worker_messages import Transcribe, WorkerSetup
from supervisor.worker_keeper import WorkerDied

TITLE = "Torn frames"
DEMAND = "256 cuts through a frame of 1 MiB and 20 stops in mid-frame; the loop is never held up for 50 ms"
FRAME_BYTES, STEP_BYTES = 1 << 20, 4096
CUTS, STOPS = FRAME_BYTES // STEP_BYTES, 20
LONGEST_LAG_SECONDS = 0.05


def run(trial: Trial) -> Tally:
    """Each cut is a worker's death, and the next request finds a fresh worker."""
    return asyncio.run(_run(trial))


async def _run(trial: Trial) -> Tally:
    tally = Tally()
    luck = trial.luck()
    pcm, told = trial.folder / "audio.s16", trial.folder / "cut"
    pcm.write_bytes(wav(trial.folder / "noise.wav", noise(0.5)).read_bytes()[44:])
    cuts = luck.sample(range(0, FRAME_BYTES, STEP_BYTES), trial.number(CUTS))
    cases = [(cut, "kill") for cut in cuts]
    cases += [(luck.randrange(FRAME_BYTES), "stop") for _ in range(trial.number(STOPS))]
    setup = setup_for("transcriber", "Echo", trial.folder).model_copy(
        update={"engine_path": "chaos.stub_engines:TearingTranscriber", "model": str(told)}
    )
    for cut, how in cases:
        told.write_text(f"{cut} {how}")
        tally.trials += 1
        lag = await _torn(setup, trial.folder, pcm, tally, f"{how} after {cut} bytes")
        tally.expect(lag < LONGEST_LAG_SECONDS, f"{how} after {cut} bytes: the loop stood for {lag * 1000:.0f} ms")
    return tally


async def _torn(setup: WorkerSetup, folder: Path, pcm: Path, tally: Tally, case: str) -> float:
    """One torn answer and a whole one after it; how long the loop was held up at worst, in seconds."""
    request = Transcribe(request_id=0, pcm_path=str(pcm), language="en")
    async with kept([setup], folder) as keeper:
        await keeper.wait_until_available()
        async with loop_lag() as lag:
            try:
                await ask(keeper, request)
                tally.wrong.append(f"{case}: the request did not fail")
            except WorkerDied:
                tally.faults += 1
            began = asyncio.get_running_loop().time()
            await ask(keeper, request)
            tally.recoveries_seconds.append(asyncio.get_running_loop().time() - began)
    return lag.worst_seconds
