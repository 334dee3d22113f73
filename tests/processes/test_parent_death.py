"""The supervisor is killed: its workers are gone within two seconds, whatever they were doing.

Runs in: the test process, which kills a small supervisor of its own.
"""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from eventually import eventually
from no_leftovers import lives

GONE_SECONDS = 2.0

SUPERVISOR = """
async def main(fake, pcm):
    setup = setup_for("aligner", fake, pcm.parent)
    if fake == "HangHoldingGil" and sys.platform == "darwin":
        # No thread of Python's can see the parent's end then: the worker's own watchdog has to end it.
        setup = setup.model_copy(update={"stuck_after_seconds": 1.0})
    async with kept([setup], pcm.parent) as keeper:
        if fake == "HangOnLoad":
            while keeper.view.pid is None:
                await asyncio.sleep(0.01)
        else:
            await keeper.wait_until_available()
        if fake.startswith("Hang") and fake != "HangOnLoad":
            asking = asyncio.create_task(ask(keeper, request_for("aligner", pcm)))
            await asyncio.sleep(0.3)
        print(keeper.view.pid, flush=True)
        await asyncio.sleep(60)

if __name__ == "__main__":
    # Here: a worker imports the script that spawned it, before anything of ours runs in it.
    import asyncio, sys
    from pathlib import Path
    from config.logs import start_logging
    from running_worker import ask, kept, request_for, setup_for

    start_logging("error", True)  # To stderr: stdout is for the pid.
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.mark.parametrize("fake", ["Echo", "HangOnLoad", "HangForever", "HangHoldingGil"])
def test_workers_are_gone_two_seconds_after_their_supervisor(fake: str, three_chunks: Path, tmp_path: Path) -> None:
    script = tmp_path / "small_supervisor.py"
    script.write_text(SUPERVISOR)
    with subprocess.Popen(
        [sys.executable, str(script), fake, str(three_chunks)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "FAKE_CHUNK_SECONDS": "0.5"},
    ) as supervisor:
        assert supervisor.stdout is not None
        try:
            worker = psutil.Process(int(supervisor.stdout.readline()))
        finally:
            supervisor.kill()
        killed_at = time.monotonic()
        eventually(lambda: not lives(worker), GONE_SECONDS)
        assert time.monotonic() - killed_at < GONE_SECONDS
