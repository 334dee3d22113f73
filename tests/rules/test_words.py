"""Words that stand in two rooms, which may not import each other, are the same words."""

from typing import get_args

from config.settings import OutputSettings, Settings
from ipc.api_messages import Format, IfExists, Workflow
from ipc.worker_messages import Task


def allowed_by(section: type, field: str) -> object:
    return section.model_fields[field].annotation  # type: ignore[attr-defined]


def test_settings_and_socket_know_the_same_formats() -> None:
    (one, _) = get_args(allowed_by(OutputSettings, "formats"))
    assert get_args(one) == get_args(Format)


def test_settings_and_socket_know_the_same_ways_to_meet_an_existing_file() -> None:
    assert get_args(allowed_by(OutputSettings, "if_exists")) == get_args(IfExists)


def test_settings_and_socket_know_the_same_workflows_and_tasks() -> None:
    assert get_args(allowed_by(Settings, "workflow")) == get_args(Workflow)
    assert get_args(allowed_by(Settings, "task")) == get_args(Task)
