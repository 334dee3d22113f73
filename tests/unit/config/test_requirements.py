"""`config/requirements.sh` on machines that are not this one: uname and the others are programs of the test."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "config/requirements.sh"
LOCK = SCRIPT.parents[1] / "uv.lock"
PYTHON = """case "$2" in
    *platform.machine*) echo {machine} ;;
    *version_info*) exit {unfit} ;;
    *venv*) exit {no_venv} ;;
esac"""


class Machine:
    """Programs on a PATH that has nothing else but the shell's own tools."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for tool in ("sh", "awk"):
            found = shutil.which(tool)
            assert found is not None
            (folder / tool).symlink_to(found)

    def has(self, name: str, script: str) -> None:
        program = self._folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def has_python(self, name: str = "python3", *, machine: str = "arm64", unfit: int = 0, no_venv: int = 0) -> None:
        self.has(name, PYTHON.format(machine=machine, unfit=unfit, no_venv=no_venv))

    def has_free(self, gigabytes: int) -> None:
        self.has("df", f"echo Filesystem 1024-blocks Used Available; echo /dev/disk 0 0 {gigabytes * 1_000_000} 1% /")

    def mac(self, *, version: str = "14.5", machine: str = "arm64", translated: str = "echo 0") -> None:
        self.has("uname", f'case "$1" in -s) echo Darwin ;; -m) echo {machine} ;; esac')
        self.has("sw_vers", f"echo {version}")
        self.has("sysctl", translated)
        self.has_free(100)
        self.has_python()

    def linux(self, *, machine: str = "x86_64", libc: str = "echo glibc 2.36") -> None:
        self.has("uname", f'case "$1" in -s) echo Linux ;; -m) echo {machine} ;; esac')
        self.has("getconf", libc)
        self.has_free(100)
        self.has_python(machine=machine)

    def check(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        words = [str(self._folder / "sh"), str(SCRIPT), "."]
        ended = subprocess.run(words, env={"PATH": str(self._folder)}, capture_output=True, text=True, timeout=20)
        return ended.returncode, ended.stdout, ended.stderr

    def refusal(self) -> str:
        """What a refused user reads."""
        code, output, said = self.check()
        assert (code, output) == (1, ""), said
        assert "line " not in said and "not found" not in said, "no error of the shell's own"
        return said


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("version", ["14.0", "14", "15.1.1", "26.0"])
def test_a_mac_with_apple_silicon_and_a_fitting_macos_is_taken(machine: Machine, version: str) -> None:
    machine.mac(version=version)
    code, output, said = machine.check()
    assert (code, output) == (0, "python3\n")
    assert "1.5 GB" in said


@pytest.mark.parametrize("version", ["13.7", "12.0.1", "10.15"])
def test_an_older_macos_is_refused(machine: Machine, version: str) -> None:
    machine.mac(version=version)
    said = machine.refusal()
    assert f"runs macOS {version}; stenod needs macOS 14" in said and "Software Update" in said


def test_an_intel_mac_is_told_from_a_shell_under_rosetta(machine: Machine) -> None:
    machine.mac(machine="x86_64", translated="exit 1")
    assert "Intel processor" in machine.refusal()
    machine.mac(machine="x86_64", translated="echo 1")
    said = machine.refusal()
    assert "Rosetta" in said and "arch -arm64 zsh" in said


def test_an_intel_python_on_apple_silicon_is_passed_over_for_a_native_one(machine: Machine) -> None:
    machine.mac()
    machine.has_python("python3", machine="x86_64")
    said = machine.refusal()
    assert "python3 is an Intel program" in said and "brew install" in said
    machine.has_python("python3.12", machine="arm64")
    assert machine.check()[:2] == (0, "python3.12\n")


def test_linux_on_another_processor_is_refused(machine: Machine) -> None:
    machine.linux(machine="aarch64")
    assert "Linux on aarch64" in machine.refusal()


@pytest.mark.parametrize(("libc", "taken"), [("2.35", True), ("3.0", True), ("2.34", False), ("2.4", False)])
def test_glibc_is_compared_as_numbers(machine: Machine, libc: str, taken: bool) -> None:
    machine.linux(libc=f"echo glibc {libc}")
    if taken:
        assert machine.check()[:2] == (0, "python3\n")
    else:
        assert f"has glibc {libc}; stenod needs 2.35" in machine.refusal()


def test_a_linux_without_glibc_is_refused(machine: Machine) -> None:
    machine.linux(libc="exit 1")
    assert "musl" in machine.refusal()


def test_another_system_is_refused(machine: Machine) -> None:
    machine.has("uname", "echo MINGW64_NT")
    assert "WSL" in machine.refusal()


def test_too_little_disk_is_said_before_the_download(machine: Machine) -> None:
    machine.linux()
    machine.has_free(5)
    assert "needs 9 GB" in (said := machine.refusal()) and "5 GB free" in said
    machine.mac()
    machine.has_free(1)
    assert "needs 2 GB" in machine.refusal()


def test_the_first_python_that_fits_is_taken_and_none_is_refused(machine: Machine) -> None:
    machine.linux()
    machine.has_python("python3", unfit=1)
    assert "Python 3.11, 3.12 or 3.13" in machine.refusal()
    machine.has_python("python3.11", no_venv=1)
    assert "venv module of python3.11" in machine.refusal()
    machine.has_python("python3.13")
    assert machine.check()[:2] == (0, "python3.13\n")


def test_the_numbers_are_those_of_the_wheels_in_the_lock() -> None:
    script = SCRIPT.read_text()
    wheels = re.findall(r'/([^/"]+)\.whl"', LOCK.read_text())
    mlx = [wheel for wheel in wheels if wheel.startswith(("mlx-", "mlx_cpu-"))]
    glibc = [re.search(r"manylinux_(\d+)_(\d+)_x86_64", wheel) for wheel in mlx]
    macos = [re.search(r"macosx_(\d+)_0_arm64", wheel) for wheel in mlx]
    least_glibc = min((int(found[1]), int(found[2])) for found in glibc if found)
    least_macos = min(int(found[1]) for found in macos if found)
    assert f"\nglibc={least_glibc[0]}.{least_glibc[1]}\n" in script
    assert f"\nmacos={least_macos}\n" in script
    assert not [wheel for wheel in wheels if wheel.startswith("torchcodec-") and "aarch64" in wheel], "allow it then"
    assert not [wheel for wheel in mlx if "macosx" in wheel and "x86_64" in wheel], "allow Intel Macs then"
