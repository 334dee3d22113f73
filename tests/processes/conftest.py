"""What tests of watched folders begin with.

Runs in: the test process.
"""

from pathlib import Path

import pytest
from fake_intake import Desk


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def desk() -> Desk:
    return Desk()
