"""The loop of every worker: load the engine, report ready, answer requests until told to exit.

Runs in: worker.

The engine stays on the main thread from load to exit: MLX's streams belong to the thread that created them, and
signals are handled there. A side thread listens to the pipe and never touches a model library.
"""

import gc
import importlib
import os
import queue
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, assert_never

import structlog

from config.logs import start_logging
from ipc.failpoints import hit
from ipc.pipe import BadFrame, PipeClosed, receive
from ipc.vocabulary import Role
from ipc.worker_messages import (
    TO_WORKER,
    Align,
    CachesReleased,
    Cancel,
    Decode,
    FinalReply,
    Forget,
    LoadFailed,
    Pause,
    Paused,
    Ready,
    Request,
    RequestFailed,
    Stop,
    Transcribe,
    WorkerSetup,
)
from workers.heartbeat import Cancelled, Heartbeat
from workers.out_of_memory import is_out_of_memory
from workers.parent_death import leave

if TYPE_CHECKING:
    from workers.decoder.decoders import Decoders
    from workers.engine import LoadedEngine
    from workers.shell.pausing import PausedWork

log = structlog.get_logger()

MESSAGE_LETTERS = 200
"""How much of a library's error message is passed on; some quote their whole input."""


def live(setup: WorkerSetup, connection: Connection, crash: TextIO) -> None:
    """Runs the worker until it is told to exit or its supervisor is gone; never returns."""
    file = Path(setup.log_file) if setup.log_file else None
    start_logging(setup.log_level, setup.log_json, file, quiet=setup.log_quiet)
    structlog.contextvars.bind_contextvars(role=setup.role, engine=setup.engine)
    heartbeat = Heartbeat(connection, crash, setup.stuck_after_seconds, setup.stuck_loading_after_seconds)
    requests: queue.SimpleQueue[Request | Forget] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests, heartbeat), name="listener", daemon=True).start()
    engine = _load(setup, heartbeat)
    from workers.decoder.decoders import Decoders
    from workers.shell.pausing import PausedWork

    paused = PausedWork()
    _prepare(setup.role, heartbeat)
    decoders = Decoders(heartbeat, keeps_ready=setup.role == "transcriber")
    decoders.make_ready()
    # The current objects stay: the garbage collector never scans them again.
    gc.freeze()
    gc.enable()
    hit("worker_prepared")
    while True:
        request = requests.get()
        if isinstance(request, Forget):
            paused.drop(request.pcm_path)
            continue
        hit("request_begun")
        heartbeat.begin(request.request_id)
        answer = _answer(request, engine, setup, heartbeat, decoders, paused)
        hit("answer_made")
        heartbeat.send(answer)
        hit("answer_said")
        if not isinstance(request, Decode) and not isinstance(answer, Paused):
            _let_rest(engine, heartbeat)
            decoders.make_ready()
        hit("engine_rested")
        heartbeat.send(CachesReleased(footprint_bytes=heartbeat.footprint_bytes))
        hit("rest_said")
        # A process takes some milliseconds to exit, in which the next request may already be sent.
        decoders.see_off()


def _listen(connection: Connection, requests: "queue.SimpleQueue[Request | Forget]", heartbeat: Heartbeat) -> None:
    """Side thread: receives the supervisor's messages. The supervisor's exit appears here as end of file."""
    while True:
        try:
            message = receive(connection, TO_WORKER)
        except PipeClosed:
            leave()
        except BadFrame:
            log.exception("supervisor_not_understood")
            leave(1)
        match message:
            case Stop():
                hit("stop_heard")
                leave()
            case Cancel():
                heartbeat.cancel(message.request_id)
            case Pause():
                heartbeat.pause(message.request_id)
            case Decode() | Transcribe() | Align() | Forget():
                hit("request_heard")
                requests.put(message)
            case _:
                assert_never(message)


def _load(setup: WorkerSetup, heartbeat: Heartbeat) -> Any:
    """Loads the engine and announces it. If it cannot be loaded, reports why and exits."""
    started = time.monotonic()
    heartbeat.enter("loading")
    from workers.engine import EngineRefusal

    # Last: a module of the owner's never takes the place of one of ours or of a library's.
    sys.path.extend(setup.engine_folders)
    module, _, name = setup.engine_path.partition(":")
    try:
        imported = importlib.import_module(module)
        hit("engine_imported")
        engine = getattr(imported, name)()
        hit("engine_chosen")
        loaded: LoadedEngine = engine.load(setup, heartbeat.downloading)
    except EngineRefusal as refusal:
        heartbeat.send(LoadFailed(code=refusal.code, message=refusal.message, hint=refusal.hint))
        leave()
    except Exception as error:  # An engine fails to load the same way every time: report it, do not retry.
        if is_out_of_memory(error):
            raise
        log.exception("engine_not_loaded")
        heartbeat.send(
            LoadFailed(
                code="engine_error",
                message=f"{setup.engine} could not be loaded: {type(error).__name__}: {str(error)[:MESSAGE_LETTERS]}",
                hint=_hint(error, module),
            )
        )
        leave()
    hit("engine_loaded")
    heartbeat.send(
        Ready(
            engine=setup.engine,
            model=loaded.model,
            device=loaded.device,
            load_seconds=time.monotonic() - started,
            versions=loaded.versions,
            footprint_bytes=heartbeat.footprint_bytes,
        )
    )
    hit("ready_said")
    return engine


def _hint(error: Exception, module: str) -> str:
    """What to do about an engine that could not be loaded; `module`: its own."""
    if isinstance(error, ModuleNotFoundError) and error.name in (module, module.partition(".")[0]):
        return "`workers.engine_path` in config.toml names the folder that holds it"
    return "the daemon's log has the traceback"


def _prepare(role: Role, heartbeat: Heartbeat) -> None:
    """Loads what the first recording would otherwise wait for, while no request waits."""
    if role != "transcriber":
        return
    heartbeat.arm()
    try:
        from workers.shell import requests as worker_requests  # noqa: F401
        from workers.speech import chunks as speech

        # An empty recording loads everything that speech detection needs.
        with speech.PcmFile(Path(os.devnull)) as nothing:
            list(speech.find_chunks(nothing, 0.0))
    except Exception:  # The first request reports what is missing to its caller.
        log.warning("not_prepared", exc_info=True)
    heartbeat.rest()


def _answer(
    request: Request,
    engine: Any,
    setup: WorkerSetup,
    heartbeat: Heartbeat,
    decoders: "Decoders",
    paused: "PausedWork",
) -> FinalReply:
    """The final reply to a request, in every case short of the worker's death."""
    from workers.engine import EngineRefusal
    from workers.shell import requests as worker_requests

    try:
        match request:
            case Decode():
                return paused.run(request, decoders.decode(request))
            case Transcribe() if setup.role == "transcriber":
                batch_size = setup.batch_size or engine.batch_size
                return paused.run(request, worker_requests.transcribe(request, engine, batch_size, heartbeat))
            case Align() if setup.role == "aligner":
                return worker_requests.align(request, engine, heartbeat)
            case Transcribe() | Align():
                raise EngineRefusal("wrong_role", f"a worker that is {setup.role} cannot {request.kind}", "a bug")
            case _:
                assert_never(request)
    except Cancelled:
        return _failed(request, "cancelled", "cancelled", "")
    except EngineRefusal as refusal:
        if is_out_of_memory(refusal):
            raise
        return _failed(request, refusal.code, refusal.message, refusal.hint)
    except Exception as error:  # The boundary of one request: whatever an engine raises, the worker continues.
        if is_out_of_memory(error):
            raise  # A process short of memory is not worth saving: the supervisor starts a fresh one in a second.
        log.exception("request_failed", request=request.kind)
        return _failed(
            request,
            "engine_error",
            f"{setup.engine} failed: {type(error).__name__}: {str(error)[:MESSAGE_LETTERS]}",
            "the daemon's log has the traceback; `steno retry` tries again",
        )


def _failed(request: Request, code: str, message: str, hint: str) -> RequestFailed:
    return RequestFailed(request_id=request.request_id, code=code, message=message, hint=hint)


def _let_rest(engine: Any, heartbeat: Heartbeat) -> None:
    """Frees caches after the answer, so that a failure here cannot cost it (ml-explore/mlx#3450)."""
    heartbeat.arm()
    try:
        engine.rest()
    except Exception:  # Optional: the next request will show whether the engine works.
        log.exception("rest_failed")
