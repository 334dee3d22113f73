"""What is not a recording is refused with a reason, and makes FFmpeg touch nothing else."""

import errno
import os
import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from decoding_here import decode, open_recording
from recordings import tone, wav

from supervisor.jobs.decoding import CURABLE
from workers.audio.container_decoder import DecodingOptions
from workers.container import demuxers as media_container
from workers.engine import EngineRefusal


def refusal(path: Path, pcm_path: Path) -> EngineRefusal:
    with pytest.raises(EngineRefusal) as caught:
        decode(path, pcm_path, DecodingOptions(3600.0), lambda done_seconds: None)
    assert not pcm_path.exists() and not pcm_path.with_name(pcm_path.name + ".part").exists()
    assert caught.value.hint
    return caught.value


def test_what_is_no_regular_file_is_refused_for_what_it_is(tmp_path: Path) -> None:
    pcm_path = tmp_path / "audio.s16"
    real = wav(tmp_path / "real.wav", tone(0.1))
    (tmp_path / "link.wav").symlink_to(real)
    (tmp_path / "empty.wav").touch()
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "folder.wav").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("s.wav")
        assert refusal(tmp_path / "s.wav", pcm_path).code == "not_a_regular_file"
    assert refusal(tmp_path / "link.wav", pcm_path).code == "is_a_symlink"
    assert refusal(tmp_path / "empty.wav", pcm_path).code == "empty_file"
    assert refusal(tmp_path / "fifo.wav", pcm_path).code == "not_a_regular_file"
    assert refusal(tmp_path / "folder.wav", pcm_path).code == "not_a_regular_file"
    assert refusal(tmp_path / "gone.wav", pcm_path).code == "not_found"
    assert refusal(real / "gone.wav", pcm_path).code == "not_found"
    assert refusal(tmp_path / ("x" * 300), pcm_path).code == "not_found"
    assert refusal(Path("a\0b.wav"), pcm_path).code == "not_found"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_we_may_not_read_is_refused(tmp_path: Path) -> None:
    recording = wav(tmp_path / "a.wav", tone(0.1))
    recording.chmod(0)
    assert refusal(recording, tmp_path / "audio.s16").code == "not_readable"


@pytest.mark.parametrize("size", [1, 100, 4000, 70_000, 300_000, 2_000_000])
def test_junk_is_refused_whatever_it_is_called(tmp_path: Path, size: int) -> None:
    (tmp_path / "junk.mp3").write_bytes(np.random.default_rng(size).bytes(size))
    assert refusal(tmp_path / "junk.mp3", tmp_path / "audio.s16").code == "not_media"


@pytest.mark.parametrize("content", [b"\0" * 100_000, b"a note, not a song\n" * 500, b"%PDF-1.7\n" + b"x" * 9000])
def test_other_kinds_of_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert refusal(tmp_path / "a.wav", tmp_path / "audio.s16").code == "not_media"


@pytest.mark.parametrize("pattern", [b"Dear diary, nothing.\n", b"<\n", b"D\x00", b"0,1\n"])
def test_text_that_repeats_itself_is_no_sound(tmp_path: Path, pattern: bytes) -> None:
    (tmp_path / "a.amr").write_bytes(pattern * 500)
    assert refusal(tmp_path / "a.amr", tmp_path / "audio.s16").code == "not_media"


@pytest.mark.parametrize(("channels", "rate"), [(65, 16_000), (1, 2**31 - 1), (1, 50_000_000)])
def test_a_header_that_no_resampler_takes_is_damage_and_not_an_error(
    tmp_path: Path, channels: int, rate: int
) -> None:
    recording = wav(tmp_path / "a.wav", np.zeros((2000, channels), dtype=np.int16))
    header = bytearray(recording.read_bytes())
    header[24:28] = rate.to_bytes(4, "little")
    recording.write_bytes(header)
    assert refusal(recording, tmp_path / "audio.s16").code == "damaged"


def test_a_recording_that_points_before_its_start_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with open_recording(wav(tmp_path / "a.wav", tone(0.1))) as file:
        assert file.seek(-5) < 0
        assert file.seek(4) == 4 and file.read(4)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{real}\n#EXT-X-ENDLIST\n",
    "hls_url": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{real}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT1S"'
    ' profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period><AdaptationSet mimeType="audio/mp4">'
    '<Representation id="1"><BaseURL>{real}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "asx": '<asx version="3.0"><entry><ref href="{real}"/></entry></asx>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_named_mp3_is_refused_and_opens_nothing(tmp_path: Path, kind: str) -> None:
    real = wav(tmp_path / "real.wav", tone(1))
    playlist = tmp_path / "song.mp3"
    playlist.write_text(PLAYLISTS[kind].format(real=real))
    os.utime(real, (0, real.stat().st_mtime))
    assert refusal(playlist, tmp_path / "audio.s16").code == "not_media"
    assert real.stat().st_atime == 0
    real.read_bytes()
    if real.stat().st_atime == 0:
        pytest.skip("this file system keeps no access times, which would have shown a read")


def test_a_demuxer_on_the_list_that_asks_for_another_file_is_refused(tmp_path: Path) -> None:
    real = wav(tmp_path / "real.wav", tone(1))
    playlist = tmp_path / "song.mp3"
    playlist.write_text(PLAYLISTS["concat"].format(real=real))
    with pytest.MonkeyPatch.context() as patch, open_recording(playlist) as file:
        patch.setattr(media_container, "DEMUXERS", media_container.DEMUXERS + ",concat")
        with pytest.raises(EngineRefusal) as caught, media_container.open_container(playlist, file):
            pass
    assert caught.value.code == "not_media"


@pytest.mark.parametrize(("number", "code"), [(errno.EIO, "spool_failed"), (errno.ENOSPC, "disk_full")])
def test_a_spool_that_cannot_be_written_is_no_fault_of_the_recording(tmp_path: Path, number: int, code: str) -> None:
    recording = wav(tmp_path / "a.wav", tone(5))

    def broken(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", broken)
        refused = refusal(recording, tmp_path / "audio.s16")
    assert refused.code == code
    assert os.strerror(number) in str(refused) or code == "disk_full"
    assert refused.code in CURABLE, "the job waits for a better disk"
