"""Order of samples, the cursor that reads from any place, collation."""

from engine.dataset.apart import draws_apart
from engine.dataset.collate import count_samples, default_collate, pseudo_collate
from engine.dataset.cursor import (
    Cursor,
    data_shape,
    open_cursor,
    reads_alike,
    shares_unseen,
)
from engine.dataset.index_shuffle import index_shuffle
from engine.dataset.length import data_length
from engine.dataset.loader import LoaderCursor
from engine.dataset.order import (
    endless_indices,
    global_position,
    padded_length,
    permutation,
    rank_indices,
    rank_places,
)
from engine.dataset.replay import ReplayCursor
from engine.dataset.sample_randomness import (
    PlacedDataset,
    SampleRandomness,
    check_sample_randomness,
)
from engine.dataset.sampler import (
    DefaultSampler,
    IndexShuffleSampler,
    InfiniteSampler,
    PureSampler,
)
from engine.dataset.stateful_loader import StatefulLoaderCursor
from engine.dataset.stream import StreamCursor
from engine.dataset.worker_signals import LeaveSignals, signals_held, signals_left

__all__ = [
    "Cursor",
    "DefaultSampler",
    "IndexShuffleSampler",
    "InfiniteSampler",
    "LeaveSignals",
    "LoaderCursor",
    "PlacedDataset",
    "PureSampler",
    "ReplayCursor",
    "SampleRandomness",
    "StatefulLoaderCursor",
    "StreamCursor",
    "check_sample_randomness",
    "count_samples",
    "data_length",
    "data_shape",
    "default_collate",
    "draws_apart",
    "endless_indices",
    "global_position",
    "index_shuffle",
    "open_cursor",
    "padded_length",
    "permutation",
    "pseudo_collate",
    "rank_indices",
    "rank_places",
    "reads_alike",
    "shares_unseen",
    "signals_held",
    "signals_left",
]
