"""One decoder for each recording: what it is given, what it proves, and what its end costs the worker: nothing."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import psutil
import pytest
from dead_disk import CAN_DIE, dead_disk
from decoding_here import decode as decode_here
from eventually import eventually
from hostile_decoder import program_with
from no_leftovers import children, lives, open_descriptors
from recordings import MEMO, encoded, tone, voice, wav
from running_decoders import (
    QuietHeartbeat,
    at_work,
    decode,
    decoders,
    ready_pid,
    ready_processes,
    refusal_of,
    wish_for,
)

from workers.audio.container_decoder import DecodingOptions
from workers.decoder import supply as decoder_supply
from workers.decoder.decoders import Decoders
from workers.decoder.process import DecoderProcess, spawned
from workers.decoder.supply import ForkServer, StartMethod, way_of
from workers.decoder.verdict import DecoderDeath, DecoderDied
from workers.heartbeat import Cancelled

LENGTH_SECONDS = 1.0
WAYS = get_args(StartMethod)
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
    with decoders(keeps_ready=True) as made:
        for number, (name, codec) in enumerate(KINDS):
            folder = tmp_path / str(number)
            folder.mkdir()
            rate = 48_000 if codec != "pcm_u8" else 16_000
            recording = encoded(folder / name, tone(LENGTH_SECONDS, rate), codec, rate=rate)
            made.make_ready()
            decoded = decode(made, wish_for(recording))
            here, _ = decode_here(recording, folder / "here.s16", DecodingOptions(3600.0), lambda done_seconds: None)
            assert decoded.seconds == here, (name, codec)
            assert (folder / "audio.s16").read_bytes() == (folder / "here.s16").read_bytes(), (name, codec)
            assert decoded.recording is not None
            assert decoded.recording.sha256 == sha256(recording), (name, codec)
            assert decoded.recording.size_bytes == recording.stat().st_size


def test_pictures_that_are_skipped_count_for_the_hash_nevertheless(tmp_path: Path) -> None:
    recording = encoded(tmp_path / "a.mp4", tone(3), "aac", picture=True)
    with decoders() as made:
        decoded = decode(made, wish_for(recording))
    assert decoded.recording is not None
    assert decoded.recording.sha256 == sha256(recording)


def test_audio_that_is_there_is_used_as_it_is_even_if_the_recording_is_gone(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    wish = wish_for(recording)
    recording.unlink()
    (tmp_path / "audio.s16").write_bytes(bytes(32_000))
    with decoders() as made:
        decoded = decode(made, wish)
    assert (decoded.seconds, decoded.recording) == (1.0, None)


def test_a_spool_in_which_no_file_can_be_made_is_no_fault_of_the_recording(tmp_path: Path) -> None:
    wish = wish_for(wav(tmp_path / "a.wav", tone(1)))
    open_really = os.open

    def open_on_a_broken_disk(path: Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).suffix == ".part":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_really(path, flags, mode)

    with decoders() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", open_on_a_broken_disk)
        refused = refusal_of(made, wish)
    assert refused.code == "spool_failed" and "Input/output error" in str(refused)


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
        assert decode(made, unknown).seconds == 1.0


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
        assert decode(made, wish).seconds == 1.0


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
        (decoder,) = eventually(lambda: at_work(made))
        part = recording.with_name("audio.s16.part")
        eventually(lambda: part.exists() and part.stat().st_size > 1_000_000, 10)
        decoder.suspend()
        act(recording)
        decoder.resume()

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        decode(made, wish_for(recording))
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


# --- pauses ------------------------------------------------------------------------------------------------------


def test_a_decoder_works_on_while_another_recording_is_decoded(long_recording: Path, tmp_path: Path) -> None:
    short = wav(tmp_path / "short.wav", tone(1))
    with decoders(keeps_ready=True) as made:
        pulse: Any = made._heartbeat
        wish = wish_for(long_recording)
        work = made.decode(wish)
        pulse.is_pause_wanted = True
        assert next(work) == wish
        [process] = at_work(made)
        pulse.is_pause_wanted = False
        assert decode(made, wish_for(short, tmp_path / "short.s16")).seconds == 1.0

        def only_the_paused_one_is_left() -> bool:
            made.see_off()  # the other one may need a moment to exit
            return at_work(made) == [process]

        eventually(only_the_paused_one_is_left, 5)
        with pytest.raises(StopIteration) as over:
            work.send(wish)
    assert over.value.value.recording.sha256 == sha256(long_recording)


@pytest.mark.parametrize("ending", ["killed", "dropped", "hung"])
def test_whatever_ends_a_paused_decoder_leaves_nothing_behind(
    ending: str, long_recording: Path, tmp_path: Path
) -> None:
    with decoders(keeps_ready=True, patience_seconds=1.0) as made:
        pulse: Any = made._heartbeat
        wish = wish_for(long_recording, tmp_path / "long.s16")
        work = made.decode(wish)
        pulse.is_pause_wanted = True
        next(work)
        pulse.is_pause_wanted = False
        [process] = at_work(made)
        if ending == "dropped":
            work.close()
        else:
            process.send_signal(signal.SIGKILL if ending == "killed" else signal.SIGSTOP)
            time.sleep(1.5)  # longer than its patience: a pause is no hang
            if ending == "hung":
                process.send_signal(signal.SIGCONT)
            with pytest.raises(StopIteration) as over:
                work.send(wish)
            assert over.value.value.recording.sha256 == sha256(long_recording)
        eventually(lambda: not lives(process))
        assert not (tmp_path / "long.s16.part").exists()


# --- ends --------------------------------------------------------------------------------------------------------


def test_a_decoder_that_is_killed_once_costs_a_second_try_and_nothing_else(long_recording: Path) -> None:
    def kill() -> None:
        eventually(lambda: at_work(made))[0].kill()

    with decoders() as made:
        thread = threading.Thread(target=kill)
        thread.start()
        decoded = decode(made, wish_for(long_recording))
        thread.join()
    assert decoded.recording is not None
    assert decoded.recording.sha256 == sha256(long_recording)


def test_a_recording_that_kills_its_decoders_is_refused_with_the_place_of_the_crash(tmp_path: Path) -> None:
    with decoders(program=program_with("crash")) as made:
        refused = refusal_of(made, wish_for(wav(tmp_path / "a.wav", tone(1))))
    assert refused.code == "decoder_crashed:SIGSEGV"
    assert "crashed 2 times" in refused.message and "hostile_decoder.py" in refused.message
    with decoders() as made:
        assert decode(made, wish_for(tmp_path / "a.wav")).seconds == 1.0, "the next one is well"


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
        assert decode(made, wish_for(other, tmp_path / "other.s16")).seconds == 1.0
        disk.kill()
        eventually(lambda: not (made.see_off() or made._hung), 5, "it is let go with the disk")


def test_a_cancel_ends_a_decoder_that_says_nothing(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(1))
    with decoders(program=program_with("stand_still")) as made:
        heartbeat = made._heartbeat
        assert isinstance(heartbeat, QuietHeartbeat)
        threading.Timer(1.0, lambda: setattr(heartbeat, "cancelled", True)).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            decode(made, wish_for(recording, disk_seconds=60))
        assert time.monotonic() - began < 30, "long before the disk's own deadline"
    assert not list(tmp_path.glob("audio.s16*"))


@pytest.mark.parametrize("way", WAYS)
def test_many_recordings_leave_no_descriptor_no_zombie_and_no_file(way: StartMethod, tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders(keeps_ready=True, way=way) as made:
        decode(made, wish_for(recording))
        made.make_ready()
        ready_processes(made)
        before = open_descriptors()
        count = 10 if way == "fork" else 3
        for number in range(count):
            pcm = tmp_path / "spool" / str(number)
            pcm.parent.mkdir(exist_ok=True)
            decode(made, wish_for(recording, pcm))
            made.make_ready()
            ready_processes(made)
        assert open_descriptors() == before
    assert len(list((tmp_path / "spool").iterdir())) == 2 * count, "each has its PCM, and the facts beside it"


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_decodes_now_and_then_keeps_nothing_between_two_recordings(
    way: StartMethod, tmp_path: Path
) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders(way=way) as made:
        for number in range(2):
            made.make_ready()
            assert not children()
            decode(made, wish_for(recording, tmp_path / f"{number}.s16"))


@pytest.mark.parametrize("way", WAYS)
def test_one_decoder_is_ready_and_one_that_died_is_replaced(way: StartMethod, tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders(keeps_ready=True, way=way) as made:
        made.make_ready()
        first = ready_processes(made)
        made.make_ready()
        assert ready_processes(made) == first, "one is enough"
        decode(made, wish_for(recording, tmp_path / "one.s16"))
        made.make_ready()
        second = ready_processes(made)
        assert first[-1] not in second, "a decoder is used once"
        for process in second:
            process.kill()
        decode(made, wish_for(recording, tmp_path / "two.s16"))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_ready_is_gone_two_seconds_after_its_worker(way: StartMethod, tmp_path: Path) -> None:
    """Killed or left: neither lets anything run on the worker's side."""
    with a_small_worker(tmp_path, f"Decoders(QuietHeartbeat(20.0), keeps_ready=True, way={way!r})", "") as worker:
        assert int(worker.stdout.readline())
        process, count = psutil.Process(worker.pid), 2 if way == "fork" else 1
        eventually(lambda: len(process.children(recursive=True)) == len(process.children()) == count)
        ready = process.children()
        worker.send_signal(signal.SIGKILL)
        eventually(lambda: not any(map(lives, ready)), 2.0)


# --- the fork server ---------------------------------------------------------------------------------------------


def test_only_linux_forks_its_decoders() -> None:
    assert way_of("linux", has_pidfd=True) == "fork"
    assert way_of("linux", has_pidfd=False) == way_of("darwin", has_pidfd=False) == "spawn"


def test_every_recording_has_a_process_of_its_own_and_the_server_is_none_of_them(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    seen: list[int] = []
    with decoders(keeps_ready=True, way="fork") as made:
        taken = made._take
        made._take = lambda: (seen.append((process := taken()).pid), process)[1]  # type: ignore[method-assign]
        for number in range(3):
            decode(made, wish_for(recording, tmp_path / f"{number}.s16"))
        assert len({*seen, ready_pid(made)}) == 4


def test_the_server_that_copies_are_made_of_has_one_thread(tmp_path: Path) -> None:
    with decoders(keeps_ready=True, way="fork") as made:
        made.make_ready()
        decode(made, wish_for(wav(tmp_path / "a.wav", tone(0.1))))
        server = psutil.Process(ready_pid(made))
        assert server.num_threads() == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a process that shut itself in")
def test_a_copy_holds_the_recording_its_pcm_and_a_line_and_nothing_of_the_servers(long_recording: Path) -> None:
    held: list[str] = []

    def look(_: Path) -> None:
        (decoder,) = at_work(made)
        held.extend(str(one.readlink()) for one in Path(f"/proc/{decoder.pid}/fd").iterdir())

    with decoders(keeps_ready=True, way="fork") as made:
        while_it_reads(made, long_recording, look)
    assert held.count(os.devnull) == 2, "what it would read from a terminal, and say to one"
    assert sorted(one.partition(":")[0] for one in held if one != os.devnull) == sorted(
        [str(long_recording), str(long_recording.with_name("audio.s16.part")), "pipe", "socket"]
    )


def test_a_server_that_is_killed_while_its_copy_decodes_costs_that_recording_nothing(long_recording: Path) -> None:
    with decoders(keeps_ready=True, way="fork") as made:

        def kill_the_server(_: Path) -> None:
            os.kill(ready_pid(made) or 0, signal.SIGKILL)

        while_it_reads(made, long_recording, kill_the_server)
        decode(made, wish_for(long_recording, long_recording.with_name("again.s16")))


def test_a_server_that_stands_still_is_replaced_and_a_cancel_is_heard_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders(keeps_ready=True, way="fork") as made:
        made.make_ready()
        server = ready_processes(made)[0]
        decode(made, wish_for(recording, tmp_path / "first.s16"))
        server.suspend()
        threading.Timer(0.5, lambda: setattr(made._heartbeat, "cancelled", True)).start()
        with pytest.raises(Cancelled):
            decode(made, wish_for(recording))
        assert not lives(server), "its answer would come to the next recording"
        made._heartbeat.cancelled = False
        made.make_ready()
        server = ready_processes(made)[0]
        decode(made, wish_for(recording, tmp_path / "second.s16"))
        server.suspend()
        monkeypatch.setattr(decoder_supply, "BOOT_SECONDS", 1.0)
        monkeypatch.setattr(decoder_supply, "spawned", patient_again(monkeypatch))
        assert decode(made, wish_for(recording)).seconds == 0.1


def patient_again(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], DecoderProcess]:
    """Starts a server that has all the time that it needs."""

    def start(program: Sequence[str]) -> DecoderProcess:
        monkeypatch.setattr(decoder_supply, "BOOT_SECONDS", 20.0)
        return spawned(program)

    return start


def test_after_a_crash_the_next_decoder_is_a_copy_of_another_server(tmp_path: Path) -> None:
    """Copies have the same addresses in memory: one that crashes must teach nothing about the next."""
    recording = wav(tmp_path / "a.wav", tone(1))
    with decoders(program=program_with("crash"), keeps_ready=True, way="fork") as made:
        made.make_ready()
        server = ready_processes(made)[0]
        refusal_of(made, wish_for(recording))
        assert not lives(server)


def test_a_decoder_whose_server_was_lost_before_it_told_of_it_leaves_no_zombie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    with decoders(keeps_ready=True, way="fork") as made:
        made.make_ready()
        supply = made._supply
        assert isinstance(supply, ForkServer)
        told = supply._told
        strays: list[int] = []

        def lost(*words: Any) -> int:
            strays.append(told(*words))
            monkeypatch.undo()
            raise DecoderDied(DecoderDeath("exit", "killed"), had_begun=False)

        monkeypatch.setattr(supply, "_told", lost)
        decode(made, wish_for(recording))
        # It ends when its line is closed, which may be before or after the worker looks for it.
        eventually(lambda: not any(lives(one) for one in psutil.Process().children() if one.pid == strays[0]))
        made.make_ready()
        assert not psutil.pid_exists(strays[0])
        ready_processes(made)


def test_a_decoder_at_work_is_gone_two_seconds_after_its_worker(long_recording: Path, tmp_path: Path) -> None:
    """Its parent when it was made was the server; it is the worker that must not be outlived."""
    work = "decode(made, wish_for(Path(sys.argv[1]), Path(sys.argv[2])))"
    made = "Decoders(QuietHeartbeat(20.0), keeps_ready=True, way='fork')"
    pcm = tmp_path / "other.s16"
    with a_small_worker(tmp_path, made, work, str(long_recording), str(pcm)) as worker:
        part = pcm.with_name("other.s16.part")
        eventually(lambda: part.exists() and part.stat().st_size > 1_000_000, 10)
        below = psutil.Process(worker.pid).children()
        assert len(below) == 2
        for process in below:
            process.suspend()
        worker.send_signal(signal.SIGKILL)
        eventually(lambda: not any(map(lives, below)), 2.0)


@contextmanager
def a_small_worker(folder: Path, made: str, work: str, *words: str) -> Iterator[Any]:
    """A process that prints the pid of what it has ready and then works."""
    script = folder / "small_worker.py"
    script.write_text(
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from running_decoders import QuietHeartbeat, decode, ready_pid, wish_for\n"
        "from workers.decoder.decoders import Decoders\n"
        f"made = {made}\n"
        "made.make_ready()\n"
        "print(ready_pid(made), flush=True)\n"
        f"{work}\n"
        "time.sleep(60)\n"
    )
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, script, *words], stdout=subprocess.PIPE, env=environment) as worker:
        try:
            yield worker
        finally:
            worker.kill()
