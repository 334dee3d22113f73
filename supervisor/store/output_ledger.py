"""Whose file is whose: every name stenod chose or wrote, and the recording it is for.

Runs in: supervisor. Stands alone: one file a table.
"""

from supervisor.disks.file_identity import folded
from supervisor.disks.temporary_names import TemporaryNames
from supervisor.store.sqlite.transactions import JobDatabase

LAST_SIGN = "\U0010ffff"
"""No file's name continues with this character."""


class OutputLedger:
    """Questions to the table of output files, which grows with every job's outputs. Each may raise JobQueueBroken."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database
        self._installation: str | None = None

    async def unfinished_names(self, job_id: int) -> TemporaryNames:
        """What a job's unfinished files are called: after this queue, which got a random name when it was made."""
        if self._installation is None:
            (row,) = await self._database.rows("SELECT value FROM facts WHERE name = 'installation'")
            self._installation = str(row["value"])
        return TemporaryNames(self._installation, job_id)

    async def ours(self, recording: str) -> dict[str, frozenset[str]]:
        """Output path → the sha256s of what stenod wrote there for this recording, in any job, or was about to."""
        question = """SELECT path, coalesce(sha256, '') || ' ' || coalesce(promised, '') AS sha256s FROM output_files
            WHERE recording = ? AND (sha256 IS NOT NULL OR promised IS NOT NULL)"""
        rows = await self._database.rows(question, recording)
        return {row["path"]: frozenset(row["sha256s"].split()) for row in rows}

    async def of_others(self, recording: str, prefix: str, *, any_case: bool = False) -> dict[str, str | None]:
        """Output paths that begin so and are other recordings' → that recording, or None: chosen, not yet written.

        `any_case`: also those that begin so for a disk that takes no notice of letter case. That reads all outputs in
        the folder.
        """
        start = prefix[: prefix.rindex("/") + 1] if any_case else prefix
        rows = await self._database.rows(
            """SELECT path, CASE WHEN sha256 IS NULL THEN NULL ELSE recording END AS owner FROM output_files
            WHERE path >= ? AND path < ? AND recording <> ?""",
            start,
            start + LAST_SIGN,
            recording,
        )
        kept = [row for row in rows if not any_case or folded(row["path"]).startswith(folded(prefix))]
        return {row["path"]: row["owner"] for row in kept}
