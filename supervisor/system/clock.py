"""Timestamps for files and logs. Pure.

Runs in: supervisor.
"""

from datetime import UTC, datetime


def iso_time(epoch_seconds: float) -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")
