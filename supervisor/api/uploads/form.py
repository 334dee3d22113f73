"""The body of an upload: a multipart form whose fields and file come in any order, or the recording alone.

Runs in: supervisor. Source: RFC 7578; parsed by `multipart`, the file never in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from fastapi import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from supervisor.api.uploads.spool import PcmFormat, Receiver, Upload, UploadSpool
from supervisor.system.refused import RequestRefused

MOST_FIELD_BYTES = 64 * 1024
"""Of all fields together, besides the file."""
MOST_FIELDS = 256
DRAIN_SECONDS = 10.0
"""How long the rest of a refused upload is read: a client that still sends does not see the answer otherwise."""
Fields = dict[str, list[str]]
"""Name → values, in order of arrival; `languages[]` and `languages` are one name."""


@dataclass(frozen=True, slots=True)
class Form:
    """What one upload request contained."""

    fields: Fields
    upload: Upload | None
    """None: there was no file."""

    def one(self, name: str) -> str | None:
        """The last value of a field; None where it is missing or empty."""
        values = self.fields.get(name)
        return values[-1] if values and values[-1] else None


@dataclass
class _Received:
    fields: Fields = field(default_factory=dict)
    upload: Upload | None = None
    field_bytes: int = 0


@asynccontextmanager
async def received_form(
    request: Request, spool: UploadSpool, file_fields: frozenset[str], pcm: PcmFormat | None = None
) -> AsyncIterator[Form]:
    """The whole body, received; at the end the recording is deleted, unless a job holds it.

    As `read_form`.
    """
    form = await read_form(request, spool, file_fields, pcm)
    try:
        yield form
    finally:
        if form.upload is not None:
            await spool.release(form.upload.file.parent)


async def read_form(
    request: Request, spool: UploadSpool, file_fields: frozenset[str], pcm: PcmFormat | None = None
) -> Form:
    """Reads the whole body; the fields of the query are fields, too.

    `file_fields`: the parts that may be the recording. `pcm`: it is raw samples.
    Raises RequestRefused (400, 413, 415, 429, 503) and ClientDisconnect; then nothing of it is left on the disk.
    """
    received = _Received()
    for name, value in parse_qsl(request.url.query, keep_blank_values=True):
        received.fields.setdefault(_plain(name), []).append(value)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        if kind == "multipart/form-data":
            await _read_multipart(request, spool, file_fields, options.get("boundary", ""), received, pcm)
        elif kind.partition("/")[0] in ("audio", "video") or kind == "application/octet-stream":
            async with spool.receiving(received.fields.get("filename", [None])[-1], pcm) as receiver:
                async for chunk in request.stream():
                    await receiver.write(chunk)
                received.upload = await receiver.finish()
        else:
            raise RequestRefused(
                415, "invalid_content_type", f"the body is {kind or 'of no type'}", "send multipart/form-data"
            )
    except BaseException as why:
        if received.upload is not None:
            await spool.release(received.upload.file.parent)
        if isinstance(why, RequestRefused):
            await drain(request)
        raise
    return Form(received.fields, received.upload)


async def drain(request: Request) -> None:
    """Reads and forgets what the client still sends, for a while, so that it reads the answer."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in request.stream():
                pass
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the stream was read to its end
        return


async def _read_multipart(
    request: Request,
    spool: UploadSpool,
    file_fields: frozenset[str],
    boundary: str,
    received: _Received,
    pcm: PcmFormat | None,
) -> None:
    try:
        parser = PushMultipartParser(boundary, max_segment_count=MOST_FIELDS)
    except MultipartError as error:
        raise _malformed(error) from error
    segment: MultipartSegment | None = None
    text = bytearray()
    receiver: Receiver | None = None
    async with AsyncExitStack() as stack:
        async for chunk in request.stream():
            for event in _events(parser, chunk):
                if isinstance(event, MultipartSegment):
                    segment, text = event, bytearray()
                    if event.name in file_fields and received.upload is None:
                        receiver = await stack.enter_async_context(spool.receiving(event.filename, pcm))
                elif event is None:
                    assert segment is not None
                    if receiver is not None:
                        received.upload = await receiver.finish()
                        receiver = None
                    else:
                        _add_field(received, segment, bytes(text))
                elif receiver is not None:
                    await receiver.write(bytes(event))
                else:
                    received.field_bytes += len(event)
                    if received.field_bytes > MOST_FIELD_BYTES:
                        raise RequestRefused(
                            413, "fields_too_large", "the fields are larger than 64 KiB", "shorten the prompt"
                        )
                    text += event
        try:
            parser.close()
        except MultipartError as error:
            raise _malformed(error) from error


def _events(parser: PushMultipartParser, chunk: bytes) -> Iterator[MultipartSegment | bytes | bytearray | None]:
    if not chunk:
        return
    try:
        yield from parser.parse(chunk)
    except MultipartError as error:
        raise _malformed(error) from error


def _add_field(received: _Received, segment: MultipartSegment, content: bytes) -> None:
    try:
        value = content.decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRefused(
            400, "invalid_value", f"`{segment.name}` is not UTF-8", f"correct `{segment.name}`"
        ) from None
    if "\0" in value:
        raise RequestRefused(
            400, "invalid_value", f"`{segment.name}` contains a NUL character", f"correct `{segment.name}`"
        )
    received.fields.setdefault(_plain(segment.name), []).append(value)


def _plain(name: str) -> str:
    """The SDKs write arrays with brackets, and users forget them."""
    return name.removesuffix("[]")


def _malformed(error: Exception) -> RequestRefused:
    return RequestRefused(400, "malformed_body", f"the body is not a multipart form: {error}", "send it again, whole")
