"""One decoder for each recording: what it is given, what it proves, and what its end costs the worker: nothing."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from dead_disk import CAN_DIE, dead_disk
from decoders_at_work import QuietPulse, decoders, refusal_of, wish_for
from eventually import eventually
from hostile_decoder import program_with
from no_leftovers import children, lives, open_descriptors
from recordings import MEMO, encoded, tone, voice, wav

from workers.container_decoder import DecodingWish
from workers.decoder import Decoders
from workers.media import decode as decode_here
from workers.pulse import Cancelled

LENGTH_SECONDS = 1.0
KINDS = [
    *(("a.m4a", "aac"), ("a.m4a", "alac"), ("a.mp3", "libmp3lame"), ("a.ogg", "libopus")),
    *(("a.webm", "libopus"), ("a.mka", "flac"), ("a.flac", "flac"), ("a.aac", "aac"), ("a.ac3", "ac3")),
    *(("a.eac3", "eac3"), ("a.avi", "mp2"), ("a.ts", "mp2"), ("a.ts", "aac"), ("a.mov", "pcm_s16le")),
    *(("a.aiff", "pcm_s16be"), ("a.w64", "pcm_s24le"), ("a.au", "pcm_mulaw"), ("a.wv", "wavpack"), ("a.flv", "aac")),
    *(("a.caf", "pcm_s16le"), ("a.tta", "tta"), ("a.mp4", "aac"), ("a.3gp", "aac")),
    *(("a.voc", "pcm_u8"), ("a.wav", "pcm_f32le"), ("a.mkv", "libopus"), ("a.mpg", "mp2")),
]  # fmt: skip


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_container_is_decoded_behind_walls_as_without_them(tmp_path: Path) -> None:
    with decoders(keeps_spare=True) as made:
        for number, (name, codec) in enumerate(KINDS):
            folder = tmp_path / str(number)
            folder.mkdir()
            rate = 48_000 if codec != "pcm_u8" else 16_000
            recording = encoded(folder / name, tone(LENGTH_SECONDS, rate), codec, rate=rate)
            made.make_ready()
            decoded = made.decode(wish_for(recording))
            here, _ = decode_here(recording, folder / "here.s16", DecodingWish(3600.0), lambda done_seconds: None)
            assert decoded.seconds == here, (name, codec)
            assert (folder / "audio.s16").read_bytes() == (folder / "here.s16").read_bytes(), (name, codec)
            assert decoded.recording is not None
            assert decoded.recording.sha256 == sha256(recording), (name, codec)
            assert decoded.recording.size_bytes == recording.stat().st_size


def test_pictures_that_are_skipped_count_for_the_hash_nevertheless(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "a.mp4", tone(3), "aac", picture=True)
    with decoders() as made:
        decoded = made.decode(wish_for(recording))
    assert decoded.recording is not None
    assert decoded.recording.sha256 == sha256(recording)


def test_audio_that_is_there_is_used_as_it_is_even_if_the_recording_is_gone(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    wish = wish_for(recording)
    recording.unlink()
    (tmp_path / "audio.s16").write_bytes(bytes(32_000))
    with decoders() as made:
        decoded = made.decode(wish)
    assert (decoded.seconds, decoded.recording) == (1.0, None)


# --- the file that was checked -----------------------------------------------------------------------------------


def rename_over(recording: Path) -> None:
    other = wav(recording.with_name("other.wav"), tone(1, hertz=880))
    os.utime(other, ns=(recording.stat().st_atime_ns, recording.stat().st_mtime_ns))
    other.replace(recording)


def rewrite_in_place(recording: Path) -> None:
    recording.write_bytes(wav(recording.with_name("other.wav"), tone(2, hertz=880)).read_bytes())


def append(recording: Path) -> None:
    with recording.open("ab") as file:
        file.write(bytes(1000))


def touch(recording: Path) -> None:
    os.utime(recording, (1, 1))


def copy_over(recording: Path) -> None:
    """The same name, size and time, and another inode."""
    copy = shutil.copy2(recording, recording.with_name("copy.wav"))
    Path(copy).replace(recording)


@pytest.mark.parametrize("exchange", [rename_over, rewrite_in_place, append, touch, copy_over])
def test_a_recording_exchanged_after_the_check_is_not_decoded(
    exchange: Callable[[Path], None], tmp_path: Path
) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    wish = wish_for(recording)
    exchange(recording)
    with decoders() as made:
        assert refusal_of(made, wish).code == "changed_while_read"


def test_a_file_without_a_known_inode_is_known_by_size_and_time(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    wish = wish_for(recording)
    assert wish.expected is not None
    with decoders() as made:
        unknown = wish.model_copy(update={"expected": wish.expected.model_copy(update={"inode": 0, "device": 9})})
        assert made.decode(unknown).seconds == 1.0


def test_a_folder_above_the_recording_that_became_a_link_is_noticed(tmp_path: Path) -> None:
    """Handed over by its path, so that links are followed: the file behind it is another."""
    folder, other = tmp_path / "shared", tmp_path / "private"
    folder.mkdir()
    other.mkdir()
    recording = wav(folder / "a.wav", tone(1))
    wish = wish_for(recording, tmp_path / "audio.s16")
    shutil.copy2(recording, other / "a.wav")
    folder.rename(tmp_path / "away")
    folder.symlink_to(other)
    with decoders() as made:
        assert refusal_of(made, wish).code == "changed_while_read"


@pytest.mark.parametrize("step", ["inner", "inner/deeper", "inner/deeper/a.wav"])
def test_no_link_is_followed_below_a_watched_folder(step: str, tmp_path: Path) -> None:
    watched, private = tmp_path / "watched", tmp_path / "private"
    (watched / "inner" / "deeper").mkdir(parents=True)
    shutil.copytree(watched, private)
    recording = watched / "inner" / "deeper" / "a.wav"
    wav(private / "inner" / "deeper" / "a.wav", tone(1))
    link = watched / step
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(private / step)
    # The very file that is expected, so that the way there alone is at fault.
    wish = wish_for(recording, tmp_path / "audio.s16", beneath=watched)
    with decoders() as made:
        assert refusal_of(made, wish).code == "is_a_symlink"


def test_a_watched_folder_may_itself_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "watched").symlink_to(tmp_path / "real")
    wav(tmp_path / "real" / "inner" / "a.wav", tone(1))
    wish = wish_for(tmp_path / "watched/inner/a.wav", tmp_path / "audio.s16", beneath=tmp_path / "watched")
    with decoders() as made:
        assert made.decode(wish).seconds == 1.0


# --- changed while it is read ------------------------------------------------------------------------------------


def hurt(recording: Path) -> None:
    """Bytes that were read already, in place, with the old time put back: what comes is the new recording."""
    before = recording.stat()
    with recording.open("r+b") as file:
        file.seek(100_000)
        file.write(b"\x55" * 4096)
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))


def hurt_its_end(recording: Path) -> None:
    """Bytes that were looked at to find the end of the sound."""
    before = recording.stat()
    with recording.open("r+b") as file:
        file.seek(before.st_size - 200)
        file.write(b"\x55" * 100)
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))


def while_it_reads(made: Decoders, recording: Path, act: Callable[[Path], None]) -> None:
    """The decoder is stopped at the first sign that it reads; then `act`, and it goes on."""

    def strike() -> None:
        (decoder,) = eventually(children)
        part = recording.with_name("audio.s16.part")
        eventually(lambda: part.exists() and part.stat().st_size > 1_000_000, 10)
        decoder.suspend()
        act(recording)
        decoder.resume()

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        made.decode(wish_for(recording))
    finally:
        thread.join()


@pytest.fixture
def long_recording(tmp_path: Path) -> Path:
    return wav(tmp_path / "long.wav", np.tile(voice(MEMO), 150))


@pytest.mark.parametrize("change", [hurt, hurt_its_end])
def test_a_change_behind_the_clocks_back_is_seen_in_what_was_read(
    change: Callable[[Path], None], long_recording: Path
) -> None:
    from workers.engine import EngineRefusal

    with decoders() as made, pytest.raises(EngineRefusal) as caught:
        while_it_reads(made, long_recording, change)
    assert caught.value.code == "changed_while_read"


def test_a_recording_that_is_renamed_while_it_is_read_is_decoded_to_its_end(long_recording: Path) -> None:
    with decoders() as made:
        while_it_reads(made, long_recording, lambda path: path.rename(path.with_name("renamed.wav")))
    assert (long_recording.parent / "audio.s16").stat().st_size == len(voice(MEMO)) * 150 * 2


# --- ends --------------------------------------------------------------------------------------------------------


def test_a_decoder_that_is_killed_once_costs_a_second_try_and_nothing_else(long_recording: Path) -> None:
    def kill() -> None:
        eventually(children)[0].kill()

    with decoders() as made:
        thread = threading.Thread(target=kill)
        thread.start()
        decoded = made.decode(wish_for(long_recording))
        thread.join()
    assert decoded.recording is not None
    assert decoded.recording.sha256 == sha256(long_recording)


def test_a_recording_that_kills_its_decoders_is_refused_with_the_place_of_the_crash(tmp_path: Path) -> None:
    with decoders(program=program_with("crash")) as made:
        refused = refusal_of(made, wish_for(wav(tmp_path / "a.wav", tone(1))))
    assert refused.code == "decoder_crashed:SIGSEGV"
    assert "died 2 times" in refused.message and "hostile_decoder.py" in refused.message
    with decoders() as made:
        assert made.decode(wish_for(tmp_path / "a.wav")).seconds == 1.0, "the next one is well"


def test_a_decoder_that_cannot_be_started_says_nothing_about_the_recording(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    for program in ((sys.executable, "-c", "import no_such_library"), (str(tmp_path / "no-such-python"),)):
        with decoders(program=program) as made:
            assert refusal_of(made, wish_for(recording)).code == "no_decoder"


def test_a_decoder_that_stands_still_without_work_is_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    with decoders(program=program_with("stand_still")) as made:
        assert refusal_of(made, wish_for(recording, disk_seconds=1.0)).code == "disk_not_answering"


@pytest.mark.skipif(not CAN_DIE, reason="needs FUSE and root")
def test_a_decoder_that_the_kernel_holds_is_written_off_and_another_disk_is_decoded_from(
    long_recording: Path, tmp_path: Path
) -> None:
    other = wav(tmp_path / "other.wav", tone(1))
    with dead_disk(tmp_path / "disk", long_recording) as disk, decoders(patience_seconds=30.0) as made:
        wish = wish_for(tmp_path / "disk" / "1.wav", tmp_path / "audio.s16", disk_seconds=1.0)

        def die() -> None:
            part = tmp_path / "audio.s16.part"
            eventually(lambda: part.exists() and part.stat().st_size > 1_000_000, 10)
            disk.send_signal(signal.SIGUSR1)

        thread = threading.Thread(target=die)
        thread.start()
        assert refusal_of(made, wish).code == "disk_not_answering"
        thread.join()
        (hung,) = made._hung
        again = wish.model_copy(update={"path": str(tmp_path / "disk" / "2.wav")})
        assert refusal_of(made, again).code == "disk_not_answering"
        assert made._hung == [hung], "not one more that cannot be killed"
        assert made.decode(wish_for(other, tmp_path / "other.s16")).seconds == 1.0
        disk.kill()
        eventually(lambda: not (made.see_off() or made._hung), 5, "it is let go with the disk")


def test_a_cancel_ends_a_decoder_that_says_nothing(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    with decoders(program=program_with("stand_still")) as made:
        pulse = made._pulse
        assert isinstance(pulse, QuietPulse)
        threading.Timer(1.0, lambda: setattr(pulse, "cancelled", True)).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            made.decode(wish_for(recording, disk_seconds=60))
        assert time.monotonic() - began < 30, "long before the disk's own deadline"
    assert not list(tmp_path.glob("audio.s16*"))


def test_many_recordings_leave_no_descriptor_no_zombie_and_no_file(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders() as made:
        made.decode(wish_for(recording))
        made.see_off()
        before = open_descriptors()
        for number in range(10):
            pcm = tmp_path / "spool" / str(number)
            pcm.parent.mkdir(exist_ok=True)
            made.decode(wish_for(recording, pcm))
            made.see_off()
            assert not children()
        assert open_descriptors() == before
    assert len(list((tmp_path / "spool").iterdir())) == 20, "each has its PCM, and the facts beside it"


def test_a_spare_is_used_once_and_one_that_died_is_replaced(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders(keeps_spare=True) as made:
        made.make_ready()
        (spare,) = children()
        made.make_ready()
        assert children() == [spare], "one is enough"
        made.decode(wish_for(recording, tmp_path / "one.s16"))
        made.make_ready()
        eventually(lambda: not lives(spare))
        (second,) = children()
        second.kill()
        made.decode(wish_for(recording, tmp_path / "two.s16"))


def test_a_spare_is_gone_two_seconds_after_its_worker(tmp_path: Path) -> None:
    """Killed or left: neither lets anything run on the worker's side."""
    script = tmp_path / "small_worker.py"
    script.write_text(
        "import os, sys, time\n"
        "from decoders_at_work import QuietPulse\n"
        "from workers.decoder import Decoders\n"
        "made = Decoders(QuietPulse(20.0), keeps_spare=True)\n"
        "made.make_ready()\n"
        "print(made._spare.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    ) as worker:
        assert worker.stdout is not None
        spare = psutil.Process(int(worker.stdout.readline()))
        worker.send_signal(signal.SIGKILL)
        eventually(lambda: not lives(spare), 2.0)
