"""Importing a module without its package, and the package all the same when somebody wants it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.mlx.model import import_bare


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that imports more than its light module needs."""
    folder = tmp_path / "heavy_package_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import light\nfrom .burden import weight\n")
    (folder / "light.py").write_text("feather = 1\n")
    (folder / "burden.py").write_text("weight = 1000\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for module in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[module]


def test_a_module_comes_without_the_burden_of_its_package_which_fills_itself_when_asked(heavy: str) -> None:
    import_bare(heavy)
    light = __import__(f"{heavy}.light", fromlist=["feather"])
    package = sys.modules[heavy]
    assert light.feather == 1
    assert f"{heavy}.burden" not in sys.modules
    assert not hasattr(package, "__wrapped__")
    assert f"{heavy}.burden" not in sys.modules
    assert package.weight == 1000
    assert package.light is light
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_a_package_already_imported_stays_whole(heavy: str) -> None:
    package = __import__(heavy)
    import_bare(heavy)
    assert sys.modules[heavy] is package
    assert package.weight == 1000


def test_a_package_that_is_not_there_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_bare("no_such_package_anywhere")
