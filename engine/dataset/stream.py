"""A cursor over a ``DataLoader`` whose dataset can only be iterated."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from engine.dataset.draws import set_epoch
from engine.dataset.inner_loader import make_inner
from engine.dataset.length import check_has_batches, data_length
from engine.dataset.loader import report_samples
from engine.dataset.replay import ended_early
from engine.dataset.sample_randomness import SampleRandomness, SampleSeeder
from engine.dataset.worker import Shipping, WorkerStart, freeze, thaw
from engine.dataset.worker_signals import signals_held
from engine.dist import get_dist_info
from engine.state import Exactness, PartReport, derive_seed, fence
from engine.typing import Stateful

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.typing import Plain

__all__ = ["StreamCursor"]

_END = object()


class _Filler:
    """What a worker gives where, before the resumed place, its turn has been."""


class _Stream(IterableDataset[Any]):
    """The user's dataset as one process iterates it: seeded, counted, put in place.

    Args:
        dataset: The user's.
        seed: The run's seed.
        rank: This process's.
        randomness: Seed before each ``"sample"``, each ``"batch"``, or not at all.
        batch_size: Samples in a batch; ``None`` without batches.
    """

    def __init__(
        self,
        dataset: Any,
        seed: int,
        rank: int,
        randomness: SampleRandomness,
        batch_size: int | None,
    ) -> None:
        self.dataset = dataset
        self.stateful = isinstance(dataset, Stateful)
        # Persistent workers hear of the next pass through shared memory.
        self.data_pass = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]  # torch leaves it out
        self.resumed: dict[int, bytes] = {}  # by worker: where it begins
        self.turn = 0  # the worker that begins
        self._rank = rank
        self._randomness = randomness
        self._batch_size = batch_size
        self._seed = SampleSeeder(dataset, seed)
        self._born: bytes | None = None
        self._count = 0
        self._ended = False

    def state_dict(self) -> dict[str, Any]:
        """Where this process's iteration is."""
        return {
            "dataset": self.dataset.state_dict(),
            "count": self._count,
            "ended": self._ended,
        }

    def load_state_dict(self, state: Plain) -> None:
        """Go on from there."""
        self.dataset.load_state_dict(state["dataset"])
        self._count, self._ended = state["count"], state["ended"]

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        worker = 0 if info is None else info.id
        data_pass = int(self.data_pass)
        if info is not None and self.stateful:
            # A persistent worker begins a pass as one that was just started.
            if self._born is None:
                self._born = freeze(self.dataset.state_dict())
            else:
                self.dataset.load_state_dict(thaw(self._born))
        set_epoch(self.dataset, data_pass)
        self._count, self._ended = 0, False
        resumed = self.resumed.pop(worker, None)
        turn, self.turn = self.turn, 0
        if resumed is not None:
            self.load_state_dict(thaw(resumed))
        if self._ended:
            return
        if worker < turn:
            for _ in range(self._batch_size or 1):
                yield _Filler()
        yield from self._samples(data_pass, worker)
        self._ended = True

    def _samples(self, data_pass: int, worker: int) -> Iterator[Any]:
        size = self._batch_size or 1
        each = {"sample": 1, "batch": size, "off": 0}[self._randomness]
        items: Iterator[Any] | None = None
        while True:
            if each and (self._count % each == 0 or items is None):
                self._seed(data_pass, self._count, worker, self._rank)
            if items is None:
                items = iter(self.dataset)
            item = next(items, _END)
            if item is _END:
                return
            self._count += 1
            yield item


class _Collate:
    """The user's collate function, for all but fillers.

    Args:
        users: It.
    """

    def __init__(self, users: Any) -> None:
        self._users = users

    def __call__(self, samples: Any) -> Any:
        first = samples[0] if isinstance(samples, list) and samples else samples
        return first if isinstance(first, _Filler) else self._users(samples)


class StreamCursor:
    """A ``DataLoader`` over an iterable dataset, sized, unsized or endless.

    A dataset with ``state_dict`` and ``load_state_dict`` is saved in each worker as of
    the last batch that was consumed; an iteration after ``load_state_dict`` must go on
    behind the samples that were yielded before, so count a sample before you yield it.
    With workers each pass begins from this process's dataset, persistent or not.
    One without, or read by another number of workers, is iterated again from the start
    of the pass.

    Args:
        loader: The user's.
        seed: The run's seed.
        randomness: As for :func:`open_cursor`.

    Raises:
        DataError: It has a length, and that is 0.
    """

    batch_size = 0
    last_batch_size = 0

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        seed: int,
        randomness: SampleRandomness = "sample",
    ) -> None:
        self._loader = loader
        self._seed = seed
        self._randomness: SampleRandomness = randomness
        self._rank, _ = get_dist_info()
        length = data_length(loader)
        if length == 0:
            check_has_batches(loader, 0)
        self.length = length or 0
        self.exact = isinstance(loader.dataset, Stateful)
        self._workers = loader.num_workers
        self._ships = self.exact and self._workers > 0
        self._stream, self._inner = self._open()
        self._restored: Plain = None
        self._states: dict[int, bytes] = {}  # by worker, as of what was consumed
        self._turn = 0
        self._pass, self._over = 0, True
        self._replayed = ""

    def _open(self) -> tuple[_Stream, DataLoader[Any]]:
        loader = self._loader
        stream = _Stream(
            loader.dataset,
            self._seed,
            self._rank,
            self._randomness,
            loader.batch_size,
        )
        collate: Any = _Collate(loader.collate_fn)
        if self._ships:
            collate = Shipping(collate, stream)
        start = WorkerStart(loader.dataset, loader.worker_init_fn)
        changes = {
            "batch_size": loader.batch_size,
            "drop_last": loader.drop_last,
            "collate_fn": collate,
        }
        return stream, make_inner(loader, stream, start, **changes)

    # -- reading ----------------------------------------------------------------

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on.

        Raises:
            DataError: While reading: there is no batch, or fewer than the length.
        """
        restored, self._restored = self._restored, None
        read = self._begin(restored, data_pass, batch)
        items = self._batches(data_pass)
        item = next(items, _END)
        while item is not _END:
            read += 1
            more: Any = _END
            if read == self.length:  # what it does at its end belongs to the pass
                more = next(items, _END)
                self._over = True
            if read > batch:
                yield self._take(item)
            else:
                self._take(item)
            item = more if read == self.length else next(items, _END)
        self._over = True
        ended_early(self._loader, read, max(self.length, batch), data_pass)

    def close(self) -> None:
        """Let workers go; see ``Cursor``."""
        if self._workers:
            self._stream, self._inner = self._open()

    def _begin(self, restored: Plain, data_pass: int, batch: int) -> int:
        """Get the workers in place; returns how many batches need no reading."""
        self._pass, self._over = data_pass, False
        self._states, self._turn = {}, 0
        there = restored is not None and restored["place"] == [data_pass, batch]
        if not there or not batch or not restored["states"]:
            if self._stream.resumed:
                self._stream, self._inner = self._open()
            return 0
        if self._ships:  # workers that live already would not hear of it
            self._stream, self._inner = self._open()
        states = restored["states"].items()
        self._states = {worker: freeze(state) for worker, state in states}
        self._stream.resumed = dict(self._states)
        self._turn = self._stream.turn = restored["turn"]
        return batch

    def _batches(self, data_pass: int) -> Iterator[Any]:
        self._stream.data_pass[0] = data_pass
        assert self._inner.generator is not None
        self._inner.generator.manual_seed(derive_seed(self._seed, data_pass))
        # In this process samples draw from generators that are training's too.
        fenced = self._workers == 0 and self._randomness != "off"
        with signals_held():
            items: Iterator[Any] = iter(self._inner)
        while True:
            with fence() if fenced else nullcontext():
                item: Any = next(items, _END)
            if item is _END:
                return
            if not isinstance(item[0] if self._ships else item, _Filler):
                yield item

    def _take(self, item: Any) -> Any:
        """A batch out of what came with it."""
        if not self._ships:
            return item
        batch, worker, state = item
        self._states[worker] = state
        self._turn = (worker + 1) % self._workers
        return batch

    # -- saving -----------------------------------------------------------------

    def state(self, data_pass: int, batch: int) -> Plain:
        """What must be saved to read on from a place; see ``Cursor``."""
        if not self.exact or self._restored is not None:
            return self._restored
        states: dict[int, Any] = {}
        inside = batch > 0 and data_pass == self._pass and not self._over
        if self._ships and inside:
            states = {worker: thaw(state) for worker, state in self._states.items()}
        elif inside:
            states = {0: self._stream.state_dict()}
        return {
            "place": [data_pass, batch],
            "workers": self._workers,
            "dataset": self._loader.dataset.state_dict(),  # type: ignore[attr-defined]  # `exact` says so
            "states": states,
            "turn": self._turn if inside else 0,
        }

    def load(self, state: Plain) -> None:
        """Get ready to read on from a saved place; see ``Cursor``."""
        if not self.exact:
            return
        if state is None:
            self._replayed = "the checkpoint holds no state of it"
            return
        then = state["workers"]
        if state["states"] and then != self._workers:
            self._replayed = (
                f"its state is of {then} workers and there are {self._workers} now"
            )
            return
        dataset: Any = self._loader.dataset
        dataset.load_state_dict(state["dataset"])
        self._restored = state

    def resume_report(self) -> list[PartReport]:
        """How exactly this data comes back; see ``Cursor``."""
        name = type(self._loader.dataset).__name__
        level, reason = Exactness.EXACT, f"{name}: its own state is saved"
        if self._workers:
            reason += ", in each worker; that needs as many workers then"
        if not self.exact:
            self._replayed = "it has no state_dict and load_state_dict"
        if self._replayed:
            level = Exactness.BEST_EFFORT
            reason = (
                f"{name} is iterated again from the start of the pass and what was "
                f"consumed is skipped, for {self._replayed}: the same only if it gives "
                "the same samples each time"
            )
        return [
            PartReport("train data: order", level, reason),
            report_samples(self._loader, self._randomness),
        ]
