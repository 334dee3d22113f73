"""A package whose modules can be imported without what the package itself imports for others.

Runs in: worker.
"""

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any


def import_bare(name: str) -> None:
    """Make `import name.module` cost what that module needs, not what `name/__init__.py` needs.

    A package already imported stays as it is. The bare one fills itself as soon as somebody asks it for a name of its
    own, so that nobody in this process ever sees half a package. Raises ModuleNotFoundError.
    """
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, package = spec.loader, module_from_spec(spec)

    def fill(attribute: str) -> Any:
        if attribute.startswith("__"):  # Python looks round in modules without wanting anything of them.
            raise AttributeError(attribute)
        if vars(package).pop("__getattr__", None) is not None:
            loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = fill
    sys.modules[name] = package
