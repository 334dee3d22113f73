"""A launchctl and a systemctl that keep state, start real processes, and fail as the real ones were seen to fail.

Runs in: a process of its own, as `launchctl` or `systemctl` on a test's PATH. Each started program has a parent,
another process of this file, that waits for its end. The state lies under $FAKE_SERVICES: `calls` (what was asked),
`loaded/`, `disabled` (labels), `fail` (one line a failure: the verb and its exit code), `settling` (how many more
bootstraps fail with 5), `no-screen` and `no-bus` (nobody logged in; no user manager).
"""

import json
import os
import plistlib
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(os.environ["FAKE_SERVICES"])
LOADED = HERE / "loaded"
COMPLAINTS = {
    3: "No such process", 5: "Input/output error", 112: "Could not find domain", 113: "Could not find service",
    36: "Operation now in progress",
    119: "Service is disabled", 125: "Domain does not support specified action",
}  # fmt: skip
PATIENCE_SECONDS = 20.0


def leave(what: str, code: int) -> NoReturn:
    print(f"{what} failed: {code}: {COMPLAINTS.get(code, 'Unknown')}", file=sys.stderr)
    sys.exit(code)


def lines(name: str) -> list[str]:
    file = HERE / name
    return file.read_text().splitlines() if file.exists() else []


def asked_to_fail(verb: str) -> int:
    planned = lines("fail")
    for failure in planned:
        if failure.split()[0] == verb:
            planned.remove(failure)
            (HERE / "fail").write_text("".join(f"{line}\n" for line in planned))
            return int(failure.split()[1])
    return 0


def facts(name: str) -> dict[str, Any]:
    file = LOADED / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def keep_facts(name: str, **changed: Any) -> None:
    LOADED.mkdir(exist_ok=True)
    file = LOADED / f"{name}.json"
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(facts(name) | changed))
    part.replace(file)


def start(name: str, words: list[str], environment: dict[str, str], folder: str, stderr: str) -> None:
    """Starts a parent process for the program, and returns once the program runs."""
    keep_facts(name, pid=None, ended=None)
    order = json.dumps([name, words, environment, folder, stderr])
    subprocess.Popen([sys.executable, __file__, "keep", order], start_new_session=True, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    until(lambda: facts(name)["pid"] or facts(name)["ended"] is not None)


def keep(name: str, words: list[str], environment: dict[str, str], folder: str, stderr: str) -> None:
    with Path(stderr).open("ab") as log:
        program = subprocess.Popen(words, env=environment, cwd=folder, stdout=log, stderr=log)
    keep_facts(name, pid=program.pid)
    code = program.wait()
    if facts(name).get("forget"):
        (LOADED / f"{name}.json").unlink()
    else:
        keep_facts(name, pid=None, ended=code)


def until(look: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(name: str, how: signal.Signals = signal.SIGTERM) -> None:
    if pid := facts(name).get("pid"):
        os.kill(pid, how)


# --- launchctl -----------------------------------------------------------------------------------------------------


def launchctl(verb: str, *words: str) -> None:
    domain_is_there = not (HERE / "no-screen").exists()
    if code := asked_to_fail(verb):
        leave({"bootstrap": "Bootstrap", "bootout": "Boot-out"}.get(verb, verb), code)
    label = words[-1].rpartition("/")[2].removesuffix(".plist")
    known = facts(label)
    is_domain = words[0] == "system" or (words[0].startswith("gui/") and words[0].count("/") == 1)
    match verb:
        case "print" if is_domain and not domain_is_there:
            sys.exit(125)
        case "print" if is_domain:
            print(f"{words[0]} = {{\n\ttype = login\n}}")
        case "print" if not known:
            leave("print", 113)
        case "print":
            print(as_launchd_prints(words[0], known))
        case "enable":
            (HERE / "disabled").write_text("".join(f"{one}\n" for one in lines("disabled") if one != label))
        case "print-disabled":
            print(
                "\tdisabled services = {\n"
                + "".join(f'\t\t"{one}" => disabled\n' for one in lines("disabled"))
                + "\t}"
            )
        case "bootstrap":
            settling = int("".join(lines("settling")) or 0)
            if settling:
                (HERE / "settling").write_text(str(settling - 1))
            if known or settling or label in lines("disabled") or not domain_is_there:
                leave("Bootstrap", 5)
            launch(label, Path(words[1]))
        case "bootout" if not known:
            leave("Boot-out", 3)
        case "bootout":
            keep_facts(label, forget=True)
            if known["pid"]:
                end(label)
                leave("Boot-out", 36)
            (LOADED / f"{label}.json").unlink()
        case "kill" if not known.get("pid"):
            leave("kill", 3)
        case "kill":
            end(label, signal.Signals[words[0]])
        case "kickstart" if not known:
            leave("kickstart", 113)
        case "kickstart":
            if "-k" in words:
                end(label, signal.SIGKILL)
                until(lambda: not facts(label)["pid"])
            if not facts(label)["pid"]:
                launch(label, Path(known["plist"]))
        case _:
            raise AssertionError(f"launchctl has no {verb}")


def launch(label: str, plist: Path) -> None:
    assert plist.stat().st_mode & 0o022 == 0, "launchd takes no file that others may write"
    job = plistlib.loads(plist.read_bytes())
    assert job["Label"] == label
    keep_facts(label, plist=str(plist))
    environment = {"HOME": os.environ["HOME"], **job["EnvironmentVariables"]}
    start(label, job["ProgramArguments"], environment, job["WorkingDirectory"], job["StandardErrorPath"])


def as_launchd_prints(target: str, known: dict[str, Any]) -> str:
    pid, ended = known["pid"], known["ended"]
    state = "running" if pid else "not running"
    code = "(never exited)" if ended is None else str(ended)
    return "\n".join([
        f"{target} = {{", f"\tactive count = {1 if pid else 0}", f"\tpath = {known['plist']}",
        f"\tstate = {state}", "\targuments = {", "\t\t-P", "\t}", "\tdefault environment = {",
        "\t\tPATH => /usr/bin:/bin", "\t}", "\truns = 1", *([f"\tpid = {pid}"] if pid else []),
        f"\tlast exit code = {code}", "\tspawn type = interactive (4)", "\tendpoints = {",
        '\t\t"x" = {', "\t\t\tstate = active", "\t\t\tpid = 1", "\t\t}", "\t}", "}",
    ])  # fmt: skip


# --- systemctl -----------------------------------------------------------------------------------------------------


def systemctl(*words: str) -> None:
    assert words[0] == "--user", "a test has no business with the machine's own systemd"
    if (HERE / "no-bus").exists():
        print("Failed to connect to bus: No medium found", file=sys.stderr)
        sys.exit(1)
    verb, *rest = words[1:]
    if code := asked_to_fail(verb):
        print(f"Job for {rest[-1]} failed.", file=sys.stderr)
        sys.exit(code)
    units = Path(os.environ["HOME"]) / ".config/systemd/user"
    if verb == "daemon-reload":
        # systemd starts the unit as it last read it, even if the file has changed since.
        (HERE / "read.json").write_text(json.dumps({unit.name: unit.read_text() for unit in units.glob("*.service")}))
        return
    name = next(word for word in rest if word.endswith(".service"))
    match verb:
        case "show":
            show(name)
        case "enable":
            (HERE / "enabled").write_text(name)
            if "--now" in rest and not facts(name).get("pid"):
                start_unit(name)
        case "restart":
            stop_unit(name)
            start_unit(name)
        case "disable":
            (HERE / "enabled").unlink(missing_ok=True)
            stop_unit(name)
        case "reset-failed":
            sys.exit(1)
        case _:
            raise AssertionError(f"systemctl has no {verb}")


def show(name: str) -> None:
    known = facts(name)
    pid, ended = known.get("pid"), known.get("ended")
    print(f"ActiveState={'active' if pid else 'failed' if ended else 'inactive'}")
    print(f"SubState={'running' if pid else 'dead'}")
    print(f"MainPID={pid or 0}")
    print(f"ExecMainCode={0 if ended is None else 1 if ended >= 0 else 2}")
    print(f"ExecMainStatus={abs(ended or 0)}")
    print(f"UnitFileState={'enabled' if name in lines('enabled') else 'disabled'}")


def start_unit(name: str) -> None:
    text: str = json.loads((HERE / "read.json").read_text())[name]
    settings = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    plain = [(key, [word.replace("%%", "%") for word in shlex.split(value)]) for key, _, value in settings]
    environment = {"HOME": os.environ["HOME"]}
    for key, words in plain:
        if key == "Environment":
            variable, _, value = words[0].partition("=")
            environment[variable] = value
    (command,) = (words for key, words in plain if key == "ExecStart")
    start(name, command, environment, os.environ["HOME"], str(HERE / "journal"))


def stop_unit(name: str) -> None:
    end(name)
    until(lambda: not facts(name).get("pid"))


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        keep(*json.loads(sys.argv[2]))
    else:
        with (HERE / "calls").open("a") as calls:
            calls.write(shlex.join(sys.argv[1:]) + "\n")
        {"launchctl": launchctl, "systemctl": systemctl}[sys.argv[1]](*sys.argv[2:])
