"""The parent: keeps two workers warm, and no recording is lost when they die.

Runs in: supervisor. Never imports a model library.
"""

import sys

from supervisor.system import signals as boot_signals

if boot_signals.is_daemon(sys.orig_argv):
    # Before anything that takes time to import: a signal must find a handler.
    boot_signals.listen()

import config.lean_structlog  # noqa: F401 - before the first module that logs
