"""Packages that only some runs need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch

from engine.errors import ConfigError
from engine.visualization.package import need

if TYPE_CHECKING:
    from pathlib import Path


def test_a_package_is_imported() -> None:
    """Also a part of one."""
    assert need("json.decoder", extra="x", asked_by="Y").JSONDecoder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, r"the package 'newborn' is not installed.*'ignite-runner\[x\]'"),
        ("import not_there", "the package 'newborn' needs 'not_there'"),
        ("from json import never", "'newborn' cannot be imported: cannot import name"),
    ],
)
def test_what_is_missing_is_told(
    text: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package itself, what it needs, or that it is broken; and the extra."""
    monkeypatch.syspath_prepend(tmp_path)
    if text is not None:
        (tmp_path / "newborn.py").write_text(text)
    with pytest.raises(ConfigError, match=f"^Y: .*{expected}"):
        need("newborn", extra="x", asked_by="Y")


def test_an_import_that_draws_is_fenced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next random number is what it would have been."""
    (tmp_path / "drawing.py").write_text("import torch\ntorch.rand(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    need("drawing", extra="x", asked_by="Y")
    del sys.modules["drawing"]
    assert torch.rand(()) == expected
