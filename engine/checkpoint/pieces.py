"""A checkpoint whose tensors lie over ranks: taken apart, and put together.

::

    checkpoint                      rest                       pieces of this rank
    ├── meta                        ├── meta
    ├── state_dict                  ├── state_dict
    │   ├── weight (over ranks)     │   ├── weight (meta)      "state_dict.weight"
    │   └── running_mean            │   └── running_mean
    └── optimizer ...               ├── optimizer ...          "optimizer.state.0..."
                                    └── shards                 (what is where)

The rest is an ordinary checkpoint file. In it a tensor of torch's ``meta`` device,
which has a shape and no numbers, stands for each that lies over ranks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from attrs import evolve, frozen

from engine.errors import CheckpointDamagedError, CheckpointError

if TYPE_CHECKING:
    from engine.checkpoint.frozen import HostCopy

__all__ = [
    "SHARDS",
    "Divided",
    "Layout",
    "MeshLayout",
    "Piece",
    "divide",
    "is_sharded",
    "join",
    "keep_part",
    "laid_as",
    "map_leaves",
    "missing_pieces",
]

SHARDS = "shards"
"""Key of a rest that tells what lies in which folder."""

_Path = tuple[Any, ...]


def is_sharded(value: Any) -> bool:
    """Whether it is a tensor that lies over ranks.

    Not by its class: importing torch's takes as long as all of ours.
    """
    return isinstance(value, torch.Tensor) and hasattr(value, "device_mesh")


@frozen(eq=False)
class Piece:
    """What this rank has of a tensor that lies over ranks.

    Args:
        path: Keys that lead to the tensor in its tree.
        shape: Of the whole tensor.
        dims: Along which of its dimensions each dimension of the ranks' mesh cuts it;
            ``None``: ranks along it have the same.
        offsets: Where this piece begins in the whole, one number for each dimension.
        local: The piece. Several ranks may have the same one, or an empty one.
    """

    path: _Path
    shape: tuple[int, ...]
    dims: tuple[int | None, ...]
    offsets: tuple[int, ...]
    local: torch.Tensor


@frozen(eq=False)
class Divided:
    """A checkpoint taken apart.

    Args:
        rest: The tree, with tensors of the ``meta`` device where pieces were.
        pieces: This rank's, by a name that is the same on all ranks.
    """

    rest: dict[str, Any]
    pieces: dict[str, Piece]

    def __getitem__(self, key: str) -> Any:
        """A part of the rest, as a checkpoint gives it."""
        return self.rest[key]

    def copied_into(self, host: HostCopy) -> Divided:
        """The same in memory of its own.

        Args:
            host: Keeps the memory for the next copy.
        """
        locals_ = {name: piece.local for name, piece in self.pieces.items()}
        copied = host.take({"rest": self.rest, "pieces": locals_})
        pieces = {
            name: evolve(piece, local=copied["pieces"][name])
            for name, piece in self.pieces.items()
        }
        return Divided(copied["rest"], pieces)


class Layout(Protocol):
    """How the tensors of a run lie on its ranks."""

    def empty(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        dims: Sequence[int | None],
    ) -> torch.Tensor:
        """Room for a tensor that was saved in pieces; its numbers are read into it.

        Args:
            shape: Of the whole tensor.
            dtype: Its dtype.
            dims: Along which dimensions it was cut when it was saved (``None``: whole).
        """


class MeshLayout:
    """Tensors that were saved in pieces, as a mesh of this run's ranks cuts them.

    Args:
        mesh: Of all ranks, one dimension.
    """

    def __init__(self, mesh: Any) -> None:
        self._mesh = mesh

    def empty(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        dims: Sequence[int | None],
    ) -> torch.Tensor:
        """Room for this rank's part.

        Args:
            shape: Of the whole tensor.
            dtype: Its dtype.
            dims: How it was cut when it was saved; the first dimension of that mesh
                that cut it decides.
        """
        from torch.distributed.tensor import Replicate, Shard, empty

        cut = next((dim for dim in dims if dim is not None), None)
        placement = Replicate() if cut is None else Shard(cut)
        made: torch.Tensor = empty(
            shape, dtype=dtype, device_mesh=self._mesh, placements=[placement]
        )
        return made


def divide(checkpoint: Mapping[str, Any]) -> Divided:
    """Take a checkpoint apart; nothing is copied.

    Args:
        checkpoint: Its tensors may lie over ranks, as FSDP2's do.

    Raises:
        CheckpointError: A tensor is a sum that ranks have not added up yet.
    """
    pieces: dict[str, Piece] = {}
    with torch.no_grad():  # what is seen of a tensor is then not tracked
        rest = _without_pieces(checkpoint, pieces)
    return Divided(rest, pieces)


def join(rest: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Any:
    """Put a checkpoint together.

    Args:
        rest: What :func:`divide` left, with its ``shards``; not changed.
        tensors: Whole ones, or this rank's, by their names.

    Raises:
        CheckpointDamagedError: A tensor is missing.
    """
    paths = {tuple(one["path"]): name for name, one in missing_pieces(rest).items()}
    absent = set(paths.values()) - set(tensors)
    if absent:
        message = f"the sharded tensors {sorted(absent)[:3]} are missing"
        raise CheckpointDamagedError(message)
    found = {path: tensors[name] for path, name in paths.items()}
    whole = _walk(rest, (), found.get)
    del whole[SHARDS]
    return whole


def missing_pieces(rest: Any) -> dict[str, Any]:
    """What a rest says of the tensors that it lacks, by name; empty for a whole one."""
    shards = rest.get(SHARDS) if isinstance(rest, Mapping) else None
    tensors = shards.get("tensors") if isinstance(shards, Mapping) else None
    return dict(tensors) if isinstance(tensors, Mapping) else {}


def map_leaves(tree: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a tree with each leaf replaced.

    Args:
        tree: Mappings, lists, tuples, and leaves; not changed.
        change: Takes a leaf, gives what stands in its place.
    """
    return _walk(tree, (), lambda _, value: change(value))


def laid_as(value: Any, like: Any) -> Any:
    """A whole tensor cut over ranks as another one of its shape is.

    Args:
        value: Anything else than a whole tensor stays as it is; not changed.
        like: Likewise, if this does not lie over ranks, or has another shape.
    """
    if not isinstance(value, torch.Tensor) or is_sharded(value) or not is_sharded(like):
        return value
    if value.shape != like.shape:
        return value
    from torch.distributed.tensor import empty

    made: torch.Tensor = empty(
        tuple(value.shape),
        dtype=value.dtype,
        device_mesh=like.device_mesh,
        placements=like.placements,
    )
    keep_part(made, value)
    return made


def keep_part(target: Any, whole: torch.Tensor) -> None:
    """Fill this rank's part of a tensor from a whole one.

    Args:
        target: A tensor that lies over ranks.
        whole: As large as it is; not changed.
    """
    (chunk,) = target.__create_chunk_list__()
    part = whole
    for dim, (begin, length) in enumerate(zip(chunk.offsets, chunk.sizes, strict=True)):
        part = part.narrow(dim, min(begin, whole.shape[dim]), length)
    local = target.to_local()
    if local.numel():
        local.copy_(part)


def _without_pieces(tree: Any, pieces: dict[str, Piece]) -> Any:
    alike: dict[Any, Piece] = {}

    def replace(path: _Path, value: Any) -> Any:
        if not is_sharded(value):
            return value
        if value.numel() == 0:  # nobody would write it
            return torch.empty(value.shape, dtype=value.dtype)
        name = ".".join(map(str, path))
        while name in pieces:  # {"a.b": ..., "a": {"b": ...}}
            name += "'"
        key = (value.shape, value.placements, id(value.device_mesh))
        like = alike.get(key)
        if like is None:  # a model's layers mostly are, and asking takes a while
            pieces[name] = alike[key] = _piece(path, value)
        else:
            local = value.to_local().detach()
            pieces[name] = evolve(like, path=path, local=local)
        return torch.empty(value.shape, dtype=value.dtype, device="meta")

    return _walk(tree, (), replace)


def _piece(path: _Path, value: Any) -> Piece:
    dims: list[int | None] = []
    for placement in value.placements:
        if not placement.is_shard() and not placement.is_replicate():
            where = "".join(f"[{key!r}]" for key in path)
            message = (
                f"checkpoint{where}: ranks have summands of this tensor "
                f"({placement}), which cannot be saved: add them up before "
                "(DTensor.redistribute)."
            )
            raise CheckpointError(message)
        dims.append(placement.dim if placement.is_shard() else None)
    (chunk,) = value.__create_chunk_list__()
    return Piece(
        path=path,
        shape=tuple(value.shape),
        dims=tuple(dims),
        offsets=tuple(chunk.offsets),
        local=value.to_local().detach(),
    )


def _walk(value: Any, path: _Path, leaf: Callable[[_Path, Any], Any]) -> Any:
    """A copy of the tree with each leaf replaced by what ``leaf`` makes of it."""
    if isinstance(value, OrderedDict):
        ordered = OrderedDict((k, _walk(v, (*path, k), leaf)) for k, v in value.items())
        vars(ordered).update(vars(value))  # torch's _metadata of a state dict
        return ordered
    if type(value) is dict:
        return {k: _walk(v, (*path, k), leaf) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(
            _walk(one, (*path, index), leaf) for index, one in enumerate(value)
        )
    return leaf(path, value)
