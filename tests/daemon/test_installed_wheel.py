"""The wheel as a stranger has it: in an environment of its own, called from anywhere, beside foreign `config`s.

Runs in: the test process. The environment borrows this one's libraries, so nothing is fetched.
"""

import json
import os
import plistlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon_under_test import FAKES, MEMO, STARTERS, SUPPORT, DaemonUnderTest
from no_leftovers import no_leftovers

from ipc.program import ROOT

PACKAGES = ("client", "config", "ipc", "launchd", "supervisor", "workers")
UV = ROOT / ".uv" / "bin" / "uv"
INSTALL_SECONDS = 120.0
NEXT_VERSION = "0.999.0"


@dataclass(frozen=True)
class Installed:
    """stenod in an environment of its own, and a folder that is hostile to it."""

    place: Path
    next_wheel: Path
    """The same code under another version."""

    @property
    def steno(self) -> Path:
        return self.place / "venv" / "bin" / "steno"

    @property
    def hostile(self) -> Path:
        """Modules with our packages' names; each writes down that it was imported."""
        return self.place / "hostile"

    @property
    def engines(self) -> Path:
        return self.place / "engines"

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("STENO_", "WHISPER_"))}
        return {**inherited, "PYTHONPATH": str(self.hostile), "STENO_HOME": str(self.place / "home")}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`steno` in the hostile folder."""
        return subprocess.run(
            [self.steno, *words],
            cwd=self.hostile,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )

    def install(self, wheel: Path) -> None:
        """Its files, in place of those of the version before; no library."""
        command = [str(UV), "pip", "install", "--offline", "--no-deps", "--python", str(self.place / "venv")]
        subprocess.run([*command, str(wheel)], check=True, capture_output=True, timeout=INSTALL_SECONDS)

    def hostile_imports(self) -> list[str]:
        heard = self.place / "imported"
        return heard.read_text().split() if heard.exists() else []


def build(source: Path, target: str, into: Path) -> Path:
    """What `uv build` makes, with the build backend of this environment."""
    command = [sys.executable, "-P", "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    (built,) = into.glob("*.tar.gz" if target == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # Not pytest's own: a socket's path has 103 bytes at most.
    with tempfile.TemporaryDirectory(prefix="steno-test-", dir="/tmp") as place:
        yield Path(place)


@pytest.fixture(scope="module")
def source(place: Path) -> Path:
    """The source distribution, unpacked."""
    with tarfile.open(build(ROOT, "sdist", place / "sdist")) as archive:
        archive.extractall(place / "source", filter="data")
    (source,) = (place / "source").iterdir()
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, place: Path) -> Path:
    return build(source, "wheel", place / "dist")


@pytest.fixture(scope="module")
def installed(source: Path, wheel: Path, place: Path) -> Installed:
    settings = source / "pyproject.toml"
    settings.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{NEXT_VERSION}"', settings.read_text()))
    installed = Installed(place, build(source, "wheel", place / "next"))
    venv = [str(UV), "venv", "--quiet", "--offline", "--python", sys.executable, str(place / "venv")]
    subprocess.run(venv, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    (libraries,) = {Path(path) for path in sys.path if path.endswith("site-packages")}
    (borrower,) = (place / "venv" / "lib").glob("python*/site-packages")
    (borrower / "libraries.pth").write_text(f"{libraries}\n")
    installed.install(wheel)
    installed.hostile.mkdir()
    installed.engines.mkdir()
    shutil.copy(SUPPORT / "fake_engines.py", installed.engines)
    for name in PACKAGES:
        told = f"with open({str(place / 'imported')!r}, 'a') as heard: heard.write({name + chr(10)!r})\n"
        (installed.hostile / f"{name}.py").write_text(told)
        (installed.engines / f"{name}.py").write_text(told)
    return installed


def test_the_wheel_adds_one_name_and_holds_every_file_of_the_six_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"stenod"}
    assert {name for name in names if name.count("/") == 1 and ".dist-info" not in name} == {
        "stenod/__init__.py",
        "stenod/__main__.py",
    }
    files = {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name.removeprefix("stenod/_app/") for name in names if name.startswith("stenod/_app/")} == files


def test_a_recording_is_transcribed_from_a_folder_full_of_our_names(installed: Installed) -> None:
    done = installed.run("transcribe", str(MEMO), "-f", "txt", "-o", str(installed.place), **STARTERS)
    assert done.returncode == 0, done.stderr
    assert len((installed.place / "memo.txt").read_text().split()) > 10
    assert installed.hostile_imports() == []


def test_doctor_finds_our_packages_in_the_wheel(installed: Installed) -> None:
    findings = {one["check"]: one for one in json.loads(installed.run("doctor", "--json").stdout)["findings"]}
    assert findings["packages_of_ours"]["state"] == "ok"
    assert "stenod/_app" in findings["packages_of_ours"]["what"]
    assert findings["sandbox"]["state"] == "ok"
    assert "make" not in {str(finding.get("remedy")).partition(" ")[0] for finding in findings.values()}
    assert installed.hostile_imports() == []


def the_service_s_command(installed: Installed) -> list[str]:
    """What launchd or systemd would start."""
    printed = installed.run("service", "install", "--print").stdout
    if sys.platform == "darwin":
        plist = printed[printed.index("<?xml") : printed.index("</plist>") + len("</plist>")]
        return list(plistlib.loads(plist.encode())["ProgramArguments"])
    (line,) = re.findall(r"^ExecStart=(.*)$", printed, re.MULTILINE)
    return shlex.split(line)


def test_the_service_survives_a_crash_and_an_upgrade_of_its_own_files(installed: Installed) -> None:
    """The old daemon runs while its files are exchanged; the new one continues the queue."""
    home = installed.place / "daemon"
    home.mkdir()
    environment = {
        **FAKES,
        "PYTHONPATH": str(installed.hostile),
        "STENO_WORKERS_ENGINE_PATH": str(installed.engines),
        "FAKE_CHUNK_SECONDS": "2",
        "STENO_MODEL": "pace=0.2",
    }
    daemon = DaemonUnderTest(home, environment)
    daemon.command = the_service_s_command(installed)
    with no_leftovers():
        try:
            daemon.start()
            first, second, third = (daemon.submit(Path(shutil.copy(MEMO, home / f"{n}.flac"))) for n in range(3))
            daemon.kill_worker("transcriber")
            assert daemon.finished(first)["timing"] == "word"
            assert [one["signal"] for one in daemon.job(first)["attempts"] if one["signal"]] == ["SIGSEGV"]

            daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
            installed.install(installed.next_wheel)
            daemon.kill_worker("transcriber", signal.SIGKILL)
            daemon.wait_for_worker("transcriber", lambda worker: worker["state"] == "busy")
            assert daemon.get("/v1/status")["daemon"]["version"] != NEXT_VERSION
            assert daemon.job(third)["status"] == "waiting"
            assert daemon.stop() == 0

            assert daemon.command == the_service_s_command(installed), "the installed service stays as it is"
            daemon.start()
            assert daemon.get("/v1/status")["daemon"]["version"] == NEXT_VERSION
            assert [daemon.finished(job)["status"] for job in (second, third)] == ["done", "done"]
            assert daemon.stop() == 0
        finally:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.kill()
    assert installed.hostile_imports() == []
