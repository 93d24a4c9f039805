"""Running configs in Python: from a program to its variables.

A file that only holds data gets lazy imports: ``from torch.optim import SGD`` makes
``SGD`` a reference (``lazy.py``), for all but the standard library. A file that defines
classes or functions is code, and is run as any module is.
"""

from __future__ import annotations

import ast
import sys
import traceback
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from engine.config.config_dict import ConfigDict, copied
from engine.config.lazy import LazyObject
from engine.config.python_syntax import (
    DEFINITIONS,
    READ_BASE,
    Program,
    is_base_assignment,
    is_read_base,
)
from engine.config.python_text import EXTRA_KEY
from engine.config.variables import BASE_REFERENCE, base_steps
from engine.errors import ConfigError, EngineError, a_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

__all__ = ["Variables", "fill_in", "run_program"]


@frozen
class Variables:
    """What running a config gave.

    Args:
        values: The variables that are the config.
        names: All names, for configs that import from this one.
        imported: Dotted paths of what was imported lazily, by name.
        base: The values of the files in ``_base_``, as the program left them.
    """

    values: dict[str, Any]
    names: dict[str, Any]
    imported: dict[str, str] = field(factory=dict)
    base: ConfigDict = field(factory=ConfigDict)


def run_program(
    program: Program,
    namespace: dict[str, Any],
    *,
    lazy: bool,
    base: ConfigDict | None,
    bound: list[tuple[dict[str, Any], set[str]]],
) -> Variables:
    """Run a config.

    Args:
        program: The config.
        namespace: Where it runs; a module's, or an empty one.
        lazy: Imports become references.
        base: The values of the files in ``_base_``; ``None`` without any.
        bound: For each of ``program.imports`` the names that it binds, and which of
            them are values.

    Raises:
        ConfigError: It failed; the message has the line.
    """
    prepared = _Preparation(program, lazy=lazy, has_bases=base is not None)
    code = prepared.compiled()
    inherited: set[str] = set()
    foreign: set[str] = set()

    def bind(index: int) -> None:
        names, values = bound[index]
        namespace.update({name: copied(value) for name, value in names.items()})
        inherited.update(values)
        foreign.update(names.keys() - values)

    def base_text(text: str, line: int) -> Any:
        return fill_in(text, base or ConfigDict(), f"{program.shown}:{line}")

    helpers: dict[str, Any] = {
        "__lazy__": LazyObject,
        "__bind__": bind,
        "__base_text__": base_text,
    }
    changed = copied(base or ConfigDict())  # by such as _base_.optimizer.lr = 0.1
    if base is not None:
        helpers["_base_"] = changed
    namespace.update(helpers, __file__=program.filename)
    _execute(code, namespace, program)
    for name in helpers:
        namespace.pop(name, None)
    assigned = prepared.assigned | inherited
    hidden = (prepared.bound | foreign) - assigned
    names = {
        name: value
        for name, value in namespace.items()
        if not (name.startswith("__") and name.endswith("__"))
    }
    values = {
        name: value
        for name, value in names.items()
        if not name.startswith("_")
        and name not in hidden
        and (
            name in assigned or not prepared.has_star
        )  # else: a star's, or := and exec
    }
    extra = namespace.get(EXTRA_KEY)
    if isinstance(extra, dict):
        values.update(extra)
    imported = {
        name: str(value)
        for name, value in names.items()
        if isinstance(value, LazyObject) and name in hidden
    }
    if "_deprecation_" in names:
        values["_deprecation_"] = names["_deprecation_"]
    return Variables(values, names, imported, changed)


def _execute(code: CodeType, namespace: dict[str, Any], program: Program) -> None:
    try:
        exec(code, namespace)  # noqa: S102 - a config in Python is a program
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [one.lineno for one in frames if one.filename == program.filename]
        where = f"{program.shown}:{lines[-1]}" if lines else program.shown
        if isinstance(error, EngineError) and not isinstance(error, ConfigError):
            error.add_note(f"in {where}")
            raise
        if isinstance(error, ConfigError):
            known = str(error).startswith(f"{program.shown}:")
            message = str(error) if known else f"{where}: {error}"
        else:
            message = f"{where}: {type(error).__name__}: {error}"
        raise ConfigError(message) from error


def fill_in(text: str, base: ConfigDict, where: str) -> Any:
    """A text with its ``{{_base_.x}}``; one that is nothing else becomes the value.

    Raises:
        ConfigError: The base has no such key.

    >>> fill_in("{{ _base_.lr }}", ConfigDict(lr=0.1), "a.py:1")
    0.1
    >>> fill_in("lr is {{ _base_.lr }}", ConfigDict(lr=0.1), "a.py:1")
    'lr is 0.1'
    """
    whole = BASE_REFERENCE.fullmatch(text.strip())
    if whole:
        return _referred(whole[1], base, where)
    return BASE_REFERENCE.sub(lambda one: str(_referred(one[1], base, where)), text)


def _referred(path: str, base: ConfigDict, where: str) -> Any:
    value: Any = base
    steps = base_steps(path)
    for step in steps:
        try:
            if isinstance(value, ConfigDict):
                # Python's and YAML's keys may be numbers too.
                key = step if step in value or not step.isdigit() else int(step)
                value = dict.__getitem__(value, key) if key in value else value[key]
            elif isinstance(value, list | tuple):
                value = value[int(step)]
            else:
                message = f"{step!r} is asked of {a_type(value)}"
                raise ConfigError(message)
        except (ConfigError, IndexError, ValueError) as error:
            whole = ".".join(steps)
            message = f"{where}: {{{{_base_.{whole}}}}} names nothing: {error}"
            raise ConfigError(message) from error
    return copied(value)


class _Preparation(ast.NodeTransformer):
    """Turns a config's syntax into what is run, and notes the names that it binds."""

    def __init__(self, program: Program, *, lazy: bool, has_bases: bool) -> None:
        self.program = program
        self.lazy = lazy
        self.has_bases = has_bases
        self.bound: set[str] = set()  # by imports, definitions, loops and blocks
        self.assigned: set[str] = set()
        self.has_star = False
        self._index = count()
        self._depth = 0
        self.modules = tuple(
            sorted(
                {
                    name
                    for node in program.statements
                    for name in _imported_modules(node)
                }
            )
        )

    def compiled(self) -> CodeType:
        self._note_names()
        body = [node for node in self.program.tree.body if not is_base_assignment(node)]
        module = self.visit(ast.Module(body=body, type_ignores=[]))
        return compile(module, self.program.filename, "exec", dont_inherit=True)

    def _note_names(self) -> None:
        for node in self.program.statements:
            self.bound |= _bound_by(node)
            self.assigned |= _assigned_by(node)
            if isinstance(node, ast.ImportFrom):
                self.has_star |= any(one.name == "*" for one in node.names)

    def visit(self, node: ast.AST) -> Any:
        """Visit a node; expressions only if a base's value may stand in one."""
        if isinstance(node, ast.expr) and not self.program.has_references:
            return node
        return super().visit(node)

    def visit_With(self, node: ast.With) -> Any:
        if not is_read_base(node):
            return self.generic_visit(node)
        return [
            _call_statement("__bind__", [next(self._index)], one) for one in node.body
        ]

    def visit_Import(self, node: ast.Import) -> Any:
        if not self.lazy or self._depth:
            return node
        done: list[ast.stmt] = []
        for one in node.names:
            if _is_standard(one.name):
                done.append(ast.copy_location(ast.Import(names=[one]), node))
                continue
            path = one.name if one.asname else one.name.partition(".")[0]
            done.append(self._reference(one.asname or path, path, node))
        return done

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if not self.lazy or self._depth or node.module == "__future__":
            return node
        where = f"{self.program.shown}:{node.lineno}"
        written = ast.unparse(node)
        if node.level:
            message = (
                f"{where}: {written!r} imports from a neighbour. A config's bases are "
                "imported under 'with read_base():'; code by its package's name."
            )
            raise ConfigError(message)
        module = node.module or ""
        if _is_standard(module):
            return node
        done: list[ast.stmt] = []
        for one in node.names:
            if one.name == "*":
                message = (
                    f"{where}: {written!r} would import the module to know its names. "
                    "Name what you need, or read the config with lazy_import=False."
                )
                raise ConfigError(message)
            name = one.asname or one.name
            if one.name == READ_BASE and module.rpartition(".")[2] == "config":
                continue
            done.append(self._reference(name, f"{module}.{one.name}", node))
        return done or ast.copy_location(ast.Pass(), node)

    def _reference(self, name: str, path: str, node: ast.stmt) -> ast.stmt:
        call = ast.Call(
            func=ast.Name("__lazy__", ast.Load()),
            args=[
                ast.Constant(path),
                ast.Tuple([ast.Constant(one) for one in self.modules], ast.Load()),
                ast.Constant(f"{self.program.shown}:{node.lineno}"),
            ],
            keywords=[],
        )
        target = ast.Name(name, ast.Store())
        made = ast.Assign(targets=[target], value=call)
        return ast.fix_missing_locations(ast.copy_location(made, node))

    def _visit_scope(self, node: ast.AST) -> Any:
        self._depth += 1
        try:
            return self.generic_visit(node)
        finally:
            self._depth -= 1

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._visit_scope(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self._visit_scope(node)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        return self._visit_scope(node)

    def visit_Set(self, node: ast.Set) -> Any:
        # {{_base_.x}} is, as Python, a set in a set.
        inner = node.elts[0]
        if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
            value = inner.elts[0]
            root: ast.AST = value
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            if isinstance(root, ast.Name) and root.id == "_base_" and root is not value:
                text = "{{" + ast.unparse(value) + "}}"
                return _call("__base_text__", [text, node.lineno], node)
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        return node  # its constants are no expressions

    def visit_Constant(self, node: ast.Constant) -> Any:
        text = node.value
        if self.has_bases and isinstance(text, str) and BASE_REFERENCE.search(text):
            return _call("__base_text__", [text, node.lineno], node)
        return node


def _call(function: str, arguments: list[Any], node: ast.AST) -> ast.expr:
    call = ast.Call(
        func=ast.Name(function, ast.Load()),
        args=[ast.Constant(one) for one in arguments],
        keywords=[],
    )
    return ast.fix_missing_locations(ast.copy_location(call, node))


def _call_statement(function: str, arguments: list[Any], node: ast.AST) -> ast.stmt:
    return ast.copy_location(ast.Expr(_call(function, arguments, node)), node)


def _bound_by(node: ast.stmt) -> set[str]:
    """Names that a statement binds without assigning to them."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {one.asname or one.name.partition(".")[0] for one in node.names}
    if isinstance(node, DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.For | ast.AsyncFor):
        return _stored(node.target)
    if isinstance(node, ast.With | ast.AsyncWith):
        return set().union(*(_stored(item.optional_vars) for item in node.items))
    return set()


def _assigned_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign):
        return set().union(*(_stored(target) for target in node.targets))
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return set()
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return _stored(node.target)
    return set()


def _stored(target: ast.AST | None) -> set[str]:
    if target is None:
        return set()
    if isinstance(target, ast.Name):  # nearly always
        return {target.id}
    return {
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _is_standard(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top == "__future__"


def _imported_modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (one.name for one in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
