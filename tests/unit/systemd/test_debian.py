"""`make systemd-test` where it cannot run: refused in words, before anything is downloaded."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from systemd import debian


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")


def test_a_machine_with_all_of_it_is_taken() -> None:
    debian.require()


def test_without_root_the_command_to_type_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(debian.MachineRefused, match="sudo make systemd-test"):
        debian.require()


def test_missing_tools_are_named_as_debians_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool != "nsenter" else "/usr/bin/nsenter")
    with pytest.raises(debian.MachineRefused, match=r"apt-get install debootstrap systemd-container$"):
        debian.require()


def test_another_python_and_another_system_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    with pytest.raises(debian.MachineRefused, match=r"3\.12"):
        debian.require()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(debian.MachineRefused, match="Linux only"):
        debian.require()


def test_every_room_of_the_product_is_mounted_read_only() -> None:
    mounted = [mount for mount in debian.mounts() if mount.endswith(":/opt/stenod/supervisor")]
    assert mounted == [f"--bind-ro={Path(debian.__file__).parents[2]}/supervisor:/opt/stenod/supervisor"]
    assert len(debian.mounts()) == 1 + 2 * 7
    assert all(mount.startswith("--bind-ro=") for mount in debian.mounts())
