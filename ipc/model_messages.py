"""Messages from the model manager to the command that started it: one JSON object a line.

Runs in: worker and the user's shell.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ipc.transcript import Value

ModelState = Literal["whole", "missing", "damaged"]


class ListedModel(Value):
    """One model that is installed, or that the current settings need."""

    name: str
    """The name for `STENO_MODEL` and `steno models pull|remove`: a short name, a hub id, `starter`, a folder."""
    id: str
    """The hub id, torchaudio's name, or the folder; equal to `name` if there is no shorter one."""
    kind: Literal["transcriber", "aligner", "conversion", "unfinished"]
    """`conversion`: another engine's model in MLX's form. `unfinished`: a download that was interrupted."""
    engine: str
    """`mlx` or `whisperx`; empty: not known."""
    state: ModelState
    why: str = ""
    """What is missing or damaged, as a sentence."""
    size_bytes: int = 0
    path: str | None = None
    used_as: tuple[str, ...] = ()
    """What the current settings load it as: `transcriber`, `fallback`, `aligner`, `aligner (de)`."""


class ModelList(Value):
    """The output of `steno models list --json`."""

    models: tuple[ListedModel, ...]
    names: dict[str, tuple[str, ...]]
    """Engine → its short model names."""
    hub_cache: str
    free_bytes: int
    """On the disk of the hub's cache."""


class FileProgress(Value):
    """Progress of one file."""

    kind: Literal["progress"] = "progress"
    phase: Literal["fetching", "checking"]
    model: str
    file: str
    done_bytes: int
    total_bytes: int | None


class Notice(Value):
    """A sentence for the user."""

    kind: Literal["note"] = "note"
    text: str


class ModelInstalled(Value):
    """One model is installed and complete; every byte was checked."""

    kind: Literal["here"] = "here"
    name: str
    path: str
    size_bytes: int
    fetched_bytes: int
    """Bytes downloaded for it now; 0: it was installed before."""


class Removal(Value):
    """What is removed, or was removed, with one name."""

    kind: Literal["removal"] = "removal"
    name: str
    paths: tuple[str, ...]
    freed_bytes: int
    used_as: tuple[str, ...]
    """What the current settings load it as."""
    is_done: bool


class ModelRefusal(Value):
    """A request that was refused, or that failed."""

    kind: Literal["refused"] = "refused"
    name: str
    code: str
    """`unknown_model`, `no_such_model`, `hub_unreachable`, `disk_full`, `model_damaged`, `not_a_model`, `in_use` …"""
    message: str
    hint: str


class PullResult(Value):
    """The output of `steno models pull --json`."""

    here: tuple[ModelInstalled, ...]
    refused: tuple[ModelRefusal, ...]
    notes: tuple[str, ...]


ModelMessage = Annotated[FileProgress | Notice | ModelInstalled | Removal | ModelRefusal, Field(discriminator="kind")]
MODEL_MESSAGE: TypeAdapter[FileProgress | Notice | ModelInstalled | Removal | ModelRefusal] = TypeAdapter(
    ModelMessage
)
