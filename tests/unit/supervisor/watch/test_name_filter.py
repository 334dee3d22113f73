"""Which names an owner means with include and exclude."""

import time
import unicodedata
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ipc.api_messages import AddWatch
from ipc.vocabulary import Format
from supervisor.watch.name_filter import NameFilter, matches
from supervisor.watch.recording_names import MEDIA, is_candidate

NAMES = st.sampled_from(["talk", "Draft 2", "Käthe", "old", "a.b"])
PATHS = st.builds(
    lambda folders, name, ending: "/".join([*folders, name + ending]),
    st.lists(NAMES, max_size=3),
    NAMES,
    st.sampled_from([*sorted(MEDIA)[:4], ".txt", ".xyz", ""]),
)
PATTERNS = st.lists(
    st.sampled_from(
        ["*", "**", "*.m4a", "*.xyz", "draft*", "old", "old/", "old/*", "**/old/*", "/talk*", "k?the*", "[a-c]*"]
    ),
    max_size=3,
).map(tuple)


@given(PATHS, PATTERNS, PATTERNS)
def test_exclude_wins_and_include_only_ever_narrows_what_ends_as_recordings_do(
    path: str, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    wanted = NameFilter(include, exclude).want(path)
    if any(matches(pattern, path) for pattern in exclude):
        assert not wanted
    if wanted and not path.endswith(".xyz"):
        assert is_candidate(path.rpartition("/")[2])
    assert NameFilter((), exclude).want(path) or not wanted or path.endswith(".xyz")


@given(PATHS, PATTERNS)
def test_letter_case_and_the_spelling_of_accents_make_no_difference(path: str, include: tuple[str, ...]) -> None:
    patterns = NameFilter(include)
    other = unicodedata.normalize("NFD", path).upper()
    assert patterns.want(path) == patterns.want(other)


@given(PATHS, PATTERNS)
def test_in_a_folder_that_is_closed_nothing_is_wanted(path: str, exclude: tuple[str, ...]) -> None:
    patterns = NameFilter((), exclude)
    folders = path.split("/")[:-1]
    if any(patterns.close("/".join(folders[: depth + 1])) for depth in range(len(folders))):
        assert not patterns.want(path)


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        ("*.m4a", ["a.m4a", "deep/er/a.M4A"], ["a.m4a.wav"]),
        ("draft*", ["Draft 1.wav", "drafts/a.wav", "x/drafts/y/a.wav"], ["my draft.wav"]),
        ("meetings/*.wav", ["meetings/a.wav", "Meetings/a.wav"], ["meetings/x/a.wav", "x/meetings/a.wav", "a.wav"]),
        ("meetings/*", ["meetings/a.wav", "meetings/x/a.wav"], ["x/meetings/a.wav"]),
        ("**/raw/*.wav", ["raw/a.wav", "x/y/raw/a.wav"], ["raw.wav", "raw/x/a.wav"]),
        ("/*.wav", ["a.wav"], ["x/a.wav"]),
        ("./a.wav", ["a.wav"], ["x/a.wav"]),
        ("old/", ["old/a.wav", "x/old/y/a.wav"], ["old", "x/old"]),
        ("a?[0-9].wav", ["ab1.wav"], ["ab.wav"]),
        ("[x.wav", ["[x.wav"], ["x.wav"]),
        ("a*b/c", ["a1b/c/d.wav"], ["a/b/c"]),
    ],
)
def test_patterns_mean_what_file_managers_would_show(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    assert [path for path in (*meant, *not_meant) if matches(pattern, path)] == meant


def test_only_a_written_out_ending_makes_a_recording_of_what_is_none() -> None:
    assert NameFilter(("*.xyz",)).want("a.XYZ")
    assert NameFilter(("*", "*.xyz")).want("a.xyz")
    assert not any(NameFilter((wide,)).want("a.xyz") for wide in ("*", "*.*", "*.x*", "a.xy?", "**"))
    assert not NameFilter(("*.xyz",)).want("a.m4a")
    assert not any(NameFilter((f"*.{form}",)).want(f"a.{form.upper()}") for form in get_args(Format))
    assert not any(NameFilter(("*.m4a", "*.xyz")).want(name) for name in (".a.xyz", "~$a.xyz", "a.tmp.xyz"))


def by_definition(wanted: Sequence[str], steps: Sequence[str]) -> bool:
    """What `**` means, in the words of a mathematician, who has all the time in the world."""
    if not wanted:
        return not steps
    if wanted[0] == "**":
        return any(by_definition(wanted[1:], steps[skipped:]) for skipped in range(len(steps) + 1))
    return bool(steps) and fnmatchcase(steps[0], wanted[0]) and by_definition(wanted[1:], steps[1:])


@given(
    st.lists(st.sampled_from(["**", "a", "b", "*", "a*", "?"]), min_size=2, max_size=6),
    st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=6),
)
def test_two_stars_mean_what_their_definition_says(wanted: list[str], steps: list[str]) -> None:
    around = (steps[:depth] for depth in range(1, len(steps) + 1))
    assert matches("/".join(wanted), "/".join(steps)) == any(by_definition(wanted, within) for within in around)


DEEP = "/".join("abcdefghijklmnopqrst")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/" * 300 + "nothing.xyz", f"{DEEP}/talk.wav"),
        ("**/*/" * 190 + "nothing.xyz", "/".join([DEEP] * 20) + "/talk.wav"),
        ("**/a/" * 190 + "b.wav", "a/" * 400 + "talk.wav"),
        ("**/" + "a/" * 90 + "b.wav", "a/" * 400 + "talk.wav"),
        ("*a" * 490 + "b.wav", "a" * 250 + ".wav"),
        ("*?" * 490 + "b.wav", "a" * 250 + ".wav"),
        ("**/" + "*[a-z]" * 160 + "1.wav", "a" * 250 + ".wav"),
        ("/" + "*a*" * 300 + "b.wav", "a" * 250 + ".wav"),
        ("[" * 999, "[" * 250),
    ],
)
def test_no_pattern_takes_long_for_any_file(pattern: str, path: str) -> None:
    matches(pattern, path)  # what is compiled is kept
    began = time.thread_time()
    assert not matches(pattern, path)
    # Milliseconds on any machine; a pattern that is tried in all ways would take years.
    assert time.thread_time() - began < 10


def test_a_request_brings_no_more_patterns_than_a_person_would_write() -> None:
    AddWatch(path="/rec", exclude=("a*",) * 100)
    with pytest.raises(ValidationError):
        AddWatch(path="/rec", exclude=("a*",) * 101)
