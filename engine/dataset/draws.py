"""What a sampler gives from any batch of any pass on, by the kind of sampler it is.

::

    pure       its order is a function           found in O(1), nothing is walked
    listed     it is iterated whole for a pass   the sampler walks, the data does not
    stateful   it has state_dict                 its state, and what it drew ahead

A loader's workers draw ahead of what is consumed; none of this minds.
"""

from __future__ import annotations

import copy
import random
import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen
from torch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from engine.dataset.order import Permutations
from engine.dataset.sampler import (
    DefaultSampler,
    IndexShuffleSampler,
    InfiniteSampler,
    PureSampler,
)
from engine.state import Exactness, derive_seed, fence, seed_host
from engine.typing import Stateful

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.typing import Plain

__all__ = ["Draws", "Shape", "open_draws"]

_FORMAT = 1
_LOW_BITS = 2**63 - 1  # torch's seeds are unsigned, derive_seed's parts are not
_PROBED = 16  # items that tell whether a state says where the sampler is
_END = object()

# Their order follows from their arguments and the generators that they are given.
_REPLAYABLE = (
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    list,
    tuple,
    range,
)


@frozen
class Shape:
    """How a sampler's items become batches.

    Args:
        size: Items in a batch.
        count: Batches in a pass.
        groups: Whether each item is a whole batch (then ``size`` is 1).
        ahead: Batches that are drawn before they are consumed, at most.
    """

    size: int
    count: int
    groups: bool
    ahead: int


def open_draws(
    sampler: Any, *, seed: int, shape: Shape, consecutive: bool = True
) -> Draws:
    """What reads from ``sampler``, by its kind.

    Args:
        sampler: A loader's sampler or batch sampler.
        seed: The run's.
        shape: How its items become batches.
        consecutive: Whether passes are read one after another, each but once.
    """
    if not shape.groups:
        at = _pure(sampler, seed, shape)
        if at is not None:
            return _PureDraws(sampler, shape, at)
    for memory in (sampler, getattr(sampler, "sampler", None)):
        if isinstance(memory, Stateful):
            return _StatefulDraws(sampler, memory, seed, shape)
    return _ListedDraws(sampler, seed, shape, consecutive=consecutive)


class Draws(ABC):
    """Batches of indices, from any place on.

    Args:
        sampler: What gives them.
        shape: How its items become batches.
    """

    level = Exactness.EXACT
    reason = ""

    def __init__(self, sampler: Any, shape: Shape) -> None:
        self.sampler = sampler
        self.shape = shape

    @abstractmethod
    def read(self, data_pass: int, start: int) -> Iterator[tuple[int, list[Any]]]:
        """Batches of a pass from number ``start`` on.

        Yields:
            Position of the batch's first sample in the pass, and its indices.
        """

    def state(self, data_pass: int, batch: int) -> Plain:
        """What must be saved to go on from a place; ``None`` if nothing."""
        del data_pass, batch

    def load(self, state: Plain) -> None:
        """Go on from the place at which ``state`` was taken."""
        del state


# -- pure -----------------------------------------------------------------------------


class _PureDraws(Draws):
    """Of a sampler whose order is a function.

    Args:
        sampler: It.
        shape: How its items become batches.
        at: ``at(data_pass, start, count)``: indices of a pass from a position on.
    """

    def __init__(
        self, sampler: Any, shape: Shape, at: Callable[[int, int, int], list[Any]]
    ) -> None:
        super().__init__(sampler, shape)
        self._at = at
        self.reason = f"{type(sampler).__name__}: the order is a function of the place"

    def read(self, data_pass: int, start: int) -> Iterator[tuple[int, list[Any]]]:
        size = self.shape.size
        for number in range(start, self.shape.count):
            batch = self._at(data_pass, number * size, size)
            if not batch:
                return
            yield number * size, batch


def _pure(
    sampler: Any, seed: int, shape: Shape
) -> Callable[[int, int, int], list[Any]] | None:
    if type(sampler) is SequentialSampler:
        length = len(sampler)
        return lambda _, start, count: list(range(start, min(start + count, length)))
    if _is_plain_shuffle(sampler):
        length = len(sampler)
        orders = Permutations(length)
        return lambda data_pass, start, count: orders.at(
            range(start, min(start + count, length)), seed=seed, epoch=data_pass
        )
    if not isinstance(sampler, PureSampler) or not _says_what_it_gives(type(sampler)):
        return None
    if getattr(sampler, "endless", False):  # passes are parts of one long order
        each = shape.count * shape.size
        return lambda data_pass, start, count: sampler.indices_at(
            0, data_pass * each + start, count, seed=seed
        )
    return lambda data_pass, start, count: sampler.indices_at(
        data_pass, start, count, seed=seed
    )


def global_order(sampler: Any, *, ranks: int) -> dict[str, Any]:
    """What a sampler tells of the order that ranks share, for a ``DataShape``.

    Args:
        sampler: A loader's.
        ranks: Processes in the run.
    """
    plain = type(sampler) is SequentialSampler or _is_plain_shuffle(sampler)
    if plain and ranks == 1:
        return {"samples": len(sampler)}
    if isinstance(sampler, DefaultSampler | IndexShuffleSampler):
        multiple = 1 if not sampler.round_up else sampler.pad_to or 0
        return {"samples": sampler.length, "multiple": multiple}
    if isinstance(sampler, InfiniteSampler):
        return {"samples": sampler.length, "endless": True}
    return {}


def _says_what_it_gives(cls: type) -> bool:
    """Whether ``indices_at`` is as new as what else decides the order.

    A subclass that changes the iteration alone would not be asked for it.
    """
    for base in cls.__mro__:
        if "indices_at" in vars(base):
            return True
        if vars(base).keys() & {"__iter__", "__len__", "indices", "part"}:
            return False
    return False


def _is_plain_shuffle(sampler: Any) -> bool:
    """Whether this is what ``DataLoader(shuffle=True)`` makes."""
    return (
        type(sampler) is RandomSampler
        and not sampler.replacement
        and sampler.generator is None
        and sampler.num_samples == len(sampler.data_source)
    )


# -- listed ---------------------------------------------------------------------------


class _ListedDraws(Draws):
    """Of a sampler that is iterated for each pass, from generators seeded for it.

    Args:
        sampler: It.
        seed: The run's.
        shape: How its items become batches.
        consecutive: Whether passes are read one after another.
    """

    def __init__(
        self, sampler: Any, seed: int, shape: Shape, *, consecutive: bool
    ) -> None:
        super().__init__(sampler, shape)
        self._seed = seed
        self._consecutive = consecutive
        self._passes = 0  # listed so far
        name = type(sampler).__name__
        self._replayable = _is_replayable(sampler)
        if self._replayable:
            self.reason = f"{name}: iterated anew from the seed of the pass"
        else:
            self.level = Exactness.BEST_EFFORT
            self.reason = (
                f"{name} is not known to repeat itself: it is iterated anew from the "
                "seed of the pass. If that tells its order, set replayable = True on "
                "the class; if it remembers, give it state_dict and load_state_dict"
            )

    def read(self, data_pass: int, start: int) -> Iterator[tuple[int, list[Any]]]:
        listed = self._list(data_pass)
        size = self.shape.size
        if not self.shape.groups:
            for first in range(start * size, len(listed), size):
                yield first, listed[first : first + size]
            return
        position = sum(map(len, listed[:start]))
        for batch in listed[start:]:
            yield position, list(batch)
            position += len(batch)

    def _list(self, data_pass: int) -> list[Any]:
        """All that the sampler gives in a pass, as a function of (seed, pass)."""
        begin = data_pass
        told = set_epoch(self.sampler, data_pass)
        if self._consecutive and not told and not self._replayable:
            # It may remember its passes: those before are listed too, once.
            begin = min(self._passes, data_pass)
        self._passes = data_pass + 1
        listed: list[Any] = []
        for number in range(begin, data_pass + 1):
            seed = derive_seed(self._seed, number)
            _begin_endless(self.sampler, number, self.shape)
            with fence(), _own_generator(self.sampler, seed):
                seed_host(seed)
                count = self.shape.count * self.shape.size  # some never end
                listed = list(islice(self.sampler, count))
        return listed


def _is_replayable(sampler: Any) -> bool:
    if type(sampler) is BatchSampler:
        inner = sampler.sampler
        return _is_replayable(inner) or _says_what_it_gives(type(inner))
    return type(sampler) in _REPLAYABLE or bool(getattr(sampler, "replayable", False))


def set_epoch(sampler: Any, data_pass: int) -> bool:
    """Tell a sampler, or the one inside it, the pass; whether it wants to know."""
    for one in (sampler, getattr(sampler, "sampler", None)):
        told = getattr(one, "set_epoch", None)
        if told is not None:
            told(data_pass)
            return True
    return False


def _begin_endless(sampler: Any, data_pass: int, shape: Shape) -> None:
    """Let a sampler without end inside a batch sampler go on from the pass before."""
    inner: Any = getattr(sampler, "sampler", None)
    if getattr(inner, "endless", False) and hasattr(inner, "start"):
        size = getattr(sampler, "batch_size", None) or 1
        inner.start = data_pass * shape.count * shape.size * size


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


# -- stateful -------------------------------------------------------------------------


class _StatefulDraws(Draws):
    """Of a sampler with ``state_dict`` and ``load_state_dict``.

    Saved are its present state and the batches that it drew but nobody consumed, so
    that a loader which draws ahead loses nothing. Its state should say where it is: an
    iteration that begins after ``load_state_dict`` goes on from there, and an item is
    counted before it is yielded. Samplers that do otherwise are found out by a probe of
    a few items when a state is loaded; those are iterated again from their state at
    the begin of the pass.

    Args:
        sampler: It.
        memory: What has the state: the sampler, or the one inside it.
        seed: The run's.
        shape: How its items become batches.
    """

    def __init__(self, sampler: Any, memory: Stateful, seed: int, shape: Shape) -> None:
        super().__init__(sampler, shape)
        self._memory = memory
        self._seed = seed
        self.reason = f"{type(memory).__name__}: its own state is saved"
        self._stream = _Stream(0)
        self._ahead: deque[tuple[int, int, int, list[Any]]] = deque(
            maxlen=shape.ahead + 1
        )
        self._over: list[Any] = []  # what it gave beyond the pass, for the next one
        self._going: Iterator[Any] | None = None  # its iteration, if that has no end
        self._restored: dict[str, Any] | None = None
        self._goes_on = self._replays = True
        self._begin_pass(0)

    def _begin_pass(self, data_pass: int) -> None:
        self._pass = data_pass
        self._drawn = self._position = self._hash = 0
        self._begun = copy.deepcopy(self._memory.state_dict())

    # -- saving ---------------------------------------------------------------------

    def state(self, data_pass: int, batch: int) -> Plain:
        if self._restored is not None:  # nothing was read since
            return copy.deepcopy(self._restored)
        same = data_pass == self._pass
        return {
            "format": _FORMAT,
            "place": [data_pass, batch],
            "live": self._memory.state_dict(),
            "begun": self._begun if same else None,
            "drawn": self._drawn if same else 0,
            "position": self._position if same else 0,
            "hash": self._hash if same else 0,
            "over": [_plain(item) for item in self._over],
            "ahead": [
                [number, position, _plain(items)]
                for of_pass, number, position, items in self._ahead
                if (of_pass, number) >= (data_pass, batch)
            ],
        }

    def load(self, state: Plain) -> None:
        self._restored = copy.deepcopy(state)
        self._going = None
        data_pass, _ = state["place"]
        self._goes_on = True
        if 0 < state["drawn"] < self.shape.count:
            self._goes_on = self._probe(state["live"], data_pass)
        if not self._goes_on:
            self._replay_into_report(state)
        self._memory.load_state_dict(copy.deepcopy(state["live"]))

    def _probe(self, live: Plain, data_pass: int) -> bool:
        """Whether an iteration that begins after a load goes on where it was."""
        with fence():
            one = self._begin(live, data_pass)
            if next(one, _END) is _END:
                return False  # more is to come, and it thinks that it is done
            middle = copy.deepcopy(self._memory.state_dict())
            expected = [_plain(item) for item in islice(one, _PROBED)]
            again = islice(self._begin(middle, data_pass), _PROBED)
            return expected == [_plain(item) for item in again]

    def _replay_into_report(self, state: Plain) -> None:
        name = type(self._memory).__name__
        with fence():
            again = self._begin(state["begun"], state["place"][0])
            found = 0
            for _ in range(state["drawn"]):
                found = _hash(self._take(again), found)
        self._replays = found == state["hash"]
        if self._replays:
            self.reason = (
                f"{name}: its state does not say where it is, so it is iterated again "
                "from its state at the begin of the pass, which gives the same order"
            )
        else:
            self.level = Exactness.BEST_EFFORT
            self.reason = (
                f"{name}: its state does not say where it is (an iteration after "
                "load_state_dict does not go on there), and from its state at the "
                "begin of the pass it does not give what it gave"
            )

    # -- reading --------------------------------------------------------------------

    def read(self, data_pass: int, start: int) -> Iterator[tuple[int, list[Any]]]:
        restored, self._restored = self._restored, None
        if restored is not None and restored["place"] == [data_pass, start]:
            yield from self._read_restored(restored, data_pass)
            return
        set_epoch(self.sampler, data_pass)
        self._stream = _Stream(derive_seed(self._seed, data_pass))
        if start and self._pass == data_pass:
            self._memory.load_state_dict(copy.deepcopy(self._begun))
            self._over, self._going = [], None
        self._begin_pass(data_pass)
        items = self._iterate()
        for _ in range(start):  # no state to go by: the sampler alone is walked
            self._count(self._draw(items))
        yield from self._go(items)

    def _read_restored(
        self, restored: dict[str, Any], data_pass: int
    ) -> Iterator[tuple[int, list[Any]]]:
        set_epoch(self.sampler, data_pass)
        self._stream = _Stream(derive_seed(self._seed, data_pass))
        self._over, self._going = list(restored["over"]), None
        self._begin_pass(data_pass)
        replays = not self._goes_on and self._replays
        if restored["drawn"]:
            self._begun = restored["begun"]
        state = self._begun if replays else restored["live"]
        self._memory.load_state_dict(copy.deepcopy(state))
        if not restored["drawn"]:
            self._begun = copy.deepcopy(restored["live"])
        self._ahead.extend((data_pass, *one) for one in restored["ahead"])
        finished = restored["drawn"] >= self.shape.count
        items: Iterator[Any] = iter(()) if finished else self._iterate()
        if replays:
            for _ in range(restored["drawn"]):
                self._draw(items)
        self._drawn, self._position = restored["drawn"], restored["position"]
        self._hash = restored["hash"]
        for _, position, batch in restored["ahead"]:
            yield position, list(batch)
        yield from self._go(items)

    def _iterate(self) -> Iterator[Any]:
        """An iteration that begins where the sampler is, from the pass's generators."""
        with self._stream.drawing():
            going = self._going if self._going is not None else iter(self.sampler)
        over, self._over, self._going = self._over, [], None
        return chain(over, going)

    def _begin(self, state: Plain, data_pass: int) -> Iterator[Any]:
        set_epoch(self.sampler, data_pass)
        self._memory.load_state_dict(copy.deepcopy(state))
        seed_host(derive_seed(self._seed, data_pass))
        return iter(self.sampler)

    def _go(self, items: Iterator[Any]) -> Iterator[tuple[int, list[Any]]]:
        while self._drawn < self.shape.count:
            batch = self._draw(items)
            if not batch:
                return
            position = self._position
            self._ahead.append((self._pass, self._drawn, position, batch))
            self._count(batch)
            if self._drawn == self.shape.count:
                self._finish(items)
            yield position, batch

    def _draw(self, items: Iterator[Any]) -> list[Any]:
        with self._stream.drawing():
            return self._take(items)

    def _take(self, items: Iterator[Any]) -> list[Any]:
        if self.shape.groups:
            return list(next(items, ()))
        return list(islice(items, self.shape.size))

    def _count(self, batch: list[Any]) -> None:
        self._drawn += 1
        self._position += len(batch)
        self._hash = _hash(batch, self._hash)

    def _finish(self, items: Iterator[Any]) -> None:
        """Let the sampler come to its end before the last batch is handed out.

        What it does there belongs to the pass, however far ahead a loader draws.
        """
        rest = 0
        if not self.shape.groups and hasattr(self.sampler, "__len__"):
            rest = max(0, len(self.sampler) - self.shape.count * self.shape.size)
        with self._stream.drawing():
            for _ in islice(items, rest):  # those that drop_last leaves out
                pass
            more = list(islice(items, 1))
        if more:  # it has no end: the next pass goes on here
            self._over, self._going = more, items


class _Stream:
    """Global generators as one part of a run finds them, apart from all others.

    Args:
        seed: What they begin from.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._state: tuple[Any, Any, Any] | None = None

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """In the body they are this part's; afterwards as they were."""
        with fence():
            if self._state is None:
                seed_host(self._seed)
            else:
                python, numpy, host = self._state
                random.setstate(python)
                np.random.set_state(numpy)
                torch.set_rng_state(host)
            try:
                yield
            finally:
                self._state = (
                    random.getstate(),
                    np.random.get_state(),
                    torch.get_rng_state(),
                )


def _hash(batch: list[Any], before: int) -> int:
    return zlib.crc32(repr(_plain(batch)).encode(), before)


def _plain(item: Any) -> Any:
    """An index as a checkpoint can hold it."""
    if type(item) in (list, tuple):
        return type(item)(_plain(one) for one in item)
    if isinstance(item, np.ndarray | torch.Tensor | np.generic):
        return item.tolist()
    if isinstance(item, Mapping):
        return {key: _plain(one) for key, one in item.items()}
    return item
