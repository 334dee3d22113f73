"""The pages are true: links lead somewhere, settings are current, endpoints are named, commands can be pasted.

Runs in: the test process.
"""

import re
from pathlib import Path

import pytest
from rules.test_imports import ROOT
from settings_page import PAGE, page

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "distribution" / "README.md"])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([\w-]+))?\)|\]\(#([\w-]+)\)")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def anchors(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(file: Path) -> None:
    for target, anchor, own in LINK.findall(file.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        place = file if not target else file.parent / target
        assert place.exists(), f"{file.name}: {target}"
        heading = anchor or own
        assert not heading or place.suffix != ".md" or heading in anchors(place), f"{file.name}: {target}#{heading}"


def test_the_page_of_settings_is_written_from_the_settings_of_today() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_page_of_the_api_names_every_endpoint() -> None:
    named = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    paths = re.findall(r"@app\.(get|post|delete)\(\s*\"(/v1/[^\"]+)\"", (ROOT / "supervisor/api/app.py").read_text())
    assert len(paths) > 15
    missing = [f"{method.upper()} {path}" for method, path in paths if f"`{method.upper()} {path}`" not in named]
    assert not missing


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_remark_stands_inside_a_console_block(file: Path) -> None:
    """zsh, the shell of a Mac, takes `#` on its command line for a word."""
    blocks = CONSOLE.findall(file.read_text(encoding="utf-8"))
    assert not [line for block in blocks for line in block.splitlines() if re.search(r"(^|\s)#", line)]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
