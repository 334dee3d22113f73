"""A recording decoded in the calling process: the decoder's own steps, without its process and sandbox.

Runs in: the test process, and the benchmark.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ipc.transcript import RecordingFacts
from workers.audio.container_decoder import DecodingOptions
from workers.audio.decode import decode_recording
from workers.pcm.pcm_writer import PcmWriter
from workers.recording.recording_file import Recording
from workers.recording.recording_path import opened_recording


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """Raises EngineRefusal as a decoder does."""
    with opened_recording(path, expected=None, beneath=None) as descriptor:
        yield Recording(descriptor)


def decode(
    path: Path, pcm_path: Path, wish: DecodingOptions, step: Callable[[float], None]
) -> tuple[float, RecordingFacts]:
    """Write the recording's sound to `pcm_path`; its seconds, and what was read of the recording.

    `step` is called often with the seconds done; an exception from it ends the decoding. Nothing unfinished is left
    behind. Raises EngineRefusal as a decoder does.
    """
    try:
        with open_recording(path) as file, pcm_path.open("wb", buffering=0) as pcm:
            writer = PcmWriter(pcm_path.parent, pcm.fileno())
            facts = decode_recording(path, file, writer, wish, step)
    except BaseException:
        pcm_path.unlink(missing_ok=True)
        raise
    return writer.seconds, facts
