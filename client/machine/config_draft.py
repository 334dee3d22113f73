"""A copy of config.toml in the user's editor, which replaces the file once it is valid.

Runs in: the user's shell.
"""

import errno
import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from client.terminal.errors import Refusal
from ipc.durable_file import put_in_place

NEW_FILE_MODE = 0o600
"""A hook's command line may hold a secret."""
USUAL_EDITORS = ("nano", "vi")


class ConfigDraft:
    """Lies beside the file, so that it can be renamed over it; what is not used stays for the next time."""

    def __init__(self, config_file: Path, template: Path) -> None:
        """`template` is what the owner of no file begins with."""
        # A link into a folder of dotfiles stays one; realpath, because resolve raises at a link that leads to itself.
        self.target = Path(os.path.realpath(config_file))
        self.file = self.target.with_name(f"{self.target.stem}.draft.toml")
        self._before = self._text_of_target()
        self._template = template

    def begin(self) -> bool:
        """Make the copy, unless one from last time is there: whether it is."""
        if self.file.exists():
            return True
        self.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(self.target.stat().st_mode) if self._before is not None else NEW_FILE_MODE
        with os.fdopen(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as copy:
            copy.write(self._template.read_bytes() if self._before is None else self._before)
        self.file.chmod(mode)
        return False

    def edit(self, editor: list[str]) -> None:
        """Until the editor is closed. Raises Refusal where there is none, or it failed."""
        try:
            code = subprocess.run([*editor, str(self.file)], check=False).returncode
        except OSError as error:
            self.discard_if_unchanged()
            raise Refusal(
                "no_editor", f"the editor {editor[0]} cannot be started: {error.strerror}", "set EDITOR to another"
            ) from error
        if code != 0:
            kept = "" if self.discard_if_unchanged() else f"; what you wrote is in {self.file}"
            raise Refusal("editor_failed", f"{shlex.join(editor)} ended with {code}{kept}", "nothing was changed")

    def discard_if_unchanged(self) -> bool:
        """Whether there was nothing in it that is not in the file already; then it is gone."""
        before = self._template.read_bytes() if self._before is None else self._before
        if self.file.read_bytes() != before:
            return False
        self.file.unlink()
        return True

    def put_in_place(self) -> None:
        """In one step. Raises Refusal where another program changed the file meanwhile."""
        if self._text_of_target() != self._before:
            raise Refusal(
                "config_changed",
                f"{self.target} was changed by another program meanwhile",
                f"compare it with {self.file}, then `steno config edit` again",
            )
        put_in_place(self.file, self.target)

    def _text_of_target(self) -> bytes | None:
        try:
            return self.target.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            what = f"{self.target} cannot be read: {error.strerror}"
            raise Refusal("config_unreadable", what, remedy_for(error)) from error


def remedy_for(unreadable: OSError) -> str:
    """What makes room for a file of settings that an editor can open, or gives access to the one that is there."""
    file = Path(str(unreadable.filename))
    if unreadable.errno in (errno.EISDIR, errno.ELOOP):
        return f"mv {quote(str(file))} {quote(f'{file}.old')}"
    if unreadable.errno in (errno.EACCES, errno.EPERM):
        closed = not os.access(file.parent, os.R_OK | os.X_OK)
        return f"chmod u+rwx {quote(str(file.parent))}" if closed else f"chmod u+rw {quote(str(file))}"
    return f"look at it: ls -ld {quote(str(file.parent))} {quote(str(file))}"


def editor_of(environment: Mapping[str, str]) -> list[str]:
    """$VISUAL, $EDITOR, or what is usually there, as words. Raises Refusal."""
    for name in ("VISUAL", "EDITOR"):
        if environment.get(name, "").strip():
            try:
                return shlex.split(environment[name])
            except ValueError as unclosed:
                raise Refusal("no_editor", f"{name} cannot be read: {unclosed}", f"fix {name}") from unclosed
    for usual in USUAL_EDITORS:
        if shutil.which(usual, path=environment.get("PATH")):
            return [usual]
    raise Refusal("no_editor", "there is no editor", "set EDITOR, for example to nano")
