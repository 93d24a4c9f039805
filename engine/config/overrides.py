"""Values of a config from a command line: ``model.width=8 optim.betas=(0.9,0.99)``."""

from __future__ import annotations

import ast
from argparse import Action, ArgumentError
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Sequence

__all__ = ["DictAction", "parse_overrides", "parse_value"]

_CLOSERS = {"[": "]", "(": ")", "{": "}"}
_WORDS = {"true": True, "false": False}


class DictAction(Action):
    """An argument of ``argparse`` that takes ``KEY=VALUE`` pairs, as a dict by path.

    See :func:`parse_overrides` for values. The option may be given several times;
    ``Config.merge_from_dict`` takes the result.

    >>> from argparse import ArgumentParser
    >>> parser = ArgumentParser()
    >>> _ = parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    >>> parser.parse_args(["--cfg-options", "a.b=1", "c=[1,2]"]).cfg_options
    {'a.b': 1, 'c': [1, 2]}
    """

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the pairs to those that are there."""
        pairs = [values] if isinstance(values, str) else list(values or ())
        try:
            found = parse_overrides(pairs)
        except ConfigError as error:
            raise ArgumentError(self, str(error)) from error
        before = getattr(namespace, self.dest, None) or {}
        setattr(namespace, self.dest, {**before, **found})


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Values by path, from texts ``path=value``.

    A value is a number, ``true``, ``false``, ``None``, text (in quotes if it looks like
    something else), a list ``[1,2]`` or ``1,2``, a tuple ``(1,2)``, a Python dict in
    braces, or any of them nested.

    Args:
        pairs: Such as ``"model.width=8"``.

    Raises:
        ConfigError: A text is no pair, or brackets or quotes in it are not closed.

    >>> parse_overrides(["a.b=1", "c=x,y", "d=[(1,2),3]", 'e="7"', "f=None"])
    {'a.b': 1, 'c': ['x', 'y'], 'd': [(1, 2), 3], 'e': '7', 'f': None}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        path, equals, value = pair.partition("=")
        if not equals or not path.strip():
            message = f"{pair!r} is no override: write path=value, as in model.width=8"
            raise ConfigError(message)
        try:
            found[path.strip()] = parse_value(value)
        except ConfigError as error:
            message = f"{pair!r}: {error}"
            raise ConfigError(message) from error
    return found


def parse_value(text: str) -> Any:
    """What a text on the command line stands for.

    Raises:
        ConfigError: A bracket or quote that it begins with is not closed.

    >>> parse_value("1e-3"), parse_value("0.1,0.2"), parse_value("a b")
    (0.001, [0.1, 0.2], 'a b')
    """
    text = text.strip()
    parts = _split(text)
    if len(parts) > 1:
        return [parse_value(part) for part in parts if part.strip()]
    return _element(text)


def _element(text: str) -> Any:
    first = text[:1]
    if first in _CLOSERS:
        if not text.endswith(_CLOSERS[first]) or not _is_closed(text):
            message = f"the {first!r} is not closed"
            raise ConfigError(message)
        if first == "{":
            return _literal(text)
        items = [parse_value(one) for one in _split(text[1:-1]) if one.strip()]
        return items if first == "[" else tuple(items)
    if first in {"'", '"'}:
        return _literal(text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text == "None":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        message = f"{text} is no Python value: {error}"
        raise ConfigError(message) from error


def _split(text: str) -> list[str]:
    """Parts between commas that stand in no brackets and no quotes."""
    parts, start = [], 0
    for place, depth, character in _scan(text):
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _is_closed(text: str) -> bool:
    """Whether the bracket that a text begins with is closed by its last character."""
    depths = [depth for _, depth, _ in _scan(text)]
    return depths[-1] == 0 and all(depth > 0 for depth in depths[:-1])


def _scan(text: str) -> Iterable[tuple[int, int, str]]:
    """Each place outside quotes, with the depth of brackets after it."""
    depth, quote, skip = 0, "", False
    for place, character in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"" and (place == 0 or text[place - 1] in "[({,: "):
            quote = character  # an apostrophe inside a word is one
            continue
        else:
            depth += (character in "[({") - (character in "])}")
            yield place, depth, character
    if quote:
        yield len(text), depth + 1, ""  # not closed
