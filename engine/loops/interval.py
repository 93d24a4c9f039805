"""When a validation is due: arithmetic on finished epochs or iterations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import field, frozen

from engine.errors import ConfigError

__all__ = ["ValidationPlan"]


def _whole(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        message = f"{name}={value!r}: give a whole number of at least {low}"
        raise ConfigError(message)


def _pairs(given: Iterable[Iterable[int]] | None) -> tuple[tuple[int, ...], ...]:
    pairs = [] if given is None else given
    if isinstance(pairs, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2  # noqa: PLR2004 - a pair
        for pair in pairs
    ):
        return tuple(tuple(pair) for pair in pairs)
    message = (
        f"dynamic_intervals={given!r}: give pairs of a milestone and an interval, such "
        "as [(10, 5)]"
    )
    raise ConfigError(message)


@frozen(kw_only=True)
class ValidationPlan:
    """Which finished epochs (or iterations) a validation follows.

    One follows when ``begin`` are done and their number is a multiple of the interval,
    and it follows the last one.

    Args:
        by_epoch: Whether epochs are counted, or iterations.
        begin: The first one that may be followed by a validation, at least 1.
        interval: At least 1.
        dynamic_intervals: ``(milestone, interval)`` pairs in ascending order. As in
            MMEngine, an interval counts while the epoch (or iteration) that comes next,
            counted from 1, is not before its milestone: one earlier than its name says.

    Raises:
        ConfigError: A number is out of range, or milestones do not ascend.

    >>> plan = ValidationPlan(by_epoch=True, interval=4, dynamic_intervals=[(6, 1)])
    >>> [done for done in range(1, 10) if plan.due(done, total=9)]
    [4, 5, 6, 7, 8, 9]
    """

    by_epoch: bool = True
    begin: int = 1
    interval: int = 1
    dynamic_intervals: Sequence[tuple[int, int]] = field(default=(), converter=_pairs)

    def __attrs_post_init__(self) -> None:
        _whole("val_begin", self.begin, 1)
        _whole("val_interval", self.interval, 1)
        milestones = [milestone for milestone, _ in self.dynamic_intervals]
        for milestone, interval in self.dynamic_intervals:
            _whole("dynamic_intervals: milestone", milestone, 0)
            _whole("dynamic_intervals: interval", interval, 1)
        if milestones != sorted(set(milestones)):
            message = f"dynamic_intervals: milestones must ascend, found {milestones}"
            raise ConfigError(message)

    def interval_at(self, done: int) -> int:
        """The interval that counts when ``done`` are finished."""
        interval = self.interval
        for milestone, later in self.dynamic_intervals:
            if done + 1 >= milestone:
                interval = later
        return interval

    def due(self, done: int, *, total: int | None) -> bool:
        """Whether a validation follows when ``done`` of ``total`` are finished.

        Args:
            done: Finished epochs or iterations, at least 1.
            total: The last one; ``None`` if that is not known.
        """
        if done < self.begin:
            return False
        return done % self.interval_at(done) == 0 or done == total
