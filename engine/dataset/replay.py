"""A cursor over what can only be read from its start."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from engine.dataset.draws import set_epoch
from engine.dataset.length import check_has_batches, data_length
from engine.dataset.worker_signals import signals_held, signals_left
from engine.dist import get_dist_info
from engine.errors import DataError
from engine.state import Exactness, PartReport, derive_seed, fence, seed_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.typing import Plain

__all__ = ["ReplayCursor", "ended_early"]

# What lies in these draws nothing: their batches need no fence.
_PLAIN = (list, tuple, range)


class ReplayCursor:
    """Any other iterable: read from the start, and what was consumed is skipped.

    Each batch is drawn while the global generators are seeded from (seed, pass, batch)
    and put back after it, so that what it draws is the same however often it is read.

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
        self._rank, _ = get_dist_info()
        length = data_length(data)
        if length == 0:
            check_has_batches(data, 0)
        self.length = length or 0

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on.

        Raises:
            DataError: While reading: there is no batch, or fewer than the length.
        """
        set_epoch(getattr(self._data, "dataset", None), data_pass)
        set_epoch(self._data, data_pass)
        read = 0
        plain = type(self._data) in _PLAIN
        for item in self._data if plain else self._batches(data_pass):
            read += 1
            if read > batch:
                yield item
        ended_early(self._data, read, max(self.length, batch), data_pass)

    def _batches(self, data_pass: int) -> Iterator[Any]:
        items: Iterator[Any] | None = None
        number = 0
        while True:
            with fence(), signals_left(self._data):
                seed_host(derive_seed(self._seed, data_pass, number, self._rank))
                if items is None:
                    with signals_held():
                        items = iter(self._data)
                found = list(islice(items, 1))
            if not found:
                return
            number += 1
            yield found[0]

    def close(self) -> None:
        """Nothing: whose workers there are is not known; see ``Cursor``."""

    # -- saving -----------------------------------------------------------------

    def state(self, data_pass: int, batch: int) -> Plain:
        """Nothing: the place tells all that there is; see ``Cursor``."""
        del data_pass, batch

    def load(self, state: Plain) -> None:
        """Nothing to take over; see ``Cursor``."""
        del state

    def resume_report(self) -> list[PartReport]:
        """How exactly this data comes back; see ``Cursor``."""
        name = type(self._data).__name__
        level, reason = Exactness.EXACT, f"a {name} of batches"
        if type(self._data) not in _PLAIN:
            level = Exactness.BEST_EFFORT
            reason = (
                f"{name} is read again from its start and what was consumed is "
                "skipped: the same only if each pass gives the same batches for the "
                "same global generators. Give it state_dict and load_state_dict"
            )
        return [PartReport("train data: order", level, reason)]


def ended_early(data: Any, read: int, expected: int, data_pass: int) -> None:
    """Refuse a pass that is empty or shorter than expected.

    Args:
        data: What was read.
        read: Batches that there were.
        expected: Batches that there should be; 0 if nobody knows.
        data_pass: Which pass.

    Raises:
        DataError: It is.
    """
    if read == 0:
        check_has_batches(data, 0)
    if read < expected:
        message = (
            f"{type(data).__name__} ended after {read} of {expected} batches in pass "
            f"{data_pass}. Give data that yields as many batches in every pass as its "
            "length says."
        )
        raise DataError(message)
