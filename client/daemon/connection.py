"""The Python client: one method an endpoint, values of ipc.api_messages in and out.

Runs in: the user's shell.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from client.daemon import http_over_unix as socket_line
from client.daemon.http_over_unix import Answer, LineBroke, LineSilent, NobodyListens
from client.terminal.errors import NoDaemon, Refusal, fault_words
from config.places import LONGEST_SOCKET_PATH_BYTES
from ipc.api_messages import AddWatch, JobOptions, JobView, Problem, SubmitFile
from ipc.events import DaemonEvent
from ipc.status_views import CheckView, Finding, HealthView, QueueView, ReloadView, StatusView, WatchView, WorkerView
from ipc.vocabulary import Format, JobStatus, Role

ANSWER_SECONDS = 30.0
"""The daemon answers in milliseconds; a disk that sleeps may take this long."""
PROOF_SECONDS = 600.0
"""A canary waits for a worker that starts, and takes `health.canary_seconds` at most."""
COMES_BACK_SECONDS = 5.0
"""A daemon that a service manager or it itself restarts answers before that."""
BETWEEN_TRIES_SECONDS = 0.1
SILENCE_SECONDS = 40.0
"""An event stream has a heartbeat every 15 s; after two missed ones the daemon is gone."""

JOBS_PAGE = 500
"""Jobs asked for in one request."""

EVENT: TypeAdapter[DaemonEvent] = TypeAdapter(Annotated[DaemonEvent, Field(discriminator="kind")])
JOBS = TypeAdapter(list[JobView])
WATCHES = TypeAdapter(list[WatchView])
FINDINGS = TypeAdapter(list[Finding])
Understood = TypeVar("Understood")


class DaemonClient:
    """The daemon behind a socket. Methods raise Refusal for what it does not take, NoDaemon if it is not there."""

    def __init__(self, socket: Path, answer_seconds: float = ANSWER_SECONDS) -> None:
        self.socket = socket
        self._answer_seconds = answer_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Each question has a connection of its own, so nothing is left to close."""

    # --- jobs ------------------------------------------------------------------------------------------------

    def submit(self, path: str, options: JobOptions) -> JobView:
        """Hand over a recording by its absolute path; a lost answer is asked for again, and makes one job."""
        asked = _asked(SubmitFile, path, options=options)
        # A name for this request: the daemon answers a second one of the same name with the first one's job.
        headers = {"Idempotency-Key": os.urandom(16).hex()}
        try:
            return self._send("POST", "/v1/jobs", JobView.model_validate_json, asked, headers=headers)
        except NoDaemon as gone:
            if not isinstance(gone.__cause__, LineBroke) or not self._comes_back():
                raise
        return self._send("POST", "/v1/jobs", JobView.model_validate_json, asked, headers=headers)

    def jobs(self, status: JobStatus | None = None, limit: int = 100) -> list[JobView]:
        """Newest first. However many: they are asked for page by page."""
        found: list[JobView] = []
        wanted: dict[str, str | int] = {} if status is None else {"status": status}
        while len(found) < limit:
            page = self._asked("GET", "/v1/jobs", params=wanted | {"limit": min(limit - len(found), JOBS_PAGE)})
            found += JOBS.validate_json(page.body)
            if not page.leads_on or not found:
                break
            wanted["before"] = found[-1].id
        return found

    def job(self, job_id: int) -> JobView:
        return self._send("GET", f"/v1/jobs/{job_id}", JobView.model_validate_json)

    def transcript(self, job_id: int, format: Format) -> str:
        """The transcript of a done job, in any format."""
        return self._send("GET", f"/v1/jobs/{job_id}/transcript", bytes.decode, params={"format": format})

    def cancel(self, job_id: int) -> JobView:
        return self._send("POST", f"/v1/jobs/{job_id}/cancel", JobView.model_validate_json)

    def retry(self, job_id: int) -> JobView:
        return self._send("POST", f"/v1/jobs/{job_id}/retry", JobView.model_validate_json)

    def forget(self, job_id: int) -> None:
        """A job that is over, with its text; the files it wrote stay."""
        self._send("DELETE", f"/v1/jobs/{job_id}", bytes)

    # --- the daemon ------------------------------------------------------------------------------------------

    def status(self) -> StatusView:
        return self._send("GET", "/v1/status", StatusView.model_validate_json)

    def health(self, *, fresh: bool = False) -> HealthView:
        """Whether a recording would come out; `fresh`: proved now, which may take `health.canary_seconds`."""
        url = f"/v1/health?fresh={str(fresh).lower()}"
        with self._lost_if_broken():
            answer = socket_line.ask(self.socket, "GET", url, None, PROOF_SECONDS)
        try:
            # An unhealthy daemon answers 503, for those who look at nothing else.
            return HealthView.model_validate_json(answer.body)
        except ValidationError:
            raise _refusal(answer) from None

    def examination(self) -> list[Finding]:
        """What only the daemon can find out about its folders and its queue."""
        return self._send("GET", "/v1/examination", FINDINGS.validate_json)

    def check(self, *, repair: bool) -> CheckView:
        """What is stored, held against what is there; `repair`: and fixed."""
        url = f"/v1/check?repair={str(repair).lower()}"
        return self._send("POST", url, CheckView.model_validate_json, patience_seconds=PROOF_SECONDS)

    def reload(self) -> ReloadView:
        """Settings read again."""
        return self._send("POST", "/v1/reload", ReloadView.model_validate_json)

    def restart(self, role: Role) -> WorkerView:
        return self._send("POST", f"/v1/workers/{role}/restart", WorkerView.model_validate_json)

    def unload(self, role: Role) -> WorkerView:
        return self._send("POST", f"/v1/workers/{role}/unload", WorkerView.model_validate_json)

    def pause(self) -> QueueView:
        return self._send("POST", "/v1/queue/pause", QueueView.model_validate_json)

    def resume(self) -> QueueView:
        return self._send("POST", "/v1/queue/resume", QueueView.model_validate_json)

    def watches(self) -> list[WatchView]:
        return self._send("GET", "/v1/watches", WATCHES.validate_json)

    def add_watch(self, path: str, **how: object) -> WatchView:
        """Watch a folder; `how` are the other fields of AddWatch."""
        asked = _asked(AddWatch, path, **how)
        return self._send("POST", "/v1/watches", WatchView.model_validate_json, asked)

    def remove_watch(self, path: str) -> None:
        asked = _asked(AddWatch, path)
        self._send("DELETE", "/v1/watches", bytes, params={"path": asked.path})

    # --- events ----------------------------------------------------------------------------------------------

    @contextmanager
    def events(self, job_id: int | None = None, for_seconds: float = math.inf) -> Iterator[Iterator[DaemonEvent]]:
        """Events from the moment this is entered, of one job (which begins with its state) or of everything.

        The iterator ends with the job, when the daemon stops, or `for_seconds` after it was asked for.
        """
        url = "/v1/events" if job_id is None else f"/v1/jobs/{job_id}/events"
        with (
            self._lost_if_broken(),
            socket_line.listen(self.socket, url, ANSWER_SECONDS, SILENCE_SECONDS, for_seconds) as heard,
        ):
            if isinstance(heard, Answer):
                raise _refusal(heard)
            yield map(EVENT.validate_json, heard)

    # ---------------------------------------------------------------------------------------------------------

    def _send(
        self,
        method: str,
        url: str,
        understand: Callable[[bytes], Understood],
        asked: BaseModel | None = None,
        **how: Any,
    ) -> Understood:
        return understand(self._asked(method, url, asked, **how).body)

    def _asked(
        self,
        method: str,
        url: str,
        asked: BaseModel | None = None,
        params: dict[str, str | int] | None = None,
        headers: Mapping[str, str] = socket_line.NO_HEADERS,
        patience_seconds: float | None = None,
    ) -> Answer:
        # None stays out of the request: the daemon's settings speak then, also those a newer daemon knows.
        body = None if asked is None else asked.model_dump_json(exclude_none=True).encode()
        if params:
            url = f"{url}?{urlencode(params)}"
        with self._lost_if_broken():
            patience = self._answer_seconds if patience_seconds is None else patience_seconds
            answer = socket_line.ask(self.socket, method, url, body, patience, headers)
        if answer.is_error:
            raise _refusal(answer)
        return answer

    def _comes_back(self) -> bool:
        """Whether a daemon that went away is there again before long: its service manager takes a second."""
        ends_at = time.monotonic() + COMES_BACK_SECONDS
        while time.monotonic() < ends_at:
            try:
                socket_line.ask(self.socket, "GET", "/v1/status", None, COMES_BACK_SECONDS)
                return True
            except (NobodyListens, LineBroke):
                time.sleep(BETWEEN_TRIES_SECONDS)  # nothing wakes us when a socket appears
            except LineSilent:
                break
        return False

    def _nobody(self) -> NoDaemon:
        if len(os.fsencode(self.socket)) > LONGEST_SOCKET_PATH_BYTES:
            return NoDaemon(
                f"no daemon can answer at {self.socket}: a socket's path has {LONGEST_SOCKET_PATH_BYTES} bytes "
                "at most",
                "choose a shorter STENO_HOME",
            )
        if (hidden := why_hidden(self.socket)) is not None:
            return NoDaemon(f"{self.socket} cannot be reached: {hidden}", "`steno doctor` shows what is in the way")
        return NoDaemon(f"no daemon answers at {self.socket}")

    @contextmanager
    def _lost_if_broken(self) -> Iterator[None]:
        try:
            yield
        except NobodyListens as refused:
            raise self._nobody() from refused
        except LineSilent as silent:
            raise NoDaemon(
                "the daemon does not answer", f"`steno logs` may say why; socket {self.socket}"
            ) from silent
        except LineBroke as broken:
            raise NoDaemon(
                "the connection to the daemon broke in the middle of an answer", "`steno logs` may say why"
            ) from broken


def why_hidden(socket: Path) -> str | None:
    """Why it cannot be told whether there is a socket; None: it can be seen that there is one, or none."""
    try:
        socket.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror
    return None


Asked = TypeVar("Asked", bound=BaseModel)


def _asked(kind: type[Asked], path: str, **fields: object) -> Asked:
    """The request, or the Refusal the daemon would give if it could even be told."""
    try:
        return kind.model_validate({"path": path, **fields})
    except ValidationError as wrong:
        raise Refusal(*_why(path, wrong.errors())) from wrong


def _why(path: str, faults: Sequence[Any]) -> tuple[str, str, str]:
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in path):
        return "bad_name", f"{path} is not valid UTF-8", "rename the file or its folder"
    field = str(faults[0]["loc"][0])
    return (
        "bad_name",
        f"{path}: {field} {fault_words(faults[0]['msg'])}",
        "give a shorter path" if field == "path" else "correct it",
    )


def _refusal(answer: Answer) -> Refusal:
    try:
        problem = Problem.model_validate_json(answer.body)
    except ValidationError:
        return Refusal(
            "not_understood", f"HTTP {answer.status} without a reason", "is another program listening at this socket?"
        )
    return Refusal(problem.code, problem.detail, problem.hint)
