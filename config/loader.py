"""Flags, environment, `.env.pipeline` and `config.toml` → Settings, each value with the place it came from.

Runs in: every process.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError

from config.errors import (
    DEFAULT,
    FLAG,
    Mistake,
    Origin,
    bad_values,
    broken_syntax,
    in_order,
    lines_of,
    nearest,
    unknown_key,
)
from config.ownership import UnsafePath, refuse_unless_ours
from config.places import Places
from config.settings import Settings

BROUGHT_ALONG = {"WHISPER_BACKEND": "whisper_backend", "ALIGNMENT_BACKEND": "alignment_backend"}
"""Variables that users of other tools may already have set."""
NOT_A_SETTING = "STENO_HOME"
NO_FLAGS: Mapping[str, object] = MappingProxyType({})
BETWEEN_FOLDERS = re.compile(rf"{re.escape(os.pathsep)}|,\s*(?=[/~])")
"""Folders are absolute, so a comma inside a folder's name does not split it."""


class ConfigError(Exception):
    """Settings cannot be used. The message has a line for each mistake: its place, its key and what is allowed."""

    @property
    def mistakes(self) -> Sequence[str]:
        """One sentence each."""
        return str(self).split("\n")


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and for each dotted key its source."""

    settings: Settings
    origins: Mapping[str, str]
    """Dotted key → `flag`, `environment STENO_MODEL`, `.env.pipeline (path)`, `config.toml (path)` or `default`."""
    doubts: tuple[str, ...] = ()
    """Sentences for the log: names that look like settings of stenod but are not."""


@dataclass(frozen=True, slots=True)
class _SourcedValue:
    value: object
    origin: Origin


def load(
    places: Places,
    environment: Mapping[str, str],
    flags: Mapping[str, object] = NO_FLAGS,
    *,
    config_file: Path | None = None,
) -> LoadedSettings:
    """All sources merged key by key and checked. Raises ConfigError with every mistake.

    `flags` are dotted keys; one whose value is None was not given. `config_file` replaces config.toml.
    """
    env_file = places.config_file.with_name(".env.pipeline")
    for file in (env_file, *(() if config_file is not None else (places.config_file,))):
        _refuse_others(file)
    brought = _read_env_file(env_file)
    # From the weakest to the strongest: later ones replace earlier ones.
    given, mistakes = _from_toml(config_file or places.config_file)
    given |= {key: _SourcedValue(text, _in_env_file(env_file, name)) for name, key, text in _ours(brought)}
    given |= {key: _SourcedValue(text, Origin(f"environment {name}")) for name, key, text in _ours(environment)}
    given |= {key: _SourcedValue(value, FLAG) for key, value in flags.items() if value is not None}
    known = {key: one for key, one in given.items() if key in KEYS}
    mistakes += [
        unknown_key(one.origin, tuple(key.split(".")), (*KEYS, *SECTIONS))
        for key, one in given.items()
        if key not in KEYS
    ]
    origins = {key: str(known[key].origin) if key in known else "default" for key in KEYS}
    if places.inbox is not None and "watch" not in known:
        known["watch"] = _SourcedValue(({"path": places.inbox},), DEFAULT)
    whole = _nested(known)

    def origin_of(path: tuple[str | int, ...]) -> Origin:
        key = next((key for key in (str(path[0]), ".".join(map(str, path[:2]))) if key in known), None)
        return DEFAULT if key is None else known[key].origin

    try:
        settings = Settings.model_validate(whole)
    except ValidationError as invalid:
        mistakes += bad_values(invalid, whole, origin_of)
        raise _error(mistakes) from invalid
    if mistakes:
        raise _error(mistakes)
    return LoadedSettings(
        settings, origins, doubts=(*_doubts(brought, str(env_file)), *_doubts(environment, "environment"))
    )


def _error(mistakes: list[Mistake]) -> ConfigError:
    return ConfigError("\n".join(mistake.sentence for mistake in in_order(mistakes)))


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        match field.annotation:
            case type() as inner if issubclass(inner, BaseModel):
                yield from _keys(inner, f"{prefix}{name}.")
            case _:
                yield prefix + name


KEYS: tuple[str, ...] = tuple(_keys(Settings))
"""Every dotted key, in the order of Settings."""
TABLES = frozenset({"replacements"})
"""Keys whose value is a table of the owner's own names."""
SECTIONS = frozenset(key.partition(".")[0] for key in KEYS if "." in key)
NAMES: Mapping[str, str] = BROUGHT_ALONG | {f"STENO_{key.replace('.', '_').upper()}": key for key in KEYS}
"""Environment name → dotted key; ours come last and so win over the names brought along."""
RENAMED: Mapping[str, str] = {
    "STENO_WATCH_FOLDERS": "STENO_WATCH",
    "STENO_WATCH_RECURSIVE": "`recursive` of each [[watch]] in config.toml",
}
"""What meant something once, and is near to the wrong name now → what it is today."""


def _ours(environment: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """Name, key and value of each setting in it. Set but empty means not set."""
    for name, key in NAMES.items():
        text = environment.get(name, "").strip()
        if text:
            yield name, key, _parsed(key, text)


def _parsed(key: str, text: str) -> object:
    """Lists are split here; numbers and switches are read by Settings, which names what it cannot read."""
    match key:
        case "watch":
            return [{"path": one.strip()} for one in BETWEEN_FOLDERS.split(text) if one.strip()]
        case "workers.engine_path":
            return [one.strip() for one in BETWEEN_FOLDERS.split(text) if one.strip()]
        case "output.formats":
            return [one for one in re.split(r"[,\s]+", text) if one]
        case _:
            return text


def _unreadable(file: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    why = error.strerror if isinstance(error, OSError) else error
    return ConfigError(f"{file} cannot be read: {why}")


def _refuse_others(file: Path) -> None:
    try:
        refuse_unless_ours(file)
    except UnsafePath as fault:
        sentence = f"{file} is not obeyed: {fault.filename} {fault.why}; settings name commands; {fault.remedy}"
        raise ConfigError(sentence) from fault
    except OSError as error:
        raise _unreadable(file, error) from error


def _read_env_file(file: Path) -> dict[str, str]:
    try:
        # Without interpolation: a `$` in a prompt is a `$`.
        with file.open(encoding="utf-8") as stream:
            return {name: text or "" for name, text in dotenv_values(stream=stream, interpolate=False).items()}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as unreadable:
        raise _unreadable(file, unreadable) from unreadable


def _in_env_file(file: Path, name: str) -> Origin:
    """The last line that sets it: that is the one which counts."""
    set_here = re.compile(rf"\s*(?:export\s+)?{name}\s*=")
    lines = file.read_text(encoding="utf-8").splitlines()
    at = [number for number, line in enumerate(lines, 1) if set_here.match(line)]
    return Origin(".env.pipeline", file, {(): at[-1]} if at else {}, variable=name)


def _from_toml(file: Path) -> tuple[dict[str, _SourcedValue], list[Mistake]]:
    """What it sets, and what is no setting at all."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError) as unreadable:
        raise _unreadable(file, unreadable) from unreadable
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as invalid:
        raise ConfigError(broken_syntax(Origin(file.name, file), text, invalid).sentence) from invalid
    origin = Origin(file.name, file, lines_of(text))
    given: dict[str, _SourcedValue] = {}
    mistakes: list[Mistake] = []
    for name, value in written.items():
        if name == "watch" and not isinstance(value, list):
            said = (
                "watched folders are a list: write [[watch]] on a line and path = … below, once for each; "
                "[watching] says how they are scanned"
            )
            mistakes.append(Mistake(origin, (name,), said))
        elif isinstance(value, dict) and name not in TABLES and (value or name in SECTIONS):
            given |= {f"{name}.{key}": _SourcedValue(inner, origin) for key, inner in value.items()}
        elif name in SECTIONS:
            said = f"{name} is a section; write [{name}] on a line and its settings below"
            mistakes.append(Mistake(origin, (name,), said))
        else:
            given[name] = _SourcedValue(value, origin)
    return given, mistakes


def _nested(given: Mapping[str, _SourcedValue]) -> dict[str, object]:
    whole: dict[str, object] = {}
    sections: dict[str, dict[str, object]] = {}
    for key, one in given.items():
        section, dot, name = key.partition(".")
        if dot:
            sections.setdefault(section, {})[name] = one.value
        else:
            whole[key] = one.value
    return whole | sections


def _doubts(environment: Mapping[str, str], place: str) -> Iterator[str]:
    for name in sorted(environment):
        if name == NOT_A_SETTING:
            if place != "environment":
                yield f"{place}: STENO_HOME has no effect here, it must be known before this file is found"
        elif name.startswith("STENO_") and name not in NAMES:
            meant = RENAMED.get(name)
            yield f"{place}: {name} means nothing to stenod" + (
                f"; it is {meant} now" if meant else nearest(name, NAMES)
            )
