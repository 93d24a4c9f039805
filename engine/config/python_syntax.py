"""Configs in Python, read and not yet run: their bases, and whether they are code.

A file that defines classes or functions, at its top or in a block there, is code; any
other only holds data.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from attrs import frozen

from engine.config.variables import BASE_REFERENCE, base_steps
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "DEFINITIONS",
    "READ_BASE",
    "BaseImport",
    "Program",
    "is_base_assignment",
    "is_read_base",
    "read_program",
]

READ_BASE = "read_base"
"""What marks the imports of bases."""

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith),
    *(ast.Try, ast.TryStar, ast.ExceptHandler, ast.Match, ast.match_case),
)


@frozen
class BaseImport:
    """One import under ``with read_base():``.

    Args:
        module: What stands after ``from``, dots aside.
        level: How many dots.
        names: Names and what they are called here; ``("*", "*")`` for all.
        line: Of the statement.
    """

    module: str
    level: int
    names: tuple[tuple[str, str], ...]
    line: int


@frozen
class Program:
    """A config in Python, read and not yet run.

    Args:
        tree: Its syntax, as it was written.
        shown: The file's name, for messages.
        filename: The file's path, for tracebacks.
        bases: The entries of ``_base_``.
        bases_line: Where that stands.
        imports: The bases that are imported.
        is_code: Whether it defines classes or functions.
        statements: All statements of the module's own scope, in loops and blocks too.
        has_references: Whether ``{{_base_.x}}`` stands somewhere.
    """

    tree: ast.Module
    shown: str
    filename: str
    bases: tuple[str, ...]
    bases_line: int
    imports: tuple[BaseImport, ...]
    is_code: bool
    statements: tuple[ast.stmt, ...]
    has_references: bool


def read_program(text: str, shown: str, filename: str) -> Program:
    """Parse a config in Python.

    Raises:
        ConfigError: It is no Python, or its bases are not given as plain text.
    """
    try:
        tree = ast.parse(_indexed(text), filename=filename)
    except SyntaxError as error:
        line = (error.text or "").strip()
        message = f"{shown}:{error.lineno}: {error.msg}: {line}".rstrip(": ")
        raise ConfigError(message) from error
    except ValueError as error:  # a null byte
        message = f"{shown}: {error}"
        raise ConfigError(message) from error
    bases, bases_line = _base_entries(tree, shown)
    statements = tuple(_own_statements(tree.body))
    return Program(
        tree=tree,
        shown=shown,
        filename=filename,
        bases=bases,
        bases_line=bases_line,
        imports=tuple(_base_imports(statements, shown)),
        is_code=any(isinstance(node, DEFINITIONS) for node in statements),
        statements=statements,
        has_references="{{" in text and "_base_" in text,
    )


def _indexed(text: str) -> str:
    """``{{_base_.hooks.0.x}}`` is no Python; ``{{_base_.hooks[0].x}}`` is."""
    if "_base_" not in text:
        return text

    def step(match: Any) -> str:
        steps = base_steps(match[1])
        if not any(one.lstrip("-").isdigit() for one in steps):
            return str(match[0])
        path = "".join(
            f"[{one}]" if one.lstrip("-").isdigit() else f".{one}" for one in steps
        )
        return "{{_base_" + path + "}}"

    return BASE_REFERENCE.sub(step, text)


def _own_statements(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """The statements of a module's own scope; those of functions are their own."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, _BLOCKS):
            for field_name in ("body", "orelse", "handlers", "finalbody", "cases"):
                yield from _own_statements(getattr(node, field_name, ()))


def _base_entries(tree: ast.Module, shown: str) -> tuple[tuple[str, ...], int]:
    for node in tree.body:
        if is_base_assignment(node):
            assert isinstance(node, ast.Assign)
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                value = None
            entries = [value] if isinstance(value, str) else value
            if not isinstance(entries, list | tuple) or not all(
                isinstance(entry, str) for entry in entries
            ):
                message = (
                    f"{shown}:{node.lineno}: _base_ must be a path or a list of paths, "
                    f"written as text; found {ast.unparse(node.value)}"
                )
                raise ConfigError(message)
            return tuple(entries), node.lineno
    return (), 0


def is_base_assignment(node: ast.stmt) -> bool:
    """Whether a statement is ``_base_ = ...``."""
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "_base_"
    )


def is_read_base(node: ast.AST) -> bool:
    """Whether a statement is ``with read_base():``."""
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call)
        and ast.unparse(item.context_expr.func).rpartition(".")[2] == READ_BASE
        for item in node.items
    )


def _base_imports(statements: Iterable[ast.stmt], shown: str) -> Iterator[BaseImport]:
    for block in statements:
        if not is_read_base(block):
            continue
        assert isinstance(block, ast.With)
        for node in block.body:
            if not isinstance(node, ast.ImportFrom):
                message = (
                    f"{shown}:{node.lineno}: under read_base() stand only imports of "
                    f"bases, as in 'from .base import *'; found {ast.unparse(node)}"
                )
                raise ConfigError(message)
            names = tuple((one.name, one.asname or one.name) for one in node.names)
            yield BaseImport(node.module or "", node.level, names, node.lineno)
