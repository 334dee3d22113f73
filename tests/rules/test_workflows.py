"""What GitHub runs: targets that the Makefile has, actions that cannot change, no right to write, and an end.

Runs in: the test process.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rules.test_imports import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LONGEST_MINUTES = 90


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    return found


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(file).values():
        yield from job["steps"]


def test_there_are_workflows_for_linux_and_for_each_macos() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    assert {"ubuntu-24.04", "macos-14", "macos-15", "macos-26"} <= set(re.findall(r"[a-z]+-\d\d(?:\.\d\d)?\b", text))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_target_is_one_of_the_makefile(file: Path) -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = [
        target
        for step in steps(file)
        for line in step.get("run", "").splitlines()
        if line.split()[:1] == ["make"]
        for target in line.split()[1:]
        if "=" not in target
    ]
    assert "setup" in named and set(named) <= set(phony.split())
    assert file.name != "ci.yml" or {"lint", "types", "unit"} <= set(named)


def test_a_commit_is_checked_by_targets_of_the_makefile() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["make lint", "make types"]


def test_every_file_that_a_step_names_is_there() -> None:
    commands = [step.get("run", "") for file in WORKFLOWS for step in steps(file)]
    named = {path for command in commands for path in re.findall(r"\b(?:client|tests)/[\w/.]+\w", command)}
    assert named and not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_to_a_commit_and_say_its_version(file: Path) -> None:
    used = re.findall(r"uses: *(.*)", file.read_text(encoding="utf-8"))
    assert used
    assert not [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_workflow_may_write_and_every_job_ends(file: Path) -> None:
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}
    for name, job in jobs(file).items():
        assert 0 < job["timeout-minutes"] <= LONGEST_MINUTES, name
        assert "permissions" not in job
