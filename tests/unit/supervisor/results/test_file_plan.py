"""Names that belong to one recording, and to no other file.

Runs in: the test process.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from ipc.api_messages import JobOptions
from ipc.vocabulary import Format, IfExists
from supervisor.disks.file_identity import FileIdentity, look_at
from supervisor.disks.held_folder import ScopedPath, held
from supervisor.disks.temporary_names import TemporaryNames
from supervisor.results import atomic_file as result_file
from supervisor.results import file_plan as result_files
from supervisor.results.atomic_file import Claim
from supervisor.results.file_plan import OutputRefused, home_of
from supervisor.store.job import Job, WrittenFile

FORMATS: tuple[Format, ...] = ("json", "srt", "txt")
POLICIES: tuple[IfExists, ...] = ("renew", "skip", "overwrite", "suffix")


NAMES = TemporaryNames("0123456789abcdef", 7)


def plan(
    job: Job,
    formats: Sequence[Format],
    folder: Path | None,
    policy: IfExists,
    ours: Mapping[str, str],
    others: Mapping[str, str | None] = MappingProxyType({}),
    template: str = "{stem}",
) -> dict[Format, Path] | None:
    known = {path: {sha256} for path, sha256 in ours.items()}
    return result_files.plan(job, formats, home_of(job, folder), policy, known, others, template)


def write(path: Path, content: Iterable[bytes]) -> str:
    with held(ScopedPath(path.parent)) as folder:
        return result_file.write(folder, path.name, content, NAMES, Claim())


def job_for(recording: Path) -> Job:
    identity = FileIdentity(device=1, inode=2, size=3, mtime_ns=4)
    return Job(id=7, path=str(recording), options=JobOptions(), status="writing", identity=identity, created_at=0.0)


def names(planned: dict[Format, Path] | None) -> list[str] | None:
    return None if planned is None else [path.name for path in planned.values()]


@pytest.fixture
def talk(tmp_path: Path) -> Job:
    return job_for(tmp_path / "talk.mp3")


@pytest.mark.parametrize("policy", POLICIES)
def test_names_come_from_the_recording_and_json_is_last(tmp_path: Path, talk: Job, policy: IfExists) -> None:
    assert plan(talk, FORMATS, None, policy, {}) == {
        "srt": tmp_path / "talk.srt",
        "txt": tmp_path / "talk.txt",
        "json": tmp_path / "talk.json",
    }


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("renew", ["talk (2).srt", "talk (2).txt", "talk (2).json"]),
        ("suffix", ["talk (2).srt", "talk (2).txt", "talk (2).json"]),
        ("overwrite", ["talk.srt", "talk.txt", "talk.json"]),
        ("skip", ["talk.txt", "talk.json"]),
    ],
)
def test_somebody_elses_file_is_treated_as_the_policy_says(
    tmp_path: Path, talk: Job, policy: IfExists, expected: list[str]
) -> None:
    (tmp_path / "talk.srt").write_text("by hand")
    assert names(plan(talk, FORMATS, None, policy, {})) == expected


def test_skip_has_nothing_to_do_once_all_are_there(tmp_path: Path, talk: Job) -> None:
    for name in FORMATS:
        (tmp_path / f"talk.{name}").touch()
    assert plan(talk, FORMATS, None, "skip", {}) is None


def test_our_own_files_are_renewed_until_somebody_edits_one(tmp_path: Path, talk: Job) -> None:
    planned = plan(talk, FORMATS, None, "renew", {})
    assert planned is not None
    ours = {str(path): write(path, [f"text of {name}".encode()]) for name, path in planned.items()}
    assert plan(talk, FORMATS, None, "renew", ours) == planned
    (tmp_path / "talk.srt").write_text("corrected by hand")
    assert names(plan(talk, FORMATS, None, "renew", ours)) == ["talk (2).srt", "talk (2).txt", "talk (2).json"]


def test_two_recordings_of_one_name_never_share_a_file(tmp_path: Path, talk: Job) -> None:
    first = plan(talk, FORMATS, None, "renew", {})
    assert first is not None
    promised = dict.fromkeys(str(path) for path in first.values())
    other = job_for(tmp_path / "talk.wav")
    expected = ["talk (2).srt", "talk (2).txt", "talk (2).json"]
    assert names(plan(other, FORMATS, None, "renew", {}, promised)) == expected
    for path in first.values():
        write(path, [b"of talk.mp3"])
    assert names(plan(other, FORMATS, None, "renew", {})) == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("template", ["{stem}", "{date} {stem}", "{folder}-{stem}.{language}"])
def test_two_recordings_share_no_file_under_any_policy_or_template_while_both_are_there(
    tmp_path: Path, talk: Job, policy: IfExists, template: str
) -> None:
    Path(talk.path).write_bytes(b"mp3")
    first = plan(talk, FORMATS, None, policy, {}, {}, template)
    assert first is not None
    for name, path in first.items():
        write(path, [f"{name} of talk.mp3".encode()])
    theirs = {str(path): talk.path for path in first.values()}
    wav = job_for(tmp_path / "talk.wav")
    second = plan(wav, FORMATS, None, policy, {}, theirs, template)
    assert second is not None and not set(second.values()) & set(first.values())
    assert all(" (2)." in path.name for path in second.values())
    # The mp3 was only an older form of the wav, and its owner took it away.
    Path(talk.path).unlink()
    assert (plan(wav, FORMATS, None, "overwrite", {}, theirs, template)) == first


@pytest.mark.parametrize("policy", POLICIES)
def test_a_recording_is_never_overwritten_by_its_own_transcript(tmp_path: Path, policy: IfExists) -> None:
    recording = tmp_path / "talk.txt"
    recording.write_bytes(b"in truth a recording")
    planned = plan(job_for(recording), FORMATS, None, policy, {})
    assert planned is not None
    assert recording not in planned.values()


def test_a_job_that_already_chose_its_names_keeps_them(tmp_path: Path, talk: Job) -> None:
    reserved: dict[Format, WrittenFile] = {
        "srt": WrittenFile(path=str(tmp_path / "talk.2024 (3).srt"), sha256=None),
        "json": WrittenFile(path=str(tmp_path / "talk.2024 (3).json"), sha256="aa"),
    }
    known = {reserved["srt"].path: write(tmp_path / "talk.2024 (3).srt", [b"written just before the crash"])}
    resumed = replace(talk, outputs=reserved)
    expected = ["talk.2024 (3).srt", "talk.2024 (3).txt", "talk.2024 (3).json"]
    for policy in POLICIES:
        assert names(plan(resumed, FORMATS, None, policy, known)) == expected
    (tmp_path / "talk.2024 (3).txt").write_text("by hand")
    assert names(plan(resumed, FORMATS, None, "skip", known)) == ["talk.2024 (3).srt", "talk.2024 (3).json"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("renew", ["talk (2).srt", "talk (2).txt", "talk (2).json"]),
        ("suffix", ["talk (2).srt", "talk (2).txt", "talk (2).json"]),
        ("skip", ["talk.txt", "talk.json"]),
        ("overwrite", ["talk.srt", "talk.txt", "talk.json"]),
    ],
)
@pytest.mark.parametrize("edited", [False, True])
def test_a_name_that_was_only_chosen_is_not_taken_from_a_file_that_came_meanwhile(
    tmp_path: Path, talk: Job, policy: IfExists, expected: list[str], edited: bool
) -> None:
    chosen = {f: WrittenFile(str(tmp_path / f"talk.{f}"), None, "aa") for f in FORMATS}
    srt = tmp_path / "talk.srt"
    known = {str(srt): write(srt, [b"of an earlier job"])} if edited else {}
    srt.write_text("by hand")
    assert names(plan(replace(talk, outputs=chosen), FORMATS, None, policy, known)) == expected


def test_a_recording_is_no_result_where_the_disk_takes_two_names_for_one(tmp_path: Path) -> None:
    recording = tmp_path / "talk.SRT"
    recording.write_bytes(b"in truth a recording")
    os.link(recording, tmp_path / "talk.srt")  # as a disk says it that does not tell them apart
    planned = plan(replace(job_for(recording), identity=look_at(recording)), ("srt",), None, "overwrite", {})
    assert names(planned) == ["talk (2).srt"]


@pytest.mark.parametrize("stem", ["a" * 251, "ü" * 125, "🎙" * 62, "x" * 249])
@pytest.mark.parametrize("taken", [0, 3])
def test_the_longest_names_still_fit_and_stay_different(tmp_path: Path, stem: str, taken: int) -> None:
    chosen = set()
    for recording in (tmp_path / f"{stem}.mp3", tmp_path / f"{stem}.wav"):
        for _ in range(taken + 1):
            planned = plan(job_for(recording), FORMATS, None, "suffix", {})
            assert planned is not None
            for path in planned.values():
                assert len(path.name.encode()) <= 255
                write(path, [b"text"])
                chosen.add(path)
    assert len(chosen) == 2 * (taken + 1) * len(FORMATS)


@pytest.mark.parametrize(
    ("recording", "expected"), [("a\nb\x1b.mp3", "a_b_.srt"), ("-rf.mp3", "-rf.srt"), (".hidden", ".hidden.srt")]
)
def test_control_characters_do_not_reach_our_names(tmp_path: Path, recording: str, expected: str) -> None:
    assert names(plan(job_for(tmp_path / recording), ("srt",), None, "renew", {})) == [expected]


def test_a_chosen_folder_is_made_but_not_its_parents(tmp_path: Path, talk: Job) -> None:
    assert plan(talk, ("srt",), tmp_path / "out", "renew", {}) == {"srt": tmp_path / "out" / "talk.srt"}
    assert (tmp_path / "out").is_dir()
    with pytest.raises(OutputRefused) as refused:
        plan(talk, ("srt",), tmp_path / "unplugged disk" / "out", "renew", {})
    assert refused.value.code == "folder_missing"
    assert str(tmp_path / "unplugged disk") in refused.value.message


def test_a_file_where_the_folder_should_be_is_named_as_such(tmp_path: Path, talk: Job) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputRefused) as refused:
        plan(talk, ("srt",), tmp_path / "out", "renew", {})
    assert (refused.value.code, refused.value.message) == ("not_a_folder", f"{tmp_path / 'out'} is not a folder")


@pytest.mark.parametrize("policy", POLICIES)
def test_one_file_by_two_spellings_of_its_name_is_not_shared_by_two_recordings(
    tmp_path: Path, policy: IfExists
) -> None:
    """A hard link stands for a disk that takes both spellings for one name."""
    theirs, mine = tmp_path / "U\u0308bung.srt", tmp_path / "\u00fcbung.srt"
    for recording in (tmp_path / "U\u0308bung.mp3", tmp_path / "\u00fcbung.wav"):
        recording.touch()
    theirs.write_text("theirs")
    with suppress(FileExistsError):  # this is such a disk
        mine.hardlink_to(theirs)
    others = {str(theirs): str(tmp_path / "U\u0308bung.mp3")}
    planned = plan(job_for(tmp_path / "\u00fcbung.wav"), ["srt"], None, policy, {}, others)
    assert names(planned) == ["\u00fcbung (2).srt"]
    (tmp_path / "U\u0308bung.mp3").unlink()
    gone = plan(job_for(tmp_path / "\u00fcbung.wav"), ["srt"], None, "overwrite", {}, others)
    assert names(gone) == ["\u00fcbung.srt"], "its recording is gone"


@pytest.mark.parametrize(("ignores_case", "chosen"), [(True, "a (2).srt"), (False, "a.srt")])
def test_a_name_that_another_job_has_chosen_is_taken_as_the_disk_compares_names(
    ignores_case: bool, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_files.HeldFolder, "ignores_case", ignores_case)
    promised = {str(tmp_path / "A.srt"): None}
    assert names(plan(job_for(tmp_path / "a.wav"), ["srt"], None, "renew", {}, promised)) == [chosen]


def test_two_files_whose_names_differ_in_case_are_two_files(tmp_path: Path) -> None:
    theirs, mine = tmp_path / "A.srt", tmp_path / "a.srt"
    theirs.touch()
    mine.touch()
    planned = plan(job_for(tmp_path / "a.wav"), ["srt"], None, "overwrite", {}, {str(theirs): str(tmp_path)})
    assert names(planned) == ["a (2).srt" if mine.samefile(theirs) else "a.srt"]
