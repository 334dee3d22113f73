"""Code that lives only inside a child process: everything that may crash natively.

Runs in: worker. Model libraries are imported inside the functions that load them.
"""

import config.lean_structlog  # noqa: F401 - before the first module that logs
