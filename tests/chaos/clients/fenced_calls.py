"""Keeps schemathesis inside a folder: a request it made up may have `/` watched, and what is found there moved.

Runs in: schemathesis, in its own virtual environment; SCHEMATHESIS_HOOKS names this file and the folder.
"""

import os
from collections.abc import MutableMapping
from typing import Any

import schemathesis

FENCE = os.environ["CHAOS_FENCE"]
PATHS = ("path", "output_dir", "done", "failed")
LONGEST = 4096


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Absolute paths become such below the fence. Valid ones stay valid, invalid ones invalid."""
    body = case.body if isinstance(case.body, dict) else {}
    for told in (case.query, body, body.get("options")):
        if isinstance(told, MutableMapping):
            for name in PATHS:
                path = told.get(name)
                if isinstance(path, str) and path.startswith("/") and not path.startswith(FENCE):
                    told[name] = FENCE + path if len(path) > LONGEST else (FENCE + path)[:LONGEST]
