"""Public names are listed in a sorted ``__all__`` and stand on their reference page.

``engine/state/__init__.py`` belongs to ``docs/reference/state.md``,
``engine/optim/scheduler/__init__.py`` to ``optim.scheduler.md``, and
``engine/__init__.py`` to ``engine.md``. A page of a module, such as ``errors.md``, is
held to that module's list. A page names a name where a reader looks it up:

- in a heading that is the name in backticks, with or without its arguments:
  ``## `HistoryBuffer(max_length=...)```; or
- in the first cell of a row of a table whose first column is called ``Name``; a cell
  may hold several: ``| `A`, `B` | what they are |``.

A dotted name (``RunState.move``) documents a part of the public ``RunState``. Other
text, headings and tables are free.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"

PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in (ROOT / "engine").rglob("__init__.py")
)


MODULES = [
    f"engine.{path.stem}"
    for path in sorted((ROOT / "engine").glob("[!_]*.py"))
    if (REFERENCE / f"{path.stem}.md").is_file()
]


def page_of(package: str) -> Path:
    """The reference page of a package."""
    return REFERENCE / f"{package.removeprefix('engine.')}.md"


def named_on(page: str) -> set[str]:
    """The names that a reference page explains, dotted ones cut to their first part."""
    names: set[str] = set()
    column: str | None = None  # the first column of the table that we are in
    fenced = False
    for line in page.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        if heading := re.match(r"#+ `(\w[\w.]*)(\(.*\))?`\s*$", line):
            names.add(heading[1])
        if not line.startswith("|"):
            column = None
        elif column is None:
            column = line.split("|")[1].strip()
        elif column == "Name":
            cell = line.split("|")[1]
            names.update(re.findall(r"`(\w[\w.]*)(?:\([^`]*\))?`", cell))
    # A page's title is the package's own name, such as `engine.state`.
    parts = {name.partition(".")[0] for name in names if not name.startswith("engine.")}
    return parts - {"engine"}


# ------------------------------------------------------------------------ the laws


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_a_list_without_twins(package: str) -> None:
    """``__all__`` is there and names nothing twice; ruff (RUF022) keeps it sorted."""
    names = list(importlib.import_module(package).__all__)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_can_be_imported(package: str) -> None:
    """Each listed name is there, those too that are imported when first used."""
    module = importlib.import_module(package)
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_public(package: str) -> None:
    """No listed name has the leading underscore of a private one."""
    # MMEngine's users import the one, and PEP 8 knows the other.
    allowed = {"_ParamScheduler", "__version__"}
    names = set(importlib.import_module(package).__all__) - allowed
    assert [name for name in names if name.startswith("_")] == []


@pytest.mark.parametrize("package", [*PACKAGES, *MODULES])
def test_reference_page_names_the_public_names(package: str) -> None:
    """The page explains every public name, and none that is not public."""
    public = set(importlib.import_module(package).__all__)
    page = page_of(package)
    assert page.is_file(), f"write {page.relative_to(ROOT)}"
    named = named_on(page.read_text(encoding="utf-8"))
    assert {"not on the page": public - named, "not public": named - public} == {
        "not on the page": set(),
        "not public": set(),
    }


# ---------------------------------------------------------- the reader of the pages

PAGE = """\
# `engine.state`

Text may speak of `Hidden`.

## `RunState(seed, ...)`

### `RunState.move`

## How `it` works

| Name | what |
|---|---|
| `Phase`, `NEXT` | the table, see `Elsewhere` |
| `history(window=10)` | a function |

| Phase | next |
|---|---|
| `READY` | ... |

```python
## `NotAHeading`
```
"""


def test_reader_finds_names_where_they_are_explained() -> None:
    """Headings and columns called Name count; text, code and other tables do not."""
    assert named_on(PAGE) == {"RunState", "Phase", "NEXT", "history"}
