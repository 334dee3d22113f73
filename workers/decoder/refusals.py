"""What a worker says where its decoders give it no sound.

Runs in: worker.
"""

from typing import NoReturn

from workers.decoder.verdict import Death
from workers.engine import EngineRefusal


def decoder_crashed(path: str, times: int, death: Death) -> EngineRefusal:
    """The recording is the likely cause; the supervisor counts."""
    return EngineRefusal(
        f"decoder_crashed:{death.kind}",
        f"the decoder died {times} times on {path}, at last: {death.words}",
        "the daemon's log has the traceback; another program may convert it to WAV or FLAC",
    )


def refuse_silent_disk(path: str) -> NoReturn:
    """The disk under a recording does not answer."""
    raise EngineRefusal(
        "disk_not_answering", f"the disk of {path} does not answer", "the job goes on by itself once it does"
    )


def no_decoder(why: str) -> EngineRefusal:
    """This says nothing about the recording."""
    return EngineRefusal(
        "no_decoder",
        f"no process could be started to decode with: {why}",
        "the machine is short of memory or of processes, or the installation is damaged (`steno doctor`); the job "
        "goes on by itself once it can",
    )
