"""Every library that the six packages import is a dependency with bounds, and the version is written in one place."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version

from packaging.requirements import Requirement
from rules.test_imports import ROOMS, ROOT, files_of, imports_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
DEPENDENCIES = [Requirement(line) for line in (*PROJECT["dependencies"], *EXTRAS)]
OF_OTHERS = {"pydantic_core"}
"""Their versions follow from a dependency's own pin: pydantic's."""
CALENDAR = {"regex", "packaging"}
"""Their versions are dates or nearly so: no number of theirs announces a break."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_imported_library_is_a_dependency() -> None:
    imported = {
        module.split(".")[0] for room in ROOMS for file in files_of(room) for module, _ in imports_of(file)
    } - {*ROOMS, *sys.stdlib_module_names}
    owners = packages_distributions()
    declared = {normal(one.name) for one in DEPENDENCIES}
    assert len(imported) > 20
    assert {
        module
        for module in imported - OF_OTHERS
        if module in owners and not declared & {normal(owner) for owner in owners[module]}
    } == set()


def test_every_dependency_has_a_lower_bound_and_an_upper_one_where_a_break_is_announced() -> None:
    for one in DEPENDENCIES:
        operators = {part.operator for part in one.specifier}
        assert operators & {"==", "~=", ">="}, one
        assert operators & {"==", "~=", "<"} or one.name in CALENDAR, one


def test_what_is_installed_here_is_within_the_bounds() -> None:
    for one in DEPENDENCIES:
        if one.marker is None or one.marker.evaluate():
            assert one.specifier.contains(version(one.name), prereleases=True), one


def test_the_version_stands_in_one_place() -> None:
    assert version("stenod") == PROJECT["version"]
    formula = (ROOT / "distribution" / "homebrew" / "stenod.rb").read_text(encoding="utf-8")
    assert f"stenod-{PROJECT['version']}.tar.gz" in formula
    (lock,) = [
        package
        for package in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
        if package["name"] == "stenod"
    ]
    assert lock["version"] == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[:2] == ["Unreleased", PROJECT["version"]]
