"""Seeds, and the state of every random generator that training may draw from."""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from engine.errors import SerializationError
from engine.state.resume_report import Exactness, PartReport

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = [
    "GeneratorState",
    "Stream",
    "capture_randomness",
    "derive_seed",
    "draw_seed",
    "examine_randomness",
    "fence",
    "restore_randomness",
    "seed_everything",
    "seed_host",
    "set_random_seed",
]

_SEEDS = 2**32  # NumPy's legacy generator takes no larger seed


class Stream(IntEnum):
    """Parts of derived seeds, so that a run's streams differ from each other."""

    TRAINING = 0
    VALIDATION = 1
    TEST = 2
    INITIALIZATION = 3


def draw_seed() -> int:
    """A fresh seed from the operating system, from 0 to 2**32 - 1."""
    return int.from_bytes(os.urandom(4), "little")


def derive_seed(seed: int, *parts: int) -> int:
    """A seed that is a function of ``seed`` and ``parts`` and of nothing else.

    Neighbouring inputs give unrelated seeds: the 32 low bits of BLAKE2b over the
    numbers as signed 64-bit integers.

    Returns:
        An int from 0 to 2**32 - 1.

    >>> derive_seed(0, 1) == derive_seed(0, 1), derive_seed(0, 1) == derive_seed(1, 0)
    (True, False)
    """
    packed = struct.pack(f"<{len(parts) + 1}q", seed, *parts)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=4).digest(), "little")


def seed_everything(seed: int) -> None:
    """Seed the global generators of python, NumPy and torch (all devices).

    Args:
        seed: From 0 to 2**32 - 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_host(seed: int) -> None:
    """Seed the global generators of python, NumPy and torch on the CPU alone.

    What loading one sample may draw from; ``torch.manual_seed`` looks at every device
    and costs a hundred times as much.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)


def set_random_seed(
    seed: int | None = None,
    deterministic: bool = False,
    diff_rank_seed: bool = False,
    *,
    rank: int = 0,
) -> int:
    """Seed all generators and choose between fast and deterministic operations.

    Args:
        seed: From 0 to 2**32 - 1; ``None`` draws one.
        deterministic: Let torch use deterministic operations only, and cuDNN not
            choose by timing.
        diff_rank_seed: Give each rank a generator state of its own.
        rank: This process's rank.

    Returns:
        The seed, before the rank was added.

    Raises:
        ValueError: The seed is out of range.
    """
    chosen = draw_seed() if seed is None else seed
    if not isinstance(chosen, int) or not 0 <= chosen < _SEEDS:
        message = (
            f"randomness.seed={seed!r}: give a whole number from 0 to {_SEEDS - 1}"
        )
        raise ValueError(message)
    seed_everything((chosen + rank) % _SEEDS if diff_rank_seed else chosen)
    if deterministic:
        # cuBLAS reads it when its first handle is made; without it torch refuses.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True)
    return chosen


# -- capture and restore ---------------------------------------------------------


def capture_randomness() -> dict[str, Any]:
    """State of the global generators of python, NumPy, torch and each CUDA device.

    Returns:
        Plain data; tensors are copies.
    """
    version, words, gauss = random.getstate()
    numpy = np.random.get_state(legacy=False)
    assert isinstance(numpy, dict)
    return {
        "format": 1,
        "python": {
            "version": version,
            "words": torch.tensor(words, dtype=torch.int64),
            "gauss": gauss,
        },
        "numpy": _numpy_to_plain(numpy),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if _uses_cuda() else [],
    }


def restore_randomness(state: Plain) -> None:
    """Put back what :func:`capture_randomness` returned.

    Raises:
        SerializationError: A part is missing, unknown, or of another format.
    """
    expected = {"format", "python", "numpy", "torch", "cuda"}
    if not isinstance(state, Mapping) or set(state) != expected or state["format"] != 1:
        found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
        message = (
            f"random generators: expected format 1 with {sorted(expected)}, "
            f"found {found}"
        )
        raise SerializationError(message)
    python = state["python"]
    words = tuple(python["words"].tolist())
    random.setstate((python["version"], words, python["gauss"]))
    np.random.set_state(_numpy_from_plain(state["numpy"]))
    torch.set_rng_state(state["torch"].cpu())
    if len(state["cuda"]) == torch.cuda.device_count() and _uses_cuda():
        torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])


def examine_randomness(state: Plain) -> PartReport:
    """How exactly :func:`restore_randomness` would put the generators back."""
    saved = len(state.get("cuda", ())) if isinstance(state, Mapping) else 0
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if saved and saved != here:
        why = f"they are of {saved} GPUs, and here are {here}"
        return PartReport("generators", Exactness.BEST_EFFORT, why)
    return PartReport("generators", Exactness.EXACT)


@contextmanager
def fence() -> Iterator[None]:
    """Leave python's, NumPy's and torch's global generators as they were.

    Whatever the body draws, the code after it sees the numbers it would have seen
    without it.
    """
    python = random.getstate()
    numpy = np.random.get_state()
    host = torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if _uses_cuda() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(host)
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)


def _uses_cuda() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]  # torch leaves it out


@frozen
class GeneratorState:
    """Makes a user's generator :class:`~engine.typing.Stateful`.

    Args:
        generator: A ``torch.Generator``, ``numpy.random.Generator`` or
            ``random.Random``.
    """

    generator: torch.Generator | np.random.Generator | random.Random

    def state_dict(self) -> dict[str, Any]:
        """Its state as plain data."""
        if isinstance(self.generator, torch.Generator):
            return {"kind": "torch", "state": self.generator.get_state()}
        if isinstance(self.generator, np.random.Generator):
            state = dict(self.generator.bit_generator.state)
            return {"kind": "numpy", "state": _numpy_to_plain(state)}
        version, words, gauss = self.generator.getstate()
        return {"kind": "python", "state": [version, list(words), gauss]}

    def load_state_dict(self, state_dict: Plain, /) -> None:
        """Put its state back.

        Raises:
            SerializationError: The state is of another kind of generator.
        """
        kind = self.state_dict()["kind"]
        if state_dict.get("kind") != kind:
            message = (
                f"a {kind} generator cannot take the state of a "
                f"{state_dict.get('kind')} generator"
            )
            raise SerializationError(message)
        state = state_dict["state"]
        if isinstance(self.generator, torch.Generator):
            self.generator.set_state(state)
        elif isinstance(self.generator, np.random.Generator):
            self.generator.bit_generator.state = _numpy_from_plain(state)
        else:
            version, words, gauss = state
            self.generator.setstate((version, tuple(words), gauss))


def _numpy_to_plain(state: Any) -> Any:
    """Arrays become tensors of int64 or, where those are too small, lists."""
    if isinstance(state, Mapping):
        return {key: _numpy_to_plain(item) for key, item in state.items()}
    if isinstance(state, np.ndarray):
        if state.dtype == np.uint64:
            return {"uint64": [int(item) for item in state]}
        return torch.from_numpy(state.astype(np.int64))
    if isinstance(state, np.generic):
        return state.item()
    return state


def _numpy_from_plain(state: Any) -> Any:
    if isinstance(state, Mapping):
        if set(state) == {"uint64"}:
            return np.array(state["uint64"], dtype=np.uint64)
        return {key: _numpy_from_plain(item) for key, item in state.items()}
    if isinstance(state, torch.Tensor):
        return state.numpy().astype(np.uint32)
    return state
