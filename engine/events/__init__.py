"""Events, priorities, filters, and the bus that calls handlers in order."""

from engine.events.bus import Bus, Dispatcher, Handle, Handler, Run, bind
from engine.events.event import Events, FilteredEvent
from engine.events.filters import Filter
from engine.events.priority import Priority, describe_priority, get_priority
from engine.events.timeline import Meter, Spent, Timeline

__all__ = [
    "Bus",
    "Dispatcher",
    "Events",
    "Filter",
    "FilteredEvent",
    "Handle",
    "Handler",
    "Meter",
    "Priority",
    "Run",
    "Spent",
    "Timeline",
    "bind",
    "describe_priority",
    "get_priority",
]
