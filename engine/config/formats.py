"""YAML, JSON and TOML: text to plain values, and plain values to text.

What each can hold, so that it reads back the same:

- JSON: ``None``, bools, numbers, text, lists, mappings with text as keys.
- YAML: also tuples (under the tag ``!!python/tuple``), sets, bytes, dates, and keys of
  any plain kind. ``1e-3`` is a number, as in YAML 1.2.
- TOML: as JSON, with dates and times and without ``None``.

Tuples become lists in JSON and TOML. A class or function under ``type`` is written as
its dotted path, which a registry finds again.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from enum import Enum
from functools import cache
from pathlib import PurePath
from typing import Any

from engine.config.lazy import dotted_name
from engine.config.merge import as_text
from engine.config.toml_text import toml_text
from engine.config.variables import guarded
from engine.errors import ConfigError, a_type

__all__ = ["SUFFIXES", "parse", "write", "yaml_loader"]

SUFFIXES = (".py", ".yaml", ".yml", ".json", ".toml")
"""The formats, by the end of a file's name."""

_FLOAT = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+")


def parse(text: str, suffix: str, shown: str) -> dict[Any, Any]:
    """Values of a YAML, JSON or TOML text.

    Args:
        text: Of the config.
        suffix: The format.
        shown: The file's name, for messages.

    Raises:
        ConfigError: The text is not of the format, or holds no mapping.
    """
    reader = {".json": _read_json, ".toml": _read_toml}.get(suffix, _read_yaml)
    values = reader(text, shown)
    if values is None:
        return {}
    if not isinstance(values, dict):
        message = (
            f"{shown}: a config is a mapping of names to values, found {a_type(values)}"
        )
        raise ConfigError(message)
    return values


def _read_json(text: str, shown: str) -> Any:
    try:
        return json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        message = f"{shown}:{error.lineno}: this is no JSON: {error.msg}"
        raise ConfigError(message) from error


def _read_toml(text: str, shown: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Only its text has the line, before Python 3.14.
        said = str(error)
        place = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)", said)
        line = (place and place[1]) or text.count("\n") + 1
        what = said[: place.start()] if place else said
        message = f"{shown}:{line}: this is no TOML: {what}"
        raise ConfigError(message) from error


def _read_yaml(text: str, shown: str) -> Any:
    import yaml  # type: ignore[import-untyped]  # ships no types

    try:
        return yaml.load(text, Loader=yaml_loader())  # noqa: S506 - a safe loader of ours
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # What is not closed ends after the last line.
        last = text.count("\n") + 1
        line = f":{min(mark.line + 1, last)}" if mark is not None else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        message = f"{shown}{line}: this is no YAML: {what}"
        raise ConfigError(message) from error
    except (
        ValueError,
        TypeError,
    ) as error:  # a date that is none, a key that is a list
        message = f"{shown}: this is no YAML: {error}"
        raise ConfigError(message) from error


@cache
def yaml_loader() -> Any:
    """PyYAML's safe loader, with tuples and YAML 1.2's floats."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # no types
        """Reads plain data only."""

    Loader.add_constructor(
        "tag:yaml.org,2002:python/tuple",
        lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
    )
    _know_floats(Loader)
    return Loader


@cache
def _yaml_dumper() -> Any:
    import yaml

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # no types
        """Writes plain data, each value where it stands."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        # In double quotes a brace can be written by its number (variables.guarded);
        # so can what other quotes fold or drop.
        odd = "{{" in value or not value.isprintable()
        style = '"' if odd else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def sequence(dumper: Any, value: tuple[Any, ...]) -> Any:
        return dumper.represent_sequence("tag:yaml.org,2002:python/tuple", value)

    Dumper.add_representer(str, text)
    Dumper.add_representer(tuple, sequence)
    _know_floats(Dumper)
    return Dumper


def _know_floats(resolver: Any) -> None:
    # A copy first: PyYAML keeps one table for all.
    pattern = re.compile(f"^(?:{_FLOAT.pattern})$")
    resolver.add_implicit_resolver(
        "tag:yaml.org,2002:float", pattern, list("-+0123456789")
    )


# -------------------------------------------------------------------------- writing


def write(values: dict[Any, Any], suffix: str) -> str:
    """A config as YAML, JSON or TOML.

    Args:
        values: A ``ConfigDict`` or dict; references in it are not imported.
        suffix: The format.

    Raises:
        ConfigError: The format cannot hold a value; the message has its path.

    >>> print(write({"betas": (0.9, 0.99)}, ".toml"), end="")
    betas = [0.9, 0.99]
    """
    data = _Plain(suffix).mapping(values, ())
    if suffix == ".json":
        return guarded(json.dumps(data, indent=2, ensure_ascii=False), r"\u007b") + "\n"
    if suffix == ".toml":
        return guarded(toml_text(data), r"\u007b")
    import yaml

    text = yaml.dump(
        data,
        Dumper=_yaml_dumper(),
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
        default_flow_style=False,
    )
    return guarded(str(text), r"\x7b")


class _Plain:
    """Values as a format can hold them."""

    def __init__(self, suffix: str) -> None:
        self.format = {".yml": "YAML"}.get(suffix, suffix[1:].upper())
        self.yaml, self.toml = self.format == "YAML", self.format == "TOML"
        own: dict[str, tuple[type, ...]] = {
            "YAML": (type(None), bytes, set, dt.date, dt.datetime),
            "TOML": (dt.date, dt.datetime, dt.time),
            "JSON": (type(None),),
        }
        self.leaves = (bool, *own[self.format])

    def mapping(self, value: dict[Any, Any], path: tuple[Any, ...]) -> dict[Any, Any]:
        for key in value:
            plain = self.yaml and type(key) in {int, float, bool, type(None)}
            if type(key) is not str and not plain:
                raise self.cannot(key, (*path, key), "a key must be text")
        items = dict.items(value)
        return {key: self.value(item, (*path, key)) for key, item in items}

    def value(self, value: Any, path: tuple[Any, ...]) -> Any:
        if isinstance(value, dict):
            return self.mapping(value, path)
        if isinstance(value, list):
            raw = list.__getitem__(value, slice(None))
            return [self.value(item, (*path, i)) for i, item in enumerate(raw)]
        if isinstance(value, tuple):
            items = [self.value(item, (*path, i)) for i, item in enumerate(value)]
            return tuple(items) if self.yaml else items
        if type(value) in self.leaves:
            return value
        for kind in (int, float, str):  # NumPy's float64 is a float
            if isinstance(value, kind) and not isinstance(value, Enum):
                return kind(value)
        dotted = dotted_name(value)
        if dotted is not None and path[-1:] == ("type",):
            return dotted
        raise self.cannot(value, path, self._hint(value, dotted))

    def _hint(self, value: Any, dotted: str | None) -> str:
        if value is None:
            return "it has no null; leave the key out"
        if dotted is not None:
            return "a class or function can stand under 'type' only"
        if isinstance(value, PurePath):
            return "write str(path)"
        return "Python text (.py) holds more"

    def cannot(self, value: Any, path: tuple[Any, ...], hint: str) -> ConfigError:
        shown = repr(value)
        shown = f"{shown[:57]}..." if len(shown) > 60 else shown  # noqa: PLR2004 - a line's worth
        return ConfigError(
            f"{as_text(path)}: {self.format} cannot hold {shown} "
            f"({type(value).__name__}): {hint}."
        )
