"""The models that a request may name: the ids of OpenAI, the model of the settings, and what lies on this machine.

Runs in: supervisor. Models are listed by the model manager, a short-lived program: no model library is loaded here.
"""

import asyncio
import time
from asyncio.subprocess import DEVNULL, PIPE

import structlog

from ipc.model_messages import ListedModel, ModelList
from ipc.program import program
from supervisor.api.dialects import InvalidField
from supervisor.api.service import DaemonService

HOSTED = frozenset(
    {"whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize"}
)
"""OpenAI's ids: clients that name one want whatever this server has."""
USUAL = frozenset({"default", "auto", "whisper", "whisper-large-v3"})
"""What clients send that cannot be configured."""
LIST_SECONDS = 15.0
"""Deadline of the model manager."""
FRESH_SECONDS = 30.0
"""How long its list is used."""

log = structlog.get_logger()


class ServedModels:
    """Resolves the `model` of a request, and lists what may be named."""

    def __init__(self, service: DaemonService) -> None:
        self._service = service
        self._listed: tuple[ListedModel, ...] = ()
        self._listed_at = -FRESH_SECONDS
        self._turn = asyncio.Lock()
        self.created = int(time.time())
        """When the daemon started: no better date is known of a model."""

    async def resolve(self, wanted: str | None) -> str | None:
        """What a job is to load; None: the model of the settings. Raises InvalidField: `model_not_found`."""
        if not wanted or wanted in HOSTED | USUAL or wanted in self._own_names():
            return None
        for model in await self._here():
            if wanted in (model.name, model.id):
                return model.name
        raise InvalidField(
            "model",
            "model_not_found",
            f"the model {wanted[:200]!r} is not on this machine",
            "GET /v1/models lists what there is; `steno models pull NAME` fetches one",
            status=404,
        )

    async def names(self) -> list[str]:
        """Every id that a request may name, without OpenAI's own but `whisper-1`, which means the settings' model."""
        found = dict.fromkeys(["whisper-1", *sorted(self._own_names())])
        return list(found | dict.fromkeys(model.name for model in await self._here()))

    def _own_names(self) -> set[str]:
        return {name for name in self._service.transcriber.availability.override_names if name is not None}

    async def _here(self) -> tuple[ListedModel, ...]:
        async with self._turn:
            if time.monotonic() - self._listed_at >= FRESH_SECONDS:
                self._listed = await _listed()
                self._listed_at = time.monotonic()
            return self._listed


async def _listed() -> tuple[ListedModel, ...]:
    """The whole transcribers on this machine; none if the model manager fails."""
    manager = await asyncio.create_subprocess_exec(
        *program("workers.model_manager"), "list", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        out, _ = await asyncio.wait_for(manager.communicate(), LIST_SECONDS)
        models = ModelList.model_validate_json(out).models
    except (TimeoutError, ValueError) as error:
        log.warning("models_not_listed", error=str(error) or type(error).__name__)
        return ()
    finally:
        if manager.returncode is None:
            manager.kill()
            await manager.wait()
    return tuple(one for one in models if one.kind in ("transcriber", "conversion") and one.state == "whole")
