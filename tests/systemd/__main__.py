"""`python -m systemd`: boot, walk, power off. Exit code 0: every step held; 1: one did not; 2: it cannot run here.

Runs in: the systemd test.
"""

import signal
import sys
import time

from systemd.container import Container, StepFailed
from systemd.debian import MachineRefused, require
from systemd.walk import STEPS, Walk


def main() -> int:
    """The exit code."""
    # SystemExit leaves through the container's end; the default would leave the machine running.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        require()
        with Container() as machine:
            print(machine.root("systemctl --version").output.splitlines()[0])
            walk = Walk(machine)
            for number, step in enumerate(STEPS, 1):
                print(f"{number}. {step.__name__.replace('_', ' ')}", flush=True)
                began = time.monotonic()
                try:
                    step(walk)
                except StepFailed as failed:
                    print(f"   FAILED: {failed}", flush=True)
                    print(machine.root("journalctl --no-pager --lines=40 _UID=1000").output)
                    return 1
                print(f"   held, {time.monotonic() - began:.1f} s", flush=True)
    except MachineRefused as refused:
        print(f"systemd-test: {refused}", file=sys.stderr)
        return 2
    print(f"systemd-test: {len(STEPS)} passed")
    return 0


sys.exit(main())
