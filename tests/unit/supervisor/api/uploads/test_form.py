"""A form is read whole whatever its order and its pieces, or refused, and then nothing of it is on the disk."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from config.settings import HttpSettings, MediaSettings, Settings
from supervisor.api.uploads.form import Form, received_form
from supervisor.api.uploads.spool import PcmFormat, UploadSpool, file_name, wav_header
from supervisor.system.refused import RequestRefused
from supervisor.system.reload import LiveSettings

SOUND = bytes(range(256)) * 700
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + SOUND + b"\r\n"
MODEL = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
WORD = b'--b\r\nContent-Disposition: form-data; name="timestamp_granularities[]"\r\n\r\nword\r\n'
END = b"--b--\r\n"


def spool(folder: Path, *, most_mb: int = 10, most_uploads: int = 4, floor_mb: int = 0) -> UploadSpool:
    http = HttpSettings(most_upload_mb=most_mb, most_uploads=most_uploads)
    settings = Settings(http=http, media=MediaSettings(free_disk_floor_mb=floor_mb))
    return UploadSpool(folder / "uploads", LiveSettings(settings))


def asked(
    body: Sequence[bytes], kind: str = "multipart/form-data; boundary=b", query: str = "", *, whole: bool = True
) -> Request:
    """A request whose body comes in these pieces; not `whole`: then the client goes away."""
    coming = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    coming.append({"type": "http.request", "body": b"", "more_body": False} if whole else {"type": "http.disconnect"})

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0)
        return coming.pop(0)

    headers = [(b"content-type", kind.encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query.encode(), "headers": headers}
    return Request(scope, receive)


def read(
    place: UploadSpool,
    request: Request,
    look: Callable[[Form], Awaitable[None]] | None = None,
    pcm: PcmFormat | None = None,
) -> Form:
    async def work() -> Form:
        async with received_form(request, place, frozenset({"file"}), pcm) as form:
            if look is not None:
                await look(form)
            return form

    form = asyncio.run(work())
    assert place.folders() == []
    return form


async def is_whole(form: Form) -> None:
    assert form.upload is not None
    assert form.upload.file.read_bytes() == SOUND
    assert form.upload.file.name == "a.wav"


@pytest.mark.parametrize("parts", [[MODEL, WORD, FILE], [FILE, MODEL, WORD], [WORD, FILE, MODEL]])
def test_fields_may_come_before_and_after_the_file(tmp_path: Path, parts: list[bytes]) -> None:
    form = read(spool(tmp_path), asked([b"".join(parts) + END]), is_whole)
    assert form.fields == {"model": ["whisper-1"], "timestamp_granularities": ["word"]}


@given(cuts=st.lists(st.integers(0, len(FILE + MODEL + END)), max_size=8))
def test_a_body_in_any_pieces_is_the_same_body(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    body, at = FILE + MODEL + END, [0, *sorted(cuts), len(FILE + MODEL + END)]
    pieces = [body[start:end] for start, end in pairwise(at)]
    assert read(spool(tmp_path_factory.mktemp("home")), asked(pieces), is_whole).one("model") == "whisper-1"


@pytest.mark.parametrize("cut", [0, 1, 3, 60, len(FILE) // 2, len(FILE), len(FILE) + 30, len(FILE + MODEL) + 1])
def test_a_body_that_ends_too_early_is_refused_and_leaves_nothing(tmp_path: Path, cut: int) -> None:
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path), asked([(FILE + MODEL + END)[:cut]]))
    assert (no.value.status, no.value.code) == (400, "malformed_body")
    assert spool(tmp_path).folders() == []


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ClientDisconnect):
        read(spool(tmp_path), asked([FILE[:9000]], whole=False))
    assert spool(tmp_path).folders() == []


@pytest.mark.parametrize("body", [b"\0" * 100, b"--b", b"--b\r\nX\r\n\r\n", b"garbage\r\n--b\r\n", b"--b\r\n" * 50])
def test_garbage_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path), asked([body]))
    assert no.value.status == 400


def test_too_much_is_refused_while_it_comes(tmp_path: Path) -> None:
    big = FILE[:-2] + bytes(1_200_000) + b"\r\n" + END
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path, most_mb=1), asked([big[:500_000], big[500_000:]]))
    assert (no.value.status, no.value.code) == (413, "file_too_large")
    long = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + b"x" * 70_000 + b"\r\n"
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path), asked([long + END]))
    assert no.value.code == "fields_too_large"
    assert spool(tmp_path).folders() == []


def test_a_full_disk_and_too_many_uploads_are_refused_for_now(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path, floor_mb=10**9), asked([FILE + END]))
    assert (no.value.status, no.value.code) == (429, "disk_full")
    place = spool(tmp_path, most_uploads=1)

    async def second(form: Form) -> None:
        async with place.receiving("x"):
            with pytest.raises(RequestRefused) as no:
                async with place.receiving("y"):
                    pass
            assert no.value.code == "too_many_uploads"

    read(place, asked([FILE + END]), second)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    empty = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\r\n' + END
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path), asked([empty]))
    assert no.value.code == "audio_unreadable"


def test_a_recording_may_be_the_whole_body_and_its_options_the_query(tmp_path: Path) -> None:
    form = read(spool(tmp_path), asked([SOUND], "audio/wav", "model=whisper-1&language=en"))
    assert (form.one("model"), form.one("language")) == ("whisper-1", "en")
    assert form.upload is not None
    assert form.upload.size_bytes == len(SOUND)


def test_a_body_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused) as no:
        read(spool(tmp_path), asked([b"{}"], "application/json"))
    assert no.value.status == 415


def test_raw_samples_get_a_header(tmp_path: Path) -> None:
    async def has_header(form: Form) -> None:
        assert form.upload is not None
        assert form.upload.file.read_bytes() == wav_header(len(SOUND), PcmFormat()) + SOUND
        assert form.upload.file.name == "a.wav.wav"

    read(spool(tmp_path), asked([FILE + END]), has_header, PcmFormat())


def test_the_same_content_twice_is_one_folder_until_the_last_one_needs_it(tmp_path: Path) -> None:
    place = spool(tmp_path)

    async def work() -> None:
        async with received_form(asked([FILE + END]), place, frozenset({"file"})) as first:
            async with received_form(asked([FILE + END]), place, frozenset({"file"})) as second:
                assert first.upload == second.upload
                assert len(place.folders()) == 1
            await is_whole(first)
        assert place.folders() == []

    asyncio.run(work())


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("cap/a.wav", "a.wav"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.mp3", "y.mp3"),
        (".hidden", "hidden"),
        ("", "recording"),
        (None, "recording"),
        ("..", "recording"),
        ("a\0b.wav", "ab.wav"),
        ("a\nb.wav", "a_b.wav"),
        ("x" * 500 + ".wav", "x" * 196 + ".wav"),
    ],
)
def test_a_file_keeps_the_safe_part_of_its_name(sent: str | None, kept: str) -> None:
    assert file_name(sent) == kept


@given(name=st.text(max_size=300))
def test_any_name_is_a_name_of_one_file(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    kept = file_name(name)
    assert kept not in ("", ".", "..")
    assert "/" not in kept
    (tmp_path_factory.mktemp("names") / kept).touch()
