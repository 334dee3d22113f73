"""The composition root: builds the parts, runs them side by side, and stops them in order.

Runs in: supervisor.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import structlog

from config.engines import EngineChoice
from config.loader import ConfigError, LoadedSettings
from config.logs import set_level
from config.ownership import make_private
from config.places import Places, hub_cache, torch_checkpoints
from ipc.events import WorkerChanged
from ipc.status_views import WorkerView
from ipc.worker_messages import WorkerSetup
from supervisor.api.app import create_app
from supervisor.api.asr.endpoints import add_asr_endpoints
from supervisor.api.http.listener import Admission, bind_tcp, read_token
from supervisor.api.metrics.endpoint import RequestTimes, add_metrics_endpoint
from supervisor.api.openai.endpoints import add_openai_endpoints
from supervisor.api.server import serve
from supervisor.api.service import DaemonService
from supervisor.api.unix_socket import bind
from supervisor.api.uploads.spool import UploadSpool
from supervisor.api.uploads.upload_jobs import UploadJobs
from supervisor.disks.foreign_disks import disks
from supervisor.followups.followups import FollowUps
from supervisor.health.canary import Canary
from supervisor.health.self_check import SelfCheck
from supervisor.health.troubles import Troubles
from supervisor.jobs.dispatcher import JobDispatcher
from supervisor.jobs.intake import Intake
from supervisor.jobs.recordings import RecordingLocks, RecordingSearch
from supervisor.jobs.runner import JobRunner
from supervisor.jobs.upgrades import Upgrades
from supervisor.progress.board import JobBoard
from supervisor.progress.event_bus import EventBus
from supervisor.progress.forecast import Forecast
from supervisor.recovery.leftovers import sweep
from supervisor.recovery.queue_care import QueueCare
from supervisor.store.jobs import JobQueue
from supervisor.system import signals as boot_signals
from supervisor.system.event_loop import loop_watch
from supervisor.system.reload import LiveSettings, Reload
from supervisor.system.service_notify import ServiceNotice
from supervisor.system.sleep_inhibitor import SleepInhibitor
from supervisor.system.threads import preallocated_pool, wait_for_children_without_threads
from supervisor.watch.entries import WatchList
from supervisor.watch.watcher import WatchFolders
from supervisor.worker.death import CrashReports
from supervisor.worker.handle import WorkerHandle
from supervisor.worker.setups import cores_of_this_machine, worker_setups
from supervisor.worker.spawner import Spawner

log = structlog.get_logger()

LONGEST_STOP_SECONDS = 9.0


class Daemon:
    """Everything that runs in the supervisor process. Made once, run once."""

    def __init__(
        self,
        loaded: LoadedSettings,
        choice: EngineChoice,
        places: Places,
        *,
        log_json: bool,
        log_quiet: bool,
        read: Callable[[], LoadedSettings],
    ) -> None:
        """`read` raises ConfigError where the settings would not do for a start."""
        self._settings = loaded.settings
        self._origins = loaded.origins
        self._choice = choice
        self._places = places
        self._log_json = log_json
        self._log_quiet = log_quiet
        self._read = read
        self._stop = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._began_at = time.monotonic()
        self.notice = ServiceNotice(os.environ, os.getpid())
        self.leaves_workers = False

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Before that, DatabaseRefused, JobQueueBroken, SocketRefused, PortRefused."""
        settings, places = self._settings, self._places
        asyncio.get_running_loop().set_default_executor(preallocated_pool())
        wait_for_children_without_threads()
        self._listen_to_signals()
        for folder in (places.state, places.spool, places.models):
            make_private(folder)
        queue = await JobQueue.open(places.database, settings.queue)
        try:
            await self._run_with(queue)
        finally:
            await queue.close()
        log.info("daemon_stopped")

    async def _run_with(self, queue: JobQueue) -> None:
        settings, places = self._settings, self._places
        live = LiveSettings(settings)
        bus = EventBus()
        sleep_inhibitor = SleepInhibitor(live)
        spawner = Spawner()
        setups = worker_setups(
            settings,
            self._choice,
            places,
            cores=cores_of_this_machine(),
            log_json=self._log_json,
            log_quiet=self._log_quiet,
        )

        def worker_changed(view: WorkerView) -> None:
            bus.publish(WorkerChanged(worker=view))
            board.totals.note_worker(view)
            dispatcher.wake()

        def handle(*candidates: WorkerSetup | None) -> WorkerHandle:
            engines = [setup for setup in candidates if setup is not None]
            return WorkerHandle(
                engines,
                live,
                places.state / "crashes",
                spawner,
                worker_changed,
                model_folders=(places.models, hub_cache(), torch_checkpoints()),
            )

        transcriber = handle(setups.transcriber, setups.fallback)
        aligner = None if setups.aligner is None else handle(setups.aligner)
        forecast = Forecast(queue, transcriber, aligner, live)
        board = JobBoard(bus, sleep_inhibitor.note_running, forecast)
        disks().on_answer = lambda: dispatcher.try_at_once()
        recordings = RecordingLocks()
        search = RecordingSearch(queue)
        reports = CrashReports(places.logs / "crashes")
        runner = JobRunner(queue, transcriber, aligner, live, places.spool, reports, board.tell, recordings, search)
        upgrades = None if aligner is None else Upgrades(queue, runner, aligner, board)

        async def is_away(watch: str) -> bool:
            return await watch_folders.is_away(watch)

        dispatcher = JobDispatcher(queue, runner, transcriber, upgrades, board, live, places.spool, is_away)
        await sweep(queue, places.spool)
        intake = Intake(queue, dispatcher, board, live)
        watch_folders = WatchFolders(
            live,
            intake.take,
            intake.known,
            excluded=(places.spool, places.state, places.logs),
            # A folder of our own choice is made; one the owner named and that is not there may be an unplugged disk.
            created=[entry.path for entry in settings.watch] if self._origins["watch"] == "default" else (),
            watch_list=WatchList(places.state / "watches.json"),
        )
        search.look = watch_folders.find
        follow_ups = FollowUps(queue, board, recordings, search, live, watch_folders.entry)
        queue.aftermath = follow_ups
        examination = SelfCheck(live, places, watch_folders.probe, queue.write_nothing)
        canary = Canary(transcriber, aligner, live, places.spool)
        handles = [transcriber] if aligner is None else [transcriber, aligner]
        reload = Reload(live, self._read)
        # What waits for something that a setting can bring. All others read the settings when they need them.
        reload.on_change = (
            lambda: set_level(live.current.logs.level),
            sleep_inhibitor.wake,
            dispatcher.wake,
            follow_ups.wake,
            watch_folders.settings_changed,
            *(handle.settings_changed for handle in handles),
        )
        troubles = Troubles(lambda: [handle.view for handle in handles], dispatcher.probation, places)
        service = DaemonService(
            queue,
            dispatcher,
            board,
            transcriber,
            aligner,
            watch_folders,
            bus,
            version("stenod"),
            canary,
            reload,
            examination,
            forecast,
            QueueCare(queue, dispatcher, recordings, places),
            troubles.findings,
        )
        uploads = UploadJobs(service, UploadSpool(places.uploads, live), live)
        # Before the Unix socket: where the port is taken, no socket is left behind.
        port = None if settings.http.listen is None else bind_tcp(settings.http.listen, "http.listen")
        commands = None if settings.wyoming.listen is None else settings.wyoming.listen.removeprefix("tcp://")
        commands_port = None if commands is None else bind_tcp(commands, "wyoming.listen")
        listener = bind(places.socket)
        self.notice.say("READY=1")
        log.info(
            "daemon_started",
            version=version("stenod"),
            transcriber=self._choice.transcriber,
            aligner=self._choice.aligner,
            socket=str(places.socket),
            http=settings.http.listen,
            wyoming=settings.wyoming.listen,
        )
        app = create_app(service, self._stop)
        add_openai_endpoints(app, uploads)
        add_asr_endpoints(app, uploads)
        timed = RequestTimes(app)
        add_metrics_endpoint(app, service, timed, places.spool)
        # All that was imported stays; a full collection that went through it would hold up every client for 50 ms.
        gc.freeze()
        async with asyncio.TaskGroup() as parts:
            # First of all: to answer needs no worker, and their start takes every core there is.
            serving = parts.create_task(serve(timed, listener, stop=self._stop), name="socket")
            listening = [serving]
            if port is not None:
                admitted = Admission(timed, live, read_token(places.http_token))
                listening.append(parts.create_task(serve(admitted, port, stop=self._stop), name="http"))
            if commands_port is not None:
                # Only where it is wanted: its libraries take memory, and time at the start.
                from supervisor.api.wyoming.conversation import Offer
                from supervisor.api.wyoming.server import serve_wyoming

                offer = Offer(version("stenod"), setups.transcriber.model or self._choice.transcriber)
                talking = serve_wyoming(uploads, commands_port, offer, live, stop=self._stop)
                listening.append(parts.create_task(talking, name="wyoming"))
            receiving = parts.create_task(uploads.run(), name="uploads")
            kept = [parts.create_task(handle.run(), name=handle.role) for handle in handles]
            dispatching = parts.create_task(dispatcher.run(), name="dispatcher")
            running_follow_ups = parts.create_task(follow_ups.run(), name="follow-ups")
            watching = parts.create_task(watch_folders.run(), name="watch folders")
            watched = parts.create_task(loop_watch(settings, places, self.notice).run(), name="loop watch")
            staying_awake = parts.create_task(sleep_inhibitor.run(), name="wakefulness")
            reloading = parts.create_task(self._reload_when_asked(reload), name="reload")
            await self._stop.wait()
            log.info("daemon_stopping")
            self.notice.say("STOPPING=1")
            await queue.deaths.note_orderly_end()
            bus.close()
            for leaving in (watching, running_follow_ups, staying_awake, reloading, watched, receiving):
                leaving.cancel()
            # Workers first: a running job then learns that it must wait, without asking politely.
            await asyncio.gather(*(handle.stop() for handle in handles))
            dispatching.cancel()
            await asyncio.wait([dispatching, *listening, *kept])
        spawner.close()
        self.leaves_workers = any(handle.view.written_off for handle in handles)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for asked in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(asked, self._asked_to_stop, asked)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        if boot_signals.was_hung_up():
            self._hung_up()

    def _asked_to_stop(self, asked: signal.Signals) -> None:
        if self._stop.is_set():
            # Asked twice: exit now. The workers see their pipe close; the database takes any exit.
            log.warning("daemon_left_at_once", signal=asked.name)
            sys.stderr.flush()
            os._exit(128 + asked)
        self._end_within(LONGEST_STOP_SECONDS)

    def _end_within(self, seconds: float) -> None:
        # Last of all deadlines: a thread stuck on a dead network disk must not hold up the exit.
        signal.signal(signal.SIGALRM, lambda number, frame: self._leave())
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self._stop.set()

    def _leave(self) -> NoReturn:
        os._exit(0)

    def _hung_up(self) -> None:
        """SIGHUP means read the settings again; but to a daemon in a terminal that was closed, it means stop."""
        if boot_signals.had_terminal() and not sys.stderr.isatty():
            # What we say on the way goes to the log file alone: a line to a terminal that is gone raises.
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stderr.fileno())
            self._asked_to_stop(signal.SIGHUP)
        else:
            self._reload_asked.set()

    async def _reload_when_asked(self, reload: Reload) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            with contextlib.suppress(ConfigError):  # it is in the log, and all is as before
                await reload()
