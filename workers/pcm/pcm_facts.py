"""What was read of a recording, kept beside its PCM: a worker may die between naming the one and telling the other.

Runs in: worker.
"""

from pathlib import Path

from ipc.transcript import RecordingFacts


def keep_facts(pcm_path: Path, facts: RecordingFacts) -> None:
    """Write them; before the PCM has its name, so that where the PCM is its facts are. Raises OSError."""
    _path(pcm_path).write_text(facts.model_dump_json())


def kept_facts(pcm_path: Path) -> RecordingFacts | None:
    """What was read of the recording that this PCM came from; None: an older version made it."""
    try:
        return RecordingFacts.model_validate_json(_path(pcm_path).read_text())
    except (OSError, ValueError):
        return None


def _path(pcm_path: Path) -> Path:
    return pcm_path.with_name(pcm_path.name + ".facts.json")
