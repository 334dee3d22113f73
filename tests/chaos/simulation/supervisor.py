"""The real supervisor, in a world without real time, processes and full disks.

Runs in: the virtual day's process.
"""

import asyncio
import sqlite3
import sys
from contextlib import ExitStack, suppress
from typing import Any
from unittest.mock import patch

from chaos.simulation.day import Clock
from chaos.simulation.event_loop import VirtualLoop, threads_counted
from chaos.simulation.processes import in_place_of_processes
from chaos.simulation.verdict import LOG_BYTES
from chaos.simulation.world import Holder, World
from config import logs
from supervisor import __main__ as supervisor
from supervisor.store.history import JobHistory
from supervisor.store.sqlite import transactions as job_database
from supervisor.system import sleep_inhibitor as sleep_inhibitor
from supervisor.system.event_loop import LastingLoop
from supervisor.watch import folder as watched_folder
from supervisor.worker import child_process as worker_process


def supervise(world: World, clock: Clock, patches: ExitStack) -> int:
    """From `main` to its exit code."""
    prune, look, transaction = JobHistory.prune, watched_folder.WatchedFolder._look, job_database._transaction

    async def noted_prune(history: JobHistory) -> int:
        world.prunings.append(world.loop.now)
        return await prune(history)

    async def noted_look(folder: watched_folder.WatchedFolder, events: Any) -> float:
        if not folder.polling:
            world.looks.append(world.loop.now)
        return await look(folder, events)

    def full_disk(connection: sqlite3.Connection, begin: str, work: Any) -> Any:
        if world.disk_is_full and "IMMEDIATE" in begin:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return transaction(connection, begin, work)

    async def start_holder(_: sleep_inhibitor.SleepInhibitor) -> Holder:
        world.holders.append(Holder())
        return world.holders[-1]

    class Loop(VirtualLoop, LastingLoop):
        def __init__(self) -> None:
            super().__init__()
            clock.loop = self
            world.begin(self)

    for name, stand_in in in_place_of_processes(world.workers).items():
        patches.enter_context(patch.object(worker_process, name, stand_in))
    patches.enter_context(patch.object(JobHistory, "prune", noted_prune))
    patches.enter_context(patch.object(watched_folder.WatchedFolder, "_look", noted_look))
    patches.enter_context(patch.object(job_database, "_transaction", full_disk))
    patches.enter_context(patch.object(sleep_inhibitor.SleepInhibitor, "_start", start_holder))
    patches.enter_context(patch.object(logs, "FILE_BYTES", LOG_BYTES))
    patches.enter_context(patch.object(supervisor, "LastingLoop", Loop))
    patches.enter_context(patch.object(sys, "argv", ["stenod"]))
    patches.enter_context(threads_counted())
    with suppress(asyncio.CancelledError):
        return supervisor.main()
    return -1
