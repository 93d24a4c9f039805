"""Where in which file a key of a config is written.

Files are read again when somebody asks, which is when an error needs the place: loading
pays nothing for it.
"""

from __future__ import annotations

import ast
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.config.bases import base_path, imported_base
from engine.config.formats import SUFFIXES, parse, yaml_loader
from engine.config.python_syntax import read_program
from engine.config.variables import (
    quoted_references,
    with_environment,
    with_file_names,
)
from engine.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from engine.config.config import Config

__all__ = ["locate", "shown_name"]

KeyPath: TypeAlias = tuple[str | int, ...]
Lines: TypeAlias = dict[KeyPath, int]


def locate(
    config: Config | str | os.PathLike[str], path: Sequence[str | int]
) -> str | None:
    """Where a key is written.

    The file itself is searched before its bases; a place of more of the path wins.

    Args:
        config: A config, or its file.
        path: The keys from the top, with numbers for places in lists.

    Returns:
        ``file:line`` of the longest part of the path that is found, or ``None``.
    """
    file = config if not hasattr(config, "filename") else shown_name(config)
    if file is None:
        return None
    wanted = tuple(path)
    best, place = 0, None
    for source, lines in _sources(Path(file), set()):
        for depth in range(len(wanted), best, -1):
            if wanted[:depth] in lines:
                best, place = depth, f"{source}:{lines[wanted[:depth]]}"
                break
    return place


def shown_name(config: Any) -> str | None:
    """The file under the name that the user gave it."""
    state: dict[str, Any] = config._state  # noqa: SLF001 - our own class, above
    name: str | None = state["shown"]
    return name


def _sources(file: Path, seen: set[Path]) -> Iterator[tuple[Path, Lines]]:
    """A file and its bases, each with the lines of its keys."""
    if file in seen or not file.is_file() or file.suffix not in SUFFIXES:
        return
    seen.add(file)
    bases: list[Path] = []
    lines: Lines = {}
    # A file that cannot be read has told so already; here it only has no lines.
    with contextlib.suppress(ConfigError, OSError, UnicodeDecodeError):
        text = with_file_names(file.read_text(encoding="utf-8-sig"), file)
        text, _ = with_environment(text, str(file), file.suffix)
        if file.suffix == ".py":
            program = read_program(text, str(file), str(file))
            lines = _python_lines(program.tree)
            names = list(program.bases)
            for one in reversed(program.imports):
                with contextlib.suppress(ConfigError):
                    bases.append(imported_base(one.module, one.level, file, ""))
        else:
            text = quoted_references(text)
            find = _toml_lines if file.suffix == ".toml" else _yaml_lines
            lines = find(text)
            entry = parse(text, file.suffix, str(file)).get("_base_", [])
            names = [entry] if isinstance(entry, str) else list(entry)
        for name in names:
            with contextlib.suppress(ConfigError):
                bases.append(base_path(name, file, "")[0])
    yield file, lines
    for base in bases:
        yield from _sources(base, seen)


# --------------------------------------------------------------------------- Python


def _python_lines(tree: ast.Module) -> Lines:
    lines: Lines = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                _note(_target(target), node.value, node.lineno, lines)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            _note(_target(node.target), node.value, node.lineno, lines)
        elif (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
            and node.value.func.attr in {"update", "merge"}
        ):
            path = _target(node.value.func.value)
            if path:
                call = node.value
                for value in call.args:
                    _items(path, value, lines)
                _keywords(path, call, lines)
    # _base_.model.width = 8 is about model.width.
    return {
        path[1:] if path[0] == "_base_" else path: line for path, line in lines.items()
    }


def _target(node: ast.expr) -> KeyPath:
    """The key path that an assignment's target means, or nothing."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _target(node.value)
        return (*before, node.attr) if before else ()
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        before = _target(node.value)
        key = node.slice.value
        return (*before, key) if before and isinstance(key, str | int) else ()
    return ()


def _note(path: KeyPath, value: ast.expr, line: int, lines: Lines) -> None:
    if path:
        lines[path] = line
        _items(path, value, lines)


def _items(path: KeyPath, value: ast.expr, lines: Lines) -> None:
    """Note what is written inside a value."""
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.Name) and value.func.id == "dict":
            for one in value.args:
                _items(path, one, lines)
            _keywords(path, value, lines)
    elif isinstance(value, ast.Dict):
        for key, item in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str | int):
                _note((*path, key.value), item, key.lineno, lines)
    elif isinstance(value, ast.List | ast.Tuple):
        for index, item in enumerate(value.elts):
            _note((*path, index), item, item.lineno, lines)
    elif isinstance(value, ast.Name):
        # A variable of the file: what it holds is written there.
        name = value.id
        inside = [(one, line) for one, line in lines.items() if one[0] == name]
        lines.update({(*path, *one[1:]): line for one, line in inside if len(one) > 1})


def _keywords(path: KeyPath, call: ast.Call, lines: Lines) -> None:
    for keyword in call.keywords:
        if keyword.arg is not None:
            _note((*path, keyword.arg), keyword.value, keyword.lineno, lines)
        else:
            _items(path, keyword.value, lines)


# ------------------------------------------------------------- YAML and JSON, TOML


def _yaml_lines(text: str) -> Lines:
    import yaml  # type: ignore[import-untyped]  # ships no types

    lines: Lines = {}

    def walk(node: Any, path: KeyPath) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = key.value
                if key.tag == "tag:yaml.org,2002:int":
                    name = int(name)
                lines[(*path, name)] = key.start_mark.line + 1
                walk(value, (*path, name))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*path, index)] = item.start_mark.line + 1
                walk(item, (*path, index))

    with contextlib.suppress(yaml.YAMLError, ValueError):
        # JSON is YAML but for its tabs.
        walk(yaml.compose(text.replace("\t", " "), Loader=yaml_loader()), ())
    return lines


_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?")
_PAIR = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[^=\s]+)*)\s*=")


def _toml_lines(text: str) -> Lines:
    lines: Lines = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}

    def placed(keys: list[str]) -> KeyPath:
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in counts:
                path = (*path, counts[path] - 1)
        return path

    for number, line in enumerate(text.splitlines(), start=1):
        header, pair = _HEADER.fullmatch(line), _PAIR.match(line)
        if header:
            keys = _toml_keys(header[2])
            if header[1] == "[[":
                path = (*placed(keys[:-1]), keys[-1])
                counts[path] = counts.get(path, 0) + 1
                lines.setdefault(path, number)
            table = placed(keys)
            _set_all(table, number, lines)
        elif pair:
            _set_all((*table, *_toml_keys(pair[1])), number, lines)
    return lines


def _toml_keys(text: str) -> list[str]:
    found = re.findall(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)", text)
    return ["".join(one) for one in found]


def _set_all(path: KeyPath, number: int, lines: Lines) -> None:
    for depth in range(1, len(path) + 1):
        lines.setdefault(path[:depth], number)
