"""Randomness of a sample from its place in the run, whoever loads it and when.

Before a sample is made, python's, NumPy's and torch's global generators are seeded
from (seed, pass over the data, position in the global order). Ordinary datasets and
transforms need no change, and the number of workers, prefetching and a resume leave
augmentation as it is. A dataset or transform with a generator of its own has
``set_sample_seed(seed)``, which is called at the same moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from torch.utils.data import Dataset, Subset, TensorDataset, get_worker_info

from engine.dataset.generators import find_seeded
from engine.errors import DataError
from engine.state import derive_seed, fence, seed_host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "PlacedDataset",
    "SampleKey",
    "SampleRandomness",
    "SampleSeeder",
    "check_sample_randomness",
    "draws_nothing",
]

SampleKey: TypeAlias = tuple[int, int, Any]
"""Pass over the data, position in the global order, index in the dataset."""

SampleRandomness: TypeAlias = Literal["sample", "batch", "off"]
"""What random numbers drawn in a dataset depend on; see ``open_cursor``."""


def check_sample_randomness(value: object) -> SampleRandomness:
    """``value`` if it is one of the three.

    Raises:
        DataError: It is none.
    """
    allowed = get_args(SampleRandomness)
    if value not in allowed:
        message = f"found {value!r}, expected one of {', '.join(map(repr, allowed))}"
        raise DataError(message)
    return value  # type: ignore[return-value]  # looked up just now


class SampleSeeder:
    """Seeds the global generators, and what takes a seed in the dataset.

    Args:
        dataset: The user's.
        seed: The run's seed.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self._seed = seed
        self._seeded = find_seeded(dataset)

    def __call__(self, *place: int) -> None:
        """Let what is drawn from now on be a function of (the run's seed, place)."""
        seed = derive_seed(self._seed, *place)
        seed_host(seed)
        for one in self._seeded:
            one.set_sample_seed(seed)


class PlacedDataset(Dataset[Any]):
    """A dataset that is asked for places instead of indices.

    Args:
        dataset: The user's.
        seed: The run's seed.
        randomness: Seed before each ``"sample"``, or before each ``"batch"``.
    """

    def __init__(self, dataset: Any, seed: int, randomness: SampleRandomness) -> None:
        self._dataset = dataset
        self._randomness = randomness
        self._seed = SampleSeeder(dataset, seed)

    def __getattr__(self, name: str) -> Any:
        # What asks the wrapper for the dataset's attributes finds them. Not before
        # __init__ ran: unpickling asks for dunders on an empty instance.
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
        together = _loads_together(self._dataset)
        if together is not None or self._randomness == "batch":
            data_pass, position, _ = keys[0]
            self._seed(data_pass, position)
            if together is not None:
                samples: list[Any] = together([index for _, _, index in keys])
                return samples
            return [self._dataset[index] for _, _, index in keys]
        samples = []
        for data_pass, position, index in keys:
            self._seed(data_pass, position)
            samples.append(self._dataset[index])
        return samples


def _loads_together(dataset: Any) -> Callable[[list[Any]], list[Any]] | None:
    """The dataset's own way to load a batch; torch's Subset only passes it on."""
    inside = dataset
    while type(inside) is Subset:
        inside = inside.dataset
    if getattr(inside, "__getitems__", None) is None:
        return None
    found: Callable[[list[Any]], list[Any]] = dataset.__getitems__
    return found


def draws_nothing(dataset: object) -> bool:
    """Whether the dataset is known to draw no random numbers: plain tensors."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return type(dataset) is TensorDataset
