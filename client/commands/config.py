"""The verbs about the settings: config show, check, edit and reload; http token and url.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import json as json_format
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.jobs import Json
from client.daemon import here
from client.terminal import exit_codes, output
from client.terminal.errors import NoDaemon, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.loader import LoadedSettings
    from ipc.status_views import ReloadView

app = typer.Typer(no_args_is_help=True, help="Show and edit settings, and where each value comes from.")
http = typer.Typer(no_args_is_help=True, help="The HTTP listener for other programs: its token and its address.")


@app.command("show", epilog="\nExamples:\n  steno config show\n  steno config show --changed")
def config_show(
    json: Json = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
) -> None:
    """Show every setting with its value and where it came from."""
    from client.views.tables import settings_table

    loaded = here.settings()
    written = loaded.settings.model_dump(mode="json")
    values = {key: _at(written, key) for key, origin in loaded.origins.items() if not changed or origin != "default"}
    if json:
        output.print_data({key: {"value": value, "from": loaded.origins[key]} for key, value in values.items()})
        return
    if "watch" in values:
        values["watch"] = [entry.model_dump(mode="json", exclude_defaults=True) for entry in loaded.settings.watch]
    output.show(settings_table({key: _in_toml(value) for key, value in values.items()}, loaded.origins))
    for doubt in loaded.doubts:
        output.say(f"warning: {doubt}")


@app.command("check", epilog="\nExamples:\n  steno config check\n  steno config check ./config.toml")
def config_check(
    file: Annotated[
        Path | None, typer.Argument(help="Check this file instead of config.toml.", exists=True, dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """Check all settings. Exit code 0 if valid, 2 if not. Warnings do not change it."""
    from config.loader import ConfigError

    place = file if file is not None else here.places().config_file
    mistakes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    try:
        doubts = checked(file).doubts
    except ConfigError as wrong:
        mistakes = tuple(wrong.mistakes)
    if json:
        output.print_data({"file": str(place), "mistakes": mistakes, "doubts": doubts})
    else:
        _tell(mistakes, doubts)
        if not mistakes:
            there = f"{place} is valid" if place.exists() else f"there is no {place}: all defaults"
            output.print_line(there)
    raise typer.Exit(exit_codes.USAGE if mistakes else exit_codes.DONE)


@app.command("edit", epilog="\nExamples:\n  steno config edit\n  EDITOR='code --wait' steno config edit")
def config_edit() -> None:
    """Open config.toml in your editor. An invalid file never replaces it."""
    import config
    from client.machine.config_draft import ConfigDraft, editor_of

    editor = editor_of(os.environ)
    draft = ConfigDraft(here.places().config_file, Path(config.__file__).with_name("default.toml"))
    if draft.begin():
        output.say(f"continuing with {draft.file}, left over from last time")
    draft.edit(editor)
    while not draft.discard_if_unchanged() and (mistakes := _mistakes_in(draft.file)):
        _tell(mistakes, ())
        if not (sys.stdin.isatty() and typer.confirm("Edit it again?", default=True, err=True)):
            output.say(f"{draft.target} is unchanged; your draft is {draft.file}")
            raise typer.Exit(exit_codes.USAGE)
        draft.edit(editor)
    if not draft.file.exists():
        output.print_line("nothing was changed")
        return
    _tell((), checked(draft.file).doubts)
    draft.put_in_place()
    output.print_line(f"{draft.target} is written")
    try:
        _print_reload(_reloaded())
    except NoDaemon:
        output.print_line("no daemon is running; the settings apply from its next start")


@app.command("reload", epilog="\nExample:\n  steno config reload")
def config_reload(json: Json = False) -> None:
    """Make the running daemon read its settings again, like SIGHUP."""
    found = _reloaded()
    if json:
        output.print_json(found)
    else:
        _print_reload(found)


def checked(file: Path | None = None) -> "LoadedSettings":
    """All sources, with `file` instead of config.toml, and all warnings about them. Raises ConfigError."""
    from config.engines import resolve_engines
    from config.loader import load
    from config.warnings import doubts_about

    loaded = load(here.places(), os.environ, config_file=file)
    choice = resolve_engines(loaded.settings, sys.platform)
    doubts = doubts_about(
        loaded.settings,
        transcriber=choice.transcriber,
        is_folder=Path.is_dir,
        find_program=shutil.which,
        default_watch=loaded.origins["watch"] == "default",
    )
    return replace(loaded, doubts=(*loaded.doubts, *doubts))


def _mistakes_in(file: Path) -> "Sequence[str]":
    from config.loader import ConfigError

    try:
        checked(file)
    except ConfigError as wrong:
        return wrong.mistakes
    return ()


def _tell(mistakes: "Sequence[str]", doubts: "Sequence[str]") -> None:
    for mistake in mistakes:
        output.say(f"steno: {mistake}")
    for doubt in doubts:
        output.say(f"warning: {doubt}")


def _reloaded() -> "ReloadView":
    with here.daemon() as daemon:
        try:
            return daemon.reload()
        except Refusal as no:
            if no.code != "bad_config":
                raise
            # The daemon's environment may say what this shell's does not.
            _tell(no.message.split("\n"), ())
            output.say("the daemon keeps its current settings")
            raise typer.Exit(exit_codes.USAGE) from no


def _print_reload(found: "ReloadView") -> None:
    if found.applied:
        output.print_line(f"active now: {', '.join(found.applied)}")
    if found.needs_restart:
        output.print_line(f"after `steno service restart`: {', '.join(found.needs_restart)}")
    if not (found.applied or found.needs_restart):
        output.print_line("nothing changed: the daemon already has these settings")


def _at(written: dict[str, object], key: str) -> object:
    found: object = written
    for step in key.split("."):
        assert isinstance(found, dict)
        found = found[step]
    return found


def _in_toml(value: object) -> str:
    """As written in config.toml; JSON spells these values alike."""
    return "(unset)" if value is None else json_format.dumps(value, ensure_ascii=False)


@http.command(epilog="\nExample:\n  export OPENAI_API_KEY=$(steno http token)")
def token(json: Json = False) -> None:
    """Print the token that clients send as `Authorization: Bearer TOKEN`."""
    from config.places import find_places

    file = find_places().http_token
    try:
        found = file.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        hint = 'set `listen = "127.0.0.1:9000"` under [http] and start the daemon: it makes one'
        raise Refusal("no_token", f"there is no token yet: {file}", hint) from error
    if json:
        output.print_data({"token": found})
    else:
        output.print_line(found)


@http.command(epilog="\nExample:\n  export OPENAI_BASE_URL=$(steno http url)/v1")
def url(json: Json = False) -> None:
    """Print the address of the HTTP listener, without /v1."""
    from config.loader import ConfigError, load
    from config.places import find_places

    try:
        listen = load(find_places(), os.environ).settings.http.listen
    except ConfigError as wrong:
        raise Refusal("bad_config", str(wrong), "`steno config check` shows each mistake") from wrong
    if listen is None:
        hint = 'set `listen = "127.0.0.1:9000"` under [http], and restart the daemon'
        raise Refusal("http_is_off", "the HTTP listener is off", hint)
    # A client on this computer reaches every address under the loopback one.
    address = listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
    if json:
        output.print_data({"url": f"http://{address}"})
    else:
        output.print_line(f"http://{address}")
