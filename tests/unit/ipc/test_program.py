"""How a program of ours is started, and what installs them again."""

import re
import sys
from pathlib import Path

import pytest

from ipc.program import install_again, program


def test_every_program_starts_through_the_package_that_puts_ours_first() -> None:
    assert program("supervisor") == (sys.executable, "-P", "-m", "stenod", "-m", "supervisor")


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("uv-receipt.toml", "uv tool install --reinstall 'stenod[starter]'"),
        ("pipx_metadata.json", "pipx install --force 'stenod[starter]'"),
        ("bin/pip", f"{sys.executable} -m pip install --force-reinstall 'stenod[starter]'"),
        ("bin/python", f"uv pip install --python {sys.executable} --reinstall 'stenod[starter]'"),
    ],
)
def test_the_command_that_installs_again_follows_the_tool_that_installed(
    mark: str, command: str, tmp_path: Path
) -> None:
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    assert install_again(str(tmp_path), tmp_path / "stenod" / "_app") == command
    without_libraries = re.sub("--(force-)?reinstall ", "", command)
    assert install_again(str(tmp_path), tmp_path / "stenod" / "_app", afresh=False) == without_libraries


def test_homebrew_s_environment_is_homebrew_s_to_make() -> None:
    assert install_again("/opt/homebrew/opt/stenod/libexec", Path("/nowhere")) == "brew reinstall stenod"


def test_a_checkout_sets_itself_up_again(tmp_path: Path) -> None:
    (tmp_path / "Makefile").touch()
    assert install_again("/usr", tmp_path) == f"rm -f {tmp_path}/.venv/.ready; make -C {tmp_path} setup"
