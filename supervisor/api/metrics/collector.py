"""Names and types of all metrics; no ids, no paths, no text. Pure.

Runs in: supervisor. Imported with the first request for metrics. Source: https://prometheus.io/docs/practices/naming
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from ipc.status_views import StatusView
from ipc.vocabulary import JobStatus
from supervisor.progress.totals import BUCKETS, Durations, Totals
from supervisor.store.speeds import WorkDone

RUNNING_STATES = frozenset({"ready", "busy"})


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that one page of metrics is made of, from one moment."""

    status: StatusView
    counts: Mapping[JobStatus, int]
    """Status → jobs in the queue."""
    totals: Totals
    work: dict[WorkDone, tuple[float, float]]
    """Who did it → seconds of audio, seconds of work, since the daemon started."""
    oldest_seconds: float | None
    """How long the first waiting job waits."""
    disk_free_bytes: int | None
    requests: dict[tuple[str, str, str], Durations]
    """Route, method and status code → times of requests."""


def metrics_page(facts: Facts) -> bytes:
    """The page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(facts))
    return generate_latest(registry)


class _Facts(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts
        yield gauge("steno_build_info", "The version.", [((facts.status.daemon.version,), 1)], ("version",))
        yield gauge("steno_jobs", "Jobs in the queue.", [((one,), n) for one, n in facts.counts.items()], ("status",))
        yield from _jobs(facts.totals)
        yield from _work(facts.work)
        yield from _workers(facts)
        queue = facts.status.queue
        yield gauge(
            "steno_queue_oldest_seconds", "Age of the first waiting job.", [((), facts.oldest_seconds or 0.0)]
        )
        if queue.eta_seconds is not None:
            yield gauge("steno_queue_eta_seconds", "Until the queue is empty.", [((), queue.eta_seconds)])
        yield gauge("steno_queue_paused", "1: the queue is paused.", [((), float(queue.paused))])
        folders = [((Path(watch.path).name,), float(watch.state == "watching")) for watch in facts.status.watches]
        yield gauge("steno_watch_folder_up", "1: the folder is watched.", dict(folders).items(), ("folder",))
        if facts.disk_free_bytes is not None:
            yield gauge("steno_disk_free_bytes", "Where decoded audio goes.", [((), facts.disk_free_bytes)])
        yield from _requests(facts.requests)
        yield from _process(facts.status.daemon.uptime_seconds)


def _jobs(totals: Totals) -> Iterator[Metric]:
    ends = [((one,), float(totals.finished[one])) for one in ("done", "degraded", "failed", "cancelled")]
    yield counter("steno_jobs_finished", "Jobs that ended.", ends, ("outcome",))
    yield histogram("steno_job_duration_seconds", "From the start of a job to its end.", [((), totals.durations)])
    yield histogram("steno_job_wait_seconds", "From a job's arrival to its start.", [((), totals.waits)])
    hooks = [(key, float(count)) for key, count in totals.hooks.items()]
    yield counter("steno_hook_runs", "Runs of hooks.", hooks, ("event", "outcome"))
    if totals.last_done is not None:
        yield gauge("steno_last_done_timestamp_seconds", "When a job was last done.", [((), totals.last_done)])


def _work(work: dict[WorkDone, tuple[float, float]]) -> Iterator[Metric]:
    audio: dict[tuple[str, ...], float] = {}
    for done, (audio_seconds, _) in work.items():
        audio[done.stage,] = audio.get((done.stage,), 0.0) + audio_seconds
    yield counter("steno_audio_seconds", "Audio that was worked on.", audio.items(), ("stage",))
    spent = {(done.stage, done.engine, done.model): seconds for done, (_, seconds) in work.items()}
    yield counter("steno_work_seconds", "Time that workers took.", spent.items(), ("stage", "engine", "model"))


def _workers(facts: Facts) -> Iterator[Metric]:
    workers = facts.status.workers
    up = [((worker.role,), float(worker.state in RUNNING_STATES)) for worker in workers]
    yield gauge("steno_worker_up", "1: the worker has its model loaded.", up, ("role",))
    deaths = [(key, float(count)) for key, count in facts.totals.deaths.items()]
    yield counter("steno_worker_deaths", "Workers that ended unasked.", deaths, ("role", "cause"))
    memory = [((worker.role,), float(worker.footprint_bytes or 0)) for worker in workers]
    yield gauge("steno_worker_memory_bytes", "Memory of the worker.", memory, ("role",))


def _requests(requests: dict[tuple[str, str, str], Durations]) -> Iterator[Metric]:
    counts = [(key, float(sum(durations.counts))) for key, durations in requests.items()]
    yield counter("steno_http_requests", "Requests.", counts, ("route", "method", "code"))
    routes: dict[tuple[str, ...], Durations] = {}
    for (route, _, _), durations in requests.items():
        whole = routes.setdefault((route,), Durations())
        whole.counts = [one + more for one, more in zip(whole.counts, durations.counts, strict=True)]
        whole.sum_seconds += durations.sum_seconds
    yield histogram("steno_http_request_duration_seconds", "Times of requests.", routes.items(), ("route",))


def _process(uptime_seconds: float) -> Iterator[Metric]:
    process = psutil.Process()
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        yield counter("process_cpu_seconds", "Of the supervisor.", [((), times.user + times.system)])
        yield gauge("process_resident_memory_bytes", "Of the supervisor.", [((), memory.rss)])
        yield gauge("process_open_fds", "Of the supervisor.", [((), process.num_fds())])
        yield gauge("process_start_time_seconds", "Of the supervisor.", [((), process.create_time())])
    yield gauge("steno_uptime_seconds", "Since the daemon started.", [((), uptime_seconds)])


LabeledValues = Iterable[tuple[tuple[str, ...], float]]


def gauge(name: str, what: str, samples: LabeledValues, labels: tuple[str, ...] = ()) -> Metric:
    """A value that goes up and down."""
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, sample in samples:
        family.add_metric(values, sample)
    return family


def counter(name: str, what: str, samples: LabeledValues, labels: tuple[str, ...] = ()) -> Metric:
    """A count since the start; the library adds `_total`."""
    family = CounterMetricFamily(name, what, labels=labels)
    for values, sample in samples:
        family.add_metric(values, sample)
    return family


def histogram(
    name: str, what: str, samples: Iterable[tuple[tuple[str, ...], Durations]], labels: tuple[str, ...] = ()
) -> Metric:
    """Durations in seconds."""
    family = HistogramMetricFamily(name, what, labels=labels)
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    for values, durations in samples:
        buckets = [(bound, float(count)) for bound, count in zip(bounds, durations.cumulative, strict=True)]
        family.add_metric(values, buckets, durations.sum_seconds)
    return family
