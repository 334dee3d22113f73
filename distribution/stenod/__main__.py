"""`steno` and `python -P -m stenod`: our packages come first on sys.path, then one of our programs runs.

Runs in: every process that is started by name. Also under Pythons that are far too old: nothing but the standard
library of Python 3.6 and its syntax.

`python -P -m stenod -m supervisor` runs a module of ours as `python -m` would; without the second `-m` it is the
`steno` command. Our packages have plain names (config, client, workers …), which may also name another package, or a
file of an engine's author. The first on sys.path wins, so ours stand before PYTHONPATH. A worker has the same order:
multiprocessing hands sys.path over to the processes that it spawns.
"""

import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120


def packages_folder(here: str) -> str:
    """The folder that holds our packages: `_app` beside this file in a wheel, the repository's root in a checkout."""
    installed = os.path.join(here, "_app")  # noqa: PTH118
    return installed if os.path.isdir(installed) else os.path.dirname(os.path.dirname(here))  # noqa: PTH112, PTH120


def main() -> None:
    """The console script, and `python -m stenod`."""
    ours = packages_folder(HERE)
    sys.path[:] = [ours, *(place for place in sys.path if place != ours)]
    if len(sys.argv) > 2 and sys.argv[1] == "-m":
        module = sys.argv[2]
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    from client.steno import main as steno

    steno()


if __name__ == "__main__":
    main()
