"""Order of samples, the cursor that reads from any place, collation."""

from engine.dataset.apart import draws_apart
from engine.dataset.collate import count_samples, default_collate, pseudo_collate
from engine.dataset.length import data_length
from engine.dataset.loader import Cursor, LoaderCursor, ReplayCursor, open_cursor
from engine.dataset.order import (
    endless_indices,
    global_position,
    padded_length,
    permutation,
    rank_indices,
)
from engine.dataset.sample_randomness import PlacedDataset, SampleRandomness
from engine.dataset.sampler import DefaultSampler, InfiniteSampler
from engine.dataset.worker_signals import LeaveSignals, signals_left

__all__ = [
    "Cursor",
    "DefaultSampler",
    "InfiniteSampler",
    "LeaveSignals",
    "LoaderCursor",
    "PlacedDataset",
    "ReplayCursor",
    "SampleRandomness",
    "count_samples",
    "data_length",
    "default_collate",
    "draws_apart",
    "endless_indices",
    "global_position",
    "open_cursor",
    "padded_length",
    "permutation",
    "pseudo_collate",
    "rank_indices",
    "signals_left",
]
