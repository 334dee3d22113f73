"""What an install, an uninstall or a restart would do, given what is there: no process, no file."""

import subprocess
from pathlib import Path

import pytest
from sample_installation import sample_installation

from launchd.apply import carry_out
from launchd.launch_agent import Launchd
from launchd.plan import Await, InstallStep, MakeFolder, RemoveFile, Run, WriteFile, in_shell
from launchd.refusal import ServiceRefused
from launchd.run_command import run
from launchd.service_manager import service_manager
from launchd.state import ServiceState
from launchd.systemd import Systemd, explained

NOTHING = ServiceState(None, False, "not loaded", None, None)
NASTY = 'it\'s 50% of "$HOME" \\ ü'


def verbs(steps: tuple[InstallStep, ...]) -> list[str]:
    """`launchctl bootstrap …` → `bootstrap`; other steps by their kind."""
    return [
        next(word for word in step.words[1:] if not word.startswith("-"))
        if isinstance(step, Run)
        else type(step).__name__
        for step in steps
    ]


def test_a_first_agent_is_written_enabled_and_loaded() -> None:
    agent = Launchd(sample_installation())
    steps = agent.install(NOTHING)
    assert verbs(steps) == ["MakeFolder", "MakeFolder", "WriteFile", "enable", "bootstrap"]
    assert steps[2] == WriteFile(Path("/Users/anna/Library/LaunchAgents/dev.stenod.stenod.plist"), agent.definition)
    assert isinstance(steps[4], Run)
    assert steps[4].words == ("launchctl", "bootstrap", "gui/501", str(agent.definition_file))


def test_what_runs_as_it_should_is_left_alone_and_what_was_stopped_is_started() -> None:
    agent = Launchd(sample_installation())
    assert agent.install(ServiceState(agent.definition, True, "running", 7, None)) == ()
    assert verbs(agent.install(ServiceState(agent.definition, True, "not running", None, "0"))) == [
        "enable",
        "kickstart",
    ]
    unit = Systemd(sample_installation("linux"))
    assert unit.install(ServiceState(unit.definition, True, "active (running)", 7, None)) == ()


def test_an_upgrade_waits_for_the_old_service_to_be_gone() -> None:
    steps = Launchd(sample_installation()).install(ServiceState("old", True, "running", 7, None))
    assert verbs(steps) == ["MakeFolder", "MakeFolder", "WriteFile", "enable", "bootout", "Await", "bootstrap"]
    assert steps[5] == Await("forgotten", 25.0)
    last = steps[6]
    assert isinstance(last, Run) and 5 in last.again_on and last.again_seconds >= 10


def test_a_launchdaemon_belongs_to_root_and_its_logs_to_its_owner() -> None:
    daemon = Launchd(sample_installation(is_system=True))
    folder, file, enable, load = daemon.install(NOTHING)
    assert folder == MakeFolder(Path("/Users/anna/Library/Logs/stenod"), daemon.installation.owner)
    assert isinstance(file, WriteFile) and file.path == Path("/Library/LaunchDaemons/dev.stenod.stenod.anna.plist")
    assert file.mode == 0o644
    assert isinstance(enable, Run) and enable.words[-1] == "system/dev.stenod.stenod.anna"
    assert isinstance(load, Run) and load.words[2] == "system"


def test_an_uninstall_takes_back_what_an_install_did_and_nothing_twice() -> None:
    for platform in ("darwin", "linux"):
        service = service_manager(sample_installation(platform))
        assert service.uninstall(NOTHING) == ()
        steps = service.uninstall(ServiceState("old", True, "running", 7, None))
        assert RemoveFile(service.definition_file) in steps
    agent = Launchd(sample_installation())
    assert verbs(agent.uninstall(ServiceState("old", False, "not loaded", None, None))) == ["RemoveFile"]


def test_a_restart_asks_before_it_kills() -> None:
    agent = Launchd(sample_installation())
    assert verbs(agent.restart(ServiceState("x", True, "running", 7, None))) == ["kill", "Await", "kickstart"]
    assert verbs(agent.restart(ServiceState("x", False, "not loaded", None, None))) == ["enable", "bootstrap"]


def test_a_changed_unit_is_read_again_before_it_is_started() -> None:
    unit = Systemd(sample_installation("linux"))
    assert verbs(unit.install(NOTHING)) == ["MakeFolder", "WriteFile", "daemon-reload", "enable"]
    changed = unit.install(ServiceState("old", True, "active (running)", 7, None))
    assert verbs(changed) == ["MakeFolder", "WriteFile", "daemon-reload", "enable", "restart"]
    assert unit.definition_file == Path("/Users/anna/.config/systemd/user/stenod.service")
    assert Systemd(sample_installation("linux", is_system=True)).definition_file == Path(
        "/etc/systemd/system/stenod-anna.service"
    )


def test_a_printed_plan_does_in_a_shell_what_the_plan_does(tmp_path: Path) -> None:
    text = f"<!-- {NASTY} `id` $(id) -->\n"
    steps = (
        MakeFolder(tmp_path / NASTY / "deep"),
        WriteFile(tmp_path / NASTY / "deep" / "file", text),
        Await("ended", 1),
    )
    subprocess.run(["sh", "-e"], input="\n".join(map(in_shell, steps)), text=True, check=True, timeout=60)
    written = tmp_path / NASTY / "deep" / "file"
    assert written.read_text() == text and written.stat().st_mode & 0o777 == 0o644
    assert written.parent.stat().st_mode & 0o777 == 0o700

    service = Launchd(sample_installation())
    carry_out((RemoveFile(written), *steps[:2]), service)
    assert written.read_text() == text and written.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in written.parent.iterdir()] == ["file"], "no half-written file is left"
    subprocess.run(["sh", "-e"], input=in_shell(RemoveFile(written)), text=True, check=True, timeout=60)
    assert not written.exists()


def test_a_program_that_hangs_or_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServiceRefused, match="did not end within 0 s"):
        run(("sleep", "60"), 0.1)
    with pytest.raises(ServiceRefused, match="there is no launchctl-of-tomorrow here"):
        run(("launchctl-of-tomorrow",), 1.0)


@pytest.mark.parametrize(
    ("complaint", "reason", "remedy"),
    [
        ("Failed to connect to bus: No medium found", "no user manager", "loginctl enable-linger anna"),
        ("System has not been booted with systemd as init system (PID 1). Can't operate.", "something else", "serve"),
        ("Failed to enable unit: Access denied", "only root may", "sudo"),
        ("Job for stenod.service failed.", "Job for", "journalctl --user -u stenod.service"),
    ],
)
def test_a_complaint_of_systemctl_becomes_a_reason_and_a_remedy(complaint: str, reason: str, remedy: str) -> None:
    message, hint = explained(complaint, sample_installation("linux"))
    assert reason in message and remedy in hint
