"""The logger of a run: a readable console and a file of JSON lines."""

from __future__ import annotations

from engine.logging.foot import Foot, is_terminal
from engine.logging.mm_logger import MMLogger, print_log
from engine.logging.setup import RunLogger, build_logger, close_logger
from engine.state import HistoryBuffer, MessageHub

__all__ = [
    "Foot",
    "HistoryBuffer",
    "MMLogger",
    "MessageHub",
    "RunLogger",
    "build_logger",
    "close_logger",
    "is_terminal",
    "print_log",
]
