"""The proof's own arithmetic: an oracle that would notice, a ledger that survives, chances that are not flattered."""

import random
from pathlib import Path

import pytest
from chaos.__main__ import ALONE, LANES
from chaos.daemon.ledger import Ledger
from chaos.daemon.oracle import complaint, complaint_about_files, make
from chaos.disks.disk_story import Call, Disk, after_the_cut, apply, read_calls
from chaos.outcomes import Outcome, known_outcomes, remember
from chaos.results_page import results_page
from chaos.rows import ROWS
from chaos.tally import Tally, slope_of
from chaos.trial import Trial


def spoken(texts: tuple[str, ...]) -> dict[str, object]:
    """A right transcript of these."""
    words = [[{"word": word} for word in text.split()] for text in texts]
    return {"segments": [{"id": n, "text": text, "words": words[n]} for n, text in enumerate(texts)]}


def test_the_same_number_makes_the_same_recording_and_another_one_another(tmp_path: Path) -> None:
    first, again, other = make(tmp_path / "a", 7), make(tmp_path / "b", 7), make(tmp_path / "c", 8)
    assert first.texts == again.texts
    assert first.path.read_bytes() == again.path.read_bytes()
    assert not set(first.texts) & set(other.texts)


@pytest.mark.parametrize("harm", ["a word", "a segment", "the order", "an id", "a time"])
def test_the_oracle_notices_what_is_missing(tmp_path: Path, harm: str) -> None:
    made = make(tmp_path / "a", 7)
    right = spoken(made.texts)
    assert complaint(made, right, words=True) is None
    segments = right["segments"]
    assert isinstance(segments, list)
    match harm:
        case "a word":
            segments[1]["text"] = segments[1]["text"].rsplit(" ", 1)[0]
        case "a segment":
            del segments[2]
        case "the order":
            segments.reverse()
        case "an id":
            segments[1]["id"] = 5
        case _:
            segments[0]["words"].pop()
    assert complaint(made, right, words=True) is not None


def test_a_job_is_not_done_without_its_files(tmp_path: Path) -> None:
    made = make(tmp_path / "a", 7)
    half = tmp_path / "half.json"
    half.write_text('{"segments": [')
    assert complaint_about_files(made, {"outputs": {}}) is not None
    assert complaint_about_files(made, {"outputs": {"json": str(tmp_path / "gone.json")}}) is not None
    assert complaint_about_files(made, {"outputs": {"json": str(half)}}) is not None


def test_the_ledger_is_read_again_from_its_file(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger").acknowledge(3, Path("/a b\tc.wav"))
    assert Ledger(tmp_path / "ledger").acknowledged == {3: Path("/a b\tc.wav")}


def test_zero_failures_in_a_thousand_trials_leave_three_in_a_thousand() -> None:
    assert Tally(trials=1000).upper_bound == pytest.approx(0.003)
    assert Tally(trials=0).upper_bound == 1.0


def test_one_lost_job_is_enough_to_miss() -> None:
    assert Tally(trials=5).holds
    assert not Tally(trials=5, lost=1).holds
    assert not Tally(trials=5, duplicated=1).holds
    assert not Tally(trials=5, changed=1).holds
    assert not Tally(trials=5, wrong=["x"]).holds


def an_outcome(number: int, tally: Tally, share: float = 1.0) -> Outcome:
    return Outcome(number, "Good" if tally.holds else "Bad", "nothing", tally, 1.0, 7, share, "2026-01-01 00:00")


def test_a_page_of_a_look_says_so_and_a_miss_stands_out() -> None:
    good, bad = Tally(trials=300), Tally(trials=300, lost=1, wrong=["job 4 is gone"])
    page = results_page([an_outcome(1, good, 0.05), an_outcome(2, bad, 0.05)], 24)
    assert "Only a look" in page
    assert "1 of 24 rows held" in page
    assert "SEED=7" in page
    assert "| 1 | Good | 300 | 0 | 0 | 0 | 0 | 1.00% |" in page
    assert "**missed**" in page
    assert "- job 4 is gone" in page
    assert "Only a look" not in results_page([an_outcome(1, good)], 24)


def test_a_row_that_is_run_again_replaces_its_own_line_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.json"
    second = an_outcome(2, Tally(trials=1, recoveries_seconds=[0.5], figures={"a": "b"}))
    assert remember(second, file) == [second]
    missed, held = an_outcome(1, Tally(trials=1, lost=1)), an_outcome(1, Tally(trials=1))
    assert remember(missed, file) == [missed, second]
    assert remember(held, file) == [held, second]
    assert known_outcomes(file) == [held, second]


def test_every_row_has_its_lane() -> None:
    assert sorted(row for lane in (ALONE, *LANES) for row in lane) == sorted(ROWS)


def test_luck_is_the_same_for_the_same_seed_whatever_else_draws(tmp_path: Path) -> None:
    trial = Trial(7, 1.0, tmp_path, print)
    trial.luck("a").random()
    assert trial.luck("b").random() == Trial(7, 1.0, tmp_path, print).luck("b").random()
    assert trial.luck("b").random() != trial.luck("c").random()


def test_the_slope_of_a_straight_line_is_its_slope() -> None:
    assert slope_of([(0, 5), (1, 7), (2, 9)]) == pytest.approx(2)
    assert slope_of([(1, 5)]) == 0


def test_what_was_synced_under_a_synced_name_survives_every_power_cut() -> None:
    lines = [
        '1 openat(AT_FDCWD<"/x">, "\\x2f\\x64\\x2f\\x61", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3</d/a>',
        '1 write(3</d/a>, "\\x68\\x69", 2) = 2',
        "1 fsync(3</d/a>) = 0",
        '1 rename("\\x2f\\x64\\x2f\\x61", "\\x2f\\x64\\x2f\\x62") = 0',
        "1 fsync(4</d>) = 0",
    ]
    calls = list(read_calls(lines))
    assert [call.kind for call in calls] == ["create", "write", "sync", "rename", "sync"]
    disk = Disk()
    for call in calls:
        apply(disk, call)
    for seed in range(50):
        assert after_the_cut(disk, random.Random(seed)) == {"/d/b": b"hi"}


def test_a_name_within_an_open_folder_is_told_in_full() -> None:
    def told(text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    lines = [
        f'1 openat(5<{told("/d")}>, "{told(".a")}", O_WRONLY|O_CREAT|O_EXCL, 0600) = 7<{told("/d/.a")}>',
        f'1 renameat2(5<{told("/d")}>, "{told(".a")}", 6<{told("/e")}>, "{told("b")}", RENAME_NOREPLACE) = 0',
        f'1 unlinkat(6<{told("/e")}>, "{told("b")}", 0) = 0',
        f'1 openat(AT_FDCWD, "{told("/x/y")}", O_RDWR|O_CREAT, 0600) = 7<{told("/x/y")}>',
    ]
    assert [(call.kind, call.path, call.other) for call in read_calls(lines)] == [
        ("create", "/d/.a", ""),
        ("rename", "/d/.a", "/e/b"),
        ("unlink", "/e/b", ""),
        ("create", "/x/y", ""),
    ]


def test_what_was_not_synced_is_sometimes_there_and_sometimes_not() -> None:
    disk = Disk()
    for call in (Call("create", "/d/a"), Call("write", "/d/a", data=b"hi")):
        apply(disk, call)
    states = {str(after_the_cut(disk, random.Random(seed))) for seed in range(100)}
    assert states == {"{}", "{'/d/a': b''}", "{'/d/a': b'hi'}"}


def test_a_sync_does_not_cover_what_another_thread_wrote_after_it_began() -> None:
    lines = [
        '1 openat(AT_FDCWD<"/x">, "\\x2f\\x64\\x2f\\x61", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3</d/a>',
        "1 fsync(3</d/a> <unfinished ...>",
        '2 write(3</d/a>, "\\x68", 1) = 1',
        "1 <... fsync resumed>) = 0",
        "2 fsync(3</d/a>) = -1 EIO (Input/output error) (INJECTED)",
    ]
    calls = list(read_calls(lines))
    assert [(call.kind, call.thread) for call in calls] == [
        *(("create", "1"), ("begin", "1"), ("write", "2"), ("sync", "1")),
    ]
    disk = Disk()
    for call in calls:
        apply(disk, call)
    states = [after_the_cut(disk, random.Random(seed)) for seed in range(100)]
    assert all("/d/a" in state for state in states)
    assert {state["/d/a"] for state in states} == {b"", b"h"}
