"""What launchctl says, and what it means."""

import pytest

from launchd.launchctl_output import DomainState, explained, is_disabled, number_in, printed_facts

RUNNING = """gui/501/dev.stenod.stenod = {
	active count = 1
	path = /Users/anna/Library/LaunchAgents/dev.stenod.stenod.plist
	type = LaunchAgent
	state = running

	program = /Users/anna/stenod/.venv/bin/python
	arguments = {
		/Users/anna/stenod/.venv/bin/python
		-P
	}

	environment = {
		PATH => /opt/homebrew/bin:/usr/bin
		XPC_SERVICE_NAME => dev.stenod.stenod
	}

	domain = gui/501 [100005]
	minimum runtime = 10
	exit timeout = 15
	runs = 1
	pid = 4711
	immediate reason = speculative
	last exit code = (never exited)

	endpoints = {
		"x" = {
			state = active
			pid = 1
		}
	}
	spawn type = interactive (4)
	properties = keepalive | runatload | inferred program
}
"""
TARGET = "gui/501/dev.stenod.stenod"
EIO = "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors."
NOBODY_THERE = DomainState(domain_is_there=False, is_disabled=False, is_ssh=True)
ALL_WELL = DomainState(domain_is_there=True, is_disabled=False, is_ssh=False)


def test_only_the_services_own_lines_are_about_the_service() -> None:
    facts = printed_facts(RUNNING)
    assert (facts["state"], facts["pid"], facts["last exit code"]) == ("running", "4711", "(never exited)")
    assert "-P" not in facts


def test_a_pid_within_a_block_is_somebody_else_s() -> None:
    stopped = RUNNING.replace("\tpid = 4711\n", "").replace("state = running", "state = not running")
    assert "pid" not in printed_facts(stopped)


def test_output_of_another_macos_is_not_known_rather_than_wrong() -> None:
    assert printed_facts("") == {}
    assert printed_facts("state: running\npid: 3\n") == {}


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("78: EX_CONFIG", 78), ("-9", -9), ("(never exited)", None), (None, None)]
)
def test_an_exit_code_may_have_a_name(text: str | None, number: int | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize("word", ["disabled", "true"])
def test_a_label_is_disabled_under_its_whole_name(word: str) -> None:
    printed = f'\tdisabled services = {{\n\t\t"dev.stenod.stenod.1a2b3c4d" => {word}\n\t\t"dev.a" => enabled\n\t}}\n'
    assert is_disabled(printed, "dev.stenod.stenod.1a2b3c4d")
    assert not is_disabled(printed, "dev.stenod.stenod")
    assert not is_disabled(printed, "dev.a")


@pytest.mark.parametrize(
    ("code", "complaint", "seen", "reason", "remedy"),
    [
        (5, EIO, NOBODY_THERE, "is not logged in at this Mac's screen", "--system"),
        (125, "Bootstrap failed: 125: Domain does not support specified action", NOBODY_THERE, "SSH", "log in there"),
        (112, "Could not find domain for user gui: 501", NOBODY_THERE, "is not logged in", "Screen Sharing"),
        (5, EIO, DomainState(True, True, False), "it was disabled", f"`launchctl enable {TARGET}`"),
        (
            119,
            "Bootstrap failed: 119: Service is disabled",
            DomainState(True, True, False),
            "disabled",
            "Login Items",
        ),
        (5, EIO, ALL_WELL, "may not be gone yet", "plutil -lint"),
        (1, "Operation not permitted", ALL_WELL, "not ours to change", "must belong to"),
        (134, "", ALL_WELL, "launchctl: exit 134", "log show"),
    ],
)
def test_an_exit_code_becomes_a_reason_and_a_remedy(
    code: int, complaint: str, seen: DomainState, reason: str, remedy: str
) -> None:
    message, hint = explained(code, complaint, TARGET, seen)
    assert reason in message and remedy in hint
    assert complaint.partition("\n")[0] in message


def test_a_launchdaemon_needs_nobody_at_the_screen() -> None:
    message, _ = explained(125, "Domain does not support specified action", "system/dev.stenod.stenod", NOBODY_THERE)
    assert "logged in" not in message
