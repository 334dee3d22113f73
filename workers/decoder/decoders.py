"""The worker's side of decoding: one decoder for each recording, its limits, and a verdict on its exit.

Runs in: worker.

This module touches neither a recording's bytes nor its path. A decoder that crashes, hangs in the kernel or sends
garbage costs the request a retry or a refusal; the worker and its model are not affected.
"""

import os
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, assert_never

import structlog

from ipc.decoder_messages import (
    BadLine,
    Decoded,
    DecodeProgress,
    DecodeRefused,
    DecodeResult,
    DecoderRequest,
    Limits,
    LogEvent,
    Opened,
    OpeningFile,
    UnexpectedError,
)
from ipc.failpoints import hit
from ipc.transcript import RecordingFacts
from ipc.worker_messages import AudioDecoded, Decode
from workers.decoder.process import PROGRAM, DecoderLost, DecoderProcess
from workers.decoder.supply import BOOT_SECONDS, DYING_SECONDS, LOOK_SECONDS, StartMethod, supply_for
from workers.decoder.verdict import DecoderDeath, DecoderDied, DecoderSilence, death_of
from workers.engine import SAMPLE_RATE, EngineRefusal
from workers.heartbeat import Heartbeat
from workers.pcm.pcm_file import SAMPLE_BYTES, keep_facts, kept_facts, pcm_seconds
from workers.pcm.pcm_writer import disk_under

SLACK_SECONDS = 60.0
LEAST_CPU_SECONDS = 600
CPU_SHARE = 4
"""Decoding may take a quarter of the longest recording's length in processor time; a hundredth is usual."""
TRIES = 2
"""Decoders a request may use. The second one tells a bug of FFmpeg from an accident."""
MOST_NOTES = 50
"""Log lines that one recording may cause."""
log = structlog.get_logger()


def decoder_crashed(path: str, times: int, death: DecoderDeath) -> EngineRefusal:
    """The refusal after repeated crashes: the recording is the likely cause, and the supervisor counts them."""
    return EngineRefusal(
        f"decoder_crashed:{death.kind}",
        f"the decoder crashed {times} times on {path}, last: {death.words}",
        "the daemon's log has the traceback; another program may convert it to WAV or FLAC",
    )


def refuse_silent_disk(path: str) -> NoReturn:
    """Raises EngineRefusal `disk_not_answering`: the disk of a recording does not answer."""
    raise EngineRefusal(
        "disk_not_answering", f"the disk of {path} does not answer", "the job continues automatically once it does"
    )


def no_decoder(why: str) -> EngineRefusal:
    """The refusal when no decoder can be started; it says nothing about the recording."""
    return EngineRefusal(
        "no_decoder",
        f"no process could be started to decode with: {why}",
        "the machine is short of memory or of processes, or the installation is damaged (`steno doctor`); the job "
        "continues automatically once it can",
    )


def limits_for(request: Decode) -> Limits:
    """Resource limits that fit the longest allowed recording. Pure."""
    longest = request.longest_seconds + SLACK_SECONDS
    return Limits(
        file_bytes=int(longest * SAMPLE_RATE) * SAMPLE_BYTES,
        cpu_seconds=max(LEAST_CPU_SECONDS, int(longest / CPU_SHARE)),
    )


@dataclass(frozen=True, slots=True)
class HungDecoder:
    """A decoder that the kernel cannot kill yet, and the disk it waits for."""

    process: DecoderProcess
    device: int | None


class Decoders:
    """Starts decoders and reaps them. Only for the worker's main thread: Linux ends a child with the thread that
    started it."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        *,
        keeps_ready: bool,
        limits: Limits | None = None,
        program: Sequence[str] = PROGRAM,
        way: StartMethod | None = None,
    ) -> None:
        """`keeps_ready`: keep a decoder ready, so that the next recording need not wait; costs memory. `limits`:
        replace those computed from the request. `program`, `way`: another decoder, another way to start it, for
        tests."""
        self._supply = supply_for(program, way)
        self._heartbeat = heartbeat
        self._keeps_ready = keeps_ready
        self._limits = limits
        self._leaving: list[DecoderProcess] = []
        self._hung: list[HungDecoder] = []
        self._said_what_lacks = False

    def make_ready(self) -> None:
        """Between two recordings: prepares the next decoder, or keeps none."""
        self.see_off()
        if not self._keeps_ready:
            self._supply.close()
            return
        try:
            self._supply.make_ready()
        except OSError as error:
            # The next request retries, and reports the error to its caller.
            log.warning("no_decoder_ready", error=error.strerror)

    def close(self) -> None:
        """Ends the decoder or server that is ready."""
        self._supply.close()
        self.see_off()

    def see_off(self) -> None:
        """Reaps decoders that have answered, and hung ones that the kernel has released."""
        for process in self._leaving:
            process.end()
        self._leaving.clear()
        self._hung = [one for one in self._hung if one.process.is_alive]

    def decode(self, request: Decode) -> Generator[Decode, Decode, AudioDecoded]:
        """Decodes the recording to PCM in the spool. Existing PCM is reused.

        Yields the request when a pause is wanted, at any time. The decoder continues meanwhile; its messages wait.

        Raises Cancelled, and EngineRefusal: those of `workers.audio.decode`, `disk_not_answering`,
        `decoder_crashed:SIGNAL`, `no_decoder`, `disk_full`, `spool_failed`.
        """
        pcm_path = Path(request.pcm_path)
        self._heartbeat.enter("decoding")
        if pcm_path.exists():
            seconds = pcm_seconds(pcm_path)
            return AudioDecoded(request_id=request.request_id, seconds=seconds, recording=kept_facts(pcm_path))
        self.see_off()
        if any(one.device == request.expected.device for one in self._hung if request.expected is not None):
            # Another decoder would only be one more that cannot be killed.
            refuse_silent_disk(request.path)
        for tries_left in reversed(range(TRIES)):
            try:
                seconds, recording = yield from self._with_one(request, pcm_path)
            except DecoderDied as died:
                death = died.death
                log.warning("decoder_died", death=death.kind, words=death.words, traceback=death.traceback)
                if not tries_left and not died.had_begun:
                    raise no_decoder(death.words) from died
                # The next one has another memory layout, so that an attack by the recording starts from scratch.
                self._supply.close()
                if not tries_left:
                    raise decoder_crashed(request.path, TRIES, death) from died
                self._heartbeat.step(0.0)
            else:
                return AudioDecoded(request_id=request.request_id, seconds=seconds, recording=recording)
        raise AssertionError("the last try returns or raises")

    def _with_one(self, request: Decode, pcm_path: Path) -> Generator[Decode, Decode, tuple[float, RecordingFacts]]:
        """The PCM's duration in seconds and the facts. Raises DecoderDied, EngineRefusal and Cancelled."""
        part = pcm_path.with_name(pcm_path.name + ".part")
        try:
            with _part_file(part) as pcm:
                match (yield from self._ending(request, pcm)):
                    case Decoded(recording=recording):
                        seconds = os.fstat(pcm).st_size // SAMPLE_BYTES / SAMPLE_RATE
                    case DecodeRefused(code=code, message=message, hint=hint):
                        raise EngineRefusal(code, message, hint)
                    case UnexpectedError(error=error, wants_memory=wants_memory):
                        if wants_memory:
                            raise DecoderDied(DecoderDeath("memory", f"it ran out of memory ({error})"))
                        raise EngineRefusal(
                            "engine_error",
                            f"the decoder failed: {error}",
                            "the daemon's log has the traceback; `steno retry` tries again",
                        )
                    case never:
                        assert_never(never)
            with disk_under(part.parent):
                # First: a PCM always has its facts, even if the worker crashes in between.
                keep_facts(pcm_path, recording)
                part.replace(pcm_path)
            hit("pcm_named")
            return seconds, recording
        finally:
            part.unlink(missing_ok=True)

    def _ending(self, request: Decode, pcm: int) -> Generator[Decode, Decode, DecodeResult]:
        """The last message of one decoder, which afterwards is reaped or written off."""
        process = self._take()
        waiting = DecoderSilence(
            min(request.disk_seconds, self._heartbeat.patience_seconds),
            self._heartbeat.patience_seconds,
            time.monotonic(),
        )
        try:
            process.ask(DecoderRequest(request=request, limits=self._limits or limits_for(request)), pcm)
            ending = yield from self._hear_out(process, request, waiting)
        except (DecoderLost, BadLine) as error:
            lied = str(error) if isinstance(error, BadLine) else None
            status = process.end() if lied else process.died_of(DYING_SECONDS)
            death = death_of(status, process.last_words, lied)
            raise DecoderDied(death, had_begun=waiting.on_disk) from error
        except BaseException:
            if process.end() is None:
                device = None if request.expected is None else request.expected.device
                log.warning("decoder_written_off", pid=process.pid, why="the kernel cannot kill it yet")
                self._hung.append(HungDecoder(process, device))
            raise
        # A decoder serves one request, whatever its state. It is reaped between requests.
        process.end(0)
        self._leaving.append(process)
        return ending

    def _hear_out(
        self, process: DecoderProcess, request: Decode, waiting: DecoderSilence
    ) -> Generator[Decode, Decode, DecodeResult]:
        """Waits for its last message. Raises DecoderLost, BadLine, DecoderDied if it hangs, EngineRefusal if its disk
        does, and Cancelled."""
        began = time.monotonic()
        look_seconds = min(LOOK_SECONDS, waiting.patience_seconds / 10)
        notes, done_seconds = 0, 0.0
        while True:
            if self._heartbeat.is_pause_wanted:
                yield request
                # What it did not say to us during the pause is no sign of a hang.
                began = time.monotonic()
                waiting.heard(began)
                self._heartbeat.enter("decoding", done_seconds)
            heard = False
            for message in process.hear(look_seconds):
                heard = True
                waiting.heard(time.monotonic())
                match message:
                    case OpeningFile():
                        waiting.on_disk = True
                        self._heartbeat.step(0.0)
                    case Opened(lacks=lacks):
                        self._say_what_lacks(lacks)
                        self._heartbeat.step(0.0)
                    case DecodeProgress(done_seconds=done_seconds):
                        self._heartbeat.step(done_seconds)
                    case LogEvent():
                        notes += 1
                        if notes <= MOST_NOTES:
                            _pass_on(message)
                    case Decoded() | DecodeRefused() | UnexpectedError():
                        return message
                    case _:
                        assert_never(message)
            if heard:
                continue
            if not waiting.on_disk:
                # It is still loading, which the recording does not affect: a busy machine needs longer.
                self._heartbeat.step(0.0)
                if time.monotonic() - began >= BOOT_SECONDS:
                    death = DecoderDeath("timeout", f"it was not ready after {BOOT_SECONDS:.0f} s")
                    raise DecoderDied(death, had_begun=False)
                continue
            self._heartbeat.check_cancelled()
            match waiting.verdict(time.monotonic(), process.is_computing):
                case "disk":
                    refuse_silent_disk(request.path)
                case "stuck":
                    words = f"it made no progress for {waiting.patience_seconds:.0f} s"
                    raise DecoderDied(DecoderDeath("timeout", words))
                case None:
                    pass

    def _take(self) -> DecoderProcess:
        """Takes a decoder from the supply. Raises EngineRefusal, DecoderDied and Cancelled."""
        try:
            return self._supply.take(meanwhile=lambda: self._heartbeat.step(0.0))
        except OSError as error:
            raise no_decoder(error.strerror or str(error)) from error

    def _say_what_lacks(self, lacks: tuple[str, ...]) -> None:
        if lacks and not self._said_what_lacks:
            log.warning("decoder_not_wholly_shut_in", lacks=lacks)
        self._said_what_lacks = True


def _pass_on(note: LogEvent) -> None:
    """Logs an event of the decoder as one of the worker's."""
    ours = {"event", "level", "timestamp", "role", "engine"}
    facts = {name: fact for name, fact in note.facts.items() if name not in ours and name.isidentifier()}
    getattr(log, note.level)(note.event, **facts)


@contextmanager
def _part_file(part: Path) -> Iterator[int]:
    """A new empty file, open for writing. Raises EngineRefusal `disk_full`, `spool_failed`."""
    with disk_under(part.parent):
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
