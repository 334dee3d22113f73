"""GET /metrics, and the count of requests.

Runs in: supervisor. The library is imported with the first request for metrics.
"""

import asyncio
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import psutil
from fastapi import FastAPI, Request, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor.api.service import DaemonService
from supervisor.disks.foreign_disks import DiskNotAnswering, disks
from supervisor.progress.totals import Durations

OTHER = "other"
"""The route of a request that no endpoint matched: paths are the client's words, of any number."""
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class RequestTimes:
    """ASGI middleware: how often and how long, by route, method and status code."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.times: dict[tuple[str, str, str], Durations] = defaultdict(Durations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, code = time.monotonic(), "none"

        async def watched(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            key = (_route_of(scope), str(scope.get("method")), code)
            self.times[key].note(time.monotonic() - started)


def _route_of(scope: Scope) -> str:
    if scope.get("endpoint") is None:
        return OTHER
    return str(getattr(scope.get("route"), "path", None) or scope.get("path"))


def add_metrics_endpoint(app: FastAPI, service: DaemonService, times: RequestTimes, spool: Path) -> None:
    """`times`: the middleware around the application."""

    async def metrics(request: Request) -> Response:
        from supervisor.api.metrics.collector import Facts, metrics_page

        status = await service.status()
        oldest = min((datetime.fromisoformat(job.created_at).timestamp() for job in status.next_up), default=None)
        try:
            free = (await disks().look(spool, lambda: psutil.disk_usage(str(spool)))).free
        except (DiskNotAnswering, OSError):
            free = None
        facts = Facts(
            status=status,
            counts=await service.queue.counts(),
            totals=service.board.totals,
            work=dict(service.queue.speeds.totals),
            oldest_seconds=None if oldest is None else max(0.0, time.time() - oldest),
            disk_free_bytes=free,
            requests=dict(times.times),
        )
        return Response(await asyncio.to_thread(metrics_page, facts), media_type=TEXT)

    app.router.routes.append(Route("/metrics", metrics, methods=["GET"]))
