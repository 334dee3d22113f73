"""The verbs about the service: install, uninstall, status, restart.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.jobs import Json
from client.daemon import here
from client.terminal import exit_codes, output

if TYPE_CHECKING:
    from launchd.plan import InstallStep
    from launchd.service_manager import ServiceManager
    from launchd.state import ServiceState

app = typer.Typer(
    no_args_is_help=True, help="The daemon as a service: started by launchd or systemd, and kept alive by it."
)
PLATFORM = sys.platform

System = Annotated[
    bool,
    typer.Option("--system", help="The machine's own service: runs from boot, with no user logged in. Needs sudo."),
]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="Whom a --system service runs as; else who called sudo."),
]
Print = Annotated[bool, typer.Option("--print", help="Do nothing; print what would be done, as shell commands.")]


@app.command(
    epilog="\nExamples:\n  steno service install\n  steno service install --print\n"
    '  sudo "$(command -v steno)" service install --system'
)
def install(
    system: System = False,
    user: User = None,
    show_only: Print = False,
) -> None:
    """Start the daemon now and from now on: at login, after a crash. Again after an upgrade: replaced in place.

    What is set in this shell goes along: STENO_HOME, WHISPER_BACKEND, HF_HOME and their like, never a secret.
    """
    from client.machine import service as service_here
    from launchd.apply import carry_out
    from launchd.installation import doubts, obstacles

    service = service_here.find_service(PLATFORM, system, user)
    if show_only:
        _print(service.install(_state_or_guess(service)), "already installed")
        return
    service_here.need_root(service, "install")
    here.settings()
    here.refuse_others()
    with service_here.refusals():
        before = service.look()
        steps = service.install(before)
        if before.is_idle:
            service_here.refuse_beside_another(service)
        # Before anything is done: what keeps the daemon from starting ends this command in a refusal.
        for warning in (*obstacles(service.installation), *doubts(service.installation)) if steps else ():
            output.say(f"note: {warning}", keep="\n")
        carry_out(steps, service)
        found = service_here.await_answer(service)
    done = "already installed" if not steps else "installed" if before.definition is None else "brought up to date"
    starts = "with the machine" if system else "at login"
    output.print_line(f"{done}: {service.kind} {service.name}, pid {found.daemon.pid}, starts {starts}")
    output.print_line(f"  {service.definition_file}")
    output.print_line(f"logs: `steno logs -f` reads {here.places().log_file}; stderr: {service.stderr_place}")
    if steps and _ends_at_logout(service):
        name = service.installation.owner.name
        output.say(f"note: it ends when {name} logs out; `sudo loginctl enable-linger {name}` keeps it from boot on")


@app.command(epilog="\nExamples:\n  steno service uninstall\n  steno service uninstall --print")
def uninstall(system: System = False, user: User = None, show_only: Print = False) -> None:
    """Stop the daemon and remove the service. Settings, jobs, models and transcripts stay."""
    from client.machine import service as service_here
    from launchd.apply import carry_out

    service = service_here.find_installed_service(PLATFORM, system, user)
    if show_only:
        _print(service.uninstall(_state_or_guess(service)), "not installed")
        return
    with service_here.refusals():
        steps = service.uninstall(service.look())
        if not steps:
            output.print_line(f"{service.kind} {service.name} is not installed")
            return
        service_here.need_root(service, "uninstall")
        carry_out(steps, service)
    output.print_line(f"removed: {service.kind} {service.name}")
    places = here.places()
    ours = (places.config_file, places.state, places.logs, places.models)
    staying = [str(place) for place in dict.fromkeys(ours) if place.exists()]
    output.print_line(
        f"what stays: every transcript, and {', '.join(staying)}" if staying else "nothing else is here"
    )


@app.command(epilog="\nExamples:\n  steno service status\n  steno service status --json | jq .pid")
def status(system: System = False, user: User = None, json: Json = False) -> None:
    """Show what the service manager knows of the daemon. Exit code 69 unless it runs and answers."""
    from client.machine import service as service_here

    service = service_here.find_installed_service(PLATFORM, system, user)
    with service_here.refusals():
        state = service.look()
    found = service_here.answering()
    report = {
        "kind": service.kind,
        "name": service.name,
        "definition": str(service.definition_file),
        "installed": state.definition is not None,
        "current": state.definition == service.definition,
        "loaded": state.is_loaded,
        "state": state.words,
        "pid": state.pid,
        "last_exit": state.last_exit,
        "answers": found is not None,
        "daemon_pid": None if found is None else found.daemon.pid,
        "version": None if found is None else found.daemon.version,
        "log": str(here.places().log_file),
        "stderr": service.stderr_place,
    }
    if json:
        output.print_data(report)
    else:
        _show(report)
    if not state.is_loaded or found is None:
        raise typer.Exit(exit_codes.NO_DAEMON)


@app.command(epilog="\nExamples:\n  steno service restart\n  steno service restart --print")
def restart(system: System = False, user: User = None, show_only: Print = False) -> None:
    """Stop the daemon in order and start it again; jobs continue where they were."""
    from client.machine import service as service_here
    from client.terminal.errors import Refusal
    from launchd.apply import carry_out

    service = service_here.find_installed_service(PLATFORM, system, user)
    if show_only:
        _print(service.restart(_state_or_guess(service)), "not installed")
        return
    with service_here.refusals():
        before = service.look()
        if before.definition is None:
            raise Refusal("not_installed", f"{service.name} is not installed", "`steno service install` does that")
        service_here.need_root(service, "restart")
        here.settings()
        if before.is_idle:
            service_here.refuse_beside_another(service)
        carry_out(service.restart(before), service)
        found = service_here.await_answer(service)
    output.print_line(f"restarted: {service.kind} {service.name}, pid {found.daemon.pid}")


def _state_or_guess(service: "ServiceManager") -> "ServiceState":
    """To print a plan, a service manager that cannot be asked is taken for one that knows nothing of us."""
    from launchd.refusal import ServiceRefused
    from launchd.state import ServiceState, read_definition

    try:
        return service.look()
    except ServiceRefused as refused:
        output.say(f"# {refused.message}")
        return ServiceState(read_definition(service.definition_file), False, "inactive", None, None)


def _print(steps: "tuple[InstallStep, ...]", otherwise: str) -> None:
    from launchd.plan import in_shell

    for step in steps:
        output.print_line(in_shell(step), keep="\n\t")
    if not steps:
        output.print_line(f"# nothing: {otherwise}")


def _show(report: dict[str, object]) -> None:
    if not report["installed"]:
        state = "not installed" + (
            ", but still loaded" if report["loaded"] else "; `steno service install` does that"
        )
    else:
        state = f"{report['state']}" + (f", pid {report['pid']}" if report["pid"] else "")
    output.print_line(f"{report['kind']} {report['name']}: {state}")
    if report["last_exit"] is not None:
        output.print_line(f"ended last with: {report['last_exit']}")
    if report["answers"]:
        by_hand = report["pid"] is None and not report["loaded"]
        whose = ", started by hand" if by_hand else ""
        output.print_line(f"daemon: answers, version {report['version']}, pid {report['daemon_pid']}{whose}")
    else:
        output.print_line("daemon: does not answer")
    output.print_line(f"logs: {report['log']}; stderr: {report['stderr']}")
    if report["installed"]:
        output.print_line(f"file: {report['definition']}")
        if not report["current"]:
            output.print_line("`steno service install` would change that file: this shell or stenod is another")


def _ends_at_logout(service: "ServiceManager") -> bool:
    from launchd.systemd import Systemd

    return isinstance(service, Systemd) and service.ends_at_logout
