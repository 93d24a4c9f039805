"""Opening cursors, what they say of the data, and what they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    get_worker_info,
)

from engine.dataset import LoaderCursor, ReplayCursor, StreamCursor, open_cursor
from engine.errors import DataError
from engine.state import capture_randomness, restore_randomness
from tests.runs import Samples, bits

if TYPE_CHECKING:
    from collections.abc import Iterator


class Endless(Sampler[int]):
    """Never ends, and says it has five."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0

    def __len__(self) -> int:
        return 5


class Short(Sampler[int]):
    """Says it has six, gives four."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))

    def __len__(self) -> int:
        return 6


class Stream(IterableDataset[int]):
    """Four numbers without a length."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))


def test_loaders_over_indices_get_an_exact_cursor() -> None:
    """Everything else is walked."""
    loader = DataLoader(Samples(4), batch_size=2)
    assert isinstance(open_cursor(loader, seed=0), LoaderCursor)
    assert open_cursor(loader, seed=0).exact
    others: list[tuple[Any, type]] = [
        ([1, 2], ReplayCursor),
        (DataLoader(Stream(), 2), StreamCursor),
    ]
    for other, kind in others:
        cursor = open_cursor(other, seed=0)
        assert isinstance(cursor, kind)
        assert not cursor.exact


def test_a_loader_with_an_iterator_of_its_own_is_walked() -> None:
    """What its batches hold is not a function of the sampler's indices."""

    class Doubling(DataLoader[Any]):
        def __iter__(self) -> Any:
            for batch in super().__iter__():
                yield batch
                yield batch

    cursor = open_cursor(Doubling(TensorDataset(torch.arange(1))), seed=0)
    assert isinstance(cursor, ReplayCursor)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"batch_size": 4}, (3, 4, 1)),
        ({"batch_size": 3}, (3, 3, 3)),
        ({"batch_size": 4, "drop_last": True}, (2, 4, 4)),
        ({"batch_size": None}, (9, 1, 1)),
        ({"batch_sampler": [[0, 1], [2]]}, (2, 0, 0)),
    ],
)
def test_a_cursor_knows_its_sizes(
    settings: dict[str, Any], sizes: tuple[int, int, int]
) -> None:
    """Batches in a pass, samples in a batch and in the last one; 0 where unknown."""
    cursor = open_cursor(DataLoader(Samples(9), **settings), seed=0)
    assert (cursor.length, cursor.batch_size, cursor.last_batch_size) == sizes


def test_the_users_own_settings_are_kept() -> None:
    """Collate function, worker initialization and the batch as it is."""
    started: list[int] = []
    loader = DataLoader(
        Samples(4), batch_size=2, collate_fn=tuple, worker_init_fn=started.append
    )
    (batch, _) = open_cursor(loader, seed=0).read(0, 0)
    assert type(batch) is tuple


class WhoLoads(Dataset[int]):
    """A sample tells which worker loaded it, and what worker_init_fn left there."""

    mark = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        info = get_worker_info()
        return -1 if info is None else 10 * info.id + self.mark


def _leave_mark(_: int) -> None:
    info = get_worker_info()
    assert info is not None
    data: Any = info.dataset
    data.mark = 5


def test_workers_load_and_are_initialized() -> None:
    """They are real ones, and the user's worker_init_fn ran in each."""
    loader = DataLoader(
        WhoLoads(),
        batch_size=1,
        num_workers=2,
        worker_init_fn=_leave_mark,
        collate_fn=lambda samples: samples[0],
    )
    assert list(open_cursor(loader, seed=0).read(0, 0)) == [5, 15, 5, 15]


def test_an_endless_sampler_is_cut_at_its_length() -> None:
    """It is not listed for ever."""
    loader = DataLoader(Samples(1), batch_size=2, sampler=Endless())
    assert len(list(open_cursor(loader, seed=0).read(0, 0))) == 3


def test_no_iterable_is_refused() -> None:
    """It says what was expected and what was found."""
    with pytest.raises(DataError, match=r"expected a DataLoader.*found an int"):
        open_cursor(5, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataLoader(TensorDataset(torch.empty(0, 2))), "TensorDataset: 0 samples"),
        (
            DataLoader(Samples(3), batch_size=4, drop_last=True),
            "Samples: 3 samples and drop_last leaves none of its batches",
        ),
        ([], "list over list: 0 samples"),
    ],
)
def test_empty_data_is_refused_at_once(data: Any, message: str) -> None:
    """Before training begins, with the dataset's name and what to do."""
    with pytest.raises(DataError, match=f"{message}, so.*at least one batch"):
        open_cursor(data, seed=0)


def test_data_without_a_length_that_is_empty_is_refused_when_read() -> None:
    """Nothing told before."""

    class Nothing:
        def __iter__(self) -> Iterator[int]:
            return iter(())

    with pytest.raises(DataError, match="there is no batch to read"):
        list(open_cursor(Nothing(), seed=0).read(0, 0))


def test_a_sampler_that_ends_early_is_named() -> None:
    """After the batches that it gave."""
    loader = DataLoader(Samples(6), batch_size=2, sampler=Short())
    read = open_cursor(loader, seed=0).read(1, 0)
    next(read), next(read)
    with pytest.raises(
        DataError, match=r"Samples ended after 2 of 3 batches in pass 1: its sampler"
    ):
        next(read)


def test_an_iterable_that_ends_early_is_named() -> None:
    """A length is a promise."""

    class Liar(list[int]):
        def __len__(self) -> int:
            return 5

    with pytest.raises(DataError, match="Liar ended after 2 of 5 batches in pass 0"):
        list(open_cursor(Liar([1, 2]), seed=0).read(0, 0))


def test_data_that_is_shorter_than_the_place_is_named() -> None:
    """A resume finds less than was consumed before."""
    loader = DataLoader(Stream(), batch_size=2)
    with pytest.raises(DataError, match="ended after 2 of 3 batches"):
        list(open_cursor(loader, seed=0).read(0, 3))


def test_walking_moves_no_generator_and_repeats_a_pass() -> None:
    """A loader that is walked shuffles as (seed, pass) says."""
    batches = DataLoader(TensorDataset(torch.arange(9)), shuffle=True)

    class Own:
        def __iter__(self) -> Any:
            return iter(batches)

    cursor = open_cursor(Own(), seed=1)
    before = bits(capture_randomness())
    full = [item[0].item() for item in cursor.read(2, 0)]
    assert bits(capture_randomness()) == before
    torch.rand(1)
    assert [item[0].item() for item in cursor.read(2, 4)] == full[4:]
    assert [item[0].item() for item in cursor.read(3, 0)] != full


def test_skipping_leaves_the_generators_of_training_alone() -> None:
    """Batches that are drawn from them go on where a restored run is."""

    class Drawn:
        def __iter__(self) -> Iterator[float]:
            for _ in range(5):
                yield torch.rand(()).item()

    torch.manual_seed(1)
    cursor = open_cursor(Drawn(), seed=1)
    read = cursor.read(0, 0)
    full = [next(read) for _ in range(3)]
    saved = capture_randomness()
    full += read
    torch.manual_seed(2)
    restore_randomness(saved)
    assert list(cursor.read(0, 3)) == full[3:]


def test_set_epoch_is_called_for_each_pass() -> None:
    """Of the sampler of what is walked, as DistributedSampler wants it."""
    told: list[int] = []

    class Epochs:
        def set_epoch(self, epoch: int) -> None:
            told.append(epoch)

    class Own:
        sampler = Epochs()

        def __iter__(self) -> Iterator[int]:
            return iter([1])

    cursor = open_cursor(Own(), seed=0)
    list(cursor.read(0, 0))
    list(cursor.read(3, 0))
    assert told == [0, 3]


def test_randomness_off_leaves_the_dataset_alone() -> None:
    """Samples draw from the process's own generators, and move them."""
    loader = DataLoader(Samples(3, augment=True), batch_size=3)
    torch.manual_seed(0)
    before = bits(capture_randomness())
    list(open_cursor(loader, seed=0, randomness="off").read(0, 0))
    assert bits(capture_randomness()) != before


class Remembers(Dataset[int]):
    """Zeros, plus what it was told to remember."""

    memory = 0

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return self.memory

    def state_dict(self) -> dict[str, int]:
        return {"memory": self.memory}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.memory = state["memory"]


def test_workers_that_were_let_go_are_told_their_states_again() -> None:
    """Also where the last ones were told the same."""
    cursor = open_cursor(DataLoader(Remembers(), batch_size=2, num_workers=1), seed=0)
    state: Any = {
        "order": None,
        "dataset": None,
        "workers": {
            "place": [0, 1],
            "count": 1,
            "next": 0,
            "roles": {0: {"memory": 5}},
        },
    }
    for _ in range(2):
        cursor.load(state)
        assert next(cursor.read(0, 1)).tolist() == [5, 5]
        cursor.close()
