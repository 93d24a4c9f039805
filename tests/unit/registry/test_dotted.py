"""Callables found by their dotted path."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest

from engine.registry.dotted import import_dotted


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("collections.OrderedDict", OrderedDict),
        ("pathlib.Path.cwd", Path.cwd),
        ("dict", None),
    ],
)
def test_paths_that_lead_somewhere(path: str, found: object) -> None:
    """Modules, classes and their methods are followed; builtins have no module."""
    assert import_dotted(path)[0] == found


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_package.Thing", "no module 'no_such_package' is installed"),
        ("collections.abc.Thing", "'collections.abc' has no 'Thing'"),
        ("collections.OrderedDict.thing", "'collections.OrderedDict' has no 'thing'"),
        ("os.path", "leads to a module, which cannot be called"),
        ("math.pi", "leads to a float, which cannot be called"),
        ("a..b", "that is no dotted path"),
        ("../x.Thing", "that is no dotted path"),
    ],
)
def test_paths_that_lead_nowhere_say_how_far(path: str, reason: str) -> None:
    """The reason names the last place that exists."""
    found, said = import_dotted(path)
    assert found is None
    assert reason in said


def test_a_submodule_is_imported_on_the_way() -> None:
    """A package need not import its submodules itself."""
    found, _ = import_dotted("xml.sax.expatreader.ExpatParser")
    assert found is not None


@pytest.mark.parametrize("path", ["lacking.Thing", "holder.lacking.Thing"])
def test_a_module_that_lacks_a_dependency_is_no_unknown_name(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module is there, so its own ImportError is what the user must see."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "holder").mkdir()
    (tmp_path / "holder" / "__init__.py").touch()
    for folder in (tmp_path, tmp_path / "holder"):
        (folder / "lacking.py").write_text("import not_installed_here\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_here"):
        import_dotted(path)
