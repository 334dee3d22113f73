"""Which requests over TCP reach the application: host, origin and token are checked before any work. Pure.

Runs in: supervisor.

A page that a browser has open may send requests to this computer: through DNS rebinding with a foreign host, or
across origins. The peer's address says nothing about that, so the headers are checked, the host first.
"""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ipc.errors import StenodError

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?")
BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
SAME_SITE = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site: our own page, or the user at the address bar."""


class NotAdmitted(StenodError):
    """The request is refused before it reaches an endpoint."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(code, message, hint)
        self.status = status
        """HTTP status."""


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """The rules of one listener."""

    token: str
    hosts: frozenset[str] = frozenset()
    """Names of this computer, in lower case; addresses of loopback and `localhost` are always allowed."""
    origins: frozenset[str] = frozenset()
    """Origins of pages and apps that may call, as `app://obsidian.md`, in lower case."""
    loopback: bool = True
    """Whether the listener is reached from this computer only."""
    open_compat: bool = False
    """Whether programs without a token may use the compatibility endpoints; on loopback only."""


def admit(
    rules: AdmissionRules, method: str, headers: Mapping[str, list[str]], local_address: str, *, compat: bool
) -> None:
    """Returns if the request may reach the application, else raises NotAdmitted.

    `headers`: lower-case name → values. `local_address`: the address the client connected to. `compat`: a path that
    programs without a token may be allowed to use.
    """
    authority = _host(rules, headers, local_address)
    _origin(rules, method, headers, authority)
    if method == "OPTIONS" and "access-control-request-method" in headers:
        return  # a browser sends no token with its question whether it may call
    if compat and rules.open_compat and rules.loopback:
        return
    given = BEARER.fullmatch(_only(headers, "authorization") or "")
    if given is None or not hmac.compare_digest(given[1].encode("utf-8", "replace"), rules.token.encode()):
        raise NotAdmitted(
            401,
            "invalid_api_key",
            "the token is wrong" if "authorization" in headers else "a token is required",
            "send the header `Authorization: Bearer TOKEN`; `steno http token` prints it",
        )


def _host(rules: AdmissionRules, headers: Mapping[str, list[str]], local_address: str) -> str:
    """The Host header if it names this computer."""
    written = _only(headers, "host") or ""
    match = HOST.fullmatch(written)
    name = match["host"].lower().strip("[]") if match is not None else None
    if name is None or not (name == "localhost" or name in rules.hosts or _is_ours(name, local_address)):
        raise NotAdmitted(
            403,
            "host_not_allowed",
            f"{written[:200]!r} is not a name of this computer" if written else "the Host header is missing",
            "use 127.0.0.1, or add the name to http.hosts",
        )
    return written.lower()


def _is_ours(name: str, local_address: str) -> bool:
    """A loopback address, or the very address the client connected to: no DNS answer is behind either."""
    try:
        address = ipaddress.ip_address(name)
        return address.is_loopback or address == ipaddress.ip_address(local_address)
    except ValueError:
        return False


def _origin(rules: AdmissionRules, method: str, headers: Mapping[str, list[str]], authority: str) -> None:
    origin = _only(headers, "origin")
    if origin is not None and origin.lower() in rules.origins:
        return
    if origin is not None and origin.lower() not in (f"http://{authority}", f"https://{authority}"):
        raise NotAdmitted(
            403,
            "origin_not_allowed",
            f"pages of {origin[:200]!r} may not call this daemon",
            "add the origin to http.origins if you trust it",
        )
    site = _only(headers, "sec-fetch-site")
    if method in WRITES and site is not None and site.lower() not in SAME_SITE:
        raise NotAdmitted(
            403,
            "cross_site",
            "another site's page sent this request",
            "add its origin to http.origins if you trust it",
        )


def _only(headers: Mapping[str, list[str]], name: str) -> str | None:
    """The header's value; one that is sent twice is none, except that it is refused where one is needed."""
    values = headers.get(name, [])
    return values[0] if len(values) == 1 else None if not values else ""
