"""What was measured, a file a row: a page can be made in pieces, and what ends a run costs only its last row.

Runs in: the benchmark.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from benchmarks.figures import Outcome

OUTCOME = TypeAdapter(Outcome)


def keep(folder: Path, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{outcome.row}.json").write_bytes(OUTCOME.dump_json(outcome, indent=1))


def kept(folder: Path, rows: Sequence[str]) -> list[Outcome]:
    """Those of these rows that were measured before; what an older version wrote is as if it never was."""
    found = []
    for row in rows:
        try:
            found.append(OUTCOME.validate_json((folder / f"{row}.json").read_bytes()))
        except (FileNotFoundError, ValidationError):
            continue
    return found
