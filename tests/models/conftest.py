"""What real engines leave behind in the test process.

Runs in: the test process.
"""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest


@pytest.fixture(autouse=True, scope="module")
def environment_as_it_was() -> Iterator[None]:
    """An engine switches the hub off for its own process for good; here it lives in that of all tests."""
    with patch.dict(os.environ):
        yield
