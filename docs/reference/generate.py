"""Write the reference pages from the docstrings of the public names.

::

    python docs/reference/generate.py            write the pages
    python docs/reference/generate.py --check    fail if a page is not what it would be

A page for each package of ``engine``, and one for ``errors``; the page of ``cli`` has
the commands.
Nothing on a page depends on the machine, the folder or the versions of Python and of
the dependencies: annotations stand as they are written in the source, and of a name
that belongs to another distribution there is only its home.
"""

from __future__ import annotations

import argparse
import ast
import enum
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Protocol

from attrs import NOTHING, frozen
from typer.models import ArgumentInfo

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES_OF_MODULES = ("engine.errors",)
MADE = "<!-- Made by docs/reference/generate.py from docstrings. Do not edit. -->"
SECTIONS = ("Args", "Returns", "Yields", "Raises")
LINE = 72  # of a signature; a longer one has each parameter on a line of its own


# ------------------------------------------------------------------------- docstrings


@frozen
class Docstring:
    """A docstring taken apart.

    Args:
        summary: Its first paragraph.
        prose: The paragraphs after it, doctests and drawings left out.
        sections: Entries of ``Args``, ``Returns`` and so on, as Markdown.
    """

    summary: str
    prose: tuple[str, ...]
    sections: Mapping[str, str]


def take_apart(text: str | None) -> Docstring:
    r"""Split a docstring into its summary, prose and sections.

    >>> parts = take_apart("Do ``x``.\n\nArgs:\n    n: How\n        often.")
    >>> parts.summary, parts.sections["Args"]
    ('Do `x`.', '- `n`: How often.')
    """
    blocks = inspect.cleandoc(text or "").split("\n\n")
    sections: dict[str, str] = {}
    prose: list[str] = []
    for block in blocks[1:]:
        head, _, body = block.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":"):
            sections[head[:-1]] = _entries(head[:-1], inspect.cleandoc("\n" + body))
        elif not block.startswith((" ", ">>>")) and block.strip(": "):
            prose.append(_markdown(block))
    return Docstring(_markdown(blocks[0]), tuple(prose), sections)


def _entries(section: str, body: str) -> str:
    if section in ("Returns", "Yields"):
        return _markdown(body)
    entries = re.split(r"\n(?=\S)", body)
    pairs = [entry.partition(":") for entry in entries]
    return "\n".join(
        f"- `{name.strip()}`: {_markdown(text)}" for name, _, text in pairs
    )


def _markdown(text: str) -> str:
    """One line of Markdown from reStructuredText as our docstrings use it."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    text = text.replace("``", "`")
    return " ".join(text.removesuffix("::").split())


# ------------------------------------------------------------------------- signatures


def signature_of(name: str, target: Any) -> str | None:
    """A call as it may be written, annotations included; ``None`` if there is none."""
    if isinstance(target, type) and not _has_own_init(target):
        return None
    parameters = list(inspect.signature(target).parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        del parameters[0]
    parts = list(_parameters(parameters))
    returns = _annotation(getattr(target, "__annotations__", {}).get("return"))
    arrow = f" -> {returns}" if returns and not isinstance(target, type) else ""
    line = f"{name}({', '.join(parts)}){arrow}"
    if len(line) <= LINE:
        return line
    rows = "".join(f"    {part},\n" for part in parts)
    return f"{name}(\n{rows}){arrow}"


def _has_own_init(target: type) -> bool:
    special = issubclass(target, enum.Enum | BaseException) or _is_protocol(target)
    return not special and inspect.isfunction(
        inspect.getattr_static(target, "__init__")
    )


def _is_protocol(target: type) -> bool:
    return Protocol in target.__bases__


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    starred = False
    positional = [one for one in parameters if one.kind is one.POSITIONAL_ONLY]
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        prefix = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(one.kind.name, "")
        annotation = _annotation(one.annotation)
        text = f"{prefix}{one.name}{f': {annotation}' if annotation else ''}"
        if one.default is not one.empty:
            equals = " = " if annotation else "="
            text += f"{equals}{_default(one.default)}"
        yield text
        if positional and one is positional[-1]:
            yield "/"


def _annotation(annotation: Any) -> str:
    """An annotation as it is written in the source: there it is a string."""
    return annotation if isinstance(annotation, str) else ""


def _default(value: Any) -> str:
    if value is NOTHING:  # attrs calls a factory
        return "..."
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, type | FunctionType):
        return value.__name__
    if isinstance(value, bool | int | float | str | tuple | list | dict | None):
        return repr(value)
    return "..."


# --------------------------------------------------------------------- where names live


@cache
def _tree(module: str) -> ast.Module:
    source = importlib.import_module(module).__file__
    assert source is not None
    return ast.parse(Path(source).read_text(encoding="utf-8"))


def home_of(module: str, name: str) -> str:
    """The module that defines what ``module`` calls ``name``, by its imports."""
    for node in ast.walk(_tree(module)):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if any((alias.asname or alias.name) == name for alias in node.names):
            if not node.module.startswith("engine"):
                return node.module
            return home_of(node.module, name)
    return module


def page_of(module: str) -> str:
    """The package, or module with a page of its own, that a module's names stand in."""
    while module not in PAGES_OF_MODULES and not _is_package(module):
        module = module.rpartition(".")[0]
    return module


def _is_package(module: str) -> bool:
    return hasattr(importlib.import_module(module), "__path__")


def file_of(package: str) -> str:
    """The page of a package or module: ``engine.state`` stands in ``state.md``."""
    return f"{package.removeprefix('engine.')}.md"


def text_after(module: str, name: str) -> str | None:
    """The string that stands after the assignment to ``name``: its docstring."""
    return dict(_assignments(_tree(module).body)).get(name)


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, str | None]]:
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            continue
        text = None
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = str(after.value.value)
        if isinstance(target, ast.Name):
            yield target.id, text


# ------------------------------------------------------------------------------- pages


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    found = [
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in sorted((ROOT / "engine").rglob("__init__.py"))
    ]
    return {file_of(name): _page(name) for name in [*found, *PAGES_OF_MODULES]}


def _page(package: str) -> str:
    module = importlib.import_module(package)
    lines = [MADE, "", f"# `{package}`", "", _about(module)]
    if package == "engine.cli":
        lines += _commands()
    elsewhere = []
    for name in module.__all__:
        home = home_of(package, name)
        if not home.startswith("engine"):
            elsewhere.append((name, f"`{home}.{name}`, as it is"))
        elif page_of(home) != package:
            target = page_of(home)
            link = f"[`{target}`]({file_of(target)}#{name.lower()})"
            elsewhere.append((name, f"see {link}"))
        else:
            lines += ["", *_entry(home, name, getattr(module, name))]
    if elsewhere:
        lines += ["", "## Names from elsewhere", "", "| Name | Home |", "|---|---|"]
        lines += [f"| `{name}` | {where} |" for name, where in elsewhere]
    return "\n".join(lines) + "\n"


def _about(module: ModuleType) -> str:
    parts = take_apart(module.__doc__)
    return "\n\n".join([parts.summary, *parts.prose])


def _entry(home: str, name: str, target: Any) -> Iterator[str]:
    yield f"## `{name}`"
    documented = isinstance(target, type | FunctionType) and target.__name__ == name
    if not documented:
        text = text_after(home, name)
        kind = type(target).__name__
        what = f"A `{kind}`." if kind == "Registry" else f"Defined in `{home}`."
        yield from ("", _markdown(inspect.cleandoc(text)) if text else what)
        return
    yield from _documented(name, target)
    if isinstance(target, type):
        if issubclass(target, enum.Enum):
            yield from _enum_members(home, target)
        yield from _class_members(name, target)


def _documented(name: str, target: Any) -> Iterator[str]:
    """Signature, summary, prose and sections of a class or function."""
    parts = take_apart(target.__doc__)
    signature = signature_of(name.rpartition(".")[2], target)
    if signature is not None:
        yield from ("", "```text", signature, "```")
    for paragraph in (parts.summary, *parts.prose):
        yield from ("", paragraph)
    if isinstance(target, type):
        bases = [one.__name__ for one in target.__bases__ if one is not object]
        if bases:
            yield from ("", f"Bases: {', '.join(f'`{one}`' for one in bases)}.")
    for section, text in parts.sections.items():
        yield from ("", f"**{section}**", "", text)


def _enum_members(home: str, target: type[enum.Enum]) -> Iterator[str]:
    body = next(
        node.body
        for node in _tree(home).body
        if isinstance(node, ast.ClassDef) and node.name == target.__name__
    )
    texts = dict(_assignments(body))
    yield from ("", "| Member | Value | |", "|---|---|---|")
    for name, member in target.__members__.items():
        text = _markdown(texts.get(name) or "")
        yield f"| `{name}` | `{member.value!r}` | {text} |"


def _class_members(name: str, target: type) -> Iterator[str]:
    """Public methods and properties: briefly, or at length if they have arguments."""
    brief, long = [], []
    for key, value in vars(target).items():
        if key.startswith("_"):
            continue
        if isinstance(value, property):
            brief.append(f"- `{key}`: {take_apart(value.__doc__).summary}")
            continue
        function = getattr(value, "__func__", value)
        if not isinstance(function, FunctionType) or not function.__doc__:
            continue
        parts = take_apart(function.__doc__)
        if parts.sections or parts.prose:
            long.append((key, function))
        else:
            call = " ".join((signature_of(key, function) or "").split())
            call = call.replace("( ", "(").replace(", )", ")")
            brief.append(f"- `{call}`: {parts.summary}")
    if brief:
        yield from ("", "**Members**", "", *brief)
    for key, function in long:
        yield from ("", f"### `{name}.{key}`", *_documented(key, function))


def _commands() -> Iterator[str]:
    """What ``--help`` says of each command."""
    from engine.cli.app import app

    groups = [("engine", app)] + [
        (f"engine {group.typer_instance.info.name}", group.typer_instance)
        for group in app.registered_groups
        if group.typer_instance is not None
    ]
    for prefix, group in groups:
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            yield from _command(f"{prefix} {name}", command.callback)


def _command(name: str, function: Callable[..., Any]) -> Iterator[str]:
    arguments, options = [], []
    for one in inspect.signature(function, eval_str=True).parameters.values():
        info = one.annotation.__metadata__[0]
        required = one.default is one.empty
        if isinstance(info, ArgumentInfo):
            shown = info.metavar or one.name.upper()
            arguments.append((shown if required else f"[{shown}]", info.help))
        else:
            # In an Annotated, typer keeps the first name that is given as the default.
            names = [info.default, *(info.param_decls or ())]
            given = [name for name in names if str(name).startswith("--")]
            shown = given[0] if given else f"--{one.name.replace('_', '-')}"
            flag = one.default is False
            value = "" if flag else f" {info.metavar or 'FOLDER'}"
            options.append((f"{shown}{value}", info.help))
    call = [shown for shown, _ in arguments] + [f"[{shown}]" for shown, _ in options]
    yield from ("", f"## `{name}`", "", "```text")
    yield from (" ".join([name, *call]), "```", "")
    yield _markdown(function.__doc__ or "")
    if call:
        yield ""
    for shown, text in (*arguments, *options):
        yield f"- `{shown.strip('[]')}`: {text}"


# ------------------------------------------------------------------------- the command


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or say which are stale; 1 if one is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check: bool = parser.parse_args(arguments).check
    wanted = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.md")}
    stale = sorted(
        name for name in {*wanted, *there} if wanted.get(name) != there.get(name)
    )
    if check:
        for name in stale:
            print(f"docs/reference/{name} is stale")
        if stale:
            print("Run: python docs/reference/generate.py")
        return int(bool(stale))
    for name in stale:
        if name in wanted:
            (HERE / name).write_text(wanted[name], encoding="utf-8")
        else:
            (HERE / name).unlink()
        print(f"docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # the engine beside the pages, installed or not
    sys.exit(main())
