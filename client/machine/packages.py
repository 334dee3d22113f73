"""Versions of libraries that are known to fail, and which are installed here.

Runs in: the user's shell.
"""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet


@dataclass(frozen=True, slots=True)
class BadVersions:
    """Versions of a library that are known to fail, and how they do."""

    name: str
    versions: str
    """As pip writes a range: `==0.32.1`, `>=1.0`."""
    why: str

    def includes(self, version: str) -> bool:
        return SpecifierSet(self.versions, prereleases=True).contains(version)


BAD = (
    BadVersions("mlx", "==0.32.1", "it segfaults at exit, after correct output; 0.32.4 does not"),
    BadVersions("torch", "<2.8", "WhisperX 3.8 is built against torch 2.8"),
    BadVersions("torch", ">=2.9", "WhisperX 3.8 is built against torch 2.8"),
    BadVersions("torchaudio", ">=2.9", "it belongs to a newer torch than WhisperX 3.8 is built against"),
    BadVersions("torchcodec", ">=0.8", "it is built for torch 2.9 and fails to load beside torch 2.8"),
    BadVersions("huggingface-hub", ">=1.0", "WhisperX 3.8 and transformers 4 do not import with it"),
    BadVersions("whisperx", "<3.8.3", "its aligner leaves out numbers and symbols and returns words without times"),
)

VersionOf = Callable[[str], str | None]
"""A package's installed version; None: it is not installed."""


def installed(name: str) -> str | None:
    """The version of a package in this Python, by its own metadata."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
