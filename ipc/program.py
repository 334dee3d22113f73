"""Our programs: the command line that starts one, and the command that reinstalls them.

Runs in: every process.
"""

import sys
from pathlib import Path
from shlex import quote

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds our packages: a checkout, or `stenod/_app` of an installed wheel."""
WITH_STARTER = quote("stenod[starter]")


def arguments(module: str) -> tuple[str, ...]:
    """Python's arguments to run a module of ours, whatever is in the current folder or on PYTHONPATH.

    `-P` keeps the current folder off sys.path, and `stenod` puts our packages first on it.
    """
    return ("-P", "-m", "stenod", "-m", module)


def program(module: str) -> tuple[str, ...]:
    """The command line that runs a module of ours with this Python."""
    return (sys.executable, *arguments(module))


def is_checkout(root: Path = ROOT) -> bool:
    """Whether this is a copy of the repository, which `make setup` installs."""
    return (root / "Makefile").is_file()


def install_again(prefix: str = sys.prefix, root: Path = ROOT, *, afresh: bool = True) -> str:
    """The command that reinstalls stenod with the starter, the way it was installed; `afresh`: all its libraries too.

    `prefix` is sys.prefix of the environment that holds it.
    """
    place = Path(prefix)
    if is_checkout(root):
        # Removes the marker of a finished setup first: a venv that lost a library still has it.
        return f"rm -f {quote(f'{root}/.venv/.ready')}; make -C {quote(str(root))} setup"
    if (place / "uv-receipt.toml").is_file():
        return f"uv tool install {'--reinstall ' * afresh}{WITH_STARTER}"
    if (place / "pipx_metadata.json").is_file():
        return f"pipx install --force {WITH_STARTER}"
    if place.parts[-3:] == ("opt", "stenod", "libexec"):
        return "brew reinstall stenod"
    if (place / "bin" / "pip").exists():
        return f"{quote(sys.executable)} -m pip install {'--force-reinstall ' * afresh}{WITH_STARTER}"
    return f"uv pip install --python {quote(sys.executable)} {'--reinstall ' * afresh}{WITH_STARTER}"
