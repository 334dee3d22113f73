"""What the daemon acknowledged, written down by its client: the oracle that no crash of the daemon can touch.

Runs in: the chaos run.
"""

import os
from pathlib import Path


class Ledger:
    """Job id → recording, on the disk before the client goes on (the style of RocksDB's expected values)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._file.touch()

    def acknowledge(self, job_id: int, recording: Path) -> None:
        """The daemon said that it has it."""
        with self._file.open("ab", buffering=0) as file:
            file.write(f"{job_id}\t{recording}\n".encode())
            os.fsync(file.fileno())

    @property
    def acknowledged(self) -> dict[int, Path]:
        lines = (line.split("\t", 1) for line in self._file.read_text().splitlines())
        return {int(job_id): Path(recording) for job_id, recording in lines}
