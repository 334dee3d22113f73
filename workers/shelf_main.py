"""`python -P -m workers.shelf_main`: the models on this machine, for the `steno` command, which loads none of this.

Runs in: worker (a short-lived one, started by the `steno` command).

Speaks JSON lines on stdout. `check` says `ipc.status_views.Finding`s, one for each model the present settings need
and one about punkt, each as soon as it is known; exit code 0 whatever it found, 78 if the settings cannot be used.
"""

import argparse
import os
import sys

from config.engines import resolve_engines
from config.places import find_places
from config.sources import ConfigError, load
from ipc.transcript import Value


def main(words: list[str] | None = None) -> int:
    """The program's exit code."""
    asked = arguments().parse_args(words)
    places = find_places()
    try:
        settings = load(places, os.environ).settings
        choice = resolve_engines(settings, sys.platform, os.uname().machine)
    except ConfigError as wrong:
        print(f"stenod: {wrong}", file=sys.stderr)
        return os.EX_CONFIG
    from workers.model_check import findings

    for finding in findings(settings, choice, places.models, lambda: None, deep=not asked.quick):
        say(finding)
    return os.EX_OK


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shelf_main", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="findings about the models the settings need")
    check.add_argument("--quick", action="store_true", help="do not read every byte")
    return parser


def say(value: Value) -> None:
    print(value.model_dump_json(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
