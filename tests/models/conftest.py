"""What tests with real engines must not leave to those after them.

Runs in: the test process.
"""

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest


@pytest.fixture(autouse=True, scope="module")
def own_environment() -> Iterator[None]:
    """An engine tells its libraries to stay offline, in the environment; here that is the test process's own."""
    with patch.dict(os.environ):
        yield
