"""How samplers are read, by their kind, and what is said of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)

from engine.dataset import DefaultSampler, IndexShuffleSampler, open_cursor
from engine.state import Exactness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA = range(8)


class Unknown(Sampler[int]):
    """In order."""

    def __iter__(self) -> Iterator[int]:
        return iter(DATA)

    def __len__(self) -> int:
        return len(DATA)


class Declared(Unknown):
    """Says that it repeats itself."""

    replayable = True


class Formula(Unknown):
    """Backwards, and says what stands where."""

    def indices_at(
        self, epoch: int, start: int, count: int, *, seed: int | None = None
    ) -> list[int]:
        del epoch, seed
        return list(range(7, -1, -1))[start : start + count]


class OtherIteration(DefaultSampler):
    """Its iteration is not what its parent's formula says."""

    def __iter__(self) -> Iterator[int]:
        return iter([0, 0, 0, 0, 1, 1, 1, 1])


class Fed(Sampler[int]):
    """Repeats what it was told to; its state does not say where it is.

    Args:
        told: What it repeats.
    """

    def __init__(self, told: Sequence[int] = DATA) -> None:
        self.told = list(told)

    def __iter__(self) -> Iterator[int]:
        for place in range(len(DATA)):
            yield self.told[place]

    def __len__(self) -> int:
        return len(DATA)

    def state_dict(self) -> dict[str, Any]:
        return {"told": list(self.told)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.told = list(state["told"])


def order(sampler: Any, **settings: Any) -> tuple[Exactness, str]:
    """What the report says of the order."""
    loader: DataLoader[Any] = DataLoader(DATA, sampler=sampler, **settings)  # type: ignore[arg-type]
    (part,) = [
        part
        for part in open_cursor(loader, seed=0).resume_report()
        if part.part == "train data: order"
    ]
    return part.level, part.reason


@pytest.mark.parametrize(
    "sampler",
    [
        SequentialSampler(DATA),
        RandomSampler(DATA),
        RandomSampler(DATA, replacement=True),
        SubsetRandomSampler(DATA),
        WeightedRandomSampler([1.0] * 8, 8),
        DistributedSampler(DATA, num_replicas=1, rank=0),  # type: ignore[arg-type]
        DefaultSampler(DATA),
        IndexShuffleSampler(DATA),
        BatchSampler(DefaultSampler(DATA), 2, False),
        BatchSampler(RandomSampler(DATA), 2, False),
        [3, 1, 2],
        Declared(),
        Formula(),
        Fed(),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_known_samplers_come_back_exactly(sampler: Any) -> None:
    """Pure, replayable or stateful; the reason names the kind."""
    level, reason = order(sampler)
    assert level is Exactness.EXACT
    assert reason.startswith(type(sampler).__name__)


@pytest.mark.parametrize("sampler", [Unknown(), OtherIteration(DATA)])
def test_unknown_samplers_are_listed(sampler: Any) -> None:
    """The reason says what can be done about it."""
    level, reason = order(sampler)
    assert level is Exactness.BEST_EFFORT
    assert reason.startswith(f"{type(sampler).__name__} is not known to repeat itself")
    assert "replayable = True" in reason


def read(sampler: Any, data_pass: int = 0, start: int = 0) -> list[Any]:
    """Indices of a pass."""
    loader = _loader(sampler)
    batches = open_cursor(loader, seed=0).read(data_pass, start)
    return [index for batch in batches for index in batch]


def test_a_formula_of_the_users_is_asked() -> None:
    """It, and not the iteration."""
    assert read(Formula(), start=1) == [3, 2, 1, 0]


def test_a_subclass_that_iterates_otherwise_is_iterated() -> None:
    """Its parent's formula does not speak for it."""
    assert read(OtherIteration(DATA), start=1) == [1, 1, 1, 1]


def test_what_a_sampler_was_told_between_passes_is_kept() -> None:
    """Its state of the begin of the pass gives the order again, so it is replayed."""
    told = Fed()
    cursor = open_cursor(_loader(told), seed=0)
    list(cursor.read(0, 0))
    told.told = list(range(7, -1, -1))
    reading = cursor.read(1, 0)
    head = next(reading)
    state = cursor.state(1, 1)
    again = open_cursor(_loader(Fed()), seed=0)
    again.load(state)
    assert [head, *again.read(1, 1)] == [[7, 6, 5, 4], [3, 2, 1, 0]]
    level, reason = again.resume_report()[0].level, again.resume_report()[0].reason
    assert level is Exactness.EXACT
    assert "does not say where it is" in reason


def test_a_state_that_says_nothing_true_is_reported() -> None:
    """Told something inside the pass, and restarting after a load: nobody can know."""
    told = Fed()
    cursor = open_cursor(_loader(told), seed=0)
    reading = cursor.read(0, 0)
    next(reading)
    told.told = list(range(7, -1, -1))
    state = cursor.state(0, 1)
    state["order"]["hash"] = 1  # as if the first batch had been another one
    again = open_cursor(_loader(Fed()), seed=0)
    again.load(state)
    part = again.resume_report()[0]
    assert part.level is Exactness.BEST_EFFORT
    assert "it does not give what it gave" in part.reason
    assert len(list(again.read(0, 1))) == 1


def _loader(sampler: Any) -> DataLoader[Any]:
    return DataLoader(DATA, 4, sampler=sampler, collate_fn=list)  # type: ignore[arg-type]


class Marked(Dataset[int]):
    """Marks in shared memory what is fetched, by whichever process.

    Args:
        size: Samples.
    """

    def __init__(self, size: int) -> None:
        self.fetched = torch.zeros(size, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.fetched)

    def __getitem__(self, index: int) -> int:
        assert get_worker_info() is not None
        self.fetched[index] += 1
        return index


@pytest.mark.parametrize("kind", [None, DefaultSampler, IndexShuffleSampler])
def test_workers_fetch_no_skipped_sample(kind: Any) -> None:
    """From batch 7 of 10 on: three batches of samples are fetched, once each."""
    data = Marked(20)
    loader = DataLoader(
        data,
        2,
        sampler=kind and kind(data, seed=1),
        num_workers=2,
        shuffle=True if kind is None else None,
        collate_fn=list,
    )
    batches = list(open_cursor(loader, seed=1).read(3, 7))
    assert len(batches) == 3
    read = [index for batch in batches for index in batch]
    assert data.fetched.nonzero().flatten().tolist() == sorted(read)
    assert int(data.fetched.sum()) == 6
