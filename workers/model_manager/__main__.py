"""`python -P -m stenod -m workers.model_manager`: the models on this machine, for `steno`, which loads no model.

Runs in: worker (a short-lived one, started by the `steno` command).

Writes JSON lines to stdout, each as soon as it is known: `check` an `ipc.status_views.Finding` for each model the
present settings need and one about punkt; `list` one `ipc.model_messages.ModelList`; `pull` and `remove` the other
messages. Exit code 0: it answered; 3: something was refused; 78: the settings are invalid; 1 with a traceback: a bug
in this program.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import get_args

from config.engines import EngineChoice, resolve_engines
from config.loader import ConfigError, load
from config.model_names import ModelEngine
from config.places import find_places
from config.settings import Settings
from ipc.model_messages import ModelRefusal, Notice
from ipc.transcript import Value
from workers.engine import EngineRefusal

BYTES_PER_MB = 1_000_000
REFUSED = 3
INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """The program's exit code."""
    options = arguments().parse_args(words)
    places = find_places()
    try:
        settings = load(places, os.environ).settings
        choice = resolve_engines(settings, sys.platform)
    except ConfigError as wrong:
        print(f"stenod: {wrong}", file=sys.stderr)
        return os.EX_CONFIG
    # Exit immediately, even if a library's thread waits for a server: every received byte is on the disk.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))
    match options.verb:
        case "check":
            return check(options, settings, choice, places.models)
        case "list":
            return show(settings, choice, places.models)
        case "pull":
            return pull(options, settings, choice, places.models)
        case _:
            return remove(options, settings, choice, places.models)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workers.model_manager", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="all models on this machine, and all that the settings need")
    checking = verbs.add_parser("check", help="findings about the models the settings need")
    checking.add_argument("--quick", action="store_true", help="do not check every byte")
    pulling = verbs.add_parser("pull", help="download models")
    pulling.add_argument("names", nargs="*")
    pulling.add_argument("--lang", default="", help="language codes, separated by commas")
    removing = verbs.add_parser("remove", help="delete a model")
    removing.add_argument("names", nargs=1)
    removing.add_argument("--yes", action="store_true", help="delete; otherwise only list what would be deleted")
    for verb in (pulling, removing):
        verb.add_argument("--engine", choices=get_args(ModelEngine))
    return parser


def check(options: argparse.Namespace, settings: Settings, choice: EngineChoice, models: Path) -> int:
    from workers.model_manager.verify import findings

    for finding in findings(settings, choice, models, lambda: None, deep=not options.quick):
        send(finding)
    return os.EX_OK


def show(settings: Settings, choice: EngineChoice, models: Path) -> int:
    from workers.model_manager.inventory import list_models

    send(list_models(settings, choice, models))
    return os.EX_OK


def pull(options: argparse.Namespace, settings: Settings, choice: EngineChoice, models: Path) -> int:
    """Pulls the requested names and languages; with neither, all models that the settings need."""
    from workers.model_manager.pull import Puller
    from workers.model_manager.selection import ModelRequest, limitations, requests_by_name, requests_of_settings

    languages = tuple(dict.fromkeys(code for code in options.lang.split(",") if code))
    requests: list[ModelRequest] = []
    refused = False
    for name in options.names:
        try:
            requests += requests_by_name(name, settings, choice, options.engine)
        except EngineRefusal as refusal:
            refused = True
            send(refusal_of(name, refusal))
    if languages or not options.names:
        try:
            requests += requests_of_settings(settings, choice, languages)
        except EngineRefusal as refusal:
            refused = True
            send(refusal_of("settings", refusal))
    for limitation in limitations(requests, settings, choice, languages):
        send(Notice(text=limitation))
    puller = Puller(send, models, settings.media.free_disk_floor_mb * BYTES_PER_MB)
    for request in dict.fromkeys(requests):
        refused |= not puller.pull(request)
    return REFUSED if refused else os.EX_OK


def remove(options: argparse.Namespace, settings: Settings, choice: EngineChoice, models: Path) -> int:
    from workers.model_manager import remove as model_removal
    from workers.model_manager.inventory import list_models

    [name] = options.names
    try:
        plan = model_removal.plan_removal(name, list_models(settings, choice, models), options.engine)
        send(model_removal.remove(plan) if options.yes else plan)
    except EngineRefusal as refusal:
        send(refusal_of(name, refusal))
        return REFUSED
    return os.EX_OK


def refusal_of(name: str, refusal: EngineRefusal) -> ModelRefusal:
    return ModelRefusal(name=name, code=refusal.code, message=refusal.message, hint=refusal.hint)


def send(value: Value) -> None:
    """Writes one JSON line. Exits once the client has closed the pipe: a library's thread may still wait for a
    server."""
    try:
        print(value.model_dump_json(), flush=True)
    except BrokenPipeError:
        os._exit(os.EX_IOERR)


if __name__ == "__main__":
    sys.exit(main())
