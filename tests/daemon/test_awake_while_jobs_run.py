"""A whole daemon asks the system to stay awake while a job runs, and takes that back when it leaves.

Runs in: the test process.
"""

import os
import sys
from pathlib import Path

import psutil
from daemon_under_test import MEMO, a_daemon
from eventually import eventually
from no_leftovers import lives

from supervisor.system.sleep_inhibitor import holder


def test_a_job_holds_the_machine_awake_and_a_stop_lets_go(tmp_path: Path) -> None:
    program, pid = tmp_path / holder(sys.platform, 1)[0], tmp_path / "pid"
    program.write_text(f'#!/bin/sh\necho $$ > "{pid}.new" && mv "{pid}.new" "{pid}"\nexec cat\n')
    program.chmod(0o755)
    with a_daemon(
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", STENO_MODEL="pace=0.5", FAKE_CHUNK_SECONDS="1"
    ) as daemon:
        daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "ready")
        assert not pid.exists(), "nothing runs yet"
        job_id = daemon.submit(daemon.own(MEMO))
        eventually(pid.exists, 10, "held")
        daemon.post(f"/v1/jobs/{job_id}/cancel")
        held = psutil.Process(int(pid.read_text()))
        assert held.ppid() == daemon.pid
        assert daemon.stop() == 0
        eventually(lambda: not lives(held), 2, "let go")
