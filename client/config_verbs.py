"""The verbs about the settings: config show.

Runs in: the user's shell. Libraries are imported inside the verbs: `steno --help` must not wait for them.
"""

import json as json_format
from typing import Annotated

import typer

from client import here, terminal
from client.jobs_verbs import Json

app = typer.Typer(no_args_is_help=True, help="What is set, and who said so.")


@app.command("show", epilog="Examples:\n\n  steno config show\n\n  steno config show --changed")
def config_show(
    json: Json = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
) -> None:
    """Show every setting with its value and where it came from."""
    from client.views import settings_table

    loaded = here.settings()
    written = loaded.settings.model_dump(mode="json")
    values = {key: _at(written, key) for key, origin in loaded.origins.items() if not changed or origin != "default"}
    if json:
        told = {key: {"value": value, "from": loaded.origins[key]} for key, value in values.items()}
        print(json_format.dumps(told))
        return
    terminal.show(settings_table({key: _in_toml(value) for key, value in values.items()}, loaded.origins))
    for doubt in loaded.doubts:
        terminal.say(doubt)


def _at(written: dict[str, object], key: str) -> object:
    found: object = written
    for step in key.split("."):
        assert isinstance(found, dict)
        found = found[step]
    return found


def _in_toml(value: object) -> str:
    """As it would stand in config.toml; JSON spells these values alike."""
    return "(unset)" if value is None else json_format.dumps(value, ensure_ascii=False)
