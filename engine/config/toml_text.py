"""Plain values as TOML, which the standard library reads and does not write."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from typing import Any

__all__ = ["toml_text"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(values: dict[str, Any]) -> str:
    """A mapping as TOML: plain values first, then a table for each mapping.

    Args:
        values: Bools, numbers, text, dates, lists and dicts with text as keys.

    >>> print(toml_text({"lr": 0.1, "model": {"type": "Net", "sizes": [8, 4]}}), end="")
    lr = 0.1
    <BLANKLINE>
    [model]
    type = "Net"
    sizes = [8, 4]
    """
    lines: list[str] = []
    _table(values, (), lines)
    return "\n".join(lines).lstrip("\n") + "\n" if lines else ""


def _table(values: dict[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    tables = {key: item for key, item in values.items() if isinstance(item, dict)}
    simple = {key: item for key, item in values.items() if key not in tables}
    if path and (simple or not tables):
        lines.extend(["", f"[{'.'.join(map(_key, path))}]"])
    lines.extend(f"{_key(key)} = {_value(item)}" for key, item in simple.items())
    for key, item in tables.items():
        _table(item, (*path, key), lines)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(value: str) -> str:
    # JSON's escapes are TOML's too, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict):
        inner = ", ".join(
            f"{_key(key)} = {_value(item)}" for key, item in value.items()
        )
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        flat = f"[{', '.join(_value(item) for item in value)}]"
        if len(flat) <= 72:  # noqa: PLR2004 - about a line beside its key
            return flat
        return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
    return repr(value)
