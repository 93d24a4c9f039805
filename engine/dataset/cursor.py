"""A cursor: the training data, read from any batch of any pass.

What batch ``b`` of pass ``p`` holds is a function of (seed, p, b). The place moves
when a batch is consumed, so what workers have fetched ahead is thrown away at no loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from torch.utils.data import DataLoader, IterableDataset, IterDataPipe, MapDataPipe

from engine.dataset.loader import LoaderCursor
from engine.dataset.replay import ReplayCursor
from engine.dataset.sample_randomness import SampleRandomness, check_sample_randomness
from engine.dataset.stateful_loader import StatefulLoaderCursor
from engine.dataset.stream import StreamCursor
from engine.dist import get_world_size
from engine.errors import DataError, a_type
from engine.state import DataShape
from engine.typing import Stateful

if TYPE_CHECKING:
    from engine.state import PartReport
    from engine.typing import Plain

__all__ = ["Cursor", "data_shape", "open_cursor", "reads_alike", "shares_unseen"]


class Cursor(Protocol):
    """Data that can be read from any place."""

    length: int
    """Batches in a pass; 0 if that is not known."""
    batch_size: int
    """Samples in each batch but the last; 0 if they differ or are not known."""
    last_batch_size: int
    """Samples in the last batch of a pass."""
    exact: bool
    """Whether a place is found without reading what lies before it."""

    def read(self, data_pass: int, batch: int) -> Iterator[Any]:
        """The batches of a pass from number ``batch`` on."""

    def close(self) -> None:
        """Let workers that wait for another pass go; reading again starts new ones."""

    def state(self, data_pass: int, batch: int) -> Plain:
        """What must be saved, beside a place, to read on from there.

        Args:
            data_pass: Passes that are finished.
            batch: Batches of the running pass that are consumed: all that were read,
                but not what was fetched ahead.

        Returns:
            Plain data; ``None`` where (seed, pass, batch) tells everything.
        """

    def load(self, state: Plain) -> None:
        """Get ready to read on from the place at which ``state`` was taken.

        To be called on a fresh cursor, before :meth:`read` of that place.
        """

    def resume_report(self) -> list[PartReport]:
        """How exactly this data comes back in a resumed run, part by part.

        Before :meth:`load` it tells what a resume from here could do, after it what
        this one did: whether the saved state was there, fitted, and says where the
        data was. Parts are called ``train data: order``, ``train data: samples`` and
        ``train data: state``; what data does not have is left out.
        """


def data_shape(cursor: Cursor) -> DataShape:
    """How what a cursor reads lies in batches and on ranks."""
    if isinstance(cursor, LoaderCursor):
        return cursor.shape
    return DataShape(
        length=cursor.length, batch_size=cursor.batch_size, ranks=get_world_size()
    )


def reads_alike(cursor: Cursor) -> bool:
    """Whether several ranks read all of the data, and in the same order."""
    return isinstance(cursor, LoaderCursor) and cursor.is_shared_by_nobody


def shares_unseen(cursor: Cursor) -> bool:
    """Whether each of several ranks reads what its data yields, a share or not."""
    return get_world_size() > 1 and not isinstance(cursor, LoaderCursor)


def open_cursor(
    data: Iterable[Any], *, seed: int, randomness: SampleRandomness = "sample"
) -> Cursor:
    """A cursor over ``data``.

    Args:
        data: A ``DataLoader`` over a map-style dataset is read by index, one over an
            iterable dataset by the states of its workers or again from its start. What
            has ``state_dict`` and ``load_state_dict`` itself is trusted with its place;
            any other iterable is walked to it.
        seed: The run's seed.
        randomness: What random numbers that a dataset draws depend on: each sample's
            place, each batch's, or (``"off"``) on who loads it.

    Raises:
        DataError: ``data`` is no iterable, or has no batch; ``randomness`` is unknown.
    """
    check_sample_randomness(randomness)
    if not isinstance(data, Iterable):
        message = (
            f"training data: expected a DataLoader or another iterable of batches, "
            f"found {a_type(data)}"
        )
        raise DataError(message)
    # A subclass with an iterator of its own does what we cannot know.
    plain = isinstance(data, DataLoader) and type(data).__iter__ is DataLoader.__iter__
    if plain and not isinstance(data.dataset, IterDataPipe | MapDataPipe):  # type: ignore[attr-defined]  # it is one
        assert isinstance(data, DataLoader)
        if isinstance(data.dataset, IterableDataset):
            return StreamCursor(data, seed=seed, randomness=randomness)
        return LoaderCursor(data, seed=seed, randomness=randomness)
    if isinstance(data, Stateful):
        return StatefulLoaderCursor(data, seed=seed)
    return ReplayCursor(data, seed=seed)
