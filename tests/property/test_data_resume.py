"""Data of any kind, cut anywhere and opened anew, goes on as if it had not been."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)

from engine.dataset import (
    Cursor,
    DefaultSampler,
    IndexShuffleSampler,
    InfiniteSampler,
    open_cursor,
)
from engine.state import Exactness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 11


def noise() -> list[float]:
    """One number of each global generator."""
    return [random.random(), float(np.random.rand()), torch.rand(()).item()]


# -- datasets -------------------------------------------------------------------------


class Points(Dataset[Any]):
    """Numbered samples that draw.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        return [np.asarray(index).tolist(), *noise()]


class Counting(Points):
    """Each copy counts what it gave, and the count is in the samples."""

    given = 0

    def __getitem__(self, index: int) -> Any:
        self.given += 1
        return [*super().__getitem__(index), self.given]

    def state_dict(self) -> dict[str, Any]:
        return {"given": self.given}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.given = state["given"]


class Flow(IterableDataset[Any]):
    """Numbers, each worker's own, in an order from a buffer that is drawn from.

    Args:
        size: How many; each worker has a share of its own size.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.place = 0
        self.buffer: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        share = range(worker, self.size, workers)
        while self.place < len(share) or self.buffer:
            while self.place < len(share) and len(self.buffer) < 3:
                self.buffer.append(share[self.place])
                self.place += 1
            chosen = self.buffer.pop(random.randrange(len(self.buffer)))
            yield [chosen, worker, *noise()]
        self.place = 0


class Kept(Flow):
    """The same with a state."""

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place, "buffer": list(self.buffer)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.place, self.buffer = state["place"], list(state["buffer"])


class KeptSized(Kept):
    """The same with a length."""

    def __len__(self) -> int:
        return self.size


class Endless(IterableDataset[Any]):
    """Never ends; remembers how far it is."""

    count = 0

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        while True:
            self.count += 1
            yield [self.count, 0 if info is None else info.id, *noise()]

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.count = state["count"]


# -- samplers -------------------------------------------------------------------------


class Walking(Sampler[int]):
    """Knows where it is, counts before it yields, and starts anew at its end.

    Args:
        size: Indices in a pass.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.done = self.passes = 0

    def order(self) -> list[int]:
        """Of the running pass."""
        return [(7 * index + 3 * self.passes) % self.size for index in range(self.size)]

    def __iter__(self) -> Iterator[int]:
        order = self.order()
        while self.done < self.size:
            self.done += 1
            yield order[self.done - 1]
        self.done, self.passes = 0, self.passes + 1

    def __len__(self) -> int:
        return self.size

    def state_dict(self) -> dict[str, Any]:
        return {"done": self.done, "passes": self.passes}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.done, self.passes = state["done"], state["passes"]


class WalkingAtRandom(Walking):
    """Its order is drawn from torch's global generator."""

    def order(self) -> list[int]:
        found: list[int] = torch.randperm(self.size).tolist()
        return found


class CountingLate(Walking):
    """Counts after it was asked for more: its state is one behind."""

    def __iter__(self) -> Iterator[int]:
        for index in self.order()[self.done :]:
            yield index
            self.done += 1
        self.done, self.passes = 0, self.passes + 1


class Restarting(Walking):
    """Its state says which pass it is in, not where; draws as it goes."""

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        for index in self.order():
            yield (index + random.randrange(self.size)) % self.size


class Unending(Walking):
    """Goes on for ever, whatever its length says."""

    def __iter__(self) -> Iterator[int]:
        while True:
            self.done += 1
            yield (5 * self.done) % self.size


class Groups(Walking):
    """A batch sampler with a state: batches of one, two, one, two ... indices."""

    def __iter__(self) -> Any:
        order = self.order()
        while self.done < self.size:
            first = self.done
            self.done = min(self.size, first + 1 + first % 2)
            yield order[first : self.done]
        self.done, self.passes = 0, self.passes + 1

    def __len__(self) -> int:
        return len([0 for first in range(self.size) if first % 3 != 2 or first == 0])


class Around(BatchSampler):
    """A batch sampler that nobody knows, around another sampler."""


def generator() -> torch.Generator:
    """One of the user's own."""
    return torch.Generator().manual_seed(4)


SAMPLERS: dict[str, Callable[[Points, int], dict[str, Any]]] = {
    "shuffle": lambda data, _: {"shuffle": True},
    "in order": lambda data, _: {},
    "default": lambda data, _: {"sampler": DefaultSampler(data)},
    "infinite": lambda data, _: {"sampler": InfiniteSampler(data)},
    "index shuffle": lambda data, _: {"sampler": IndexShuffleSampler(data)},
    "replacement": lambda data, _: {
        "sampler": RandomSampler(
            data, replacement=True, num_samples=9, generator=generator()
        )
    },
    "subset": lambda data, _: {"sampler": SubsetRandomSampler(range(1, len(data)))},
    "weighted": lambda data, _: {
        "sampler": WeightedRandomSampler([1.0, 2.0] * len(data), 7)
    },
    "walking": lambda data, _: {"sampler": Walking(len(data))},
    "walking at random": lambda data, _: {"sampler": WalkingAtRandom(len(data))},
    "counting late": lambda data, _: {"sampler": CountingLate(len(data))},
    "restarting": lambda data, _: {"sampler": Restarting(len(data))},
    "unending": lambda data, _: {"sampler": Unending(len(data))},
    "list of batches": lambda data, _: {"batch_sampler": [[0], [0, 0], [0]]},
    "own batches": lambda data, size: {
        "batch_sampler": Around(DefaultSampler(data, seed=2), size, False)
    },
    "own endless batches": lambda data, size: {
        "batch_sampler": Around(_Bounded(data, seed=2), size, False)
    },
    "own batches around a state": lambda data, size: {
        "batch_sampler": Around(Walking(len(data)), size, False)
    },
    "plain batches around a state": lambda data, size: {
        "batch_sampler": BatchSampler(Walking(len(data)), size, True)
    },
    "batches as samples": lambda data, size: {
        "sampler": BatchSampler(DefaultSampler(data, seed=1), size, False),
        "batch_size": None,
    },
}
OWN_BATCHES = {name for name in SAMPLERS if "batches" in name}


class _Bounded(InfiniteSampler):
    """An infinite sampler with another name."""


# -- plans ----------------------------------------------------------------------------


@frozen(kw_only=True)
class Plan:
    """What is read.

    Args:
        dataset: Its class.
        size: Samples.
        sampler: Name in ``SAMPLERS``; ``None`` for an iterable dataset.
        batch_size: Samples in a batch.
        drop_last: Leave out the last, smaller batch.
        workers: Of the run that is cut.
        later: Of the resumed one.
        prefetch: Batches that a worker fetches ahead.
        persistent: Keep workers from pass to pass.
        randomness: As for ``open_cursor``.
    """

    dataset: type[Any] = Points
    size: int = 7
    sampler: str | None = "shuffle"
    batch_size: int = 2
    drop_last: bool = False
    workers: int = 0
    later: int = 0
    prefetch: int = 2
    persistent: bool = False
    randomness: Any = "sample"

    def open(self, *, again: bool = False) -> Cursor:
        """A cursor over fresh objects."""
        workers = self.later if again else self.workers
        data: Any = Endless() if self.dataset is Endless else self.dataset(self.size)
        arguments: dict[str, Any] = {
            "num_workers": workers,
            "collate_fn": _as_it_is,
            "persistent_workers": self.persistent and workers > 0,
        }
        if workers:
            arguments["prefetch_factor"] = self.prefetch
        if self.sampler not in OWN_BATCHES:
            arguments["batch_size"] = self.batch_size
            arguments["drop_last"] = self.drop_last
        if self.sampler is not None:
            arguments |= SAMPLERS[self.sampler](data, self.batch_size)
        loader = DataLoader(data, **arguments)
        return open_cursor(loader, seed=SEED, randomness=self.randomness)


def _as_it_is(samples: Any) -> Any:
    return samples


def through_a_file(state: Any) -> Any:
    """What a checkpoint gives back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def read(cursor: Cursor, place: list[int], batches: int) -> list[Any]:
    """Batches from a place on, pass after pass; the place moves as a run's does."""
    found: list[Any] = []
    while len(found) < batches:
        for batch in cursor.read(*place):
            found.append([*place, batch])
            place[1] += 1
            if place[1] == cursor.length:
                place[:] = [place[0] + 1, 0]
            if len(found) == batches:
                return found
            if place[1] == 0:
                break
        else:
            if place[1]:
                place[:] = [place[0] + 1, 0]
    return found


def check_resumes(plan: Plan, cut: int, then: int) -> Cursor:
    """Cut after ``cut`` batches, go on in fresh objects for ``then`` more."""
    whole = read(plan.open(), [0, 0], cut + then)
    place = [0, 0]
    cursor = plan.open()
    head = read(cursor, place, cut) if cut else []
    state = through_a_file(cursor.state(*place))
    del cursor
    torch.rand(5), random.random(), np.random.rand()
    again = plan.open(again=True)
    again.load(state)
    assert through_a_file(again.state(*place)) == state, "saved again at once"
    assert head + read(again, place, then) == whole
    return again


MAP_PLANS = st.builds(
    Plan,
    size=st.integers(4, 9),
    sampler=st.sampled_from(sorted(SAMPLERS)),
    batch_size=st.integers(1, 4),
    drop_last=st.booleans(),
    randomness=st.sampled_from(["sample", "batch"]),
)
"""Map-style datasets with every kind of sampler, without workers."""

FLOW_PLANS = st.builds(
    Plan,
    dataset=st.sampled_from([Flow, Kept, KeptSized, Endless]),
    sampler=st.none(),
    size=st.integers(4, 12),
    batch_size=st.integers(1, 4),
    drop_last=st.booleans(),
    randomness=st.sampled_from(["sample", "batch"]),
)
"""Iterable datasets with and without a state, without workers."""


@settings(max_examples=60)
@given(plan=MAP_PLANS, cut=st.integers(0, 9), then=st.integers(1, 9))
def test_indexed_data_goes_on(plan: Plan, cut: int, then: int) -> None:
    """Ids and augmentation after a cut are the unbroken run's, whatever samples."""
    check_resumes(plan, cut, then)


@settings(max_examples=60)
@given(plan=FLOW_PLANS, cut=st.integers(0, 9), then=st.integers(1, 9))
def test_iterable_data_goes_on(plan: Plan, cut: int, then: int) -> None:
    """Sized, unsized, endless; with a state and without."""
    check_resumes(plan, cut, then)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_at_every_batch_of_two_passes(name: str) -> None:
    """And once more after a second cut."""
    plan = Plan(sampler=name, size=7, batch_size=2)
    for cut in range(9):
        check_resumes(plan, cut, 6)


WORKERS = st.sampled_from([(0, 2), (1, 0), (2, 0), (2, 1), (2, 2)])


@settings(max_examples=6)
@given(
    plan=MAP_PLANS,
    workers=WORKERS,
    prefetch=st.integers(1, 3),
    persistent=st.booleans(),
    cut=st.integers(0, 6),
)
def test_indexed_data_goes_on_with_any_workers(
    plan: Plan, workers: tuple[int, int], prefetch: int, persistent: bool, cut: int
) -> None:
    """Whatever they had drawn and fetched ahead."""
    then, later = workers
    plan = evolve(
        plan, workers=then, later=later, prefetch=prefetch, persistent=persistent
    )
    check_resumes(plan, cut, 4)


@pytest.mark.parametrize("name", ["walking", "counting late", "unending"])
def test_what_workers_drew_ahead_of_a_stateful_sampler_comes_back(name: str) -> None:
    """Four batches ahead, then none, and the other way round."""
    for then, later in [(2, 0), (0, 2)]:
        plan = Plan(sampler=name, size=9, batch_size=1, workers=then, later=later)
        check_resumes(plan, 3, 9)


@settings(max_examples=5)
@given(
    dataset=st.sampled_from([Kept, KeptSized, Endless, Counting]),
    size=st.integers(5, 12),
    persistent=st.booleans(),
    prefetch=st.integers(1, 2),
    cut=st.integers(0, 7),
)
def test_states_of_workers_come_back(
    dataset: type[Any], size: int, persistent: bool, prefetch: int, cut: int
) -> None:
    """As of the batch that was consumed, with as many workers."""
    plan = Plan(
        dataset=dataset,
        size=size,
        sampler="default" if dataset is Counting else None,
        workers=2,
        later=2,
        prefetch=prefetch,
        persistent=persistent,
    )
    report = check_resumes(plan, cut, 5).resume_report()
    assert {part.level for part in report} == {Exactness.EXACT}


@pytest.mark.parametrize("persistent", [False, True])
def test_roles_of_workers_survive_two_resumes(persistent: bool) -> None:
    """A resumed pass begins with worker 0, whoever's turn it is."""
    plan = Plan(
        dataset=Counting,
        sampler="in order",
        size=7,
        batch_size=1,
        workers=2,
        later=2,
        persistent=persistent,
    )
    whole = read(plan.open(), [0, 0], 17)
    place = [0, 0]
    found: list[Any] = []
    state: Any = None
    for batches in (3, 2, 12):
        cursor = plan.open()
        if found:
            cursor.load(through_a_file(state))
        found += read(cursor, place, batches)
        state = cursor.state(*place)
    assert found == whole


def test_an_iterable_without_a_state_is_replayed_in_its_workers() -> None:
    """A buffer that draws all the way, two workers, and persistent ones."""
    for persistent in (False, True):
        plan = Plan(
            dataset=Flow,
            sampler=None,
            size=11,
            workers=2,
            later=2,
            persistent=persistent,
        )
        cursor = check_resumes(plan, 8, 4)
        order, samples = cursor.resume_report()
        assert order.level is Exactness.BEST_EFFORT
        assert "no state_dict" in order.reason
        assert samples.level is Exactness.EXACT


def test_a_stateful_dataset_without_workers_is_saved_as_it_is() -> None:
    """Also what it keeps from pass to pass."""
    for cut in range(9):
        check_resumes(Plan(dataset=Counting, size=5), cut, 6)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("randomness", ["sample", "batch"])
def test_no_noise_of_a_stream_repeats(workers: int, randomness: Any) -> None:
    """Not in a pass, not in the next one, not in another worker."""
    plan = Plan(
        dataset=Kept, sampler=None, size=8, workers=workers, randomness=randomness
    )
    drawn = [
        tuple(sample[2:])
        for *_, batch in read(plan.open(), [0, 0], 8)
        for sample in batch
    ]
    assert len(set(drawn)) == len(drawn)


class Rounds(Kept):
    """Remembers how often it was iterated, and says so."""

    rounds = 0

    def __iter__(self) -> Iterator[Any]:
        self.rounds += 1
        for number in range(4):
            yield [number, self.rounds]

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.rounds = state["rounds"]


def test_persistent_workers_change_no_data() -> None:
    """A pass begins from this process's dataset, whether its workers are new or not."""
    plan = Plan(dataset=Rounds, sampler=None, batch_size=4, workers=1)
    fresh = read(plan.open(), [0, 0], 3)
    assert read(evolve(plan, persistent=True).open(), [0, 0], 3) == fresh
    assert [batch[0][1] for *_, batch in fresh] == [1, 1, 1]


def test_own_batches_go_through_an_endless_order_pass_by_pass() -> None:
    """Each pass goes on where the one before ended, as with torch's own batches."""
    own = Plan(sampler="own endless batches", size=6, batch_size=2).open()
    order = InfiniteSampler(range(6), seed=2).part(0, 18)
    seen = [sample[0] for *_, batch in read(own, [0, 0], 9) for sample in batch]
    assert seen == order
