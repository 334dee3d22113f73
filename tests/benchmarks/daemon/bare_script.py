"""What a person would write without stenod: the same functions, called one after the other in one process.

Runs in: the benchmark, as a process of its own. A line on stdin, the path of a recording, is answered with one on
stdout, `{"wall_seconds": …, "cpu_seconds": …}`, loading apart.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from decoding_here import decode

from ipc.transcript import Segment
from ipc.worker_messages import WorkerSetup
from workers.audio.container_decoder import DecodingOptions
from workers.engine import DecodeOptions
from workers.speech import chunks as speech

LONGEST_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one recording."""

    wall_seconds: float
    cpu_seconds: float
    """Of all processes that took part."""


def main(setups: Sequence[str]) -> None:
    """`setups`: the transcriber's as JSON, then perhaps the aligner's."""
    engines: list[Any] = []
    for written in setups:
        setup = WorkerSetup.model_validate_json(written)
        module, _, name = setup.engine_path.partition(":")
        engines.append(getattr(import_module(module), name)())
        engines[-1].load(setup, lambda: None)
    # Answers go where the libraries that print do not.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(asdict(cost_of(Path(line.strip()), *engines))), file=answers, flush=True)


def cost_of(recording: Path, transcriber: Any, aligner: Any = None) -> Cost:
    """One recording → words, as the workers do it and in the batches they would take."""
    began, burnt = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pcm_path = Path(folder) / "audio.s16"
        decode(recording, pcm_path, DecodingOptions(LONGEST_SECONDS), lambda done_seconds: None)
        with speech.PcmFile(pcm_path) as pcm:
            segments = _segments(pcm, transcriber)
            if aligner is not None:
                for segment in segments:
                    aligner.align(pcm.audio(segment.start, segment.end), segment, "en")
    return Cost(time.monotonic() - began, time.process_time() - burnt)


def _segments(pcm: speech.PcmFile, transcriber: Any) -> list[Segment]:
    return [
        Segment(id=0, start=stretch.start, end=stretch.end, text=text)
        for told in transcriber.transcribe_each(speech.find_chunks(pcm, 0.0), DecodeOptions("en"))
        for _, heard in told
        for stretch in heard
        if (text := stretch.text.strip())
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
