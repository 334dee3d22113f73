"""What launchd is given: read back by two parsers, and held against launchd.plist(5)."""

import plistlib
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_installation import INTERPRETER, sample_installation

from launchd.installation import STOP_SECONDS, Installation
from launchd.launch_agent import launchd_keys, property_list
from supervisor.daemon import LONGEST_STOP_SECONDS

AS_DOCUMENTED: dict[str, type | tuple[type, ...]] = {
    # launchd.plist(5) of macOS 15: the keys we use, and the types it gives them.
    "Label": str,
    "ProgramArguments": list,
    "UserName": str,
    "WorkingDirectory": str,
    "EnvironmentVariables": dict,
    "RunAtLoad": bool,
    "KeepAlive": (bool, dict),
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "LimitLoadToSessionType": (str, list),
    "SoftResourceLimits": dict,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}
DICTIONARIES = {"KeepAlive": {"SuccessfulExit": bool}, "SoftResourceLimits": {"NumberOfFiles": int}}
PROCESS_TYPES = {"Background", "Standard", "Adaptive", "Interactive"}
SESSION_TYPES = {"Aqua", "Background", "LoginWindow", "StandardIO", "System"}
NASTY = "a & <b> ]]> \"q\" 'q' --> @Label@ \\1 ü 漢字 %h $x\n\n\ttab"


def parsed(installation: Installation) -> dict[str, Any]:
    found: dict[str, Any] = plistlib.loads(property_list(installation).encode(), fmt=plistlib.FMT_XML)
    return found


def by_another_parser(text: str) -> dict[str, Any]:
    """plistlib is what wrote it; this reads the same from the XML alone, and knows nothing but the plist's DTD."""

    def value(node: ElementTree.Element) -> Any:
        match node.tag:
            case "string":
                return node.text or ""
            case "integer":
                return int(node.text or "")
            case "true" | "false":
                return node.tag == "true"
            case "array":
                return [value(one) for one in node]
            case "dict":
                assert [one.tag for one in node[::2]] == ["key"] * (len(node) // 2)
                return {key.text: value(one) for key, one in zip(node[::2], node[1::2], strict=True)}
            case _:
                raise AssertionError(node.tag)

    root = ElementTree.fromstring(text.encode())
    assert (root.tag, root.attrib, len(root)) == ("plist", {"version": "1.0"}, 1)
    found: dict[str, Any] = value(root[0])
    return found


@pytest.mark.parametrize("is_system", [False, True])
def test_every_key_is_documented_and_of_the_documented_type(is_system: bool) -> None:
    keys = parsed(sample_installation(is_system=is_system, STENO_HOME="/x"))
    for key, value in keys.items():
        assert isinstance(value, AS_DOCUMENTED[key]), key
        assert isinstance(value, bool) == (AS_DOCUMENTED[key] is bool), key
    for key, inner in DICTIONARIES.items():
        assert {name: type(value) for name, value in keys[key].items()} == inner
    assert all(isinstance(word, str) for word in keys["ProgramArguments"])
    assert all(isinstance(value, str) for value in keys["EnvironmentVariables"].values())
    assert keys["ProcessType"] in PROCESS_TYPES
    assert keys.get("LimitLoadToSessionType", "Aqua") in SESSION_TYPES
    assert set(AS_DOCUMENTED) - set(keys) == {"LimitLoadToSessionType" if is_system else "UserName"}


@pytest.mark.parametrize("is_system", [False, True])
def test_two_parsers_read_what_was_meant(is_system: bool) -> None:
    installation = sample_installation(
        is_system=is_system, STENO_PROMPT=NASTY, interpreter=Path(f"/v {NASTY[:9]}/python")
    )
    meant = {key: value for key, value in launchd_keys(installation).items() if value is not None}
    assert parsed(installation) == by_another_parser(property_list(installation)) == meant
    assert meant["EnvironmentVariables"]["STENO_PROMPT"] == NASTY


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip))
def test_whatever_is_set_in_the_shell_arrives(text: str) -> None:
    installation = sample_installation(STENO_PROMPT=text)
    assert parsed(installation)["EnvironmentVariables"]["STENO_PROMPT"] == text


def test_every_key_has_its_reason_above_it() -> None:
    for key in ("Label", "UserName", "KeepAlive", "ExitTimeOut", "ProcessType", "EnvironmentVariables"):
        text = property_list(sample_installation(is_system=key == "UserName"))
        assert re.search(rf"-->\n\t<key>{key}</key>\n", text), key
    assert "untrusted" not in property_list(sample_installation()), "a key that is left out takes its comment along"


def test_launchd_is_more_patient_than_the_daemon_needs() -> None:
    assert parsed(sample_installation())["ExitTimeOut"] == STOP_SECONDS > LONGEST_STOP_SECONDS + 2


def test_python_is_started_as_the_environment_s_own_and_speaks_to_its_file_alone() -> None:
    keys = parsed(sample_installation())
    assert keys["ProgramArguments"] == [str(INTERPRETER), "-P", "-m", "stenod", "-m", "supervisor", "--quiet"]
    assert keys["KeepAlive"] == {"SuccessfulExit": False}
    assert keys["StandardErrorPath"] == "/Users/anna/Library/Logs/stenod/launchd.log"
    assert keys["EnvironmentVariables"]["PATH"].startswith("/opt/homebrew/bin:/opt/homebrew/sbin:/usr/local/bin:")


def test_a_launchdaemon_runs_as_a_person_with_a_home() -> None:
    keys = parsed(sample_installation(is_system=True))
    assert (keys["UserName"], keys["EnvironmentVariables"]["HOME"]) == ("anna", "/Users/anna")
    assert "HOME" not in parsed(sample_installation())["EnvironmentVariables"]
