"""`python -P -m stenod -m supervisor.recovery`: `steno backup`, `restore`, `check` without a daemon; JSON out.

Runs in: a separate process, started by the command.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from config.logs import start_logging
from config.ownership import faults_of, own_places
from config.places import Places, find_places
from config.settings import QueueSettings
from ipc.status_views import CheckView
from supervisor.recovery.backup import CopyRefused, back_up, restore
from supervisor.recovery.queue_check import QueueCheck
from supervisor.store.jobs import JobQueue
from supervisor.store.sqlite.database import DatabaseRefused, JobQueueBroken
from supervisor.system.single_instance import AlreadyRunning, DaemonLock, LockRefused


def main() -> int:
    """Exit code 0: done, the answer on stdout. 1: refused, the reason on stdout."""
    parser = argparse.ArgumentParser("python -P -m stenod -m supervisor.recovery")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("backup", "restore"):
        verbs.add_parser(verb).add_argument("file", type=Path)
    verbs.add_parser("check").add_argument("--repair", action="store_true")
    asked = parser.parse_args()
    start_logging("error", json_lines=True)
    try:
        answer = _answer(asked, find_places())
    except CopyRefused as refused:
        print(json.dumps({"code": refused.code, "message": refused.message, "hint": refused.hint}))
        return 1
    print(json.dumps(answer))
    return 0


def _answer(asked: argparse.Namespace, places: Places) -> Any:
    for fault in faults_of(*own_places(places)):
        raise CopyRefused("not_ours_alone", f"{fault.filename} {fault.why}", fault.remedy)
    match asked.verb:
        case "backup":
            return asdict(back_up(places.database, places.lock, asked.file))
        case "restore":
            found, aside = restore(places.database, places.lock, asked.file)
            return asdict(found) | {"set_aside": None if aside is None else str(aside)}
        case _:
            return asyncio.run(_checked(places, asked.repair)).model_dump(mode="json")


async def _checked(places: Places, repair: bool) -> CheckView:
    if not places.database.exists():
        raise CopyRefused("no_queue", f"there is no queue yet: {places.database}", "start the daemon once")
    try:
        with DaemonLock.acquire(places.lock):
            queue = await JobQueue.open(places.database, QueueSettings())
            try:
                return await QueueCheck(queue, places.spool).run(repair=repair)
            finally:
                await queue.close()
    except AlreadyRunning as running:
        raise CopyRefused("daemon_runs", f"{running}, and does not answer", "run `steno doctor`") from running
    except (LockRefused, DatabaseRefused, JobQueueBroken) as refused:
        raise CopyRefused(refused.code, refused.message, refused.hint) from refused


if __name__ == "__main__":
    sys.exit(main())
