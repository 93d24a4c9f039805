"""torchdata's loader, which knows its own place, goes on wherever it is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dataset import Cursor, StatefulLoaderCursor, open_cursor
from engine.state import Exactness
from tests.property.test_data_resume import (
    KeptSized,
    Points,
    read,
    through_a_file,
)

# torchdata 0.11 calls what torch 2.13 would rather have it leave.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")

torchdata = pytest.importorskip("torchdata.stateful_dataloader")


def cursor_of(settings: dict[str, Any], seed: int = 0) -> Cursor:
    """A cursor over a fresh loader; its shuffle begins from torch's generator."""
    torch.manual_seed(seed)
    arguments = dict(settings)
    data = arguments.pop("dataset")(arguments.pop("size"))
    if arguments.pop("own generator", False):
        arguments["generator"] = torch.Generator().manual_seed(3)
    loader = torchdata.StatefulDataLoader(data, collate_fn=list, **arguments)
    return open_cursor(loader, seed=5)


def check(settings: dict[str, Any], cut: int, then: int) -> None:
    """Cut after some batches and go on in fresh objects."""
    whole = read(cursor_of(settings), [0, 0], cut + then)
    place = [0, 0]
    cursor = cursor_of(settings)
    assert isinstance(cursor, StatefulLoaderCursor)
    head = read(cursor, place, cut) if cut else []
    state = through_a_file(cursor.state(*place))
    again = cursor_of(settings, seed=1 if cut else 0)
    again.load(state)
    assert head + read(again, place, then) == whole


@settings(max_examples=40)
@given(
    size=st.integers(3, 9),
    batch_size=st.integers(1, 3),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    own=st.booleans(),
    cut=st.integers(0, 9),
)
def test_indexed_data(
    size: int, batch_size: int, drop_last: bool, shuffle: bool, own: bool, cut: int
) -> None:
    """Order and, without workers, what samples draw."""
    check(
        {
            "dataset": Points,
            "size": size,
            "batch_size": batch_size,
            "drop_last": drop_last,
            "shuffle": shuffle,
            "own generator": own,
        },
        cut,
        7,
    )


@settings(max_examples=20)
@given(size=st.integers(4, 9), batch_size=st.integers(1, 3), cut=st.integers(0, 9))
def test_iterable_data(size: int, batch_size: int, cut: int) -> None:
    """Its dataset's own state is inside the loader's."""
    check({"dataset": KeptSized, "size": size, "batch_size": batch_size}, cut, 5)


class Plain(Points):
    """Samples that draw nothing."""

    def __getitem__(self, index: int) -> Any:
        return int(index)


@pytest.mark.parametrize("cut", [0, 2, 4, 5])
def test_two_workers_fetch_ahead_at_no_loss(cut: int) -> None:
    """The state is that of the batch that was consumed."""
    settings = {"dataset": Plain, "size": 7, "batch_size": 2, "num_workers": 2}
    check({**settings, "shuffle": True}, cut, 6)
    order, samples = cursor_of(settings).resume_report()
    assert (order.level, samples.level) == (Exactness.EXACT, Exactness.SAME_ORDER)
