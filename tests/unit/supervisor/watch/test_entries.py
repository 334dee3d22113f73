"""A watched folder in its three spellings, and what folders have to know about each other."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import Settings
from config.watch_entry import WatchEntry
from ipc.api_messages import AddWatch, JobOptions
from supervisor.watch.entries import (
    FOLDER,
    HOOKS,
    OPTION_OF,
    EntryRefused,
    entry_of,
    options_of,
    request_of,
    treatment_of,
    with_hooks_of,
)
from supervisor.watch.folder_rules import folder_terms
from supervisor.watch.scan import ScanRules

FULL: dict[str, object] = {
    "path": "/rec",
    "recursive": True,
    "include": ["*.m4a"],
    "exclude": ["draft*"],
    "polling": False,
    "done": "done",
    "failed": "/elsewhere/failed",
    "language": "de",
    "task": "translate",
    "workflow": "transcribe",
    "prompt": "Käthe",
    "replacements": {"Kate": "Käthe"},
    "model": "small",
    "formats": ["md", "srt"],
    "output": "out",
    "name": "{date} {stem}",
    "if_exists": "suffix",
    "highlight_words": True,
    "track": 2,
    "priority": "archive",
}


def test_whatever_config_says_of_a_folder_can_be_asked_for_but_commands() -> None:
    assert set(WatchEntry.model_fields) == FOLDER | OPTION_OF.keys() | HOOKS
    assert set(AddWatch.model_fields) == FOLDER | {"options"}
    assert set(JobOptions.model_fields) == set(OPTION_OF.values())
    assert FULL.keys() == FOLDER | OPTION_OF.keys(), "the test below says every field"


@pytest.mark.parametrize("fields", [FULL, {"path": "/rec"}, {"path": "/rec", "replacements": {}, "prompt": ""}])
def test_request_and_entry_say_the_same_and_survive_json(fields: dict[str, object]) -> None:
    entry = WatchEntry.model_validate(fields)
    asked = AddWatch.model_validate_json(request_of(entry).model_dump_json())
    assert entry_of(asked) == entry
    assert request_of(entry_of(asked)) == asked


def test_the_options_of_a_folders_jobs_are_what_it_says_with_its_output_folder_absolute() -> None:
    options = options_of(WatchEntry.model_validate(FULL))
    said = json.loads(options.model_dump_json())
    assert said.pop("output_dir") == "/rec/out"
    assert said == {option: FULL[field] for field, option in OPTION_OF.items() if field != "output"}
    assert options_of(WatchEntry(path=Path("/rec"))) == JobOptions()


def test_a_folder_that_was_renamed_treats_its_recordings_as_it_did() -> None:
    here, there = (WatchEntry.model_validate(FULL | {"path": path}) for path in ("/rec", "/other"))
    assert treatment_of(here) == treatment_of(there)
    assert treatment_of(here) != treatment_of(here.model_copy(update={"language": "en"}))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"options": {"output_name": "same for all"}}, "name"),
        ({"options": {"output_name": "{stem}/x"}}, "name"),
        ({"done": "."}, "done and failed"),
        ({"failed": "/rec/x/.."}, "done and failed"),
        ({"include": ["~/x"]}, "include"),
        ({"exclude": [""]}, "exclude"),
    ],
)
def test_what_no_folder_can_be_is_refused_with_the_field(wrong: dict[str, object], word: str) -> None:
    with pytest.raises(EntryRefused) as refused:
        entry_of(AddWatch.model_validate({"path": "/rec", **wrong}))
    assert word in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("field", ["done", "failed", "output"])
def test_a_folder_that_is_too_long_inside_the_watched_one_does_not_poison_its_jobs(field: str) -> None:
    """Each of the two fits; a job with both in one path could be stored and never be read again."""
    with pytest.raises(ValidationError, match="longer than any path"):
        WatchEntry.model_validate({"path": "/rec", field: "a" * 4096})
    longest = WatchEntry.model_validate({"path": "/rec", field: "a" * (4096 - len("/rec/"))})
    assert JobOptions.model_validate_json(options_of(longest).model_dump_json()) == options_of(longest)


def test_a_format_nobody_knows_does_not_even_become_a_request() -> None:
    with pytest.raises(ValidationError):
        AddWatch.model_validate({"path": "/rec", "options": {"formats": ["exe"]}})


def test_a_request_leaves_the_commands_of_the_settings_in_place() -> None:
    stands = WatchEntry(path=Path("/rec"), on_done=("notify",))
    assert with_hooks_of(WatchEntry(path=Path("/rec"), language="de"), stands).on_done == ("notify",)
    assert with_hooks_of(stands, None) is stands


# --- folders among each other ------------------------------------------------------------------------------------


def rules_of(path: str, *entries: WatchEntry, output: str | None = None) -> ScanRules:
    settings = Settings.model_validate({"output": {"folder": output}})
    terms = folder_terms({entry.path: entry for entry in entries}, (), settings, [Path("/state")])
    return terms[Path(path)].rules


def test_where_files_go_when_they_are_done_is_never_searched_whoever_sends_them_there() -> None:
    outer = WatchEntry(path=Path("/rec"), recursive=True, done=Path("done"), failed=Path("/rec/bad"))
    other = WatchEntry(path=Path("/other"), output=Path("/REC/from other"), done=Path("/far"))
    rules = rules_of("/rec", outer, other, output="/rec/all")
    assert set(rules.closed) == {
        Path(path) for path in ("/state", "/rec/done", "/rec/bad", "/REC/from other", "/rec/all")
    }
    # A folder elsewhere is not even looked at: it may be on a disk that does not answer.
    assert rules_of("/other", outer, other).closed == (Path("/state"),)


def test_a_folder_typed_with_other_letters_than_the_finder_s_still_lies_within() -> None:
    typed, of_finder = WatchEntry(path=Path("/rec/Aufs\u00e4tze")), Path("/REC/Aufsa\u0308tze/alt")
    inner = WatchEntry(path=of_finder, recursive=True)
    assert of_finder in rules_of(str(typed.path), typed, inner).closed


def test_the_innermost_watched_folder_has_its_files_to_itself() -> None:
    outer = WatchEntry(path=Path("/rec"), recursive=True)
    flat, deep = WatchEntry(path=Path("/rec/flat")), WatchEntry(path=Path("/rec/deep"), recursive=True)
    rules = rules_of("/rec", outer, flat, deep, WatchEntry(path=Path("/recorder")))
    assert (rules.closed, rules.left_alone) == ((Path("/state"), deep.path), (flat.path,))
    assert rules_of("/rec/deep", outer, flat, deep).closed == (Path("/state"),)


def test_the_daemon_must_be_able_to_write_where_results_and_recordings_go() -> None:
    def written_to(output: str | None = None, **fields: str) -> list[str]:
        entry = WatchEntry.model_validate({"path": "/rec", **fields})
        settings = Settings.model_validate({"output": {"folder": output}})
        return [str(path) for path in folder_terms({entry.path: entry}, (), settings, ())[entry.path].written_to]

    assert written_to() == ["/rec"]
    assert written_to(output="/all") == ["/all"]
    assert written_to(output="/all", done="done") == ["/rec", "/all", "/rec/done"]
    assert written_to(output="/all", failed="/bad") == ["/rec", "/all", "/bad"]
