"""docs/settings.md, written from the settings themselves: names, defaults and docstrings.

Runs in: `make docs`, and in the test that fails when the page is out of date.
"""

import ast
import inspect
import json
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config import settings, watch_entry
from config.settings import Settings
from config.watch_entry import WatchEntry

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "settings.md"
HEAD = ROOT / "docs" / "settings-head.md"


def docstrings_of(section: type[BaseModel]) -> dict[str, str]:
    """Field → the string below it in the source."""
    [found] = [node for node in ast.walk(ast.parse(inspect.getsource(section))) if isinstance(node, ast.ClassDef)]
    told: dict[str, str] = {}
    for field, below in zip(found.body, found.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            told[field.target.id] = " ".join(str(below.value.value).split())
    return told


def default_of(section: type[BaseModel], field: str) -> str:
    """As TOML writes it; empty: none."""
    value = section.model_fields[field].get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or field == "watch":  # its default names this user's home
        return ""
    return f"`{json.dumps(value, default=str, ensure_ascii=False)}`"


def table(section: type[BaseModel], prefix: str, variables: str | None) -> list[str]:
    """One row for each setting; `variables`: what their names in the environment begin with."""
    told = docstrings_of(section)
    head = "| setting | default | environment | |" if variables else "| setting | default | |"
    lines = ["", head, "|---" * (4 if variables else 3) + "|"]
    for field in section.model_fields:
        annotation = section.model_fields[field].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            continue
        words = told.get(field, "").replace("|", "\\|")
        variable = f" `{variables}{field.upper()}` |" if variables else ""
        lines.append(f"| `{prefix}{field}` | {default_of(section, field)} |{variable} {words} |")
    return lines


def page() -> str:
    """The whole of docs/settings.md."""
    lines = [HEAD.read_text(encoding="utf-8").rstrip(), "", "## At the top of the file"]
    lines += table(Settings, "", "STENO_")
    for field, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            lines += ["", f"## [{field}]", "", " ".join(str(section.__doc__).split())]
            lines += table(section, f"{field}.", f"STENO_{field.upper()}_")
    lines += ["", "## [[watch]]", "", "One for each watched folder. An unset field follows the general settings."]
    lines += table(WatchEntry, "", None)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} written from {settings.__name__} and {watch_entry.__name__}\n")
