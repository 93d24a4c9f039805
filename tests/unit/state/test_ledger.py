"""The ledger's bytes: cutting, merging, and the first iteration that differs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SerializationError
from engine.state import cut_ledger, find_parting, merge_ledgers, read_ledger
from engine.state.ledger import MAGIC, RECORD


def ledger(first: int, last: int, **changed: tuple[int, Any]) -> bytes:
    """A file with iterations ``first`` to ``last``; ``loss=(7, 0.5)`` changes one."""
    records = np.zeros(last - first + 1, RECORD)
    records["iteration"] = np.arange(first, last + 1)
    records["loss"] = 1 / records["iteration"]
    for name, (iteration, value) in changed.items():
        records[name][iteration - first] = value
    return MAGIC + records.tobytes()


@given(done=st.integers(0, 12), more=st.integers(0, 12), torn=st.integers(0, 31))
def test_cut_back_and_gone_on_with_it_is_the_unbroken_ledger(
    done: int, more: int, torn: int
) -> None:
    """However far the run had come, and wherever in a record it was killed."""
    written = ledger(1, done + more) + b"\x01" * torn
    again = cut_ledger(written, done) + ledger(done + 1, 30)[len(MAGIC) :]
    assert again == ledger(1, 30)


@given(cuts=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), max_size=4))
def test_starts_merge_into_the_unbroken_ledger(cuts: list[tuple[int, int]]) -> None:
    """Each start wrote further than its checkpoint was."""
    begun, starts = 0, []
    for saved, beyond in cuts:
        end = max(saved, begun) + beyond
        starts.append(ledger(begun + 1, end, loss=(end, 9.0)) if end > begun else MAGIC)
        begun = max(saved, begun) if beyond else begun
    starts.append(ledger(begun + 1, 40))
    merged = merge_ledgers(read_ledger(one) for one in starts)
    tail = merged[merged["iteration"] > begun]
    assert tail.tobytes() == starts[-1][len(MAGIC) :]
    assert np.all(np.diff(merged["iteration"]) > 0)


@given(
    at=st.integers(1, 20),
    name=st.sampled_from(["samples", "lr", "loss", "generators"]),
)
def test_the_first_iteration_that_differs_is_found(at: int, name: str) -> None:
    """With the part, whatever differs after it."""
    one = read_ledger(ledger(1, 20))
    other = read_ledger(ledger(1, 20, **{name: (at, 7)})).copy()
    other["loss"][at:] += 1
    found = find_parting(one, other)
    assert found is not None
    assert (found.iteration, found.parts) == (at, (name,))


def test_values_are_named_with_their_difference() -> None:
    """In the order in which an iteration comes about."""
    one, other = ledger(1, 3), ledger(1, 3, loss=(2, 0.75), samples=(2, 1))
    found = find_parting(read_ledger(one), read_ledger(other))
    told = "iteration 2: samples, loss (0.5 and 0.75, a difference of 0.25)"
    assert str(found) == told


def test_equal_is_to_the_bit() -> None:
    """NaN is equal to itself, 0.0 is not -0.0."""
    nan = read_ledger(ledger(1, 2, loss=(2, math.nan)))
    assert find_parting(nan, nan) is None
    zero, minus = (read_ledger(ledger(1, 2, loss=(2, sign))) for sign in (0.0, -0.0))
    assert find_parting(zero, minus) is not None


@pytest.mark.parametrize(("first", "last"), [(1, 4), (2, 5)])
def test_an_iteration_that_one_run_lacks_parts_them(first: int, last: int) -> None:
    """At either end."""
    found = find_parting(read_ledger(ledger(1, 5)), read_ledger(ledger(first, last)))
    assert str(found) == f"iteration {1 if first == 2 else 5}: records"


def test_another_file_is_refused() -> None:
    """By its first bytes."""
    with pytest.raises(SerializationError, match=r"x: no ledger: expected a file that"):
        read_ledger(b"epoch,loss\n1,0.5\n", "x")
    assert cut_ledger(b"", 3) == MAGIC
