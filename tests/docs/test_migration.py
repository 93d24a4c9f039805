"""The migration page's table of names agrees with the packages."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "migration.md"


def rows() -> list[tuple[str, list[str], list[str]]]:
    """(package, names that are there, names that are not) of each row."""
    table = PAGE.read_text(encoding="utf-8").split("<!-- names: begin -->")[1]
    cells = [line.split("|")[1:4] for line in table.splitlines() if line[:3] == "| `"]
    names = [[re.findall(r"`(\w+)`", cell) for cell in row] for row in cells]
    return [(package, here, absent) for (package,), here, absent in names]


@pytest.mark.parametrize(("package", "here", "absent"), rows())
def test_each_name_is_where_the_table_says(
    package: str, here: list[str], absent: list[str]
) -> None:
    """Names in the second column can be imported, those in the third cannot."""
    module = importlib.import_module(f"engine.{package}")
    assert [name for name in here if not hasattr(module, name)] == []
    assert [name for name in absent if hasattr(module, name)] == []


def test_the_table_is_read() -> None:
    """The reader finds the packages that everybody imports from."""
    assert {"hooks", "runner", "model"} <= {package for package, _, _ in rows()}
