"""A cursor over a loader that knows its own place, as torchdata's does."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from engine.dataset.draws import set_epoch
from engine.dataset.length import check_has_batches, data_length
from engine.dataset.replay import ended_early
from engine.dataset.worker_signals import signals_held, signals_left
from engine.dist import get_dist_info
from engine.state import Exactness, PartReport, derive_seed, fence, seed_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.typing import Plain

__all__ = ["StatefulLoaderCursor"]

_END = object()


class StatefulLoaderCursor:
    """Anything iterable with ``state_dict`` and ``load_state_dict`` of its own.

    Such as ``torchdata.stateful_dataloader.StatefulDataLoader``. Its state is taken as
    of the last batch that was consumed, and an iteration after ``load_state_dict``
    must go on right behind it; what its order follows from is for it to save. At the
    begin of a pass the state at the end of the one before is loaded whether the run was
    resumed or not, so that both go the same way.

    Args:
        loader: It.
        seed: The run's seed.

    Raises:
        DataError: It has a length, and that is 0.
    """

    exact = True
    batch_size = 0
    last_batch_size = 0

    def __init__(self, loader: Any, *, seed: int) -> None:
        self._loader = loader
        self._seed = seed
        self._rank, _ = get_dist_info()
        length = data_length(loader)
        if length == 0:
            check_has_batches(loader, 0)
        self.length = length or 0
        self._ended: Plain = None  # the state at the end of the pass before
        self._restored: Plain = None
        self._reads = False
        self._lost = ""

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on.

        Raises:
            DataError: While reading: there is no batch, or fewer than the length.
        """
        loader, restored = self._loader, self._restored
        self._restored = None
        read = 0
        set_epoch(getattr(loader, "dataset", None), data_pass)
        set_epoch(loader, data_pass)
        state = self._ended
        if restored is not None and restored["place"] == [data_pass, batch]:
            state, read = restored["loader"], batch
        if state is not None:
            loader.load_state_dict(copy.deepcopy(state))
        self._ended = None
        self._reads = True
        items = self._items(data_pass, read)
        item = next(items, _END)
        while item is not _END:
            read += 1
            following: Any = None
            if read == self.length:
                # What it does at its end belongs to the pass.
                following = next(items, _END)
                self._end()
            if read > batch:
                yield item
            item = following if read == self.length else next(items, _END)
        if self._ended is None:
            self._end()
        ended_early(loader, read, max(self.length, batch), data_pass)

    def _end(self) -> None:
        self._ended = copy.deepcopy(self._loader.state_dict())
        self._reads = False

    def _items(self, data_pass: int, number: int) -> Iterator[Any]:
        items: Iterator[Any] | None = None
        while True:
            with fence(), signals_left(self._loader):
                if items is None:  # from (seed, pass), wherever in it this begins
                    seed_host(derive_seed(self._seed, data_pass, self._rank))
                    with signals_held():
                        items = iter(self._loader)
                seed_host(derive_seed(self._seed, data_pass, self._rank, number))
                item = next(items, _END)
            if item is _END:
                return
            number += 1
            yield item

    def close(self) -> None:
        """Nothing: whose workers there are is not known; see ``Cursor``."""

    # -- saving -----------------------------------------------------------------

    def state(self, data_pass: int, batch: int) -> Plain:
        """What must be saved to read on from a place; see ``Cursor``."""
        if self._restored is not None:
            return self._restored
        state = self._ended
        if self._reads and batch:
            state = self._loader.state_dict()
        if state is None:
            return None
        return {"place": [data_pass, batch], "loader": state}

    def load(self, state: Plain) -> None:
        """Get ready to read on from a saved place; see ``Cursor``."""
        self._restored = state
        if state is None:
            self._lost = ": the checkpoint holds none, so it is read from its start"

    def resume_report(self) -> list[PartReport]:
        """How exactly this data comes back; see ``Cursor``."""
        loader = self._loader
        name = type(loader).__name__
        level = Exactness.BEST_EFFORT if self._lost else Exactness.EXACT
        report = [
            PartReport(
                "train data: order",
                level,
                f"{name}: its own state is saved{self._lost}",
            )
        ]
        if getattr(loader, "num_workers", 0):
            reason = f"what workers of {name} draw at random begins anew with them"
            level = Exactness.SAME_ORDER
            report.append(PartReport("train data: samples", level, reason))
        return report
