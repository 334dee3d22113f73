"""One connection of a Wyoming client: describe → info; transcribe, audio → transcript.

Runs in: supervisor. Source: the package `wyoming`; Home Assistant's wyoming integration.

Home Assistant asks for `info` with a deadline of one second and ignores an `error`: it waits for the end of the
connection. So `info` comes from memory, and every failure closes the connection.
"""

import asyncio
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass

import structlog
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_write_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong

from config.model_names import NAME_OF, language_code
from ipc.api_messages import JobOptions
from ipc.errors import StenodError
from supervisor.api.openai.endpoints import raise_for
from supervisor.api.uploads.growing_text import text_pieces
from supervisor.api.uploads.spool import PcmFormat, Receiver, Upload
from supervisor.api.uploads.upload_jobs import UploadJobs
from supervisor.api.wyoming.events import BadEvent, read_event
from supervisor.system.refused import RequestRefused

SILENCE_SECONDS = 30.0
"""A client that sends nothing for this long is disconnected; while its transcript is made, it may be silent."""
MOST_RATE, MOST_WIDTH, MOST_CHANNELS = 384_000, 4, 8
LONGEST_PROMPT = 4000
ATTRIBUTION = Attribution(name="stenod", url="https://pypi.org/project/stenod/")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Offer:
    """What `info` says: our version, and the model of the settings."""

    version: str
    model: str

    @property
    def languages(self) -> list[str]:
        """Codes that this model understands."""
        is_english = self.model == "starter" or self.model.endswith(".en")
        return ["en"] if is_english else sorted(NAME_OF)

    def info(self) -> Info:
        """The answer to `describe`."""
        model = AsrModel(
            name=self.model,
            attribution=ATTRIBUTION,
            installed=True,
            description=f"Whisper {self.model}",
            version=self.version,
            languages=self.languages,
        )
        program = AsrProgram(
            name="stenod",
            attribution=ATTRIBUTION,
            installed=True,
            description="stenod transcribes on this machine",
            version=self.version,
            models=[model],
            supports_transcript_streaming=True,
        )
        return Info(asr=[program])


class Conversation:
    """Holds one client's wishes, and its audio while that comes."""

    def __init__(
        self,
        jobs: UploadJobs,
        offer: Offer,
        most_seconds: float,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._jobs = jobs
        self._offer = offer
        self._most_seconds = most_seconds
        self._reader = reader
        self._writer = writer
        self._wanted = Transcribe()
        self._format: PcmFormat | None = None
        self._receiver: Receiver | None = None

    async def run(self) -> None:
        """Until its transcript is sent, the client leaves, or something is wrong. Never raises but CancelledError."""
        try:
            async with AsyncExitStack() as stack:
                while (event := await asyncio.wait_for(read_event(self._reader), SILENCE_SECONDS)) is not None:
                    if not await self._take(event, stack):
                        return
        except StenodError as no:
            await self._fail(no.code, no.in_full)
        except (BadEvent, KeyError, TypeError, ValueError) as error:
            await self._fail("bad_event", str(error))
        except (TimeoutError, ConnectionError):
            log.info("wyoming_client_went_away")
        except Exception:  # the boundary of a connection: the daemon must survive
            log.exception("wyoming_failed")
            await self._fail("internal", "the daemon failed on this request")

    async def _take(self, event: Event, stack: AsyncExitStack) -> bool:
        """Whether the conversation continues."""
        if Describe.is_type(event.type):
            await self._say(self._offer.info())
        elif Ping.is_type(event.type):
            await self._say(Pong(text=Ping.from_event(event).text))
        elif Transcribe.is_type(event.type):
            self._wanted = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            self._format = pcm_format(start.rate, start.width, start.channels)
        elif AudioChunk.is_type(event.type):
            await self._receive(AudioChunk.from_event(event), stack)
        elif AudioStop.is_type(event.type):
            await self._answer()
            return False
        return True  # an event that is unknown here is dropped, as the protocol wants

    async def _receive(self, chunk: AudioChunk, stack: AsyncExitStack) -> None:
        self._format = self._format or pcm_format(chunk.rate, chunk.width, chunk.channels)
        if self._receiver is None:
            self._receiver = await stack.enter_async_context(self._jobs.spool.receiving("command", self._format))
        frame = self._format.width * self._format.channels * self._format.rate
        if (self._receiver.size_bytes + len(chunk.audio)) > self._most_seconds * frame:
            hint = "raise wyoming.most_audio_seconds"
            raise RequestRefused(413, "audio_too_long", f"the command is longer than {self._most_seconds:g} s", hint)
        await self._receiver.write(chunk.audio)

    async def _answer(self) -> None:
        if self._receiver is None or self._receiver.size_bytes == 0:
            await self._say(Transcript(text=""))
            return
        upload = await self._receiver.finish()
        try:
            working = asyncio.ensure_future(self._transcribe(upload))
            leaving = asyncio.ensure_future(self._reader.read())
            try:
                await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    raise ConnectionAbortedError
                working.result()
            finally:
                for task in (working, leaving):
                    task.cancel()
                await asyncio.gather(working, leaving, return_exceptions=True)
        finally:
            await self._jobs.spool.release(upload.file.parent)

    async def _transcribe(self, upload: Upload) -> None:
        self._jobs.refuse_if_nothing_runs()
        async with self._jobs.attended(upload, self._options()) as job:
            await self._say(TranscriptStart(language=self._wanted.language))
            async with aclosing(text_pieces(self._jobs, job.id)) as pieces:
                async for piece in pieces:
                    if piece is not None:
                        await self._say(TranscriptChunk(text=piece))
            view = await self._jobs.service.job(job.id)
            raise_for(view)
            _, transcript, stored = await self._jobs.service.job_transcript(job.id)
            with closing(stored):
                text = await asyncio.to_thread(lambda: "".join(transcript().text()))
            await self._say(TranscriptStop())
            await self._say(Transcript(text=text, language=view.language))

    def _options(self) -> JobOptions:
        """Raises ValueError for a language that is none."""
        names = [*(self._wanted.transcript_names or []), *(self._wanted.transcript_terms or [])]
        written = self._wanted.language
        language = None if not written else language_code(str(written).replace("_", "-").partition("-")[0])
        prompt = ", ".join(str(name).replace("\0", "") for name in names)
        return JobOptions(workflow="transcribe", language=language, prompt=prompt[:LONGEST_PROMPT] or None)

    async def _say(self, message: Eventable) -> None:
        await asyncio.wait_for(async_write_event(message.event(), self._writer), SILENCE_SECONDS)

    async def _fail(self, code: str, message: str) -> None:
        log.info("wyoming_refused", code=code)
        try:
            await self._say(Error(text=message, code=code))
        except (TimeoutError, ConnectionError):
            return


def pcm_format(rate: int, width: int, channels: int) -> PcmFormat:
    """Raises RequestRefused for a format that no microphone has."""
    fits = all(isinstance(one, int) for one in (rate, width, channels)) and (
        0 < rate <= MOST_RATE and 0 < width <= MOST_WIDTH and 0 < channels <= MOST_CHANNELS
    )
    if not fits:
        raise RequestRefused(
            400, "bad_audio_format", f"{rate} Hz, {width} bytes, {channels} channels", "send 16-bit samples"
        )
    return PcmFormat(rate, width, channels)
