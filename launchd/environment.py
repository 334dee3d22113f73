"""What a service keeps of the environment it was installed from: pure. launchd and systemd give it next to nothing.

Runs in: the installer.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launchd.refusal import ServiceRefused

OURS = ("STENO_", "WHISPER_BACKEND", "ALIGNMENT_BACKEND")
FOLDERS = (
    # Where models are looked for.
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH", "TORCH_HOME", "NLTK_DATA",
    # Where libraries of the owner's own lie.
    "PYTHONPATH",
    # Where our own places are, if the owner moved them all. Not XDG_RUNTIME_DIR: each session has its own.
    "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
"""A folder or file, or several with colons between them; relative ones mean nothing to a service."""
OTHERS = (
    "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET", "TRANSFORMERS_OFFLINE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
MODELS, STARTER = ("STENO_MODEL", "STENO_FALLBACK_MODEL", "STENO_ALIGNMENT_MODEL"), "starter"
SECRET_NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN")
SECRET = re.compile(r"TOKEN(?!_PATH)|SECRET|PASSWORD|API_KEY")
WITH_PASSWORD = re.compile(r"://[^/]*@")

MAC_PATH = "/opt/homebrew/bin:/opt/homebrew/sbin:/usr/local/bin:/usr/local/sbin:/usr/bin:/bin:/usr/sbin:/sbin"
"""Homebrew's folders first, then those of what users install themselves: launchd's own PATH has neither."""
LINUX_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class CarriedEnvironment:
    """Variables for the service's definition, which other accounts may read."""

    variables: Mapping[str, str]
    left_out: tuple[str, ...]
    """Names of variables that hold a secret."""
    starters: tuple[str, ...]
    """Names of variables that ask for the starter models: good for a first try in a shell, not for a service."""


def carried_environment(environment: Mapping[str, str], current_folder: Path, home: Path) -> CarriedEnvironment:
    """What is set in the installer's environment and means something to the daemon. Set but empty means not set.

    Raises ServiceRefused for a value that cannot be written down.
    """
    variables: dict[str, str] = {}
    left_out: list[str] = []
    starters: list[str] = []
    for name, value in sorted(environment.items()):
        if not value.strip() or not (name.startswith(OURS) or name in (*FOLDERS, *OTHERS, *SECRET_NAMES)):
            continue
        if SECRET.search(name) or WITH_PASSWORD.search(value):
            left_out.append(name)
            continue
        if name in MODELS and value.strip() == STARTER:
            starters.append(name)
            continue
        if name == "STENO_HOME":
            value = _absolute(value, current_folder, home)
        elif name in FOLDERS:
            value = os.pathsep.join(_absolute(one, current_folder, home) for one in value.split(os.pathsep) if one)
        variables[name] = writable(value, name)
    return CarriedEnvironment(variables, tuple(left_out), tuple(starters))


def search_path(platform: str, interpreter: Path, home: Path) -> str:
    """PATH for hooks and whatever else the daemon starts. Our own folder comes last: `python` stays theirs."""
    usual = MAC_PATH if platform == "darwin" else f"{home}/.local/bin:{LINUX_PATH}"
    return f"{usual}:{interpreter.parent}"


def writable(text: str, what: str) -> str:
    """The text itself. Raises ServiceRefused where neither XML nor a unit file could hold it."""
    if any((not letter.isprintable() and letter not in "\n\t" and ord(letter) < 0xA0) for letter in text):
        raise ServiceRefused(f"{what} holds control characters: {text!r}", "rename it, or put it into config.toml")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ServiceRefused(f"{what} is not UTF-8: {text!r}", "rename it, or put it into config.toml") from None
    return text


def _absolute(path: str, current_folder: Path, home: Path) -> str:
    if path == "~" or path.startswith("~/"):
        return str(home / path[2:])
    return os.path.normpath(current_folder / path)
