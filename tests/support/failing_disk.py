"""The daemon on a disk whose syncs fail as long as the file named by FAILING_DISK is there.

Runs in: supervisor, started as `python -m failing_disk`.
"""

import errno
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    from supervisor.__main__ import main

    whole = getattr(os, "fdatasync", os.fsync)

    def fdatasync(descriptor: int) -> None:
        if Path(os.environ["FAILING_DISK"]).exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        whole(descriptor)

    os.fdatasync = fdatasync
    sys.exit(main())
