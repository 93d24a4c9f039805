"""Where two trees of tensors and plain values differ, and two checkpoints of a run.

One comparison for all who ask: ``same_run``, ``engine ckpt diff`` and
``engine verify-resume``. Equal means equal bits: NaN is equal to itself, 0.0 is not
-0.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from attrs import frozen

from engine.checkpoint.ranks import names_by_rank
from engine.errors import a_type

__all__ = ["Difference", "compare_checkpoints", "find_differences", "split_parts"]

_SHOWN = 60  # characters of a value in a message

TIMES = frozenset(
    {"time", "data_time", "eta", "memory", "elapsed", "elapsed_seconds", "timestamp"}
)
"""Names of what may differ between two runs that are the same: clocks and memory."""

_NOT_THE_RUN = frozenset(
    {"format", "environment", "at_safe_point", "run_state", "forgets", "left_out"}
)
_PHASES = ("phase", "outer", "left")  # a run that is stopped is where it was


@frozen
class Difference:
    """One place where two runs differ.

    Args:
        part: Part of the run, such as ``"optimizer"``.
        key: Place in it, as a subscript: ``"['state'][0]['step']"``.
        what: What differs there, for people.
        size: Largest absolute difference of the numbers there; ``None`` if they are
            not numbers of one shape.
    """

    part: str
    key: str
    what: str
    size: float | None = None

    def __str__(self) -> str:
        """``weights['bias']: 3 of 8 elements differ, by up to 1.2e-07``."""
        return f"{self.part}{self.key}: {self.what}"


def find_differences(
    one: Any, other: Any, *, part: str = "it", key: str = ""
) -> Iterator[Difference]:
    """Each place where two trees differ, in the order of the first one.

    Args:
        one: Mappings, lists, tuples, sets, tensors, arrays and plain values.
        other: Likewise. Neither is changed.
        part: What differences call the tree.
        key: Where in the part the trees stand.

    >>> [str(found) for found in find_differences({"a": [1, 2.0]}, {"a": [1, 2.5]})]
    ["it['a'][1]: 2.0 and 2.5, a difference of 0.5"]
    """
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        yield from _tensors(one, other, part, key)
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        yield from _mappings(one, other, part, key)
    elif _are_sequences(one, other):
        if len(one) != len(other):
            what = f"{len(one)} entries and {len(other)}"
            yield Difference(part, key, what)
        for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            yield from find_differences(mine, theirs, part=part, key=f"{key}[{index}]")
    elif type(one) is not type(other) or not _equal(one, other):
        both = isinstance(one, int | float) and isinstance(other, int | float)
        if both and type(one) is type(other) and not isinstance(one, bool):
            yield _numbers(one, other, part, key)
        else:
            yield Difference(part, key, f"{_show(one)} and {_show(other)}")


def _equal(one: Any, other: Any) -> bool:
    """Whether two plain values are equal; floats to the bit."""
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())
    return bool(one == other)


def _are_sequences(one: Any, other: Any) -> bool:
    return isinstance(one, list | tuple) and isinstance(other, list | tuple)


def _mappings(
    one: Mapping[Any, Any], other: Mapping[Any, Any], part: str, key: str
) -> Iterator[Difference]:
    for name, value in one.items():
        if name in other:
            yield from find_differences(
                value, other[name], part=part, key=f"{key}[{name!r}]"
            )
        else:
            yield Difference(part, f"{key}[{name!r}]", "only the first one has it")
    for name in other:
        if name not in one:
            yield Difference(part, f"{key}[{name!r}]", "only the second one has it")


def _numbers(one: float, other: float, part: str, key: str) -> Difference:
    size = abs(one - other)
    if size == 0:
        return Difference(part, key, f"{one!r} and {other!r}: other bits", 0.0)
    return Difference(
        part, key, f"{one!r} and {other!r}, a difference of {size:.3g}", float(size)
    )


def _tensors(
    one: torch.Tensor, other: torch.Tensor, part: str, key: str
) -> Iterator[Difference]:
    if one.dtype != other.dtype or one.shape != other.shape:
        what = f"{_shape(one)} and {_shape(other)}"
        yield Difference(part, key, what)
        return
    mine, theirs = _bytes(one), _bytes(other)
    if torch.equal(mine, theirs):
        return
    width = one.element_size()
    count = int((mine != theirs).reshape(-1, width).any(1).sum())
    size = _largest(one, other)
    what = f"{count} of {one.numel()} elements differ, by up to {size:.3g}"
    yield Difference(part, key, what, size)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.detach().cpu()
    if flat.layout is not torch.strided:
        flat = flat.to_dense()
    return flat.contiguous().reshape(-1).view(torch.uint8)


def _largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest absolute difference; NaN if one of two is not finite alone."""
    kind = torch.complex128 if one.dtype.is_complex else torch.float64
    mine, theirs = one.detach().cpu().to(kind), other.detach().cpu().to(kind)
    if mine.layout is not torch.strided:
        mine, theirs = mine.to_dense(), theirs.to_dense()
    apart = (mine - theirs).abs()
    both_nan = mine.isnan() & theirs.isnan()
    same = (mine == theirs) | both_nan  # inf - inf is not a number
    return float(apart.masked_fill(same, 0.0).max())


def _shape(tensor: torch.Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind} of shape {tuple(tensor.shape)}"


def _show(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return _shape(value)
    if isinstance(value, Mapping | list | tuple):
        return f"{a_type(value)} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# -- checkpoints -----------------------------------------------------------------


def split_parts(checkpoint: Any) -> dict[str, Any]:
    """What is compared of a checkpoint, by part, in the order of comparison.

    Left out is what two runs that are the same may differ in: clock times, names of
    runs and files, versions, and whether the run was stopped there.

    Args:
        checkpoint: What a file held: a checkpoint of ours or of MMEngine, or bare
            weights.
    """
    if not isinstance(checkpoint, Mapping) or "state_dict" not in checkpoint:
        return {"weights": checkpoint}
    left = dict(checkpoint)
    meta = left.pop("meta", None) or {}
    ours = left.pop("engine", None) or {}
    place = ours.get("run_state") or {  # MMEngine's tells it in meta
        key: meta[key] for key in ("epoch", "iter", "seed") if key in meta
    }
    parts: dict[str, Any] = {
        "place": {
            key: value for key, value in _timeless(place).items() if key not in _PHASES
        }
    }
    weights = left.pop("state_dict")
    if "ema_state_dict" in left:  # then the averages stand where weights do
        parts["weights"] = left.pop("ema_state_dict")
        parts["averages"] = weights
    else:
        parts["weights"] = weights
    for key, name in (("optimizer", "optimizer"), ("param_schedulers", "schedules")):
        if key in left:
            parts[name] = left.pop(key)
    hub = left.pop("message_hub", None)
    for key, value in ours.items():
        parts |= _split_ours(key, value)
    parts |= {str(key): _timeless(value) for key, value in left.items()}
    if "randomness" in ours:
        parts["generators"] = ours["randomness"]
    if hub is not None:
        parts["message hub"] = _timeless(hub)
    return parts


def _split_ours(key: str, value: Any) -> dict[str, Any]:
    """The parts that lie under one key of ``engine``."""
    if key in ("hooks", "parts"):
        return {
            f"{key.removesuffix('s')} {name!r}": _timeless(state)
            for name, state in value.items()
        }
    if key == "ranks":
        named = names_by_rank(value).items()
        return {rank: _of_the_run(entries) for rank, entries in named}
    if key in _NOT_THE_RUN or key == "randomness":
        return {}
    return {key: value}


def compare_checkpoints(one: Any, other: Any) -> Iterator[Difference]:
    """Each place where two checkpoints hold runs that are not the same.

    Args:
        one: What a file held.
        other: Likewise.
    """
    mine, theirs = split_parts(one), split_parts(other)
    for part, value in mine.items():
        if part in theirs:
            yield from find_differences(value, theirs[part], part=part)
        else:
            yield Difference(part, "", "only the first one has it")
    for part in theirs:
        if part not in mine:
            yield Difference(part, "", "only the second one has it")


def _of_the_run(entries: Mapping[str, Any]) -> dict[str, Any]:
    """What a rank has for itself by its place, without clock times and the like."""
    return {
        name: _timeless(value)
        for name, value in entries.items()
        if not TIMES.intersection(name.split("/"))
        and not any(f"{name}/".startswith(f"engine/{key}/") for key in _NOT_THE_RUN)
    }


def _timeless(tree: Any) -> Any:
    """The tree without entries that are named for clock times."""
    if isinstance(tree, Mapping):
        return {
            key: _timeless(value)
            for key, value in tree.items()
            if not (isinstance(key, str) and key.rpartition("/")[2] in TIMES)
        }
    return tree
