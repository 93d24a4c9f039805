"""The import graph has no cycle and points only up the layout list.

The rules, for every import that can run, at the top of a module or in a function:

- A package of ``engine`` imports only from packages above it in :data:`LAYOUT`.
- No package, and no module, reaches itself again over its imports.
- No name or module that starts with one underscore is taken from another package,
  but for :data:`UNDERSCORED`.
- ``engine/__init__.py`` and ``engine/__main__.py`` are the doors: they import what
  they like, and nothing inside imports them (``from engine import Runner`` would be a
  cycle).

What stands under ``if TYPE_CHECKING`` never runs, so it may point anywhere, to an early
protocol's later classes for instance; only the third rule holds for it too.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]

LAYOUT = (
    *("version", "errors", "typing", "units"),
    *("config", "registry", "dist"),
    "state",
    *("events", "logging"),
    *("model", "optim", "dataset", "evaluator", "visualization"),
    *("checkpoint", "strategies"),
    *("hooks", "loops"),
    "build",
    *("runner", "report", "testing", "cli"),
)
"""The packages from the first to the last, as design.md lists them.

Within its last row, commands stand after the helpers that they use.
"""

UNDERSCORED = frozenset({"_ParamScheduler"})
"""Names that MMEngine's users import, underscore and all (names.md)."""

DOORS = frozenset({"engine", "engine.__main__"})


@frozen
class Import:
    """One import of one module of ``engine`` by another.

    Args:
        source: Dotted name of the module that imports.
        target: Dotted name of the module that is imported.
        names: Names that are taken from ``target``.
        line: Line of the statement in ``source``.
        runs: Whether it can run, so does not stand under ``if TYPE_CHECKING``.
    """

    source: str
    target: str
    names: tuple[str, ...]
    line: int
    runs: bool

    def __str__(self) -> str:
        """``engine.state.phase:7 imports engine.hooks``."""
        return f"{self.source}:{self.line} imports {self.target}"


def modules(root: Path) -> dict[str, Path]:
    """Every module of ``root/engine``: its dotted name and its file."""
    found = {}
    for path in sorted((root / "engine").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def package(module: str) -> str:
    """The entry of the layout list that a module belongs to.

    >>> package("engine.state.phase"), package("engine.errors")
    ('state', 'errors')
    """
    return module.partition("engine.")[2].partition(".")[0]


def imports(root: Path) -> list[Import]:
    """Every import among the modules of ``root/engine``."""
    known = modules(root)
    found: list[Import] = []
    for source, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        home = source if path.name == "__init__.py" else source.rpartition(".")[0]
        for node, runs in _statements(tree, runs=True):
            for target, names in _targets(node, home, known):
                found.append(Import(source, target, names, node.lineno, runs))
    return found


def points_down(found: Iterable[Import]) -> list[str]:
    """The running imports of a package that the layout puts after the importing one."""
    return [
        str(item)
        for item in found
        if item.runs
        and item.source not in DOORS
        and (
            item.target in DOORS
            or LAYOUT.index(package(item.target)) > LAYOUT.index(package(item.source))
        )
    ]


def takes_private(found: Iterable[Import]) -> list[str]:
    """The imports that reach into what another package keeps to itself."""
    return [
        f"{item} ({', '.join(private)})"
        for item in found
        if package(item.source) != package(item.target)
        and (private := [n for n in _segments(item) if _is_private(n)])
    ]


def cycle(edges: Iterable[tuple[str, str]]) -> list[str]:
    """The nodes of one cycle, the first one repeated at the end; or nothing."""
    graph: TopologicalSorter[str] = TopologicalSorter()
    for source, target in edges:
        if source != target:
            graph.add(source, target)
    try:
        graph.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def package_edges(found: Iterable[Import]) -> Iterator[tuple[str, str]]:
    """Which package imports which, doors aside."""
    for source, target in module_edges(found):
        yield package(source), package(target)


def module_edges(found: Iterable[Import]) -> Iterator[tuple[str, str]]:
    """Which module imports which, doors aside."""
    for item in found:
        if item.runs and not DOORS & {item.source, item.target}:
            yield item.source, item.target


def _statements(node: ast.AST, *, runs: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Each import statement or call of ``import_module``, and whether it can run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, runs
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for branch, branch_runs in ((child.body, False), (child.orelse, runs)):
                wrapped = ast.Module(body=branch, type_ignores=[])
                yield from _statements(wrapped, runs=branch_runs)
        elif isinstance(child, ast.Call) and _module_by_text(child) is not None:
            # The same as an import statement, and as bad in the wrong place.
            text = _module_by_text(child) or ""
            alias = ast.alias(name=text, lineno=child.lineno, col_offset=0)
            yield ast.Import(names=[alias], lineno=child.lineno, col_offset=0), runs
        else:
            yield from _statements(child, runs=runs)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _module_by_text(call: ast.Call) -> str | None:
    called = ast.unparse(call.func).rpartition(".")[2]
    if called not in {"import_module", "__import__"} or not call.args:
        return None
    first = call.args[0]
    is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return str(first.value) if is_text else None  # type: ignore[attr-defined]  # checked


def _targets(
    node: ast.stmt, home: str, known: dict[str, Path]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The modules of ``engine`` that a statement imports, with the names it takes."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "engine":
                yield _nearest(alias.name, known), ()
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = home.split(".")[: len(home.split(".")) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        if base.split(".")[0] != "engine":
            return
        taken: dict[str, list[str]] = {}
        for alias in node.names:
            # `from engine.state import phase` imports a module, not a name.
            module = f"{base}.{alias.name}"
            target = module if module in known else _nearest(base, known)
            taken.setdefault(target, []).append(alias.name)
        for target, names in taken.items():
            yield target, tuple(names)


def _nearest(name: str, known: dict[str, Path]) -> str:
    """``name`` itself or the nearest module above it that is there."""
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def _segments(item: Import) -> list[str]:
    return [*item.target.split("."), *item.names]


def _is_private(name: str) -> bool:
    is_dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not is_dunder and name not in UNDERSCORED


def plant(root: Path, **files: str) -> list[Import]:
    """A small tree under ``root``; ``a__b="..."`` writes ``engine/a/b.py``."""
    (root / "engine").mkdir()
    (root / "engine" / "__init__.py").touch()
    for name, text in files.items():
        path = root.joinpath("engine", *name.split("__")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return imports(root)


# ------------------------------------------------------------------------ the laws


def test_every_package_has_a_place_in_the_layout() -> None:
    """A new package or module beside the others must be put into the list first."""
    there = {package(name) for name in modules(ROOT)} - {"", "__main__"}
    assert there <= set(LAYOUT)


def test_no_import_points_down_the_layout() -> None:
    """Each package imports only from packages above it."""
    assert points_down(imports(ROOT)) == []


def test_packages_form_no_cycle() -> None:
    """No package needs itself over others."""
    assert cycle(package_edges(imports(ROOT))) == []


def test_modules_form_no_cycle() -> None:
    """No module needs itself over others, not even inside one package."""
    assert cycle(module_edges(imports(ROOT))) == []


def test_no_package_takes_what_another_keeps_to_itself() -> None:
    """Names with a leading underscore stay in their package."""
    assert takes_private(imports(ROOT)) == []


# ---------------------------------------------------------- the checker sees breaches


def test_checker_reads_the_real_tree() -> None:
    """The walk finds this package's imports, so an empty answer means something."""
    edges = set(package_edges(imports(ROOT)))
    assert ("state", "errors") in edges


@pytest.mark.parametrize(
    "text",
    [
        "import engine.hooks.hook",
        "from engine.hooks import hook",
        "from engine.hooks.hook import Hook",
        "from ..hooks.hook import Hook",
        "from engine import hooks",
        "def late():\n    from engine.hooks.hook import Hook",
        "try:\n    import engine.hooks.hook as h\nexcept ImportError:\n    h = None",
        "import importlib\nimportlib.import_module('engine.hooks.hook')",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import engine.hooks",
    ],
)
def test_checker_finds_an_import_that_points_down(tmp_path: Path, text: str) -> None:
    """An import of a later package is found however it is written."""
    found = plant(tmp_path, state__phase=text, hooks__hook="Hook = 1")
    (breach,) = points_down(found)
    assert breach.startswith("engine.state.phase:")
    assert "imports engine.hooks" in breach


def test_checker_finds_an_import_of_the_facade(tmp_path: Path) -> None:
    """Taking a name from ``engine`` itself is refused inside the package."""
    found = plant(tmp_path, cli__app="from engine import Runner")
    assert points_down(found) == ["engine.cli.app:1 imports engine"]


def test_checker_lets_an_import_point_up(tmp_path: Path) -> None:
    """An import of an earlier package is no breach."""
    found = plant(tmp_path, hooks__hook="import engine.state.phase", state__phase="")
    assert points_down(found) == []
    assert [str(item) for item in found] == [
        "engine.hooks.hook:1 imports engine.state.phase"
    ]


def test_checker_finds_a_cycle_of_packages(tmp_path: Path) -> None:
    """Two packages that import one another are a cycle though no two modules are."""
    found = plant(
        tmp_path,
        hooks__one="import engine.loops.one",
        hooks__two="",
        loops__one="",
        loops__two="import engine.hooks.two",
    )
    assert sorted(set(cycle(package_edges(found)))) == ["hooks", "loops"]
    assert cycle(module_edges(found)) == []


def test_checker_finds_a_cycle_of_modules(tmp_path: Path) -> None:
    """Modules of one package that import one another in a ring are a cycle."""
    found = plant(
        tmp_path,
        hooks__one="from engine.hooks import two",
        hooks__two="def late():\n    from .three import THREE",
        hooks__three="import engine.hooks.one",
    )
    assert sorted(set(cycle(module_edges(found)))) == [
        "engine.hooks.one",
        "engine.hooks.three",
        "engine.hooks.two",
    ]


def test_checker_lets_type_only_imports_point_anywhere(tmp_path: Path) -> None:
    """What stands under ``if TYPE_CHECKING`` is no edge of the graph."""
    found = plant(
        tmp_path,
        state__phase="if TYPE_CHECKING:\n    from engine.hooks.hook import Hook",
        hooks__hook="import engine.state.phase",
    )
    assert points_down(found) == []
    assert cycle(module_edges(found)) == []


@pytest.mark.parametrize(
    "text",
    [
        "from engine.state._inner import value",
        "from engine.state.phase import _secret",
        "if TYPE_CHECKING:\n    from engine.state import _inner",
    ],
)
def test_checker_finds_a_private_name(tmp_path: Path, text: str) -> None:
    """A leading underscore is seen in a module's name and in a name taken from it."""
    found = plant(
        tmp_path, hooks__hook=text, state___inner="value = 1", state__phase=""
    )
    (breach,) = takes_private(found)
    assert breach.startswith("engine.hooks.hook:")


def test_checker_lets_a_package_use_its_own_private_names(tmp_path: Path) -> None:
    """Inside one package, files may share what is private to it."""
    found = plant(
        tmp_path, state__phase="from engine.state._inner import _x", state___inner=""
    )
    assert takes_private(found) == []
