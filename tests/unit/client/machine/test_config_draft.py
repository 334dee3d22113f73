"""A copy of config.toml in an editor, and the verbs config edit and config check without any daemon.

Runs in: the test process.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import config
from client import steno
from client.machine.config_draft import editor_of, remedy_for
from client.terminal.errors import Refusal

DEFAULT = (Path(config.__file__).parent / "default.toml").read_text(encoding="utf-8")
Editor = Callable[[str], None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("STENO_HOME", str(home))
    monkeypatch.delenv("VISUAL", raising=False)
    return home


@pytest.fixture
def edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """From now on the editor runs these lines of Python with `file`, a Path."""

    def set_editor(lines: str) -> None:
        script = tmp_path / "an editor.py"
        script.write_text(f"import sys; from pathlib import Path\nfile = Path(sys.argv[1])\n{lines}\n")
        monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}'")

    return set_editor


def typed(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(steno.app, words)
    if isinstance(result.exception, Refusal):
        return 2, result.exception.message
    return result.exit_code, result.output


def test_without_a_file_it_begins_with_every_default(home: Path, edits: Editor) -> None:
    edits("file.write_text(file.read_text() + 'x'); assert file.stat().st_mode & 0o777 == 0o600")
    assert typed("config", "edit")[0] == 2
    draft = home / "config.draft.toml"
    assert draft.read_text() == DEFAULT + "x"
    edits("file.write_text(file.read_text()[:-1] + '# mine')")
    code, said = typed("config", "edit")
    assert (code, (home / "config.toml").read_text()) == (0, DEFAULT + "# mine")
    assert "no daemon is running" in said
    assert not draft.exists()


def test_closing_the_editor_without_a_change_leaves_nothing(home: Path, edits: Editor) -> None:
    edits("pass")
    assert typed("config", "edit") == (0, "nothing was changed\n")
    assert list(home.iterdir()) == []


def test_a_link_to_a_folder_of_dotfiles_stays_one(home: Path, tmp_path: Path, edits: Editor) -> None:
    home.mkdir()
    (tmp_path / "dotfiles.toml").write_text("# mine\n")
    (home / "config.toml").symlink_to(tmp_path / "dotfiles.toml")
    edits("file.write_text(file.read_text() + '# more\\n')")
    assert typed("config", "edit")[0] == 0
    assert (home / "config.toml").is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text() == "# mine\n# more\n"


def test_what_somebody_else_wrote_meanwhile_is_not_lost(home: Path, edits: Editor) -> None:
    home.mkdir()
    (home / "config.toml").write_text("# mine\n")
    edits("file.write_text('# new'); file.with_name('config.toml').write_text('# theirs')")
    code, said = typed("config", "edit")
    assert (code, (home / "config.toml").read_text()) == (2, "# theirs")
    assert "changed by another program" in said
    assert (home / "config.draft.toml").read_text() == "# new"


def test_an_editor_that_fails_or_is_not_there_changes_nothing(
    home: Path, edits: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits("sys.exit(3)")
    assert "ended with 3" in typed("config", "edit")[1]
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    assert "/no/such/editor cannot be started" in typed("config", "edit")[1]
    assert list(home.iterdir()) == []


def test_what_is_no_file_is_refused_with_the_command_that_makes_room(home: Path, edits: Editor) -> None:
    place = home / "config.toml"
    place.mkdir(parents=True)
    edits("pass")
    assert typed("config", "edit") == (2, f"{place} cannot be read: Is a directory")
    place.rmdir()
    place.symlink_to(place)
    assert "symbolic links" in typed("config", "edit")[1]
    with pytest.raises(OSError, match="symbolic") as loop:
        place.read_bytes()
    assert remedy_for(loop.value) == f"mv {place} {place}.old"


def test_visual_beats_editor_and_both_may_have_arguments(tmp_path: Path) -> None:
    assert editor_of({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]
    assert editor_of({"VISUAL": " ", "EDITOR": "'my editor'"}) == ["my editor"]
    nano = tmp_path / "nano"
    nano.touch(0o755)
    assert editor_of({"PATH": str(tmp_path)}) == ["nano"]
    with pytest.raises(Refusal, match="no editor"):
        editor_of({"PATH": "/nowhere"})


def test_check_tells_every_mistake_and_doubt_of_any_file(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('language = "de"\nmodel = "tiny.en"\n')
    code, said = typed("config", "check", str(file))
    assert code == 0
    assert "warning: language is de, and the model tiny.en knows English only" in said
    assert f"{file} is valid" in said
    file.write_text('\nmodle = "x"\n[logs]\nlevel = "loud"\n')
    code, said = typed("config", "check", str(file))
    assert code == 2
    assert f"mine.toml line 2 ({file}): there is no setting modle" in said
    assert f"mine.toml line 4 ({file}): logs.level = 'loud'" in said
    code, said = typed("config", "check", "--json", str(file))
    assert (code, len(json.loads(said)["mistakes"])) == (2, 2)
    assert "all defaults" in typed("config", "check")[1]
    assert typed("config", "check", str(tmp_path / "gone.toml"))[0] == 2
