"""What the program that keeps the models on this machine says to the command that started it, one JSON line each.

Runs in: worker and the user's shell.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from ipc.transcript import Value

ModelState = Literal["whole", "missing", "damaged"]


class ListedModel(Value):
    """One model that is here, or that the present settings need."""

    name: str
    """What `STENO_MODEL` and `steno models pull|remove` take: a short name, a hub id, `starter`, a folder."""
    id: str
    """The hub id, torchaudio's name, the folder; the same as `name` where there is no shorter one."""
    kind: Literal["transcriber", "aligner", "conversion", "unfinished"]
    """`conversion`: another engine's model in MLX's form. `unfinished`: a download that was interrupted."""
    engine: str
    """`mlx` or `whisperx`; empty where that is not known."""
    state: ModelState
    why: str = ""
    """What is missing or damaged, in words."""
    size_bytes: int = 0
    path: str | None = None
    used_as: tuple[str, ...] = ()
    """What the present settings load it as: `transcriber`, `fallback`, `aligner`, `aligner (de)`."""


class ModelList(Value):
    """The whole of `steno models list --json`."""

    models: tuple[ListedModel, ...]
    names: dict[str, tuple[str, ...]]
    """Engine → the short names it knows."""
    hub_cache: str
    free_bytes: int
    """On the disk of the hub's cache."""


class FileProgress(Value):
    """How far one file is."""

    kind: Literal["progress"] = "progress"
    phase: Literal["fetching", "checking"]
    model: str
    file: str
    done_bytes: int
    total_bytes: int | None


class Notice(Value):
    """A sentence the owner should read."""

    kind: Literal["note"] = "note"
    text: str


class ModelInstalled(Value):
    """One model is on this machine, whole, every byte checked."""

    kind: Literal["here"] = "here"
    name: str
    path: str
    size_bytes: int
    fetched_bytes: int
    """What came over the network for it just now; 0: it was here before."""


class Removal(Value):
    """What goes, or went, with one name."""

    kind: Literal["removal"] = "removal"
    name: str
    paths: tuple[str, ...]
    freed_bytes: int
    used_as: tuple[str, ...]
    """What the present settings load it as."""
    is_done: bool


class ModelRefusal(Value):
    """Something that was asked for and not done."""

    kind: Literal["refused"] = "refused"
    name: str
    code: str
    """`unknown_model`, `no_such_model`, `hub_unreachable`, `disk_full`, `model_damaged`, `not_a_model`, `in_use` …"""
    message: str
    hint: str


class PullResult(Value):
    """The whole of `steno models pull --json`."""

    here: tuple[ModelInstalled, ...]
    refused: tuple[ModelRefusal, ...]
    notes: tuple[str, ...]


ModelMessage = Annotated[FileProgress | Notice | ModelInstalled | Removal | ModelRefusal, Field(discriminator="kind")]
MODEL_MESSAGE: TypeAdapter[FileProgress | Notice | ModelInstalled | Removal | ModelRefusal] = TypeAdapter(
    ModelMessage
)
