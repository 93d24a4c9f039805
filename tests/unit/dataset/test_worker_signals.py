"""Loader processes leave signals to the run, and go when the loader tells them to."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info
from torch.utils.data._utils import worker

from engine import EvalEngine
from engine.dataset import open_cursor, signals_left


class Signalled(Dataset[int]):
    """Numbers, at one of which the loader process gets a signal, as from a terminal."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> int:
        if index == 2 and get_worker_info() is not None:
            os.kill(os.getpid(), self.number)
        return index


class Stream(IterableDataset[int]):
    """The same, as a stream."""

    def __init__(self, number: int) -> None:
        self.numbers = Signalled(number)

    def __iter__(self) -> Any:
        yield from (self.numbers[index] for index in range(6))


class Plain(DataLoader[int]):
    """A loader that is read by its own iterator, since it has one."""

    def __iter__(self) -> Any:
        return super().__iter__()


NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", ["map", "stream", "own iterator"])
def test_training_data_is_read_on(number: int, kind: str) -> None:
    """Whatever the cursor, all that was to be read is."""
    dataset: Any = Stream(number) if kind == "stream" else Signalled(number)
    make = Plain if kind == "own iterator" else DataLoader
    loader = make(dataset, batch_size=2, num_workers=1)
    cursor = open_cursor(loader, seed=0)
    found = [batch.tolist() for batch in cursor.read(0, 0)]
    assert found == [[0, 1], [2, 3], [4, 5]]
    assert loader.worker_init_fn is None
    cursor.close()


@pytest.mark.parametrize("number", NUMBERS)
def test_evaluation_data_is_read_on(number: int) -> None:
    """And the loader is the user's again."""
    begun: list[int] = []
    loader = DataLoader(
        Signalled(number), batch_size=2, num_workers=1, worker_init_fn=begun.append
    )
    with signals_left(loader):
        items = iter(loader)
    assert loader.worker_init_fn == begun.append
    assert torch.cat([*items]).tolist() == [*range(6)]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", ["map", "stream", "own iterator", "evaluation"])
def test_one_that_comes_while_workers_start_is_left_too(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    """Before a process has said that it leaves them, it is not ended by one."""
    begin = worker._worker_loop

    def signalled(*arguments: Any) -> None:
        os.kill(os.getpid(), number)
        begin(*arguments)

    monkeypatch.setattr(worker, "_worker_loop", signalled)
    dataset: Any = Stream(0) if kind == "stream" else Signalled(0)
    make = Plain if kind == "own iterator" else DataLoader
    loader = make(dataset, batch_size=2, num_workers=1)
    if kind == "evaluation":
        found: list[Any] = []
        EvalEngine(lambda _, batch: found.append(batch.tolist())).run(loader)
    else:
        cursor = open_cursor(loader, seed=0)
        found = [batch.tolist() for batch in cursor.read(0, 0)]
        cursor.close()
    assert found == [[0, 1], [2, 3], [4, 5]]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_loader_ends_a_worker() -> None:
    """What it sends itself counts: it ends workers that hang so."""
    loader = DataLoader(Signalled(0), num_workers=1, persistent_workers=True)
    with signals_left(loader):
        items: Any = iter(loader)
    next(items)
    (one,) = items._workers
    one.terminate()
    one.join(60)
    assert one.exitcode == 0
