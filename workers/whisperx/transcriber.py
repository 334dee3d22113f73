"""Speech → text with WhisperX's own engine: faster-whisper on CTranslate2. The only file that names them.

Runs in: worker.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from config.model_names import DEFAULT_MODEL, WITHOUT_TRANSLATION
from ipc.vocabulary import Task
from ipc.worker_messages import WorkerSetup
from workers.engine import (
    SAMPLE_RATE,
    Audio,
    Chunk,
    DecodeOptions,
    Downloading,
    EngineRefusal,
    LoadedEngine,
    RawSegment,
    TranscribedChunks,
)
from workers.models.find import find_model
from workers.speech.loudness import evenly_loud
from workers.speech.mel_window import SAMPLES_A_FRAME, WHOLE_WINDOW, MelBank, in_windows, window_frames
from workers.text.decode_quality import (
    BEAM_SIZE,
    LONGEST_ECHO_TOKENS,
    PATIENCE,
    DecodedChunk,
    Remainder,
    read_decoding,
)
from workers.text.second_pass import is_worth_a_second_pass, second_pass
from workers.text.segment_bounds import widen
from workers.whisperx.allocator import Heap
from workers.whisperx.chunk_queue import ChunkQueue, ReportProgress, decode_in_lanes
from workers.whisperx.lanes import lanes_for

DETECTION_SECONDS = 30
"""Seconds of sound for language detection."""
CHUNKS_A_LANE = 4
"""The largest group. Measured with tiny and base: four together take 0.75 of the time of four single ones, and eight
are no faster than two times four."""
CHUNKS_A_BATCH_ON_CUDA = 16


class WhisperxTranscriber:
    """faster-whisper in int8 on the CPU and float16 on CUDA. Raises as `workers.engine.Transcriber`."""

    batch_size = CHUNKS_A_LANE
    shows_life = False
    apart = False

    def load(self, setup: WorkerSetup, downloading: Downloading) -> LoadedEngine:
        """Opens the model's folder; only `find_model` downloads. Half a second for the starter."""
        self.name = setup.model or DEFAULT_MODEL["whisperx"]
        folder = find_model(setup.model, "whisperx", Path(setup.models_folder), setup.allow_download, downloading)

        import ctranslate2
        from faster_whisper import WhisperModel

        self.heap = Heap()
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self.lanes = lanes_for(setup.threads, device)
        try:
            self.model: Any = WhisperModel(
                str(folder),
                device=device,
                compute_type="float16" if device == "cuda" else "int8",
                cpu_threads=self.lanes.threads,
                num_workers=self.lanes.count,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise EngineRefusal(
                "model_damaged", f"{folder} cannot be opened: {error}", f"delete {folder} and fetch the model again"
            ) from error
        self.model.feature_extractor.mel_filters = MelBank(self.model.feature_extractor.mel_filters)
        self.device = device
        # On a CPU each chunk is encoded separately. Integer sums do not depend on their order, and each chunk has its
        # own attention, so the decoder takes several: a test compares a chunk's result in a group with its result
        # alone, to the last bit. Sums of floats depend on their order, so other types are decoded one by one.
        self.apart = device == "cpu"
        self.most_together = 1
        if self.model.model.compute_type.startswith("int8"):
            told = setup.batch_size // self.lanes.count
            self.most_together = max(1, min(told, CHUNKS_A_LANE)) if setup.batch_size else CHUNKS_A_LANE
        # The threads are kept: each new thread would keep its own freed memory.
        self.threads = ThreadPoolExecutor(self.lanes.count, "lane")
        self.batch_size = CHUNKS_A_LANE * self.lanes.count if self.apart else CHUNKS_A_BATCH_ON_CUDA
        self.heap.give_back()
        packages = ("faster-whisper", "ctranslate2")
        return LoadedEngine(model=self.name, device=device, versions={name: version(name) for name in packages})

    def check(self, language: str | None, task: Task) -> None:
        spoken = self.model.supported_languages
        if task == "translate" and (
            spoken == ["en"] or any(kind in Path(self.name).name for kind in WITHOUT_TRANSLATION)
        ):
            raise EngineRefusal(
                "cannot_translate",
                f"model {self.name} cannot translate",
                "take a multilingual model such as small, medium or large-v3",
            )
        if language is not None and language not in spoken:
            raise EngineRefusal(
                "language_not_supported",
                f"model {self.name} does not know the language {language!r}",
                "take a multilingual model such as small" if spoken == ["en"] else f"one of {', '.join(spoken)}",
            )

    def find_language(self, audio: Audio) -> tuple[str, float]:
        if self.model.supported_languages == ["en"]:
            return "en", 1.0
        language, probability, _ = self.model.detect_language(evenly_loud(audio[: DETECTION_SECONDS * SAMPLE_RATE]))
        return language, float(probability)

    def transcribe(self, chunks: Sequence[Chunk], wanted: DecodeOptions) -> list[list[RawSegment]]:
        """All chunks in one group, then the rests of those in which Whisper broke off."""
        if self.apart:
            return [segments for told in self.transcribe_each(iter(chunks), wanted) for _, segments in told]
        segments: list[list[RawSegment]] = [[] for _ in chunks]
        todo = [Remainder(number, chunk) for number, chunk in enumerate(chunks) if len(chunk.audio)]
        while todo:
            decodings = self._decode_group(todo, wanted.alive, wanted)
            for part, decoding in zip(todo, decodings, strict=True):
                segments[part.number] += decoding.segments
            todo = [
                Remainder(part.number, decoding.rest)
                for part, decoding in zip(todo, decodings, strict=True)
                if decoding.rest is not None  # strictly shorter: a decoding that would not advance has no rest
            ]
        return [widen(found, chunk) for found, chunk in zip(segments, chunks, strict=True)]

    def transcribe_each(self, chunks: Iterator[Chunk], wanted: DecodeOptions) -> Iterator[TranscribedChunks]:
        """In parallel lanes, each chunk in a window of its own length, grouped by window length."""
        line = ChunkQueue(self._window, self.most_together)
        hear = partial(self._decode_group, wanted=wanted)
        lanes = decode_in_lanes(chunks, line, self.lanes.count, self.threads, hear, wanted.alive, wanted.is_pausing)
        for told in lanes:
            yield [(chunk, widen(segments, chunk)) for chunk, segments in told]

    def rest(self) -> None:
        """CTranslate2 keeps no cache that grows with the job; the heap keeps what it freed."""
        self.heap.rest()

    def _window(self, chunk: Chunk) -> int:
        """Frames."""
        return window_frames(len(chunk.audio) // SAMPLES_A_FRAME) if self.apart else WHOLE_WINDOW

    def _decode_group(
        self, parts: Sequence[Remainder], beat: ReportProgress, wanted: DecodeOptions
    ) -> list[DecodedChunk]:
        """Decodes a group together, then its doubtful parts separately. Runs in a lane's thread.

        No sampling at rising temperatures: CTranslate2's random numbers differ after a crash, and so would the text.
        Measured on real English: context and temperatures change nothing, or make it worse.
        """

        def decode_alone(sound: Chunk, no_repeats: bool) -> DecodedChunk:
            return self._decode_once([sound], beat, wanted, LONGEST_ECHO_TOKENS if no_repeats else 0)[0]

        sounds = [part.sound for part in parts]
        return [
            second_pass(sound, decoding, decode_alone) if is_worth_a_second_pass(sound, decoding) else decoding
            for sound, decoding in zip(sounds, self._decode_once(sounds, beat, wanted), strict=True)
        ]

    def _decode_once(
        self, sounds: Sequence[Chunk], beat: ReportProgress, wanted: DecodeOptions, longest_echo_tokens: int = 0
    ) -> list[DecodedChunk]:
        """In windows of the first one's length, without second passes."""
        from faster_whisper.tokenizer import Tokenizer

        tokenizer = Tokenizer(
            self.model.hf_tokenizer, self.model.model.is_multilingual, task=wanted.task, language=wanted.language
        )
        return [
            read_decoding(
                (tokens := result.sequences_ids[0]),
                sound,
                tokenizer.timestamp_begin,
                tokenizer.eot,
                tokenizer.decode,
                # The score is a mean over the text; Whisper's own mean includes the end-of-text token.
                avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
                no_speech_prob=result.no_speech_prob,
            )
            for sound, result in zip(
                sounds, self._decode(sounds, tokenizer, wanted.prompt, beat, longest_echo_tokens), strict=True
            )
        ]

    def _decode(
        self,
        sounds: Sequence[Chunk],
        tokenizer: Any,
        prompt: str | None,
        beat: ReportProgress,
        longest_echo_tokens: int,
    ) -> list[Any]:
        """One CTranslate2 result for each, in windows of the first one's length."""
        import ctranslate2
        from faster_whisper.transcribe import get_suppressed_tokens

        # The last frame belongs to the padding.
        mels = [self.model.feature_extractor(evenly_loud(sound.audio))[:, :-1] for sound in sounds]
        windows = in_windows(mels, self._window(sounds[0]))
        if self.apart:
            # One after the other: together they take longer (they do not fit into the cache), and much more memory.
            rows = []
            for window in windows:
                rows.append(np.array(self.model.encode(window[None])))
                beat()
            encoded = ctranslate2.StorageView.from_array(np.concatenate(rows))
        else:
            encoded = self.model.encode(windows)
        said_before = tokenizer.encode(f" {prompt.strip()}") if prompt else []
        results: list[Any] = self.model.model.generate(
            encoded,
            [self.model.get_prompt(tokenizer, said_before)] * len(windows),
            beam_size=BEAM_SIZE,
            patience=PATIENCE,
            max_length=self.model.max_length,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            return_scores=True,
            return_no_speech_prob=True,
            no_repeat_ngram_size=longest_echo_tokens,
        )
        beat()
        return results
