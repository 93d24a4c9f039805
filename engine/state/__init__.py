"""Phases, counters, the message hub, randomness and their serialization."""

from engine.state.context import RunContext
from engine.state.data_shape import DataShape
from engine.state.history import HistoryBuffer
from engine.state.ledger import (
    Parting,
    cut_ledger,
    find_parting,
    ledger_name,
    merge_ledgers,
    read_ledger,
)
from engine.state.message_hub import MessageHub
from engine.state.phase import NEXT, Phase
from engine.state.progress import Progress
from engine.state.randomness import (
    GeneratorState,
    Stream,
    capture_randomness,
    derive_seed,
    draw_seed,
    examine_randomness,
    fence,
    restore_randomness,
    seed_everything,
    seed_host,
    set_random_seed,
)
from engine.state.resume_report import Exactness, PartReport, ResumeReport
from engine.state.run_state import Due, DueKind, Limits, RunState
from engine.state.running import Instances, running, running_run
from engine.state.serialize import UNSAVED, check_format, from_plain, to_plain

__all__ = [
    "NEXT",
    "UNSAVED",
    "DataShape",
    "Due",
    "DueKind",
    "Exactness",
    "GeneratorState",
    "HistoryBuffer",
    "Instances",
    "Limits",
    "MessageHub",
    "PartReport",
    "Parting",
    "Phase",
    "Progress",
    "ResumeReport",
    "RunContext",
    "RunState",
    "Stream",
    "capture_randomness",
    "check_format",
    "cut_ledger",
    "derive_seed",
    "draw_seed",
    "examine_randomness",
    "fence",
    "find_parting",
    "from_plain",
    "ledger_name",
    "merge_ledgers",
    "read_ledger",
    "restore_randomness",
    "running",
    "running_run",
    "seed_everything",
    "seed_host",
    "set_random_seed",
    "to_plain",
]
