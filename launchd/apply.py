"""Carries out the steps of a plan, one after the other, each with its deadline. The room's only effects.

Runs in: the installer.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import assert_never

import psutil

from ipc.durable_file import write_durably
from launchd.owner import Owner
from launchd.plan import Await, InstallStep, MakeFolder, RemoveFile, Run, WriteFile
from launchd.refusal import ServiceRefused
from launchd.run_command import run
from launchd.service_manager import ServiceManager

BETWEEN_LOOKS_SECONDS = 0.2
"""No service manager tells when it is done; it can only be asked again."""


def carry_out(steps: Iterable[InstallStep], manager: ServiceManager) -> None:
    """All of them. Raises ServiceRefused at the first that fails; what was done before it stays."""
    for step in steps:
        try:
            _carry_out(step, manager)
        except OSError as error:
            raise ServiceRefused(
                f"{error.filename or 'a file'}: {error.strerror}", "fix that, and try again"
            ) from error


def _carry_out(step: InstallStep, manager: ServiceManager) -> None:
    match step:
        case MakeFolder(path, owner):
            _make_folder(path, owner)
        case WriteFile(path, text, mode):
            write_durably(path, text.encode(), mode)
        case RemoveFile(path):
            path.unlink(missing_ok=True)
        case Run():
            _run(step, manager)
        case Await():
            _await(step, manager)
        case _:
            assert_never(step)


def _make_folder(path: Path, owner: Owner | None) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent, owner)
    path.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _run(step: Run, manager: ServiceManager) -> None:
    deadline = time.monotonic() + step.again_seconds
    while True:
        answer = run(step.words, step.deadline_seconds)
        if answer.exit_code == 0 or answer.exit_code in step.fine:
            return
        if answer.exit_code not in step.again_on or time.monotonic() > deadline:
            raise ServiceRefused(*manager.explain(step, answer))
        time.sleep(BETWEEN_LOOKS_SECONDS)


def _await(step: Await, manager: ServiceManager) -> None:
    deadline = time.monotonic() + step.deadline_seconds
    pid = manager.look().pid
    if pid is None and step.wanted == "ended":
        return
    if pid is not None:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.TimeoutExpired):
            psutil.Process(pid).wait(step.deadline_seconds)
    while True:
        now = manager.look()
        if not now.is_loaded or (step.wanted == "ended" and now.pid != pid):
            return
        if time.monotonic() > deadline:
            raise ServiceRefused(
                f"{manager.name} has not {'been ' * (step.wanted == 'forgotten')}{step.wanted} "
                f"within {step.deadline_seconds:.0f} s",
                "`steno service status` shows what still runs; then try again",
            )
        time.sleep(BETWEEN_LOOKS_SECONDS)
