"""Which names are recordings."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.vocabulary import Format
from supervisor.watch.recording_names import (
    AUDIO,
    VIDEO,
    is_candidate,
    is_searched,
    is_storable,
    name_in_icloud,
    name_meant,
)
from supervisor.watch.scan import why_passed

# fmt: off
RECORDINGS = [
    "talk.m4a", "TALK.MP3", "New Recording 7.qta", "a.b.c.opus", "-rf.wav", "two\nlines.wav", "Part.1.mp4",
    "メモ.caf", "book.m4b", "clip.MOV", "call.amr", "talk.part.mp3",
]
OTHERS = [
    ".m4a", ".talk.m4a", "._talk.m4a", "~$talk.m4a", "talk.m4a~", "talk.m4a.part", "talk.m4a.crdownload", "talk", "",
    "talk.m4a.download", "talk.m4a.!qB", "talk.m4a.!ut", ".talk.m4a.icloud", ".talk.m4a.swp", "talk.mp3.partial",
    "talk.tmp.wav", "talk.temp.m4a", "notes.pdf", "m4a", "playlist.m3u8", "cover.jpg", "audio.s16", "talk.m4a ",
]
# fmt: on


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_people_record_is_taken(name: str) -> None:
    assert is_candidate(name)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_finished_recording_is_not(name: str) -> None:
    assert not is_candidate(name)


@given(st.text(), st.sampled_from(sorted(AUDIO | VIDEO)), st.sampled_from(get_args(Format)))
def test_no_output_of_ours_is_ever_taken(stem: str, suffix: str, output: str) -> None:
    for name in (f"{stem}.{output}", f"{stem}{suffix}.{output}", f"{stem} (2).{output}", f".{stem}.{output}.tmp"):
        assert not is_candidate(name)


@given(
    st.text(st.characters(exclude_characters="/\0")), st.sampled_from([*sorted(AUDIO | VIDEO), ".download", ".app"])
)
def test_nothing_hidden_is_taken_or_looked_into(stem: str, suffix: str) -> None:
    assert not is_candidate(f".{stem}{suffix}")
    assert not is_searched(f".{stem}{suffix}")


@pytest.mark.parametrize(("name", "wanted"), [("2026", True), ("a.b", True), ("x.photoslibrary", False)])
def test_documents_that_are_folders_are_not_looked_into(name: str, wanted: bool) -> None:
    assert is_searched(name) is wanted
    assert not is_searched("talk.m4a.DOWNLOAD")


def test_a_name_in_another_encoding_cannot_be_stored() -> None:
    assert is_storable("/caf\u00e9\n.wav")
    assert not is_storable(b"/caf\xe9.wav".decode("utf-8", "surrogateescape"))


def test_a_file_that_lives_in_icloud_only_is_told_by_its_flags() -> None:
    assert why_passed("/talk.m4a", 0x4000_0000 | 0x20) == "only_in_icloud"
    assert why_passed("/talk.m4a", 0x20) is None


def test_the_stub_of_a_recording_in_icloud_is_known_by_its_name() -> None:
    assert name_in_icloud(".talk.m4a.icloud") == "talk.m4a"
    for name in ("talk.m4a.icloud", ".icloud", "..icloud", ".talk.m4a", "talk.m4a"):
        assert name_in_icloud(name) is None


def test_a_name_that_only_just_misses_says_what_was_meant_and_why() -> None:
    assert name_meant("talk.wav ") == ("talk.wav", "name_ends_in_space")
    assert name_meant("talk.MP3\u00a0\n") == ("talk.MP3", "name_ends_in_space")
    assert name_meant("body.temp.wav") == ("body.wav", "name_of_unfinished_file")
    assert name_meant("body.v2.TMP.M4A") == ("body.v2.M4A", "name_of_unfinished_file")
    for name in (
        "talk.wav",
        ".talk.wav ",
        "._talk.temp.wav",
        "~$talk.tmp.wav",
        "talk.pdf ",
        "talk.tmp",
        "talk.temp",
        "",
    ):
        assert name_meant(name) is None
