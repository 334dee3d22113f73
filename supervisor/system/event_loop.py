"""The daemon's event loop, which keeps its signals when it closes: the process still has to leave, and to say how.

Runs in: supervisor.
"""

import asyncio
import signal

from supervisor.system.signals import remember


class LastingLoop(asyncio.SelectorEventLoop):
    """A loop that closes gives its signals back to the system, and the next one would end the process by default."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Whether there was one: from now on the signal is only remembered."""
        signal.signal(sig, remember)
        return True
