"""The TCP socket of the API, and the middleware that admits requests through it.

Runs in: supervisor.
"""

import os
import secrets
import socket
from collections import defaultdict
from pathlib import Path

import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from config.field_types import is_loopback, listen_address
from config.settings import HttpSettings
from ipc.durable_file import write_durably
from ipc.errors import OneReason
from supervisor.api.dialects import dialect_of, refusal
from supervisor.api.http.admission import AdmissionRules, NotAdmitted, admit
from supervisor.api.unix_socket import BACKLOG, PatientListener
from supervisor.system.reload import LiveSettings

log = structlog.get_logger()

TOKEN_BYTES = 32
COMPAT_METHODS = ("GET", "POST", "DELETE", "OPTIONS")
PREFLIGHT_SECONDS = 600
EXPOSED = ("x-request-id", "retry-after")


def read_token(file: Path) -> str:
    """The token in this file, 256 random bits, created if there is none. Raises OSError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        write_durably(file, f"{token}\n".encode("ascii"))
        return token
    with os.fdopen(descriptor, encoding="ascii") as opened:
        os.fchmod(opened.fileno(), 0o600)
        return opened.readline(4096).strip()


class PortRefused(OneReason):
    """The address cannot be listened at."""

    code = "no_port"


def bind_tcp(address: str, setting: str) -> socket.socket:
    """A listening socket at `HOST:PORT`, the value of this setting. Raises PortRefused."""
    host, port = listen_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = PatientListener(family, socket.SOCK_STREAM)
    try:
        # The port of a daemon that has just ended is free again; on Linux and macOS never that of a running one.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortRefused(
            f"{setting}: cannot listen at {address}: {error.strerror}",
            "another program may use this port: choose another one",
        ) from error
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


class Admission:
    """ASGI middleware of the TCP listener; the Unix socket's requests do not pass here."""

    def __init__(self, app: ASGIApp, settings: LiveSettings, token: str) -> None:
        self._app = app
        self._settings = settings
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        current = self._settings.current.http
        headers: dict[str, list[str]] = defaultdict(list)
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")].append(value.decode("latin-1"))
        try:
            compat = dialect_of(scope["path"]) != "stenod"
            admit(self.rules_of(current), scope["method"], headers, _local_address(scope), compat=compat)
        except NotAdmitted as no:
            log.warning("request_not_admitted", code=no.code, method=scope["method"], path=scope["path"])
            await refusal(scope["path"], no.status, no)(scope, receive, send)
            return
        app = self._app
        if current.origins:
            app = CORSMiddleware(
                app,
                allow_origins=current.origins,
                allow_methods=COMPAT_METHODS,
                allow_headers=["*"],
                expose_headers=EXPOSED,
                max_age=PREFLIGHT_SECONDS,
            )
        await app(scope, receive, send)

    def rules_of(self, settings: HttpSettings) -> AdmissionRules:
        """The rules that these settings make."""
        return AdmissionRules(
            token=self.token,
            hosts=frozenset(name.lower() for name in settings.hosts),
            origins=frozenset(origin.lower() for origin in settings.origins),
            loopback=settings.listen is not None and is_loopback(settings.listen),
            open_compat=settings.open_compat,
        )


def _local_address(scope: Scope) -> str:
    server = scope.get("server")
    return "" if server is None else str(server[0])
