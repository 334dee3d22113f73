"""Every locked package installs on an Apple silicon Mac as a wheel: there is no compiler to count on.

Runs in: the test process.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from rules.test_imports import ROOT

LOCK: dict[str, list[dict[str, Any]]] = {}
for entry in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]:
    LOCK.setdefault(entry["name"], []).append(entry)
PYTHONS = ("3.11", "3.12", "3.13")
OLDEST_MACOS = (14, 0)
"""MLX, av and onnxruntime have no wheels for one before it."""
BUILT_HERE = {"srt"}
"""Pure Python without a wheel on the index: built on the spot, without a compiler."""
EXTRAS = ("starter",)
"""What `make setup` installs beside the dependencies."""


def environment(python: str) -> dict[str, str]:
    return {
        "python_version": python, "python_full_version": f"{python}.5", "implementation_version": f"{python}.5",
        "implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix",
        "sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64",
        "platform_release": "23.0.0", "platform_version": "Darwin Kernel Version 23.0.0", "extra": "",
    }  # fmt: skip


def installed(python: str) -> dict[str, dict[str, Any]]:
    """Name → locked package, of all that `make setup` installs on such a Mac, development tools among it."""
    here = environment(python)
    found: dict[str, dict[str, Any]] = {}
    asked: set[tuple[str, str]] = set()
    to_see = [("stenod", extra) for extra in ("", *EXTRAS)]
    while to_see:
        name, extra = to_see.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        package = found[name] = chosen(name, here)
        for needed in needs(package, extra):
            if "marker" not in needed or Marker(needed["marker"]).evaluate(here):
                to_see += [(needed["name"], wanted) for wanted in ("", *needed.get("extra", ()))]
    del found["stenod"]
    return found


def chosen(name: str, here: dict[str, str]) -> dict[str, Any]:
    """The version that is locked for this environment; a package may have several."""
    (package,) = [
        one
        for one in LOCK[name]
        if not (marks := one.get("resolution-markers")) or any(Marker(mark).evaluate(here) for mark in marks)
    ]
    return package


def needs(package: dict[str, Any], extra: str) -> Iterator[dict[str, Any]]:
    yield from package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ())
    if package["name"] == "stenod" and not extra:
        for group in package["dev-dependencies"].values():
            yield from group


def installs(tag: Tag, python: str) -> bool:
    """Whether a Mac with Apple silicon and OLDEST_MACOS takes a wheel of this tag."""
    minor = int(python.partition(".")[2])
    if tag.platform == "any":
        fits = True
    else:
        named = re.fullmatch(r"macosx_(\d+)_(\d+)_(arm64|universal2)", tag.platform)
        fits = named is not None and (int(named[1]), int(named[2])) <= OLDEST_MACOS
    speaks = re.fullmatch(r"(py|cp)3(\d*)", tag.interpreter)
    if not fits or speaks is None:
        return False
    since = int(speaks[2] or 0)
    return since == minor or (since <= minor and (tag.abi == "abi3" or speaks[1] == "py"))


@pytest.mark.parametrize("python", PYTHONS)
def test_every_locked_package_has_a_wheel_for_a_mac(python: str) -> None:
    packages = installed(python)
    assert {"mlx", "torch", "av", "onnxruntime", "psutil", "pytest"} <= set(packages)
    without = {
        name
        for name, package in packages.items()
        if not any(
            installs(tag, python)
            for wheel in package.get("wheels", ())
            for tag in parse_wheel_filename(wheel["url"].rpartition("/")[2])[3]
        )
    }
    assert without == BUILT_HERE
    assert all("sdist" in packages[name] for name in BUILT_HERE)


@pytest.mark.parametrize(
    ("wheel", "python", "fits"),
    [
        ("mlx-0.32.4-cp312-cp312-macosx_14_0_arm64.whl", "3.12", True),
        ("mlx-0.32.4-cp312-cp312-macosx_15_0_arm64.whl", "3.12", False),
        ("mlx-0.32.4-cp312-cp312-macosx_14_0_arm64.whl", "3.13", False),
        ("torch-2.8.0-cp312-none-macosx_11_0_arm64.whl", "3.12", True),
        ("av-18.1.0-cp311-abi3-macosx_14_0_arm64.whl", "3.13", True),
        ("av-18.1.0-cp311-abi3-macosx_14_0_x86_64.whl", "3.13", False),
        ("rich-14.0-py3-none-any.whl", "3.11", True),
        ("six-1.17-py2.py3-none-any.whl", "3.11", True),
        ("numpy-2.0-cp312-cp312-manylinux_2_28_aarch64.whl", "3.12", False),
    ],
)
def test_a_mac_takes_what_its_tags_say(wheel: str, python: str, fits: bool) -> None:
    assert any(installs(tag, python) for tag in parse_wheel_filename(wheel)[3]) is fits
