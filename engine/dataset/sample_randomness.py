"""Randomness of a sample from its place in the run, whoever loads it and when.

Before a sample is made, python's, NumPy's and torch's global generators are seeded
from (seed, pass over the data, position in the global order). Ordinary datasets and
transforms need no change, and the number of workers, prefetching and a resume leave
augmentation as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from torch.utils.data import Dataset, Subset, TensorDataset, get_worker_info

from engine.state import derive_seed, fence, seed_host

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PlacedDataset", "SampleKey", "SampleRandomness", "draws_nothing"]

SampleKey: TypeAlias = tuple[int, int, Any]
"""Pass over the data, position in the global order, index in the dataset."""

SampleRandomness: TypeAlias = Literal["sample", "batch", "off"]
"""What random numbers drawn in a dataset depend on; see ``open_cursor``."""


class PlacedDataset(Dataset[Any]):
    """A dataset that is asked for places instead of indices.

    Args:
        dataset: The user's.
        seed: The run's seed.
        randomness: Seed before each ``"sample"``, or before each ``"batch"``.
    """

    def __init__(self, dataset: Any, seed: int, randomness: SampleRandomness) -> None:
        self._dataset = dataset
        self._seed = seed
        self._randomness = randomness

    def __getattr__(self, name: str) -> Any:
        # A worker_init_fn finds its dataset's attributes. Not before __init__ ran:
        # unpickling asks for dunders on an empty instance.
        if name.startswith("__") or name == "_dataset":
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def __getitem__(self, key: SampleKey) -> Any:
        """The sample at one place (a loader without batches)."""
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[SampleKey]) -> list[Any]:
        """The samples of one batch."""
        if get_worker_info() is not None:  # a worker's generators are its own
            return self._load(keys)
        with fence():
            return self._load(keys)

    def _load(self, keys: Sequence[SampleKey]) -> list[Any]:
        together = getattr(self._dataset, "__getitems__", None)
        if together is not None or self._randomness == "batch":
            data_pass, position, _ = keys[0]
            seed_host(derive_seed(self._seed, data_pass, position))
            if together is not None:
                samples: list[Any] = together([index for _, _, index in keys])
                return samples
            return [self._dataset[index] for _, _, index in keys]
        samples = []
        for data_pass, position, index in keys:
            seed_host(derive_seed(self._seed, data_pass, position))
            samples.append(self._dataset[index])
        return samples


def draws_nothing(dataset: object) -> bool:
    """Whether the dataset is known to draw no random numbers: plain tensors."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) is TensorDataset
