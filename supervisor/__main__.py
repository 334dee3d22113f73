"""`python -P -m stenod -m supervisor`: the only way the daemon starts.

Runs in: supervisor. Arguments and environment → settings → asyncio.run.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import shutil
import sys
from dataclasses import replace

import structlog

from config.engines import resolve_engines
from config.loader import ConfigError, LoadedSettings, load
from config.logs import cut_back_stderr, start_logging
from config.ownership import faults_of, obeyed_files, own_places
from config.places import find_places
from config.warnings import doubts_about
from supervisor.api.http.listener import PortRefused
from supervisor.api.unix_socket import SocketRefused
from supervisor.daemon import Daemon
from supervisor.store.sqlite.database import DatabaseRefused, JobQueueBroken
from supervisor.system import signals as boot_signals
from supervisor.system.allocator import keep_heap_small
from supervisor.system.event_loop import LastingLoop
from supervisor.system.single_instance import AlreadyRunning, DaemonLock, LockRefused
from supervisor.system.threads import TooFewThreads

EXIT_ALREADY_RUNNING = 0
"""Starting a second daemon is no failure, for one runs; a service manager must not try again."""

OPEN_FILES = 4096
"""Wanted, as in the service's plist. A Mac's shell gives 256 to each program: a folder of recordings and those who
follow them soon use that up."""

log = structlog.get_logger()

# A worker that crashes leaves its library's semaphores to multiprocessing's tracker, which tidies up and would
# complain on our stderr; it takes its filters from here.
sys.warnoptions.append("ignore:resource_tracker:UserWarning")


def main() -> int:
    """The daemon's exit code: 0 after an orderly stop, sysexits(3) where it could not even start."""
    keep_heap_small()
    raise_open_files()
    asked = _arguments().parse_args()
    if asked.quiet:
        cut_back_stderr()
    places = find_places()
    if faults := list(faults_of(*obeyed_files(places), *own_places(places))):
        for fault in faults:
            _tell(f"{fault.filename} {fault.why}: what is kept there is obeyed; {fault.remedy}")
        return os.EX_NOPERM
    json_lines = not sys.stderr.isatty()

    def read() -> LoadedSettings:
        loaded = load(places, os.environ)
        choice = resolve_engines(loaded.settings, sys.platform)
        doubts = doubts_about(
            loaded.settings,
            transcriber=choice.transcriber,
            # A network disk may take its time; the watched folder says what is wrong with it.
            is_folder=lambda path: True,
            find_program=shutil.which,
        )
        return replace(loaded, doubts=(*loaded.doubts, *doubts))

    try:
        loaded = read()
        choice = resolve_engines(loaded.settings, sys.platform)
    except ConfigError as wrong:
        for mistake in wrong.mistakes:
            _tell(mistake)
        return os.EX_CONFIG
    start_logging(loaded.settings.logs.level, json_lines, places.log_file, owns_file=True, quiet=asked.quiet)
    for doubt in loaded.doubts:
        log.warning("setting_doubted", doubt=doubt)
    try:
        with DaemonLock.acquire(places.lock):
            daemon = Daemon(loaded, choice, places, log_json=json_lines, log_quiet=asked.quiet, read=read)
            with asyncio.Runner(loop_factory=LastingLoop) as runner:
                runner.run(daemon.run())
    except AlreadyRunning as other:
        _tell(other)
        return EXIT_ALREADY_RUNNING
    except DatabaseRefused as refused:
        _tell(refused.in_full)
        return os.EX_DATAERR
    except JobQueueBroken as broken:
        _tell(broken.in_full)
        return os.EX_IOERR
    except (LockRefused, SocketRefused, PortRefused) as refused:
        _tell(refused.in_full)
        return os.EX_CANTCREAT
    except TooFewThreads as refused:
        _tell(refused)
        return os.EX_OSERR
    if daemon.leaves_workers:
        # Written off: multiprocessing would wait for them at its exit, without an end.
        sys.stderr.flush()
        os._exit(os.EX_OK)
    return os.EX_OK


def raise_open_files() -> None:
    """The soft limit goes up to OPEN_FILES, for this process and those it starts, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # the system's own limit may be lower than the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell(words: object) -> None:
    """What cannot be said, as on a full disk, changes no exit code."""
    with contextlib.suppress(OSError):
        print(f"stenod: {words}", file=sys.stderr)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -P -m stenod -m supervisor", description="The stenod daemon, in the foreground."
    )
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="write the log to its file alone; stderr keeps what is said before there is one",
    )
    return parser


if __name__ == "__main__":
    exit_code = main()
    boot_signals.leave()
    sys.exit(exit_code)
