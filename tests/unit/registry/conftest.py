"""Modules that registries may import."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Write modules that a registry may import, and forget them afterwards.

    ``parts(a="...", b__c="...", b__init="...")`` writes ``a.py``, ``b/c.py`` and
    ``b/__init__.py``; the last is there, and empty, if it is not given.
    """
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(**modules: str) -> None:
        for name, text in modules.items():
            folder = tmp_path.joinpath(*name.split("__")[:-1])
            last = name.split("__")[-1].replace("init", "__init__")
            if folder != tmp_path:
                folder.mkdir(exist_ok=True)
                (folder / "__init__.py").touch()
            (folder / f"{last}.py").write_text(text, encoding="utf-8")

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
