"""Where state, logs, spool, models and the socket live, and where the libraries keep the models that they fetch.

Runs in: every process.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

LONGEST_SOCKET_PATH_BYTES = 103
"""macOS keeps 104 bytes for a socket's path, the last of them NUL; Linux has four more."""


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute folders and files of one installation. Nothing is created by asking."""

    config_file: Path
    state: Path
    """Database and lock; private."""
    logs: Path
    spool: Path
    """One private folder a running job, with its PCM."""
    models: Path
    """Converted and unpacked models; the hub's own cache stays where Hugging Face puts it."""
    runtime: Path
    """The socket's folder; private."""
    inbox: Path | None
    """The watch folder that replaces `~/Transcribe` when everything is moved under STENO_HOME."""

    @property
    def database(self) -> Path:
        return self.state / "jobs.sqlite3"

    @property
    def uploads(self) -> Path:
        """Recordings that came over HTTP, while their jobs need them."""
        return self.state / "uploads"

    @property
    def http_token(self) -> Path:
        """What clients of the TCP listener must know; private."""
        return self.state / "http-token"

    @property
    def lock(self) -> Path:
        return self.state / "daemon.lock"

    @property
    def socket(self) -> Path:
        return self.runtime / "stenod.sock"

    @property
    def log_file(self) -> Path:
        return self.logs / "stenod.log"


def find_places(environment: dict[str, str] | None = None, platform: str = sys.platform) -> Places:
    """The places this environment asks for: everything under STENO_HOME, else the platform's custom."""
    environment = dict(os.environ) if environment is None else environment
    home = environment.get("STENO_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Places(
            config_file=root / "config.toml",
            state=root / "state",
            logs=root / "logs",
            spool=root / "spool",
            models=root / "models",
            runtime=root / "run",
            inbox=root / "Transcribe",
        )
    if platform == "darwin":
        # One folder for all, as Mac users expect; logs where Console.app looks. Not by platformdirs: that obeys XDG_*
        # variables, which a shell may have and the programs of the Finder and of launchd do not.
        library = Path.home() / "Library"
        root = library / "Application Support" / "stenod"
        return Places(
            config_file=root / "config.toml",
            state=root / "state",
            logs=library / "Logs" / "stenod",
            spool=library / "Caches" / "stenod" / "spool",
            models=root / "models",
            runtime=root / "run",
            inbox=None,
        )
    folders = platformdirs.PlatformDirs("stenod", appauthor=False)
    session = environment.get("XDG_RUNTIME_DIR")
    return Places(
        config_file=folders.user_config_path / "config.toml",
        state=folders.user_state_path,
        logs=folders.user_log_path,
        spool=folders.user_cache_path / "spool",
        models=folders.user_data_path / "models",
        # XDG_RUNTIME_DIR is private by its own rules; without it our own private folder is safer than /tmp.
        runtime=Path(session) / "stenod" if session else folders.user_state_path / "run",
        inbox=None,
    )


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where models of the hub lie: as `huggingface_hub.constants.HF_HUB_CACHE`, without that import."""
    home = environment.get("HF_HOME") or _caches(environment) / "huggingface"
    cache = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE") or Path(home) / "hub"
    return Path(os.path.expandvars(cache)).expanduser().absolute()


def torch_checkpoints(environment: Mapping[str, str] = os.environ) -> Path:
    """Where torchaudio's models lie: as `torch.hub.get_dir()` has it, without that import."""
    home = environment.get("TORCH_HOME") or _caches(environment) / "torch"
    return Path(home).expanduser().absolute() / "hub" / "checkpoints"


def _caches(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_CACHE_HOME") or "~/.cache")
