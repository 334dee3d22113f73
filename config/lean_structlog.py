"""structlog without rich, which it would load to colour tracebacks: 4 MB and 80 ms of every process for nothing.

Runs in: supervisor, worker. Imported before anything that logs. Stands alone: imported for its effect.
"""

import sys

__all__: list[str] = []

if "structlog" not in sys.modules and "rich" not in sys.modules:
    # None: "there is no such module", which structlog takes as well as any answer.
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401 - loaded for good; what follows finds it
    finally:
        del sys.modules["rich"]
