"""What a decoder may use, which follows from the longest recording that is allowed: pure.

Runs in: worker.
"""

from ipc.decoder_messages import Limits
from ipc.worker_messages import Decode
from workers.engine import SAMPLE_RATE
from workers.pcm.pcm_file import SAMPLE_BYTES

SLACK_SECONDS = 60.0
LEAST_CPU_SECONDS = 600
CPU_SHARE = 4
"""Decoding may take a quarter of the longest recording's length in processor time; usual is a hundredth."""


def limits_for(request: Decode) -> Limits:
    """What the longest recording may need. Pure."""
    longest = request.longest_seconds + SLACK_SECONDS
    return Limits(
        file_bytes=int(longest * SAMPLE_RATE) * SAMPLE_BYTES,
        cpu_seconds=max(LEAST_CPU_SECONDS, int(longest / CPU_SHARE)),
    )
