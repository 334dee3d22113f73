"""A model hub of a few kilobytes on 127.0.0.1: the requests that huggingface_hub makes, and connections that break.

Runs in: the test process, in threads of its own.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 100_000
"""From this size on a file is filed under its sha256, as git-lfs does."""


@dataclass(slots=True)
class FakeHub:
    """The files it serves, its failures, and the requests it received."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    """Plain files under /files/, for downloads from other than a hub."""
    breaks_at: dict[str, list[int]] = field(default_factory=dict)
    """File → bytes after which its next answers break off, one number an answer."""
    stalls: set[str] = field(default_factory=set)
    """Files of which half comes, and then nothing while the name is in this set."""
    silent: set[str] = field(default_factory=set)
    """Ends of paths whose requests get no response while they are in this set."""
    corrupts: dict[str, int] = field(default_factory=dict)
    """File → in how many of its next answers a byte is wrong."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of each request."""
    address: str = ""

    def gets(self, file: str) -> list[str]:
        """The Range of each time the file was asked for, empty for the whole of it."""
        return [wanted for method, path, wanted in self.asked if method == "GET" and path.endswith(f"/{file}")]


def etag_of(content: bytes) -> str:
    if len(content) >= LARGE_BYTES:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def description(hub_id: str, files: dict[str, bytes]) -> dict[str, Any]:
    """As GET /api/models/ID?blobs=true answers."""
    siblings: list[dict[str, Any]] = []
    for name, content in files.items():
        one: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": etag_of(content)}
        if len(content) >= LARGE_BYTES:
            one |= {"blobId": "0" * 40, "lfs": {"sha256": etag_of(content), "size": len(content), "pointerSize": 130}}
        siblings.append(one)
    config = json.loads(files.get("config.json", b"{}"))
    return {"id": hub_id, "sha": COMMIT, "siblings": siblings, "config": {"model_type": config.get("model_type")}}


class _Desk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if any(path.endswith(end) for end in self.hub.silent):
            self._wait_while(lambda: any(path.endswith(end) for end in self.hub.silent))
            return
        if about := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
            files = self.hub.repositories.get(about[1])
            if files is None:
                self._send(404, {"X-Error-Code": "RepoNotFound"}, b"", with_body=with_body)
            else:
                self._send(200, {}, json.dumps(description(about[1], files)).encode(), with_body=with_body)
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            self._file(found[2], self.hub.repositories.get(found[1], {}).get(found[2]), with_body=with_body)
        else:
            name = path.removeprefix("/files/")
            self._file(name, self.hub.files.get(name), with_body=with_body)

    def _file(self, name: str, content: bytes | None, *, with_body: bool) -> None:
        if content is None:
            self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"", with_body=with_body)
            return
        headers = {"ETag": f'"{etag_of(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if len(content) >= LARGE_BYTES:
            # A client that follows these headers uses a protocol that this hub does not implement.
            headers |= {"X-Xet-Hash": "f" * 64, "X-Xet-Refresh-Route": f"{self.hub.address}/xet"}
        status, start = 200, 0
        if begun := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(begun[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if with_body and self.hub.corrupts.get(name, 0):
            self.hub.corrupts[name] -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        self._send(status, headers, content[start:], with_body=with_body, name=name)

    def _send(self, status: int, headers: dict[str, str], body: bytes, *, with_body: bool, name: str = "") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if not with_body:
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            if self.hub.breaks_at.get(name):
                self.wfile.write(body[: self.hub.breaks_at[name].pop(0)])
                self.close_connection = True
            elif name in self.hub.stalls:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                self._wait_while(lambda: name in self.hub.stalls)
            else:
                self.wfile.write(body)

    def _wait_while(self, misbehaves: Callable[[], bool]) -> None:
        moment = threading.Event()
        while misbehaves():
            moment.wait(0.05)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@contextmanager
def a_hub(**repositories: dict[str, bytes]) -> Iterator[FakeHub]:
    """A running hub; its `address` is what HF_ENDPOINT takes."""
    hub = FakeHub(dict(repositories))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Desk", (_Desk,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-hub")
    serving.start()
    try:
        yield hub
    finally:
        hub.stalls.clear()
        hub.silent.clear()
        server.shutdown()
        serving.join()
        server.server_close()
