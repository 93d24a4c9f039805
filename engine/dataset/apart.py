"""Whether reading data leaves the process's own random generators alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, IterableDataset, default_collate
from torch.utils.data import default_convert as no_collate

from engine.dataset.collate import pseudo_collate
from engine.dataset.sample_randomness import draws_nothing
from engine.typing import Stateful

if TYPE_CHECKING:
    from engine.dataset.sample_randomness import SampleRandomness

__all__ = ["draws_apart"]

_DRAW_NOTHING = (default_collate, no_collate, pseudo_collate)


def draws_apart(data: Any, randomness: SampleRandomness) -> bool:
    """Whether reading it leaves the process's own generators alone.

    Then an error while reading has changed nothing: the state is that of the safe point
    before.

    Args:
        data: The training data.
        randomness: As for ``open_cursor``.

    Returns:
        ``False`` also where it cannot be known.
    """
    if type(data) in (list, tuple):
        return True
    if not isinstance(data, DataLoader):
        return False
    if type(data).__iter__ is not DataLoader.__iter__:  # it does what we cannot know
        return False
    if data.num_workers:
        return True  # others read
    if isinstance(data.dataset, IterableDataset | Stateful):
        return False  # it is in the midst of a batch
    fenced = randomness != "off" or draws_nothing(data.dataset)
    return fenced and data.collate_fn in _DRAW_NOTHING
