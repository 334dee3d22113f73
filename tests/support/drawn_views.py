"""Views as plain text on a terminal of a certain width, the values they are drawn from, and how they looked before.

Runs in: the test process.
"""

import io
import os
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console, RenderableType

from ipc.api_messages import JobView
from ipc.status_views import DaemonView, QueueView, StatusView, WorkerView

GOLDEN = Path(__file__).parents[1] / "unit" / "client" / "views" / "golden"
REDRAW = "STENO_REDRAW_VIEWS"
"""Set in the environment, the golden files are written again: look at them before they are committed."""

CREATED = "2026-01-02T03:04:05.000+00:00"
NOW = datetime.fromisoformat(CREATED) + timedelta(minutes=55)
QUEUE = QueueView(waiting=12, running=1, done=431, failed=1, paused=False)
DAEMON = DaemonView(pid=4711, version="0.1.0", uptime_seconds=98_765.2)
EVIL = "/x/\x1b]0;owned\x07\n[red]\u202egnp.exe"


def drawn(view: RenderableType, width: int = 80) -> str:
    """Without the padding to the right."""
    page = io.StringIO()
    Console(file=page, width=width, markup=False, highlight=False, emoji=False, color_system=None).print(view)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def looks_as_before(name: str, view: RenderableType) -> None:
    """At 80 and at 120 columns as in tests/unit/client/views/golden/NAME.txt."""
    ruler = {width: f"{width} columns ".ljust(width, "-") for width in (80, 120)}
    looks = "\n".join(f"{ruler[width]}\n{drawn(view, width)}" for width in ruler) + "\n"
    file = GOLDEN / f"{name}.txt"
    if REDRAW in os.environ:
        file.write_text(looks, encoding="utf-8")
    assert looks == file.read_text(encoding="utf-8")


def job(**facts: object) -> JobView:
    return JobView.model_validate({"id": 8, "path": "/a/talk.flac", "status": "done", "created_at": CREATED} | facts)


def worker(**facts: object) -> WorkerView:
    known = {"role": "aligner", "engine": "whisperx", "model": None, "device": None, "state": "ready", "pid": None}
    return WorkerView.model_validate(known | {"restarts": 0, "last_death": None} | facts)


def status(**facts: object) -> StatusView:
    return StatusView.model_validate({"daemon": DAEMON, "workers": (), "queue": QUEUE, "watches": ()} | facts)
