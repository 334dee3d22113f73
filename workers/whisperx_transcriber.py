"""Speech → text with WhisperX's own engine: faster-whisper on CTranslate2. The only file that names them.

Runs in: worker.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from config.model_names import DEFAULT_MODEL, WITHOUT_TRANSLATION
from ipc.worker_messages import Task, WorkerSetup
from workers.echoes import is_of_the_same_words
from workers.engine import SAMPLE_RATE, Audio, Chunk, Downloading, EngineRefusal, Heard, Loaded, Wanted
from workers.heard_bounds import widen
from workers.lanes import lanes_for, share_out
from workers.loudness import at_usual_loudness
from workers.mel_window import WHOLE_WINDOW, Mel, in_windows, window_frames
from workers.models import find_model
from workers.whisper_decoding import (
    LEAST_LOGPROB,
    MOST_COMPRESSION,
    Decoding,
    Stretch,
    is_doubtful,
    read_decoding,
)

DETECTION_SECONDS = 30
"""What is listened to for the language."""
CHUNKS_A_LANE = 4
CHUNKS_A_BATCH_ON_CUDA = 16
BEAM_SIZE = 5
LONGEST_ECHO_TOKENS = 5
"""In a second try: so many tokens in a row are not said twice."""


class WhisperxTranscriber:
    """faster-whisper in int8 on the CPU and float16 on CUDA. Fails as `workers.engine.Transcriber` says."""

    batch_size = CHUNKS_A_LANE
    shows_life = False
    apart = False

    def load(self, setup: WorkerSetup, downloading: Downloading) -> Loaded:
        """Opens the model's folder; nothing is fetched but by `find_model`. Half a second for the starter."""
        self.name = setup.model or DEFAULT_MODEL["whisperx"]
        folder = find_model(setup.model, "whisperx", Path(setup.models_folder), setup.allow_download, downloading)

        import ctranslate2
        from faster_whisper import WhisperModel

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
        self.device = device
        # Integers add up to the same in any order, and each chunk's attention is its own: a test holds what a chunk
        # gives in company against what it gives alone, to the last bit. Sums of floats promise no such thing.
        self.apart = device == "cpu" and self.model.model.compute_type.startswith("int8")
        # One lane needs no thread; several keep theirs, for each new thread would keep freed memory of its own.
        self.side_by_side: Any = map if self.lanes.count == 1 else ThreadPoolExecutor(self.lanes.count, "lane").map
        self.batch_size = CHUNKS_A_BATCH_ON_CUDA if device == "cuda" else CHUNKS_A_LANE * self.lanes.count
        packages = ("faster-whisper", "ctranslate2")
        return Loaded(model=self.name, device=device, versions={name: version(name) for name in packages})

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
        language, probability, _ = self.model.detect_language(
            at_usual_loudness(audio[: DETECTION_SECONDS * SAMPLE_RATE])
        )
        return language, float(probability)

    def transcribe(self, chunks: Sequence[Chunk], wanted: Wanted) -> list[list[Heard]]:
        """All chunks in one go, then the rests of those in which Whisper broke off; what it doubts, by itself."""
        heard: list[list[Heard]] = [[] for _ in chunks]
        todo = [Stretch(number, chunk) for number, chunk in enumerate(chunks) if len(chunk.audio)]
        while todo:
            rests: list[Stretch] = []
            decodings = self._hear_together([stretch.sound for stretch in todo], wanted)
            for stretch, decoding in zip(todo, decodings, strict=True):
                wanted.alive()
                if is_doubtful(decoding, stretch.sound):
                    heard[stretch.number] += self._hear_alone(stretch.sound, wanted)
                    continue
                heard[stretch.number] += decoding.heard
                if decoding.rest is not None:
                    rests.append(Stretch(stretch.number, decoding.rest))
            todo = rests  # strictly shorter: a decoding that would not advance has no rest
        return [widen(found, chunk) for found, chunk in zip(heard, chunks, strict=True)]

    def rest(self) -> None:
        """CTranslate2 keeps no cache that grows with the job."""

    def _hear_together(self, sounds: Sequence[Chunk], wanted: Wanted) -> list[Decoding]:
        """One batch without second tries, each chunk in a window of its own length, like windows together."""
        from faster_whisper.tokenizer import Tokenizer

        tokenizer = Tokenizer(
            self.model.hf_tokenizer, self.model.model.is_multilingual, task=wanted.task, language=wanted.language
        )
        said_before = tokenizer.encode(f" {wanted.prompt.strip()}") if wanted.prompt else []
        prompt = self.model.get_prompt(tokenizer, said_before)
        # Its last frame is that of the padding.
        mels = [self.model.feature_extractor(at_usual_loudness(sound.audio))[:, :-1] for sound in sounds]
        windows = [WHOLE_WINDOW if self.device == "cuda" else window_frames(mel.shape[1]) for mel in mels]
        most = CHUNKS_A_BATCH_ON_CUDA if self.device == "cuda" else CHUNKS_A_LANE
        groups = share_out(windows, self.lanes.count, most)
        decode = partial(self._decode, prompt=prompt, tokenizer=tokenizer)
        decoded = self.side_by_side(
            decode, [in_windows([mels[place] for place in group], windows[group[0]]) for group in groups]
        )
        results: dict[int, Any] = {}
        for group, of_group in zip(groups, decoded, strict=True):
            results |= zip(group, of_group, strict=True)
        return [
            read_decoding(
                (tokens := (result := results[place]).sequences_ids[0]),
                sound,
                tokenizer.timestamp_begin,
                tokenizer.eot,
                tokenizer.decode,
                # The score is a mean over the text; Whisper's own mean counts the end of text too.
                avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
                no_speech_prob=result.no_speech_prob,
            )
            for place, sound in enumerate(sounds)
        ]

    def _decode(self, windows: Mel, prompt: list[int], tokenizer: Any) -> list[Any]:
        """(chunks, mels, frames) → one result of CTranslate2's for each chunk. In a thread of a lane."""
        import ctranslate2
        from faster_whisper.transcribe import get_suppressed_tokens

        if self.device == "cuda":
            encoded = self.model.encode(windows)
        else:
            # One after the other: attention takes 50 MB for a whole window, of the smallest model there is.
            rows = [np.array(self.model.encode(window[None])) for window in windows]
            encoded = ctranslate2.StorageView.from_array(np.concatenate(rows))
        results: list[Any] = self.model.model.generate(
            encoded,
            [prompt] * len(windows),
            beam_size=BEAM_SIZE,
            max_length=self.model.max_length,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            return_scores=True,
            return_no_speech_prob=True,
        )
        return results

    def _hear_alone(self, chunk: Chunk, wanted: Wanted) -> list[Heard]:
        """One chunk in windows that start where text ended. What goes round in circles is heard once more and may not
        say five tokens twice: if Whisper believes that, and it says something else, the sound goes in no circle.

        No lots are drawn, as with rising temperatures: CTranslate2's are others after a crash, and so would be the
        text. Measured on real English: context and temperatures change nothing, or harm.
        """
        heard = self._hear_windows(chunk, wanted)
        if any(segment.compression_ratio > MOST_COMPRESSION for segment in heard):
            otherwise = self._hear_windows(chunk, wanted, no_repeat_ngram_size=LONGEST_ECHO_TOKENS)
            believed = otherwise and not any(has_failed(segment) for segment in otherwise)
            if believed and not is_of_the_same_words(text_of(otherwise), text_of(heard)):
                heard = otherwise
        return [as_heard(segment, chunk.start) for segment in heard]

    def _hear_windows(self, chunk: Chunk, wanted: Wanted, **otherwise: int) -> list[Any]:
        """Segments of faster-whisper, in seconds from the chunk's start."""
        segments, _ = self.model.transcribe(
            at_usual_loudness(chunk.audio),
            language=wanted.language,
            task=wanted.task,
            beam_size=BEAM_SIZE,
            temperature=0.0,
            initial_prompt=wanted.prompt,
            condition_on_previous_text=False,
            **otherwise,
        )
        found = []
        for segment in segments:
            wanted.alive()
            found.append(segment)
        return found


def text_of(segments: Sequence[Any]) -> str:
    return "".join(segment.text for segment in segments)


def has_failed(segment: Any) -> bool:
    """Whisper's own tests of a text."""
    return bool(segment.compression_ratio > MOST_COMPRESSION or segment.avg_logprob < LEAST_LOGPROB)


def as_heard(segment: Any, offset_seconds: float) -> Heard:
    """A faster_whisper Segment, moved to its place in the recording."""
    return Heard(
        start=segment.start + offset_seconds,
        end=segment.end + offset_seconds,
        text=segment.text,
        avg_logprob=float(segment.avg_logprob),
        no_speech_prob=float(segment.no_speech_prob),
    )
