"""A cursor: the training data, read from any batch of any pass.

What batch ``b`` of pass ``p`` holds is a function of (seed, p, b). The place moves
when a batch is consumed, so what workers have fetched ahead is thrown away at no loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
)

from engine.dataset.length import data_length
from engine.dataset.order import global_position, permutation
from engine.dataset.sample_randomness import (
    PlacedDataset,
    SampleRandomness,
    draws_nothing,
)
from engine.dataset.sampler import DefaultSampler, InfiniteSampler
from engine.dataset.worker_signals import LeaveSignals, signals_left
from engine.dist import get_dist_info
from engine.errors import DataError, a_type
from engine.state import derive_seed, fence, seed_host

__all__ = ["Cursor", "LoaderCursor", "ReplayCursor", "open_cursor"]


_LOW_BITS = 2**63 - 1  # torch's seeds are unsigned, derive_seed's parts are not


class Cursor(Protocol):
    """Data that can be read from any place."""

    length: int
    """Batches in a pass; 0 if that is not known."""
    batch_size: int
    """Samples in each batch but the last; 0 if they differ or are not known."""
    last_batch_size: int
    """Samples in the last batch of a pass."""
    exact: bool
    """Whether a place is found without reading what lies before it."""

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on."""


def open_cursor(
    data: Iterable[Any], *, seed: int, randomness: SampleRandomness = "sample"
) -> Cursor:
    """A cursor over ``data``.

    Args:
        data: A ``DataLoader`` over a map-style dataset is read by index; any other
            iterable is walked to the place.
        seed: The run's seed.
        randomness: What random numbers that a dataset draws depend on: each sample's
            place, each batch's, or (``"off"``) on who loads it.

    Raises:
        DataError: ``data`` is no iterable, or has no batch.
    """
    if not isinstance(data, Iterable):
        message = (
            f"training data: expected a DataLoader or another iterable of batches, "
            f"found {a_type(data)}"
        )
        raise DataError(message)
    if isinstance(data, DataLoader) and _is_map_style(data):
        return LoaderCursor(data, seed=seed, randomness=randomness)
    return ReplayCursor(data, seed=seed)


def _is_map_style(loader: DataLoader[Any]) -> bool:
    # A subclass with an iterator of its own does what we cannot know.
    own = type(loader).__iter__ is DataLoader.__iter__
    return own and not isinstance(loader.dataset, IterableDataset)


def _check_length(data: Any, length: int) -> None:
    if length == 0:
        dataset = getattr(data, "dataset", data)
        size = len(dataset) if hasattr(dataset, "__len__") else 0
        drops = " and drop_last leaves none of its batches" if size else ""
        message = (
            f"{type(data).__name__} over {type(dataset).__name__}: {size} samples"
            f"{drops}, so there is no batch to read. Give data with at least one batch."
        )
        raise DataError(message)


class _Plan:
    """Batches of keys, told where to begin; what the inner loader samples from."""

    def __init__(self, keys: Callable[[int, int], Iterator[Any]]) -> None:
        self._keys = keys
        self.data_pass = 0
        self.start = 0

    def __iter__(self) -> Iterator[Any]:
        return self._keys(self.data_pass, self.start)


class LoaderCursor:
    """A ``DataLoader`` over a map-style dataset, read by index.

    The user's loader is not iterated: one with the same dataset and settings is, whose
    batches come from a plan. ``shuffle=True`` gives the run's own order; a sampler of
    another kind is listed once per pass from generators seeded by (seed, pass).

    Args:
        loader: The user's.
        seed: The run's seed.
        randomness: As for :func:`open_cursor`.

    Raises:
        DataError: There is no batch.
    """

    exact = True

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        seed: int,
        randomness: SampleRandomness = "sample",
    ) -> None:
        self._loader = loader
        self._seed = seed
        self._rank, self._world = get_dist_info()
        self.length = len(loader)
        _check_length(loader, self.length)
        self._placed = randomness != "off" and not draws_nothing(loader.dataset)
        self.batch_size, self.last_batch_size = self._sizes()
        self._listed: dict[int, int] = {}  # by sampler: passes listed so far
        self._plan = _Plan(self._keys)
        self._inner = self._make_inner(randomness)

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on.

        Raises:
            DataError: While reading: the loader gave fewer batches than its length.
        """
        self._plan.data_pass, self._plan.start = data_pass, batch
        # Workers' base seed comes from here, so the global generator stays in place.
        assert self._inner.generator is not None
        self._inner.generator.manual_seed(derive_seed(self._seed, data_pass))
        read = batch
        for item in self._inner:
            read += 1
            yield item
        if read < self.length:
            message = (
                f"the loader over {type(self._loader.dataset).__name__} ended after "
                f"{read} of {self.length} batches in pass {data_pass}: its sampler "
                "gives fewer indices than its length says. Mend the sampler's "
                "__len__ or __iter__."
            )
            raise DataError(message)

    def _make_inner(self, randomness: SampleRandomness) -> DataLoader[Any]:
        loader = self._loader
        dataset = loader.dataset
        if self._placed:
            dataset = PlacedDataset(dataset, self._seed, randomness)
        plan: dict[str, Any] = {"batch_sampler": self._plan}
        if loader.batch_sampler is None:
            plan = {"sampler": self._plan, "batch_size": None}
        return DataLoader(
            dataset,
            **plan,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=LeaveSignals(loader.worker_init_fn),
            multiprocessing_context=loader.multiprocessing_context,
            generator=torch.Generator(),
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
            pin_memory_device=loader.pin_memory_device,
        )

    def _sizes(self) -> tuple[int, int]:
        loader = self._loader
        if loader.batch_sampler is None:
            return 1, 1
        if type(loader.batch_sampler) is not BatchSampler or not loader.batch_size:
            return 0, 0
        size = loader.batch_size
        samples = len(loader.sampler)  # type: ignore[arg-type]  # len(loader) needed it
        endless = type(loader.sampler) is InfiniteSampler
        full = loader.drop_last or endless or samples % size == 0
        return size, size if full else samples % size

    # -- the plan ---------------------------------------------------------------

    def _keys(self, data_pass: int, start: int) -> Iterator[Any]:
        loader = self._loader
        if loader.batch_sampler is None:
            indices = self._list(loader.sampler, data_pass)
            for position in range(start, len(indices)):
                yield self._key(data_pass, position, indices[position])
            return
        if type(loader.batch_sampler) is not BatchSampler:
            batches = self._list(loader.batch_sampler, data_pass)
            position = sum(map(len, batches[:start]))
            for batch in batches[start:]:
                yield self._batch(data_pass, position, batch)
                position += len(batch)
            return
        assert loader.batch_size is not None
        indices = self._list(loader.sampler, data_pass)
        for number in range(start, self.length):
            first = number * loader.batch_size
            batch = indices[first : first + loader.batch_size]
            if not batch:
                return
            yield self._batch(data_pass, first, batch)

    def _batch(self, data_pass: int, first: int, indices: Sequence[Any]) -> list[Any]:
        return [
            self._key(data_pass, first + offset, index)
            for offset, index in enumerate(indices)
        ]

    def _key(self, data_pass: int, position: int, index: Any) -> Any:
        if not self._placed:
            return index
        place = global_position(position, rank=self._rank, world=self._world)
        return data_pass, place, index

    def _list(self, sampler: Any, data_pass: int) -> Sequence[Any]:
        """All that a sampler gives in a pass, as a function of (seed, pass)."""
        if type(sampler) is DefaultSampler:
            return sampler.indices(data_pass, self._seed)
        if type(sampler) is InfiniteSampler:  # passes are parts of one long order
            count = self._count(sampler)
            return sampler.part(data_pass * count, count, self._seed)
        if type(sampler) is SequentialSampler:
            return range(len(sampler))
        if _is_plain_shuffle(sampler):
            return permutation(len(sampler), seed=self._seed, epoch=data_pass)
        set_epoch = getattr(sampler, "set_epoch", None) or getattr(
            getattr(sampler, "sampler", None), "set_epoch", None
        )
        if set_epoch is not None:
            set_epoch(data_pass)
        # A sampler may remember its passes: those before are listed too, once.
        begin = min(self._listed.get(id(sampler), 0), data_pass)
        if set_epoch is not None:
            begin = data_pass
        self._listed[id(sampler)] = data_pass + 1
        for number in range(begin, data_pass + 1):
            seed = derive_seed(self._seed, number)
            with fence(), _own_generator(sampler, seed):
                seed_host(seed)
                listed = list(islice(sampler, self._count(sampler)))
        return listed

    def _count(self, sampler: Any) -> int:
        """How many items a pass takes: an endless sampler is cut at the length."""
        loader = self._loader
        if loader.batch_sampler is None or sampler is loader.batch_sampler:
            return self.length
        return self.length * (loader.batch_size or 1)


@contextmanager
def _own_generator(sampler: Any, seed: int) -> Iterator[None]:
    """Let a sampler draw from a generator seeded by (the user's seed, ``seed``).

    The user's own generator is left as it is, so that its first seed stays readable.
    """
    users = getattr(sampler, "generator", None)
    if not isinstance(users, torch.Generator):
        yield
        return
    first_seed = users.initial_seed() & _LOW_BITS
    sampler.generator = torch.Generator()
    sampler.generator.manual_seed(derive_seed(seed, first_seed))
    try:
        yield
    finally:
        sampler.generator = users


def _is_plain_shuffle(sampler: Any) -> bool:
    """Whether this is what ``DataLoader(shuffle=True)`` makes."""
    return (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.generator is None
        and sampler.num_samples == len(sampler.data_source)
    )


class ReplayCursor:
    """Any other iterable: read from the start, and what was consumed is skipped.

    Args:
        data: Iterable of batches.
        seed: The run's seed.

    Raises:
        DataError: It has a length, and that is 0.
    """

    exact = False
    batch_size = 0
    last_batch_size = 0

    def __init__(self, data: Iterable[Any], *, seed: int) -> None:
        self._data = data
        self._seed = seed
        length = data_length(data)
        if length == 0:
            _check_length(data, 0)
        self.length = length or 0

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on.

        Raises:
            DataError: While reading: there is no batch, or fewer than the length.
        """
        set_epoch = getattr(getattr(self._data, "sampler", None), "set_epoch", None)
        if set_epoch is not None:
            set_epoch(data_pass)
        read, first = 0, []
        # Orders and workers' seeds are drawn with the first batch: from (seed, pass).
        # Later batches draw from training's generators, which skipping leaves alone.
        with fence(), signals_left(self._data):
            seed_host(derive_seed(self._seed, data_pass))
            items = iter(self._data)
            for item in islice(items, max(batch, 1)):
                read += 1
                first = [item] if read > batch else []
        yield from first
        for item in items:
            read += 1
            yield item
        if read == 0:
            _check_length(self._data, 0)
        if read < max(self.length, batch):
            message = (
                f"{type(self._data).__name__} ended after {read} of "
                f"{max(self.length, batch)} batches in pass {data_pass}. Give data "
                "that yields as many batches in every pass as its length says."
            )
            raise DataError(message)
