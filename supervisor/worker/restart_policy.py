"""Deaths → seconds to wait, or give up: pure.

Runs in: supervisor.

Moments are seconds of one monotonic clock, the caller's.
"""

from config.settings import RestartSettings

JITTER_PART = 0.25
"""So much of a delay is left to chance, lest two workers that died together keep coming back together."""


def deaths_that_count(
    deaths: tuple[float, ...], now: float, *, was_calm: bool, settings: RestartSettings
) -> tuple[float, ...]:
    """The death at `now` and those before it that still count: recent ones, unless the worker had been calm since."""
    if was_calm:
        return (now,)
    return (*(at for at in deaths if now - at <= settings.within_seconds), now)


def is_calm(alive_seconds: float, finished_requests: int, settings: RestartSettings) -> bool:
    """Whether a worker has shown that it can work: time alone would forgive one that dies at its first request."""
    return finished_requests > 0 and alive_seconds >= settings.calm_seconds


def delay_before_restart(deaths: tuple[float, ...], jitter: float, settings: RestartSettings) -> float | None:
    """Seconds to wait after the last of `deaths`, those that count; None: too many, let it rest.

    One death is bad luck: it is answered at once. From the second on a reason is more likely than chance, and the
    wait doubles. `jitter` from 0 to 1 shortens it by up to a quarter.
    """
    if len(deaths) > settings.deaths_allowed:
        return None
    if len(deaths) <= 1:
        return 0.0
    # The exponent is bounded: deaths_allowed may be large, and 2.0**1100 is an error.
    doubled = settings.first_delay_seconds * 2.0 ** min(len(deaths) - 2, 64)
    return min(doubled, settings.longest_delay_seconds) * (1.0 - JITTER_PART * jitter)
