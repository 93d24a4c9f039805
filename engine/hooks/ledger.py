"""Writes down, for each iteration, what tells two runs apart."""

from __future__ import annotations

import ctypes
import math
import random
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engine.errors import CheckpointError, ConfigError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS
from engine.state.ledger import MAGIC, RECORD, cut_ledger, ledger_name

if TYPE_CHECKING:
    import os

    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["LedgerHook"]

_BLOCK = 256  # records that are held back until they are written
_RARELY = 32  # iterations between two looks at generators that are dear to look at
_LEAVES = 4  # tensors of a batch that are looked at
_PLACES = 256  # bytes of each that are, where it has twice as many
_HEAD = 64  # bytes of a generator's state: its place and some words
_MERSENNE_WORDS = 624 * 4  # bytes; NumPy has the place behind them
_FLAT = (tuple, list)
_TORCH = torch.default_generator
_crc32 = zlib.crc32
_MEMORY = ctypes.c_char * sys.maxsize  # seen from an address on; nothing is copied


@HOOKS.register_module()
class LedgerHook(Hook):
    """Writes a fingerprint of each training iteration into the run's log folder.

    A record has a checksum of the batch (of up to 512 bytes, spread over each of its
    first 4 tensors on the host), the learning rate, the loss to the bit, and a checksum
    of torch's and NumPy's global generators (each 32nd iteration python's and the
    devices' too). ``engine diff-runs`` finds the first iteration in which two runs
    part. Nothing waits for a device but the writing of a block of 256 records.

    A run that is resumed cuts the file back to where its checkpoint was.

    Args:
        out_dir: Folder of the file ``ledger.bin``; ``None``: the run's log folder.

    Raises:
        ConfigError: ``out_dir`` is no path.
    """

    # After everybody who may draw, or change the rate.
    priority: ClassVar[Priority] = Priority.LOWEST
    transient: ClassVar[frozenset[str]] = frozenset(
        {
            "_path",
            "_rows",
            "_losses",
            "_groups",
            "_numpy",
        }  # what its file holds, or will
    )

    def __init__(self, out_dir: str | os.PathLike[str] | None = None) -> None:
        if out_dir is not None and not isinstance(out_dir, str | Path):
            message = f"LedgerHook: out_dir={out_dir!r}: give a folder's path"
            raise ConfigError(message)
        self._out_dir = None if out_dir is None else Path(out_dir)
        self._path: Path | None = None
        self._rows: list[tuple[int, int, int, float]] = []
        self._losses: list[Any] = []
        self._groups: list[dict[str, Any]] = []
        self._numpy: tuple[Any, Any] | None = None

    def before_train(self, runner: RunContext) -> None:
        """Open the ledger: a new one, or one that is cut back to the run's place.

        Raises:
            CheckpointError: The file cannot be written.
            SerializationError: A file that is there is no ledger.
        """
        folder = self._out_dir or getattr(runner, "log_dir", None) or runner.work_dir
        self._path = Path(folder) / ledger_name(runner.rank)
        self._rows, self._losses = [], []
        self._groups = list(_first_groups(getattr(runner, "optim_wrapper", None)))
        self._numpy = _numpy_memory()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            there = self._path.read_bytes() if self._path.is_file() else b""
            # The very same bytes are not written again: a crash could lose them.
            kept = cut_ledger(there, runner.state.iteration)
            if kept != there:
                part = self._path.with_name(f"{self._path.name}.part")
                part.write_bytes(kept)
                part.replace(self._path)
        except OSError as error:
            raise CheckpointError(_unwritable(self._path, error)) from error

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Any = None,
    ) -> None:
        """Note the iteration."""
        done = runner.state.progress.iteration
        rate = self._groups[0]["lr"] if self._groups else math.nan
        rows = self._rows
        rows.append((done, _samples(data_batch), self._generators(done), rate))
        self._losses.append(_loss(outputs))
        if len(rows) >= _BLOCK:
            self._write()

    def _generators(self, done: int) -> int:
        # A Mersenne Twister replaces all its words at once: its place among them and
        # some of them tell any two states apart that a run comes by.
        found = _crc32(_head(_TORCH))
        if self._numpy is not None:
            found = _crc32(self._numpy[1], found)
        if done % _RARELY == 0:
            # Numbers hash alike in every process; its other two parts say nothing new.
            found = _crc32(_bytes_of(hash(random.getstate()[1])), found)
            if self._numpy is None:
                found = _crc32(repr(np.random.get_state()).encode(), found)
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it out
                for generator in torch.cuda.default_generators:
                    found = _crc32(_head(generator), found)
        return found

    # -- when the block is written -------------------------------------------------

    def before_save_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        """What a checkpoint has behind it is in the file."""
        self._write()

    def after_train_epoch(self, runner: RunContext) -> None:
        """Write what is held back."""
        self._write()

    def after_train(self, runner: RunContext) -> None:
        """Write what is held back."""
        self._write()

    def on_interrupt(self, runner: RunContext, signal: int | None = None) -> None:
        """Write what is held back."""
        self._write()

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Write what is held back."""
        self._write()

    def _write(self) -> None:
        if not self._rows or self._path is None:
            return
        rows, losses = self._rows, self._losses
        self._rows, self._losses = [], []
        records = np.empty(len(rows), RECORD)
        for index, name in enumerate(("iteration", "samples", "generators", "lr")):
            records[name] = [row[index] for row in rows]
        records["loss"] = _fetch(losses)
        try:
            with self._path.open("ab") as file:
                if file.tell() == 0:
                    file.write(MAGIC)
                file.write(records.tobytes())
        except OSError as error:
            raise CheckpointError(_unwritable(self._path, error)) from error


def _samples(batch: Any) -> int:
    """A checksum of a batch, by some bytes of its first tensors on the host."""
    found = 0
    if type(batch) in _FLAT and len(batch) <= _LEAVES:
        # As most batches are: told apart without a generator for each level.
        for leaf in batch:
            if type(leaf) is not Tensor:
                break
            found = _crc32(_some(leaf), found)
        else:
            return found
        found = 0
    for leaf in islice(_leaves(batch), _LEAVES):
        told = _some(leaf) if isinstance(leaf, Tensor) else repr(leaf).encode()
        found = _crc32(told, found)
    return found


def _some(tensor: Tensor) -> Any:
    """Bytes spread over a tensor on the host; none of one on a device.

    They are read where they lie: an array or a view costs more than the looking.
    """
    if not tensor.is_cpu or tensor.layout is not torch.strided:
        return b""
    size = tensor.nbytes
    if not size:
        return b""
    # An odd step sees low bytes and high ones, whatever the type.
    step = size // _PLACES | 1 if size > 2 * _PLACES else 1
    if tensor.is_contiguous():
        return _MEMORY.from_address(tensor.data_ptr())[:size:step]
    return _some_of_scattered(tensor, step)


def _some_of_scattered(tensor: Tensor, step: int) -> bytes:
    """The same bytes of a tensor that lies in another order; it is not copied.

    Samples are laid out otherwise by a worker than by the main process, for one.
    """
    places = torch.arange(0, tensor.nbytes, step)
    width = tensor.element_size()
    taken = torch.take(tensor.detach(), places // width).view(torch.uint8)
    chosen = taken.view(-1, width).gather(1, (places % width).view(-1, 1))
    return chosen.numpy().tobytes()


def _leaves(batch: Any) -> Iterator[Any]:
    """Tensors on the host, numbers and texts of a batch.

    Of a list of many, as of samples that were not stacked, the first and the last.
    """
    kind = type(batch)
    if kind is Tensor:
        if batch.is_cpu and batch.layout is torch.strided:
            yield batch
    elif kind is list or kind is tuple:
        if len(batch) > _LEAVES:
            batch = (batch[0], batch[-1])
        for value in batch:
            yield from _leaves(value)
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _leaves(value)
    elif isinstance(batch, int | float | str):
        yield batch


def _head(generator: torch.Generator) -> bytes:
    state = generator.get_state()  # alive until its memory has been read
    head: bytes = _MEMORY.from_address(state.data_ptr())[:_HEAD]  # type: ignore[assignment]  # typeshed: a list
    return head


def _bytes_of(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def _first_groups(optimizer: Any) -> Iterator[dict[str, Any]]:
    groups = getattr(optimizer, "param_groups", None)
    if type(groups) is list and groups:
        yield groups[0]
    elif hasattr(optimizer, "values"):  # several, by name
        for one in optimizer.values():
            yield from _first_groups(one)


def _numpy_memory() -> tuple[Any, Any] | None:
    """NumPy's global generator and its memory, if that is a Mersenne Twister's.

    Asking for its state costs 28 microseconds; a look at where it lies, half a one.
    """
    generator = np.random.get_bit_generator()  # type: ignore[attr-defined]  # NumPy's stub leaves it out
    if type(generator) is not np.random.MT19937:
        return None
    begin = generator.ctypes.state_address + _MERSENNE_WORDS - _HEAD
    memory = (ctypes.c_char * (_HEAD + 4)).from_address(begin)
    return generator, memory  # the generator, so that the memory stays its


def _loss(outputs: Any) -> Any:
    """What a step returned as ``loss``, else its first number."""
    if type(outputs) is dict or isinstance(outputs, Mapping):
        loss = outputs.get("loss")
        if loss is None:
            loss = next(filter(_is_number, outputs.values()), None)
    else:
        loss = outputs
    if isinstance(loss, Tensor):
        # One on a device stays there: to read it would be to wait.
        if not loss.is_cpu:
            return loss.detach()
        return loss.item() if loss.numel() == 1 else None
    return loss


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, int | float)


def _fetch(losses: Sequence[Any]) -> list[float]:
    """Losses as numbers: those on a device by one transfer; NaN for what is none."""
    found = [
        float(loss) if isinstance(loss, int | float) else math.nan for loss in losses
    ]
    on_device = [
        index
        for index, loss in enumerate(losses)
        if isinstance(loss, Tensor) and loss.numel() == 1
    ]
    if on_device:
        stacked = torch.stack([losses[at].reshape(()).double() for at in on_device])
        for index, value in zip(on_device, stacked.tolist(), strict=True):
            found[index] = value
    return found


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"LedgerHook: cannot write {path}: {error.strerror or error}. Make room there "
        "and let this user write, or take the hook out of custom_hooks."
    )
