"""The endpoints that look after the queue itself: a job forgotten, the whole examined.

Runs in: supervisor.
"""

from typing import Annotated

from fastapi import FastAPI, Header, Path, Query

from ipc.status_views import CheckView
from supervisor.api.openapi import refusals
from supervisor.api.peer_process import Asked
from supervisor.api.service import FrontDesk

JobId = Annotated[int, Path(ge=1, lt=2**63)]  # SQLite's integers end there
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The client's own name for this request, drawn at random: a second request with the same key and "
        "body is answered with the first one's job. The key is forgotten with the job.",
    ),
]


def add_care(app: FastAPI, desk: FrontDesk) -> None:
    """What `create_app` adds."""

    @app.delete("/v1/jobs/{job_id}", status_code=204, responses=refusals(404, 409))
    async def forget(job_id: JobId, asker: Asked) -> None:
        """Forget a job that is over: its story, its text, every page that held it. Files that were written stay."""
        await desk.care.forget(job_id)
        asker.did("job_forgotten", job=job_id)

    @app.post("/v1/check")
    async def check(asker: Asked, repair: Annotated[bool, Query()] = False) -> CheckView:
        """Hold what is stored against what is there; `repair` mends what can be mended without touching files."""
        found = await desk.care.check(repair=repair)
        if repair:
            asker.did("queue_repaired", repaired=[one.check for one in found.irregularities if one.repaired])
        return found
