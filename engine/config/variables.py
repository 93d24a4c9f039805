"""What a config file's text may name: variables of the file, of the environment, bases.

``{{ fileDirname }}``, ``{{ fileBasename }}``, ``{{ fileBasenameNoExtension }}`` and
``{{ fileExtname }}`` are the file's own; ``{{$NAME:default}}`` is read from the
environment. Both are put into the text before it is parsed: within quotes as text,
elsewhere as what they read as (a number, ``True``), or as text in quotes if that is
nothing. ``{{_base_.x.y}}`` is put in after parsing, with the type that it has in the
base.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BASE_REFERENCE",
    "base_steps",
    "guarded",
    "quoted_references",
    "with_environment",
    "with_file_names",
]

_FILE_NAMES: dict[str, Callable[[Path], str]] = {
    "fileDirname": lambda path: str(path.parent),
    "fileBasename": lambda path: path.name,
    "fileBasenameNoExtension": lambda path: path.stem,
    "fileExtname": lambda path: path.suffix,
}
_FILE = re.compile(r"\{\{\s*(" + "|".join(_FILE_NAMES) + r")\s*\}\}")
_ENVIRONMENT = re.compile(
    r"\{\{\s*(['\"]?)\s*\$(?P<name>[A-Za-z_]\w*)\s*(:(?P<default>.*?))?\s*\1\s*\}\}"
)
_EITHER = re.compile(r"\{\{(?=\s*['\"]?\s*\$|\s*(?:" + "|".join(_FILE_NAMES) + r")\b)")

BASE_REFERENCE = re.compile(r"\{\{\s*_base_((?:\s*(?:\.\s*\w+|\[-?\d+\]))+)\s*\}\}")
"""``{{_base_.x.y}}``; its group is the path."""

_BARE_REFERENCE = re.compile(
    r"(?P<before>[:,\[-][ \t]*)(?P<reference>"
    + BASE_REFERENCE.pattern
    + r")(?=[ \t]*(?:[,\]}#\r\n]|$))"
)


def with_file_names(text: str, path: Path) -> str:
    """The text with the file's own variables put in.

    >>> with_file_names("work_dir = '{{ fileBasenameNoExtension }}'", Path("a/b.py"))
    "work_dir = 'b'"
    """
    if "{{" not in text:
        return text
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links

    def value(match: re.Match[str]) -> str:
        return _FILE_NAMES[match[1]](path)

    return _put_in(text, _FILE, value, path.suffix)


def with_environment(text: str, shown: str, suffix: str) -> tuple[str, dict[str, str]]:
    """The text with variables of the environment put in.

    Args:
        text: Of the config.
        shown: The file's name, for messages.
        suffix: Its format.

    Returns:
        The text, and the values used, by name.

    Raises:
        ConfigError: A variable is not set and has no default.
    """
    used: dict[str, str] = {}
    if "{{" not in text:
        return text, used

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        found = os.environ.get(name, None if default is None else default.strip())
        if found is None:
            line = text.count("\n", 0, match.start()) + 1
            message = (
                f"{shown}:{line}: the environment variable {name} is not set, and "
                f"{match[0]} has no default. Set it, or write {{{{${name}:default}}}}."
            )
            raise ConfigError(message)
        used[name] = found
        return found

    return _put_in(text, _ENVIRONMENT, value, suffix), used


def _put_in(
    text: str,
    pattern: re.Pattern[str],
    value: Callable[[re.Match[str]], str],
    suffix: str,
) -> str:
    parts, end = [], 0
    quotes = _Quotes(text, suffix)
    for match in pattern.finditer(text):
        parts.append(text[end : match.start()])
        found = value(match)
        quote = quotes.around(match.start())
        if quote == "#":
            parts.append(match[0])
        elif quote:
            parts.append(_escaped(found, quote, suffix))
        else:
            parts.append(_bare(found, suffix))
        end = match.end()
    return "".join([*parts, text[end:]])


def _escaped(value: str, quote: str, suffix: str) -> str:
    if suffix in {".yaml", ".yml", ".toml"} and quote == "'":
        return value.replace("'", "''") if suffix != ".toml" else value
    return value.replace("\\", "\\\\").replace(quote, "\\" + quote)


def _bare(value: str, suffix: str) -> str:
    if suffix in {".yaml", ".yml"}:
        return value  # YAML's own scalars need no quotes
    try:
        if suffix == ".py":
            ast.literal_eval(value)
        else:
            json.loads(value)
    except (ValueError, SyntaxError):
        return json.dumps(value)
    return value


class _Quotes:
    """Which quotes surround a place in a text; places are asked in order."""

    def __init__(self, text: str, suffix: str) -> None:
        self.text = text
        self.triple = suffix in {".py", ".toml"}
        self.comments = suffix != ".json"
        self.yaml = suffix in {".yaml", ".yml"}
        self.at = 0
        self.quote = ""  # "#" in a comment

    def around(self, place: int) -> str:
        text = self.text
        while self.at < place:
            character = text[self.at]
            step = 1
            if self.quote == "#":
                self.quote = "" if character == "\n" else "#"
            elif self.quote:
                if character == "\\" and not (self.yaml and self.quote == "'"):
                    step = 2
                elif text.startswith(self.quote, self.at):
                    step = len(self.quote)
                    self.quote = ""
                elif character == "\n" and len(self.quote) == 1 and not self.yaml:
                    self.quote = ""  # not closed: the parser will say so
            elif character == "#" and self.comments:
                self.quote = "#"
            elif character in "'\"" and self._opens():
                whole = character * 3
                self.quote = (
                    whole
                    if self.triple and text.startswith(whole, self.at)
                    else character
                )
                step = len(self.quote)
            self.at += step
        return self.quote[:1]

    def _opens(self) -> bool:
        # In YAML an apostrophe inside a word is one: don't.
        if not self.yaml:
            return True
        before = self.text[: self.at].rstrip(" \t")[-1:]
        return before in "\n:,-[{?" or not before


def quoted_references(text: str) -> str:
    """The text with bare ``{{_base_.x}}`` in quotes, as YAML, JSON and TOML need them.

    >>> quoted_references("lr: {{_base_.lr}}")
    'lr: "{{_base_.lr}}"'
    """
    if "_base_" not in text:
        return text
    bare = _BARE_REFERENCE if "=" not in text else _BARE_OR_ASSIGNED
    return bare.sub(r'\g<before>"\g<reference>"', text)


_BARE_OR_ASSIGNED = re.compile(_BARE_REFERENCE.pattern.replace("[:,", "[:=,", 1))


def base_steps(path: str) -> list[str]:
    """The steps of the path in a base reference.

    >>> base_steps(".hooks[0].type"), base_steps(".hooks.0.type")
    (['hooks', '0', 'type'], ['hooks', '0', 'type'])
    """
    return re.findall(r"-?\w+", path)


def guarded(text: str, escape: str) -> str:
    r"""A written config in which no string is taken for a variable when it is read.

    Args:
        text: The config as written.
        escape: How its format writes ``{`` in a string by its number.

    >>> print(guarded('a = "{{ fileDirname }}"', r"\x7b"))
    a = "{\x7b fileDirname }}"
    """
    return _EITHER.sub("{" + escape.replace("\\", "\\\\"), text)
