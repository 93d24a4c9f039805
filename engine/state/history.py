"""The history of one scalar: a window of values, and totals over all of them."""

from __future__ import annotations

import math
import operator
import warnings
from collections import deque
from functools import reduce
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.errors import SerializationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["HistoryBuffer", "settle"]

_PENDING_LIMIT = 256  # values that wait to be taken in together
_FOLDED_LIMIT = 256  # times as many, on a device, that nobody has asked for


class HistoryBuffer:
    """Values of a scalar with their counts.

    Keeps the newest ``max_length`` values, and the sum, minimum and maximum of all.
    An update costs the same at the millionth as at the first.

    Args:
        log_history: Values to begin with.
        count_history: A count for each of them.
        max_length: Values kept, at least 1.

    Raises:
        ValueError: The two histories differ in length, or ``max_length`` is below 1.

    >>> loss = HistoryBuffer(max_length=2)
    >>> for value in (4.0, 2.0, 1.0):
    ...     loss.update(value)
    >>> loss.current(), loss.mean(2), loss.max(), round(loss.mean(), 3)
    (1.0, 1.5, 4.0, 2.333)
    """

    _STATISTICS: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init__(
        self,
        log_history: Sequence[float] = (),
        count_history: Sequence[float] = (),
        max_length: int = 1_000_000,
    ) -> None:
        if max_length < 1:
            message = f"max_length={max_length}: give a whole number of at least 1"
            raise ValueError(message)
        if len(log_history) != len(count_history):
            message = (
                f"{len(log_history)} values and {len(count_history)} counts: each "
                "value needs one count"
            )
            raise ValueError(message)
        self._values: deque[float] = deque(maxlen=max_length)
        self._counts: deque[float] = deque(maxlen=max_length)
        self._pending: list[float | Tensor] = []
        self._pending_counts: list[float] | None = None  # of those; None: each is 1
        self._folded: list[tuple[Tensor, list[float]]] = []  # before those, on a device
        self.on_device = False
        """Whether something that was added lies on a device, unread."""
        self._length = 0
        self._sum = 0.0
        self._count = 0.0
        self._min = math.inf
        self._max = -math.inf
        for value, count in zip(log_history, count_history, strict=True):
            self.update(float(value), float(count))

    def update(self, log_val: float | Tensor, count: float = 1) -> None:
        """Add a value.

        Args:
            log_val: A number, NumPy's too, or a tensor with one element. A tensor on a
                device is copied there and fetched when a statistic is asked for.
            count: How many things the value sums up.
        """
        # The hottest path there is: totals are brought up to date when somebody asks,
        # many values at a time.
        if type(log_val) is not float:
            if isinstance(log_val, Tensor):
                if log_val.is_cpu:
                    log_val = log_val.item()
                else:
                    # A copy: graphs captured on a device write their outputs in place.
                    log_val = log_val.detach().clone()
                    self.on_device = True
            elif type(log_val) is not int:  # NumPy's, which no checkpoint holds
                log_val = np.asarray(log_val).item()
        self._pending.append(log_val)
        if count != 1 or self._pending_counts is not None:
            self._note_count(count)
        if len(self._pending) >= _PENDING_LIMIT:
            self._make_room()

    def _note_count(self, count: float) -> None:
        """Note the count of the newest value, once not all of them are 1."""
        if self._pending_counts is None:
            self._pending_counts = [1] * (len(self._pending) - 1)
        self._pending_counts.append(count)

    def _make_room(self) -> None:
        """Take in what waits; what lies on a device is put together there, unread."""
        if not self.on_device:
            self.settle()
            return
        tensors = [value for value in self._pending if isinstance(value, Tensor)]
        alike = len({(one.dtype, one.device) for one in tensors}) == 1
        whole = len(tensors) == len(self._pending)
        if not alike or not whole or len(self._folded) >= _FOLDED_LIMIT:
            self.settle()
            return
        counts = self._pending_counts or [1] * len(tensors)
        self._folded.append((torch.stack([one.reshape(()) for one in tensors]), counts))
        self._pending, self._pending_counts = [], None

    def waiting(self) -> list[Tensor]:
        """What was added and lies on a device, unread: tensors of any shape, in order.

        For :func:`settle`, which reads those of many histories together.
        """
        folded = [chunk for chunk, _ in self._folded]
        return [*folded, *(one for one in self._pending if isinstance(one, Tensor))]

    def settle(self, fetched: Iterator[float] | None = None) -> None:
        """Take in what was added.

        Args:
            fetched: The values of :meth:`waiting`; ``None``: read them now, in one
                transfer.
        """
        if not self._pending and not self._folded:
            return
        if fetched is None and self.on_device:  # first: what cannot be fetched stays
            fetched = iter(_fetch(self.waiting()))
        folded, self._folded = self._folded, []
        values, self._pending = self._pending, []
        counts, self._pending_counts = self._pending_counts, None
        if fetched is not None and self.on_device:
            self.on_device = False
            if folded:
                before = [count for _, some in folded for count in some]
                counts = [*before, *(counts or [1] * len(values))]
                values = [*(next(fetched) for _ in before), *values]
            values = [
                next(fetched) if isinstance(one, Tensor) else one for one in values
            ]
        numbers: list[float] = values  # type: ignore[assignment]  # no tensor is left
        self._values.extend(numbers)
        # One by one from the left, which sum() does not promise: a sum is the same
        # whenever it is asked for.
        self._sum = reduce(operator.add, numbers, self._sum)
        if counts is None and self._count.is_integer():  # then it is all the same
            self._counts.extend(repeat(1, len(numbers)))
            self._count += len(numbers)
        else:
            counts = counts or [1] * len(numbers)
            self._counts.extend(counts)
            self._count = reduce(operator.add, counts, self._count)
        # With ours in front: NaN is neither less nor greater, so it is never taken.
        self._min = min(self._min, *numbers)
        self._max = max(self._max, *numbers)
        self._length += len(numbers)

    def reserve(self, window: int) -> None:
        """Keep at least ``window`` values from now on."""
        if window > (self._values.maxlen or 0):
            self.settle()
            self._values = deque(self._values, maxlen=window)
            self._counts = deque(self._counts, maxlen=window)

    def __len__(self) -> int:
        """Values added so far, kept or not."""
        waiting = len(self._pending)
        if self._folded:
            waiting += sum(len(counts) for _, counts in self._folded)
        return self._length + waiting

    @property
    def data(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The values and the counts that are kept, oldest first: two float arrays."""
        self.settle()
        return np.asarray(self._values, float), np.asarray(self._counts, float)

    # -- statistics -------------------------------------------------------------

    @classmethod
    def register_statistics(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Add ``method(buffer, ...)`` to what :meth:`statistics` knows by name."""
        cls._STATISTICS[method.__name__] = method
        return method

    @classmethod
    def statistic_names(cls) -> list[str]:
        """What :meth:`statistics` knows by name."""
        return sorted({"mean", "min", "max", "current", *cls._STATISTICS})

    def statistics(self, method_name: str, *args: Any, **kwargs: Any) -> Any:
        """The statistic of that name: ``mean``, ``min``, ``max``, ``current``, yours.

        Raises:
            LookupError: None has that name.
        """
        own: dict[str, Callable[..., Any]] = {
            "mean": self.mean,
            "min": self.min,
            "max": self.max,
            "current": self.current,
        }
        if method_name in own:
            return own[method_name](*args, **kwargs)
        if method_name not in self._STATISTICS:
            known = self.statistic_names()
            message = (
                f"no statistic is called {method_name!r}; known are {known}."
                f"{did_you_mean(method_name, known)}"
            )
            raise LookupError(message)
        return self._STATISTICS[method_name](self, *args, **kwargs)

    def mean(self, window_size: int | None = None) -> float:
        """Sum of values over sum of counts, of the newest ``window_size`` or of all."""
        self.settle()
        # Nearly always the window is a part of what is kept: quickly told.
        part = (
            window_size is not None
            and 0 < window_size < self._length
            and window_size <= len(self._values)
        )
        if not part and self._covers_all(window_size):
            return self._sum / self._count if self._count else math.nan
        count = _sum(islice(reversed(self._counts), window_size))
        if not count:
            return math.nan
        return _sum(islice(reversed(self._values), window_size)) / count

    def max(self, window_size: int | None = None) -> float:
        """Greatest value of the newest ``window_size`` or of all."""
        if self._covers_all(window_size):
            return self._max
        return max(self._newest(self._values, window_size))

    def min(self, window_size: int | None = None) -> float:
        """Least value of the newest ``window_size`` or of all."""
        if self._covers_all(window_size):
            return self._min
        return min(self._newest(self._values, window_size))

    def current(self) -> float:
        """The newest value.

        Raises:
            ValueError: There is none yet.
        """
        self.settle()
        if not self._values:
            message = "no value was added yet: there is no current one"
            raise ValueError(message)
        return self._values[-1]

    def _covers_all(self, window: int | None) -> bool:
        """Whether the totals answer; makes room for the window otherwise."""
        if window is not None and window < 1:
            message = f"window_size={window}: give a whole number of at least 1"
            raise ValueError(message)
        self.settle()
        if window is None or window >= self._length:
            if window is not None:
                self.reserve(window)
            return True
        if window > len(self._values):
            kept = len(self._values)
            self.reserve(window)
            warnings.warn(
                f"a window of {window} was asked for after {self._length} values, of "
                f"which {kept} were kept: the statistic covers those. Ask earlier, or "
                "call reserve() at the start.",
                stacklevel=4,
            )
        return False

    @staticmethod
    def _newest(items: deque[float], window: int | None) -> Iterator[float]:
        return islice(reversed(items), window)

    # -- saving -----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Window and totals as plain data: its size does not grow with the run."""
        self.settle()
        return {
            "format": 1,
            "values": torch.tensor(list(self._values), dtype=torch.float64),
            "counts": torch.tensor(list(self._counts), dtype=torch.float64),
            "max_length": self._values.maxlen,
            "length": self._length,
            "sum": float(self._sum),
            "count": float(self._count),  # what counted may have been NumPy's
            "min": self._min,
            "max": self._max,
        }

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Become what :meth:`state_dict` described.

        Raises:
            SerializationError: Its format or its keys are not ours.
        """
        expected = set(HistoryBuffer().state_dict())
        if state_dict.get("format") != 1 or set(state_dict) != expected:
            message = (
                f"a scalar's history: expected format 1 with the keys "
                f"{sorted(expected)}, found {sorted(state_dict)}"
            )
            raise SerializationError(message)
        kept = max(state_dict["max_length"], self._values.maxlen or 1)
        self._values = deque(state_dict["values"].tolist(), maxlen=kept)
        self._counts = deque(state_dict["counts"].tolist(), maxlen=kept)
        self._pending, self._pending_counts = [], None
        self._folded, self.on_device = [], False
        self._length = state_dict["length"]
        self._sum, self._count = state_dict["sum"], state_dict["count"]
        self._min, self._max = state_dict["min"], state_dict["max"]


def _sum(newest: Iterable[float]) -> float:
    """Their sum, rounded once; of both infinities not a number."""
    values = list(newest)
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # a diverging loss is no reason to stop here
        return sum(values)


def settle(histories: Iterable[HistoryBuffer]) -> None:
    """Read what was added and lies on a device, with one transfer from each.

    What does not is taken in by whoever asks for it.
    """
    asked = [(one, one.waiting()) for one in histories if one.on_device]
    if not asked:
        return
    by_device: dict[torch.device, list[Tensor]] = {}
    for _, tensors in asked:
        for tensor in tensors:
            by_device.setdefault(tensor.device, []).append(tensor)
    fetched = {device: iter(_fetch(own)) for device, own in by_device.items()}
    for history, tensors in asked:
        values = [
            next(fetched[one.device]) for one in tensors for _ in range(one.numel())
        ]
        history.settle(iter(values))


def _fetch(tensors: Sequence[Tensor]) -> list[float]:
    """All elements of tensors on one device, in one transfer."""
    if not tensors:
        return []
    wide = torch.float32 if tensors[0].device.type == "mps" else torch.float64
    if len({one.dtype for one in tensors}) > 1:
        # Joined as they are, an int64 beside a float16 would become a float16.
        tensors = [one.to(wide) for one in tensors]
    joined = torch.cat([one.reshape(-1) for one in tensors])
    found: list[float] = joined.to(wide).tolist()
    return found
