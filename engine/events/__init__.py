"""Events, priorities, filters, and the bus that calls handlers in order."""

from engine.events.bus import Bus, Dispatcher, Handle, Handler, Run, bind
from engine.events.event import Events, FilteredEvent
from engine.events.filters import Filter
from engine.events.priority import Priority, describe_priority, get_priority

__all__ = [
    "Bus",
    "Dispatcher",
    "Events",
    "Filter",
    "FilteredEvent",
    "Handle",
    "Handler",
    "Priority",
    "Run",
    "bind",
    "describe_priority",
    "get_priority",
]
