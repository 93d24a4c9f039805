"""What LocalVisBackend writes is what json reads back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.visualization import LocalVisBackend

NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.text()
)
RECORDS = st.lists(
    st.dictionaries(st.text().filter(lambda key: key != "step"), NUMBERS), max_size=5
)


@given(records=RECORDS)
def test_each_line_reads_back_as_it_was_added(
    records: list[dict[str, float | str | None]],
) -> None:
    """Each call is one line, and its numbers are the very same ones."""
    with tempfile.TemporaryDirectory() as folder:
        backend = LocalVisBackend(folder)
        for step, record in enumerate(records):
            backend.add_scalars(record, step)
        backend.close()
        path = Path(folder, "scalars.json")
        lines = path.read_text().split("\n")[:-1] if records else []
    expected = [{**record, "step": step} for step, record in enumerate(records)]
    assert [repr(json.loads(line)) for line in lines] == list(map(repr, expected))
