"""Every logged value ends as one line of strict JSON that says the same."""

from __future__ import annotations

import io
import json
import math
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.logging import build_logger, close_logger

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
"""What JSON can say, and floats that it cannot."""

keys = st.dictionaries(
    st.text(min_size=1).filter(
        lambda key: key not in {"event", "line", "exc_info", "stack_info", "self"}
    ),
    json_values,
    max_size=5,
)
"""Keyword arguments of a logged event; those left out mean something to structlog."""


def expected(value: Any) -> Any:
    """``value`` with the floats that JSON lacks as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [expected(each) for each in value]
    if isinstance(value, dict):
        return {key: expected(each) for key, each in value.items()}
    return value


@given(lines=st.lists(keys, max_size=3), event=st.text())
def test_values_come_back_from_the_file(
    lines: list[dict[str, Any]], event: str
) -> None:
    """One line for each event, with its keys under their names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        log = build_logger("toy", console=io.StringIO(), json_path=path)
        for each in lines:
            log.info(event, **each)
        close_logger(log)
        written = path.read_text("ascii").splitlines() if lines else []
    assert len(written) == len(lines)
    for text, each in zip(written, lines, strict=True):
        found = json.loads(text)
        assert found["event"] == event
        for key, value in each.items():
            name = f"{key}_" if key in {"timestamp", "level"} else key
            assert found[name] == expected(value)
