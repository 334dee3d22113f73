"""One examination of everything: which looks there are, with a daemon and without.

Runs in: the user's shell.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from client.daemon import here
from client.daemon.connection import DaemonClient
from client.doctor import daemon as doctor_daemon
from client.doctor import disk_and_memory as doctor_headroom
from client.doctor import folders as doctor_folders
from client.doctor import installation as doctor_installation
from client.doctor import models as doctor_models
from client.doctor import sandbox as doctor_sandbox
from client.doctor import service as doctor_service
from client.doctor import settings as doctor_settings
from client.doctor import watches as doctor_watches
from client.doctor import workers as doctor_workers
from client.doctor.check import LOOK_SECONDS, Look, Looked, Tell, answer_within, side_by_side
from config.places import Places, find_places, hub_cache
from config.settings import HealthSettings, MediaSettings, Settings
from ipc.status_views import Finding, StatusView

GREETING_SECONDS = 15.0
"""To find the home, ask the daemon how it is, and read the settings."""
EXAMINATION_SECONDS = 20.0
"""The daemon gives each watched folder ten."""
BEYOND_CANARY_SECONDS = 5.0
"""The daemon ends the canary by itself; this much later no client waits for it any more."""
SYSCTL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks with the eyes of the daemon that runs: its environment decides what is set, not this shell's."""

    environment: Mapping[str, str]
    model_check: Sequence[str] = doctor_models.MODEL_CHECK

    def examine(self, tell: Tell) -> list[Looked]:
        """Everything, in the order it is shown. `tell` hears which looks are still out."""
        try:
            looks = answer_within(self._looks, GREETING_SECONDS)
        except RuntimeError as homeless:
            return [Looked("Folders", (_no_home(str(homeless)),))]
        except TimeoutError:
            return [Looked("Folders", (_no_home(f"nothing of it answers within {GREETING_SECONDS:g} s"),))]
        return side_by_side(looks, tell)

    def _looks(self) -> list[Look]:
        """What there is to look at, with a daemon or without. Raises RuntimeError where there is no home at all."""
        # The daemon of a service may have its socket elsewhere than this shell would.
        places = replace(find_places(dict(self.environment)), runtime=here.socket(self.environment).parent)
        contact = doctor_daemon.meet(places)
        environment = contact.environment if contact.status is not None else self.environment
        reading = doctor_settings.read_settings(places, environment)
        looks = list(self._machine(places, environment, reading, contact.status))
        if reading.wrong is None:
            look_at_models = partial(doctor_models.model_findings, environment, self.model_check)
            looks.append(Look("Models", "models", look_at_models, doctor_models.CHECK_SECONDS + LOOK_SECONDS))
        if contact.status is None:
            return looks + list(self._without_daemon(contact, reading))
        return looks + list(self._with_daemon(places, environment, reading, contact.status))

    def _machine(
        self,
        places: Places,
        environment: Mapping[str, str],
        reading: doctor_settings.SettingsReading,
        status: StatusView | None,
    ) -> Iterator[Look]:
        settings, uid = reading.settings, os.geteuid()
        yield Look("Installation", "installation", doctor_installation.installation_findings)
        yield Look("Installation", "rosetta", rosetta)
        yield Look("Installation", "sandbox", doctor_sandbox.sandbox_findings)
        yield Look("Settings", "config", partial(doctor_settings.settings_findings, reading, places))

        def folders() -> Iterator[Finding]:
            home = doctor_folders.home_finding(environment, places, uid)
            yield home
            if home.state == "broken":
                return
            yield from doctor_folders.session_findings(environment)
            yield from doctor_folders.socket_path_findings(places.socket)
            yield from doctor_folders.ownership_findings(places)
            yield from doctor_folders.folder_findings(places, uid, daemon_tries=status is not None)

        yield Look("Folders", "folders", folders)
        workers = () if status is None else status.workers
        yield Look(
            "Disk and memory",
            "disk",
            lambda: doctor_headroom.disk_findings(
                doctor_headroom.find_disks(written_to(places, settings, environment)),
                (MediaSettings() if settings is None else settings.media).free_disk_floor_mb,
            ),
        )
        total = doctor_headroom.machine_memory()
        yield Look("Disk and memory", "memory", partial(doctor_headroom.memory_findings, total, workers))

    def _without_daemon(
        self, contact: doctor_daemon.Contact, reading: doctor_settings.SettingsReading
    ) -> Iterator[Look]:
        if contact.absence is not None:
            absence = list(doctor_daemon.absence_findings(contact.absence, doctor_service.is_installed()))
            yield Look("Daemon", "daemon", lambda: absence)
            yield Look("Daemon", "service", partial(doctor_service.look_at_service, None))
        if reading.loaded is not None:
            for folder, is_made_at_start in doctor_watches.watched(reading.loaded):
                look = partial(doctor_watches.shell_view, folder, is_made_at_start)
                yield Look("Watched folders", "watch_folder", look)
        yield Look("Workers", "workers", lambda: [UNSEEN])

    def _with_daemon(
        self,
        places: Places,
        environment: Mapping[str, str],
        reading: doctor_settings.SettingsReading,
        status: StatusView,
    ) -> Iterator[Look]:
        choice, health = reading.choice, HealthSettings() if reading.settings is None else reading.settings.health
        yield Look("Daemon", "daemon", partial(doctor_daemon.status_findings, status, own_version()))
        yield Look("Daemon", "service", partial(doctor_service.look_at_service, status.daemon.pid))
        workers = [
            *doctor_workers.worker_findings(status.workers, choice, str(places.logs / "crashes"), datetime.now(UTC)),
            *doctor_workers.device_findings(status.workers, sys.platform, platform.machine()),
        ]
        yield Look("Workers", "workers", lambda: workers)
        look = partial(inside, places.socket)
        yield Look("As the daemon sees it", "inside_the_daemon", look, EXAMINATION_SECONDS + LOOK_SECONDS)
        if any(worker.state == "broken" for worker in status.workers):
            yield Look("Workers", "canary", lambda: [doctor_workers.UNSENT])
            return
        canary_seconds = health.canary_seconds + BEYOND_CANARY_SECONDS
        yield Look("Workers", "canary", partial(canary, places.socket, canary_seconds), canary_seconds + LOOK_SECONDS)


UNSEEN = Finding(
    check="workers",
    state="warning",
    what="not examined: workers, their devices, the canary, and what the daemon itself may read and write",
    why="only a daemon that runs can tell",
    remedy="start it, then `steno doctor` again",
)


def inside(socket: Path) -> Iterable[Finding]:
    """What the daemon finds when it tries its own folders."""
    with DaemonClient(socket, EXAMINATION_SECONDS) as daemon:
        return daemon.examination()


def canary(socket: Path, answer_seconds: float) -> Iterator[Finding]:
    """A fresh one, through both workers."""
    with DaemonClient(socket, answer_seconds) as daemon:
        yield doctor_workers.canary_finding(daemon.health(fresh=True))


def written_to(places: Places, settings: Settings | None, environment: Mapping[str, str]) -> dict[str, Path]:
    """Every folder whose disk may fill up."""
    folders = {"spool": places.spool, "state": places.state, "logs": places.logs, "models": places.models}
    folders["model cache"] = hub_cache(environment)
    if settings is not None:
        folders |= {} if settings.output.folder is None else {"outputs": settings.output.folder}
        folders |= {f"watched {entry.path.name}": entry.path for entry in settings.watch}
    return folders


def rosetta() -> Iterator[Finding]:
    """Whether an Intel Python runs on Apple silicon."""
    translated = None
    if sys.platform == "darwin":
        asked = subprocess.run(
            ("/usr/sbin/sysctl", "-n", "sysctl.proc_translated"),
            capture_output=True,
            text=True,
            timeout=SYSCTL_SECONDS,
            check=False,
        )
        translated = int(asked.stdout) if asked.stdout.strip().isdigit() else None
    return doctor_workers.rosetta_findings(sys.platform, platform.machine(), translated)


def own_version() -> str:
    """Of this command."""
    try:
        return version("stenod")
    except PackageNotFoundError:
        return "unknown"


def _no_home(why: str) -> Finding:
    return Finding(
        check="home",
        state="broken",
        what=f"the home of stenod cannot be used: {why}",
        why="settings, queue and models have no place to be",
        remedy="correct STENO_HOME or HOME",
    )
