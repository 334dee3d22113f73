"""The libraries of this Python against what stenod was tested with: versions and known-bad versions.

Runs in: the user's shell.
"""

import importlib.metadata
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ipc.status_views import Finding

MOST_NAMED = 6
"""So many packages stand in a sentence; the rest is counted."""


@dataclass(frozen=True, slots=True)
class BadVersions:
    """Versions of a library that are known to fail, and how they do."""

    name: str
    versions: str
    """As pip writes a range: `==0.32.1`, `>=1.0`."""
    why: str


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


def package_findings(root: Path, remedy: str) -> list[Finding]:
    """What is installed here, against our own requirements and the lock file of `root`, if it has one."""
    try:
        ours = importlib.metadata.distribution("stenod")
    except importlib.metadata.PackageNotFoundError:
        return [
            Finding(
                check="packages",
                state="broken",
                what="stenod itself is not installed in this Python",
                why="without its metadata nobody knows which libraries belong to it, and the daemon does not start",
                remedy=remedy,
            )
        ]
    requirements = [Requirement(line) for line in ours.requires or ()]
    wanted = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})]
    found = [*bad_packages(installed, remedy), *unmet(wanted, installed, remedy)]
    if found:
        return found
    well = Finding(check="packages", state="ok", what=f"all {len(wanted)} libraries are in their tested versions")
    return [well, *unlocked(locked_versions(root / "uv.lock"), installed, remedy)]


def bad_packages(version_of: VersionOf, remedy: str) -> Iterator[Finding]:
    """Versions that are known to fail, by name."""
    for bad in BAD:
        version = version_of(bad.name)
        if version is not None and SpecifierSet(bad.versions, prereleases=True).contains(version):
            yield _broken(f"{bad.name} {version} is known to fail", bad.why, remedy)


def unmet(wanted: Sequence[Requirement], version_of: VersionOf, remedy: str) -> Iterator[Finding]:
    """Libraries that are missing or outside the range stenod asks for; those of `BAD` are named there already."""
    missing = [one.name for one in wanted if version_of(one.name) is None]
    if missing:
        yield _broken(f"missing: {_named(missing)}", "what is not installed cannot be loaded by the workers", remedy)
    told = {finding.what.partition(" ")[0] for finding in bad_packages(version_of, remedy)}
    for one in wanted:
        version = version_of(one.name)
        if version is not None and one.name not in told and not one.specifier.contains(version, prereleases=True):
            yield _broken(
                f"{one.name} {version} is installed, {one.name}{one.specifier} is needed",
                "stenod was tested with that range, and native libraries crash rather than complain",
                remedy,
            )


def locked_versions(lock_file: Path) -> Mapping[str, frozenset[str]]:
    """Package → versions in the lock file, several where platforms differ; empty where there is no such file."""
    try:
        packages = tomllib.loads(lock_file.read_text(encoding="utf-8"))["package"]
        named = [(canonicalize_name(one["name"]), one["version"]) for one in packages if "version" in one]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError):
        return {}
    versions: dict[str, set[str]] = {}
    for name, version in named:
        versions.setdefault(name, set()).add(version)
    return {name: frozenset(known) for name, known in versions.items()}


def unlocked(locked: Mapping[str, frozenset[str]], version_of: VersionOf, remedy: str) -> Iterator[Finding]:
    """Libraries that work as far as anybody knows, in other versions than those that were tested together."""
    other = [
        f"{name} {version}"
        for name, known in locked.items()
        # `2.8.0+cpu` is 2.8.0 from another shelf.
        if (version := version_of(name)) is not None and not {version, version.partition("+")[0]} & known
    ]
    if other:
        yield Finding(
            check="packages",
            state="warning",
            what=f"not as in uv.lock: {_named(other)}",
            why="only the versions of the lock file were tested together",
            remedy=remedy,
        )


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _broken(what: str, why: str, remedy: str) -> Finding:
    return Finding(check="packages", state="broken", what=what, why=why, remedy=remedy)
