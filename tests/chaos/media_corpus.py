"""Row 14: four hundred files that are not what they seem.

Runs in: the chaos run. The decoder and FFmpeg are real; the engines are stubs.
"""

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import recordings
from daemon_under_test import MEMO

from chaos.broken_daemon import broken_daemon
from chaos.tally import Tally
from chaos.trial import Trial

TITLE = "Odd files"
DEMAND = "400 files: each a typed result within 10 s, no worker lost, memory below the cap, no connection to anywhere"
TRUNCATIONS, FLIPS = 20, 120
LONGEST_SECONDS, GROWTH_BYTES = 10.0, 300_000_000
FORMATS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "mp3": "libmp3lame",
    "ogg": "libvorbis",
    "opus": "libopus",
    "m4a": "aac",
    "mp4": "aac",
}
PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation>'
    "<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n{target}\n",
}
TARGETS = ("http://127.0.0.1:9/x.ts", "file:///etc/passwd", "tcp://127.0.0.1:9")
ODD_NAMES = (
    *("new\nline.wav", "-rf.wav", "%s%n.wav", "e\u0301.wav", "é.wav"),
    *("a" * 251 + ".wav", " .wav", "'\"$(id)`.wav"),
)


def run(trial: Trial) -> Tally:
    """One after the other through one daemon, whose calls of `connect` strace writes down."""
    tally = Tally()
    luck = trial.luck()
    place = trial.folder / "media"
    place.mkdir()
    files = _corpus(place, luck)
    chosen = luck.sample(files, trial.number(len(files)))
    connections = trial.folder / "connections"
    traced = ["strace", "-D", "-f", "--seccomp-bpf", "-qqq", "-e", "trace=connect", "-o", str(connections)]
    if shutil.which("strace") is None:
        tally.wrong.append("there is no strace on this machine: apt install strace")
        traced = []
    with broken_daemon(trial.folder / "home", _command(traced)) as daemon:
        for role in ("transcriber", "aligner"):
            daemon.wait_for_worker(role, lambda worker: worker["state"] == "ready")
        before = {role: daemon.worker(role)["pid"] for role in ("transcriber", "aligner")}
        worker = psutil.Process(before["transcriber"])
        memory = most = worker.memory_info().rss
        for file in chosen:
            tally.trials += 1
            began = time.monotonic()
            answer = daemon.post("/v1/jobs", {"path": str(file)})
            if answer.is_success:
                job = daemon.finished(int(answer.json()["id"]), 60)
                typed = job["status"] == "done" or (job["error"] and job["error"]["code"] and job["error"]["hint"])
                tally.expect(typed, f"{file.name!r}: {job['status']}, {job['error']}")
                tally.expect((job["error"] or {}).get("code") != "internal_error", f"{file.name!r}: {job['error']}")
            else:
                tally.expect(answer.json().get("code"), f"{file.name!r}: refused with {answer.text[:200]}")
            seconds = time.monotonic() - began
            tally.recoveries_seconds.append(seconds)
            tally.expect(seconds < LONGEST_SECONDS, f"{file.name!r} took {seconds:.1f} s")
            if worker.is_running():
                most = max(most, worker.memory_info().rss)
        after = {role: daemon.worker(role)["pid"] for role in before}
        tally.expect(after == before, f"a file cost a worker: {before} became {after}")
    tally.faults = tally.trials
    tally.figures["the transcriber grew by"] = f"{(most - memory) / 1e6:.0f} MB"
    tally.expect(most - memory < GROWTH_BYTES, f"the transcriber grew by {(most - memory) / 1e6:.0f} MB")
    if traced:
        calls = connections.read_text().splitlines()
        outside = [line for line in calls if "AF_INET" in line]
        tally.expect(not outside, f"somebody connected: {outside[:3]}")
    return tally


def _command(traced: list[str]) -> list[str] | None:
    import sys

    return [*traced, sys.executable, "-P", "-m", "supervisor"] if traced else None


def _corpus(place: Path, luck: random.Random) -> list[Path]:
    files: list[Path] = []
    sound = recordings.tone(3.0)
    for suffix, codec in FORMATS.items():
        whole = recordings.encoded(place / f"whole.{suffix}", sound, codec)
        content = whole.read_bytes()
        files.append(whole)
        for number in range(TRUNCATIONS):
            files.append(_written(place / f"cut{number}.{suffix}", content[: luck.randrange(1, len(content))]))
        for number in range(FLIPS // len(FORMATS) + 1):
            flipped = bytearray(content)
            for _ in range(luck.choice((1, 8, 64))):
                flipped[luck.randrange(len(flipped))] ^= 1 << luck.randrange(8)
            files.append(_written(place / f"flip{number}.{suffix}", bytes(flipped)))
    for claimed in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        files.append(recordings.wav(place / f"claims{claimed}.wav", sound, claimed_bytes=claimed))
    for kind, form in PLAYLISTS.items():
        for number, target in enumerate(TARGETS):
            files.append(_written(place / f"{kind}{number}.mp3", form.format(target=target).encode()))
    files += [recordings.long_silence(place / f"silence{hours}.flac", hours) for hours in (1, 100)]
    for name in ODD_NAMES:
        files.append(Path(shutil.copy(MEMO, place / name)))
    files += [odd(place) for odd in NOT_FILES]
    return files


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def empty(place: Path) -> Path:
    return _written(place / "empty.wav", b"")


def junk(place: Path) -> Path:
    return _written(place / "junk.mp3", os.urandom(200_000))


def link(place: Path) -> Path:
    (place / "link.wav").symlink_to(MEMO)
    return place / "link.wav"


def fifo(place: Path) -> Path:
    os.mkfifo(place / "fifo.wav")
    return place / "fifo.wav"


def folder(place: Path) -> Path:
    (place / "folder.wav").mkdir()
    return place / "folder.wav"


def gone(place: Path) -> Path:
    return place / "gone.wav"


def picture(place: Path) -> Path:
    """Only a picture track."""
    return recordings.encoded(place / "film.mp4", recordings.tone(1.0), "aac", picture=True)


NOT_FILES: tuple[Callable[[Path], Path], ...] = (empty, junk, link, fifo, folder, gone, picture)
