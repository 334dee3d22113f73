"""What is allowed and still looks like a slip."""

from pathlib import Path
from typing import Any

from config.settings import Settings
from config.warnings import doubts_about

HERE = {"watch": [{"path": "/here"}]}


def doubts(settings: dict[str, Any], transcriber: str = "whisperx") -> tuple[str, ...]:
    return doubts_about(
        Settings.model_validate(HERE | settings),
        transcriber=transcriber,
        is_folder=lambda path: path == Path("/here"),
        find_program=lambda name: name if name == "/bin/tell" else None,
    )


def test_settings_without_a_slip_raise_no_doubt() -> None:
    assert doubts({}) == ()
    assert (
        doubts({"model": "small", "language": "de", "hooks": {"on_done": "/bin/tell", "on_failed": "notify"}}) == ()
    )
    assert doubts({"model": "large-v3", "task": "translate", "prompt": "Zorro"}) == ()
    assert doubts({"model": "mlx-community/whisper-small-mlx"}, "mlx") == ()


def test_a_folder_that_is_missing_or_named_twice_is_doubted() -> None:
    missing, twice = doubts({"watch": [{"path": "/gone"}, {"path": "/here"}, {"path": "/here", "language": "de"}]})
    assert "/gone" in missing
    assert "2 entries name /here" in twice


def test_a_folder_of_engines_that_is_missing_is_doubted() -> None:
    (missing,) = doubts({"workers": {"engine_path": ["/here", "/gone"]}})
    assert missing == "workers.engine_path: there is no folder /gone"


def test_the_folder_of_our_own_choice_need_not_be_there() -> None:
    found = doubts_about(
        Settings(),
        transcriber="mlx",
        is_folder=lambda path: False,
        find_program=lambda name: None,
        default_watch=True,
    )
    assert found == ()


def test_a_hook_whose_program_is_not_there_is_doubted_wherever_it_stands() -> None:
    (everywhere, here) = doubts(
        {"hooks": {"on_failed": "tell --all"}, "watch": [{"path": "/here", "on_done": ["gone", "--x"]}]}
    )
    assert "hooks.on_failed: there is no program tell" in everywhere
    assert "watch[0].on_done: there is no program gone" in here


def test_a_prompt_that_is_longer_than_the_model_reads_is_doubted() -> None:
    (long,) = doubts({"watch": [{"path": "/here", "prompt": "Zorro, " * 200}]})
    assert "watch[0].prompt has 1400 characters" in long
    assert "watch[0].replacements" in long


def test_a_model_that_cannot_do_what_is_asked_is_doubted() -> None:
    assert "knows English only" in doubts({"model": "small.en", "language": "de"})[0]
    assert (
        "watch[0].language is fr" in doubts({"model": "starter", "watch": [{"path": "/here", "language": "fr"}]})[0]
    )
    assert "task is translate" in doubts({"model": "base.en", "task": "translate"})[0]
    assert "was not taught to" in doubts({"model": "large-v3-turbo", "task": "translate"})[0]
    assert "made for mlx" in doubts({"model": "mlx-community/whisper-small-mlx"})[0]
