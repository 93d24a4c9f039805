"""When a handler runs among the others of its event."""

from __future__ import annotations

from enum import Enum

from engine.errors import PriorityError, did_you_mean

__all__ = ["Priority", "describe_priority", "get_priority"]


class Priority(Enum):
    """Named priorities; the smaller the value, the earlier a handler runs."""

    HIGHEST = 0
    VERY_HIGH = 10
    HIGH = 30
    ABOVE_NORMAL = 40
    NORMAL = 50
    BELOW_NORMAL = 60
    LOW = 70
    VERY_LOW = 90
    LOWEST = 100


def get_priority(priority: int | str | Priority) -> int:
    """The number of a priority.

    Args:
        priority: A member, its name in any case, or an int from 0 to 100.

    Raises:
        PriorityError: It is none of these.

    >>> get_priority("LOW"), get_priority(Priority.HIGHEST), get_priority(42)
    (70, 0, 42)
    """
    if isinstance(priority, Priority):
        return priority.value
    if isinstance(priority, int) and not isinstance(priority, bool):
        if 0 <= priority <= Priority.LOWEST.value:
            return priority
        message = f"priority {priority}: a number must lie from 0 to 100"
        raise PriorityError(message)
    if isinstance(priority, str):
        if priority.upper() in Priority.__members__:
            return Priority[priority.upper()].value
        names = list(Priority.__members__)
        message = (
            f"priority {priority!r}: the names are {names}."
            f"{did_you_mean(priority.upper(), names)}"
        )
        raise PriorityError(message)
    message = (
        f"priority {priority!r}: give a Priority, its name, or a number from 0 to 100"
    )
    raise PriorityError(message)


def describe_priority(value: int) -> str:
    """The name of ``value``, or its digits if it has none, for listings.

    >>> describe_priority(50), describe_priority(55)
    ('NORMAL', '55')
    """
    for member in Priority:
        if member.value == value:
            return member.name
    return str(value)
