"""What a decoder that was taken over can do to its owner: nothing."""

import os
from pathlib import Path

import pytest
from hostile_decoder import ENDED, HELD, SECRET, VICTIM, WITHOUT, program_with
from recordings import tone, wav
from running_decoders import decoders, refusal_of, wish_for

from ipc.decoder_messages import Limits

SMALL = Limits(memory_bytes=256 * 1024**2, file_bytes=4_000_000, cpu_seconds=1)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    (tmp_path / VICTIM).write_text("precious")
    (tmp_path / SECRET).write_text("secret")
    return wav(tmp_path / "a.wav", tone(1))


def assert_untouched(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(["a.wav", SECRET, VICTIM])
    assert ((folder / VICTIM).read_text(), (folder / VICTIM).stat().st_mode & 0o777) == ("precious", 0o644)


def test_a_decoder_that_was_taken_over_can_do_nothing_but_compute(recording: Path) -> None:
    with decoders(program=program_with(*HELD)) as made:
        refused = refusal_of(made, wish_for(recording))
    assert refused.code == "held", refused.message
    assert len(refused.message.split("; ")) == len(HELD), "each was tried"
    assert_untouched(recording.parent)


LANDLOCK_HOLDS = (
    *("open_to_write", "make_a_file", "read_a_secret", "read_a_key", "list_a_folder", "remove", "rename", "link"),
    *("symlink", "make_a_folder", "make_a_fifo", "cut_it_short", "connect", "connect_to_a_nameless_socket"),
    *("execute", "kill_its_parent", "trace_its_parent", "open_a_device"),
)


@pytest.mark.parametrize(
    ("missing", "attacks"),
    [("allow_only_decoding", LANDLOCK_HOLDS), ("forbid_all_files", tuple(HELD)), ("_limit", tuple(HELD))],
)
def test_each_wall_stands_without_the_others(
    missing: str, attacks: tuple[str, ...], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with decoders(program=program_with(WITHOUT + missing, *attacks)) as made:
        refused = refusal_of(made, wish_for(recording))
    assert refused.code == "held", refused.message
    assert "this kernel has none" in capsys.readouterr().out, "it is said in the log that a wall is missing"
    assert_untouched(recording.parent)


@pytest.mark.parametrize("attack", sorted(ENDED))
def test_a_decoder_without_bounds_is_ended_and_the_worker_lives(attack: str, recording: Path) -> None:
    patience_seconds = 2.0 if attack == "tear_a_line" else 20.0
    with decoders(program=program_with(attack), limits=SMALL, patience_seconds=patience_seconds) as made:
        refused = refusal_of(made, wish_for(recording, disk_seconds=60))
    # A torn line is silence, and silence without work is a disk.
    expected = "disk_not_answering" if attack == "tear_a_line" else f"decoder_crashed:{ENDED[attack][1]}"
    assert refused.code == expected, refused.message
    assert_untouched(recording.parent)


def test_output_without_end_is_cut_off_at_the_longest_recording(recording: Path) -> None:
    with decoders(program=program_with("write_without_end"), limits=SMALL) as made:
        refused = refusal_of(made, wish_for(recording))
    assert refused.code == "reached", "the system refused to make the file larger"
    assert "File too large" in refused.message


def test_a_decoder_is_told_nothing_of_its_owners_environment(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.decoder.process import environment

    monkeypatch.setenv("HF_TOKEN", "secret")
    assert "secret" not in str(environment())
    assert not {"HOME", "PATH", "HF_TOKEN"} & set(environment())
    assert os.environ["HF_TOKEN"] == "secret"
