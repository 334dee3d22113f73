"""Flags, environment, `.env.pipeline` and `config.toml` → Settings, each value with the place it came from.

Runs in: every process.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from dotenv import dotenv_values
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.places import Places
from config.settings import ENGINE_PATH, Settings

BROUGHT_ALONG = {"WHISPER_BACKEND": "whisper_backend", "ALIGNMENT_BACKEND": "alignment_backend"}
"""Names people already have in their environment."""
NOT_A_SETTING = "STENO_HOME"
NO_FLAGS: Mapping[str, object] = MappingProxyType({})
BETWEEN_FOLDERS = re.compile(rf"{re.escape(os.pathsep)}|,\s*(?=[/~])")
"""Folders are absolute, so a comma inside a folder's name stays what it is."""


class ConfigError(Exception):
    """A setting cannot be used; the message says where it stands, its key, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each dotted key who said so."""

    settings: Settings
    origins: Mapping[str, str]
    """Dotted key → `flag`, `environment STENO_MODEL`, `.env.pipeline (path)`, `config.toml (path)` or `default`."""
    doubts: tuple[str, ...] = ()
    """Sentences for the log: names that look like ours and mean nothing."""


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    origin: str


def load(
    places: Places, environment: Mapping[str, str], flags: Mapping[str, object] = MappingProxyType({})
) -> Loaded:
    """All sources merged key by key and checked; raises ConfigError.

    `flags` are dotted keys; one whose value is None was not given.
    """
    env_file = places.config_file.with_name(".env.pipeline")
    brought = _read_env_file(env_file)
    given: dict[str, _Given] = {}
    # From the weakest to the strongest: later ones replace earlier ones.
    given |= _from_toml(places.config_file)
    given |= {key: _Given(text, f".env.pipeline ({env_file})") for _, key, text in _ours(brought)}
    given |= {key: _Given(text, f"environment {name}") for name, key, text in _ours(environment)}
    given |= {key: _Given(value, "flag") for key, value in flags.items() if value is not None}
    for key, one in given.items():
        if key not in KEYS:
            raise ConfigError(f"{one.origin}: there is no setting {key}{_nearest(key, KEYS)}")
    origins = {key: given[key].origin if key in given else "default" for key in KEYS}
    if places.inbox is not None and "watch" not in given:
        given["watch"] = _Given(({"path": places.inbox},), "default")
    try:
        settings = Settings.model_validate(_nested(given))
    except ValidationError as invalid:
        raise ConfigError(_explained(invalid, given)) from invalid
    return Loaded(settings, origins, doubts=(*_doubts(brought, str(env_file)), *_doubts(environment, "environment")))


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
        case "output.formats":
            return [one for one in re.split(r"[,\s]+", text) if one]
        case _:
            return text


def _unreadable(file: Path, error: OSError | UnicodeDecodeError) -> ConfigError:
    why = error.strerror if isinstance(error, OSError) else error
    return ConfigError(f"{file} cannot be read: {why}")


def _read_env_file(file: Path) -> dict[str, str]:
    try:
        # Without interpolation: a `$` in a prompt is a `$`.
        with file.open(encoding="utf-8") as stream:
            return {name: text or "" for name, text in dotenv_values(stream=stream, interpolate=False).items()}
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as unreadable:
        raise _unreadable(file, unreadable) from unreadable


def _from_toml(file: Path) -> dict[str, _Given]:
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as invalid:
        raise ConfigError(f"{file} is not valid TOML: {invalid}") from invalid
    except (OSError, UnicodeDecodeError) as unreadable:
        raise _unreadable(file, unreadable) from unreadable
    origin = f"config.toml ({file})"
    given: dict[str, _Given] = {}
    for name, value in written.items():
        if name == "watch" and not isinstance(value, list):
            raise ConfigError(
                f"{origin}: watched folders are a list: write [[watch]] on a line and path = … below, once for each; "
                "how they are looked at stands in [watching]"
            )
        if isinstance(value, dict) and name not in TABLES:
            given |= {f"{name}.{key}": _Given(inner, origin) for key, inner in value.items()}
        elif name in SECTIONS:
            raise ConfigError(f"{origin}: {name} is a section; write [{name}] on a line and its settings below")
        else:
            given[name] = _Given(value, origin)
    return given


def _nested(given: Mapping[str, _Given]) -> dict[str, object]:
    whole: dict[str, object] = {}
    sections: dict[str, dict[str, object]] = {}
    for key, one in given.items():
        section, dot, name = key.partition(".")
        if dot:
            sections.setdefault(section, {})[name] = one.value
        else:
            whole[key] = one.value
    return whole | sections


def _explained(invalid: ValidationError, given: Mapping[str, _Given]) -> str:
    wrong: dict[str, list[str]] = {}
    for error in invalid.errors(include_url=False):
        # A default may be wrong too: `~` where there is no home.
        dotted = ".".join(str(step) for step in error["loc"])
        key = next((key for key in KEYS if f"{dotted}.".startswith(f"{key}.")), dotted)
        wrong.setdefault(key, []).append(_allowed(error))
    lines = []
    for key, allowed in wrong.items():
        one = given.get(key)
        place, value = (one.origin, f" = {one.value!r}") if one is not None else ("default", "")
        lines.append(f"{place}: {key}{value}: {' or '.join(allowed)}")
    return "\n".join(lines)


def _allowed(error: ErrorDetails) -> str:
    limits = error.get("ctx", {})
    match error["type"], error["input"]:
        case "literal_error", str() as written:
            names = re.findall(r"'(\w+)'", str(limits["expected"]))
            return f"allowed is {limits['expected']}{_nearest(written, names)}"
        case "string_pattern_mismatch", _ if limits["pattern"] == ENGINE_PATH:
            return "the import path of your own engine, package.module:Class"
        case _:
            return error["msg"].removeprefix("Value error, ")


def _nearest(written: str, known: tuple[str, ...] | list[str]) -> str:
    near = get_close_matches(written, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _doubts(environment: Mapping[str, str], place: str) -> Iterator[str]:
    for name in sorted(environment):
        if name == NOT_A_SETTING:
            if place != "environment":
                yield f"{place}: STENO_HOME has no effect here, it must be known before this file is found"
        elif name.startswith("STENO_") and name not in NAMES:
            yield f"{place}: {name} means nothing to stenod{_nearest(name, list(NAMES))}"
