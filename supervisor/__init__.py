"""The parent: keeps two workers warm, and no recording is lost when they die.

Runs in: supervisor. Never imports a model library.
"""

import config.lean_structlog  # noqa: F401 - before the first module that logs
