"""What the ranks of a run have each for itself, in the one checkpoint of all.

Most of a run's state is the same on all ranks: weights and optimizer, where gradients
are reduced, and the place. What is not (generators, running statistics of batch
normalization, gradients of an open accumulation window, histories of the rank's own
losses, what metrics have gathered) is found by comparing digests with rank 0's, and
only that travels. Rank 0's checkpoint holds it as one *patch* for each rank: which
entries of the tree are others there. A run on as many ranks applies each rank's own.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from torch import distributed, nn

from engine.checkpoint.pieces import is_sharded
from engine.dist import control_group, gather_on_main, get_rank, get_world_size
from engine.state import Exactness, PartReport

__all__ = ["entries", "gather_ranks", "names_by_rank", "of_rank", "patch_of"]

Path = tuple[Any, ...]
FORMAT = 1

# Rank 0's, whatever the others have: facts of the run and its files, and of a machine.
_OURS = ("environment", "format", "run_state")
_MAIN_ONLY = frozenset({("meta",), *(("engine", name) for name in _OURS)})
_REPLICATED = frozenset({("optimizer",), ("param_schedulers",)})
_SMALL_BYTES = 1 << 16  # tensors up to that size are hashed, larger ones summed up
_ROWS_AT_ONCE = 1 << 10  # of 8 KiB each: what is multiplied stays in the cache
# Odd, so that no bit of a word is lost, and any: they are the same on all ranks.
_WEIGHTS = torch.tensor(
    [(2 * one + 1) * 0x9E3779B97F4A7C15 % (1 << 63) | 1 for one in range(1024)]
)


def gather_ranks(
    checkpoint: dict[str, Any],
    model: nn.Module | None = None,
    *,
    reduced: AbstractSet[int] = frozenset(),
    group: Any = None,
) -> None:
    """Put into rank 0's checkpoint what the other ranks have otherwise.

    All ranks call it, each with what it has captured at the same safe point.

    Args:
        checkpoint: Rank 0's gets ``engine.ranks``; the others' are not changed.
        model: Names the parameters; ``None``: there is no model.
        reduced: Ids of the parameters whose gradients DDP makes equal: those are
            equal by construction and not looked at; nor is the optimizer, if all that
            is trained are.
        group: Process group of all ranks with a CPU backend; ``None``: the one by
            which ranks agree.
    """
    if get_world_size() == 1:
        return
    group = control_group() if group is None else group
    leaves, digests = entries(checkpoint, model, reduced=reduced)
    told = [digests if get_rank() == 0 else None]
    distributed.broadcast_object_list(told, src=0, group=group)
    main = told[0]
    assert main is not None
    patches = gather_on_main(patch_of(leaves, digests, main), group)
    if patches is not None:
        checkpoint["engine"]["ranks"] = {"format": FORMAT, "patches": patches}


def entries(
    checkpoint: Mapping[str, Any], model: nn.Module | None, *, reduced: AbstractSet[int]
) -> tuple[dict[Path, Any], dict[Path, bytes]]:
    """What of a checkpoint may differ between ranks, and its digests, by place.

    Args:
        checkpoint: As this rank has captured it.
        model: As for :func:`gather_ranks`.
        reduced: Likewise.
    """
    skipped = _MAIN_ONLY
    if model is not None and reduced:
        trained = [one for one in model.parameters() if one.requires_grad]
        if all(id(one) in reduced for one in trained):
            skipped |= _REPLICATED
        skipped |= {
            ("state_dict", name)
            for name, one in model.named_parameters()
            if id(one) in reduced
        }
    leaves = dict(_leaves(checkpoint, skipped))
    return leaves, {path: _digest(value) for path, value in leaves.items()}


def patch_of(
    leaves: Mapping[Path, Any],
    digests: Mapping[Path, bytes],
    main: Mapping[Path, bytes],
) -> dict[str, Any]:
    """What a rank has otherwise than rank 0.

    Args:
        leaves: The rank's entries by place.
        digests: Theirs.
        main: Those of rank 0's.
    """
    return {
        "set": [
            [list(path), _on_host(value)]
            for path, value in leaves.items()
            if main.get(path) != digests[path]
        ],
        "drop": [list(path) for path in main if path not in leaves],
    }


def of_rank(
    checkpoint: Mapping[str, Any],
) -> tuple[dict[str, Any], list[PartReport]]:
    """The checkpoint as this rank has it, and what cannot be had as it was.

    Args:
        checkpoint: As rank 0 wrote it; it is not changed.
    """
    ours = dict(checkpoint["engine"])
    ranks = ours.pop("ranks", None)
    patches = [{"set": [], "drop": []}] if ranks is None else ranks["patches"]
    mine = {**checkpoint, "engine": ours}
    world = get_world_size()
    if len(patches) == world:
        return _patched(mine, patches[get_rank()]), []
    if ours["gradients"] is not None:
        each = [_patched(mine, one)["engine"]["gradients"] for one in patches]
        ours["gradients"] = _mean(each)
    why = (
        f"it was saved by {_count(len(patches))} and goes on with {_count(world)}: "
        "each has rank 0's generators and running statistics, and the mean of an open "
        "window's gradients; weights agree as far as the order of sums lets them"
    )
    return mine, [PartReport("ranks", Exactness.BEST_EFFORT, why)]


def names_by_rank(ranks: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each rank has otherwise than rank 0, by the entry's name.

    Args:
        ranks: What a checkpoint holds under ``engine.ranks``.
    """
    return {
        f"rank {rank}": {
            **{"/".join(map(str, path)): value for path, value in patch["set"]},
            **{"/".join(map(str, path)): "not there" for path in patch["drop"]},
        }
        for rank, patch in enumerate(ranks["patches"])
    }


def _count(ranks: int) -> str:
    return "one process" if ranks == 1 else f"{ranks} ranks"


def _leaves(
    tree: Any, skipped: frozenset[Path], path: Path = ()
) -> Iterator[tuple[Path, Any]]:
    """What lies in nested mappings, and not over ranks; lists are leaves."""
    if path in skipped:
        return
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, skipped, (*path, key))
    elif not _is_elsewhere(tree):
        yield path, tree


def _is_elsewhere(value: Any) -> bool:
    """Whether it lies over ranks, or stood for that: each rank writes its own piece."""
    return is_sharded(value) or (isinstance(value, torch.Tensor) and value.is_meta)


def _digest(value: Any) -> bytes:
    found = hashlib.blake2b(digest_size=12)
    _feed(found, value)
    return found.digest()


def _feed(found: Any, value: Any) -> None:
    if _is_elsewhere(value):  # in a list
        found.update(f"{value.dtype}{tuple(value.shape)}".encode())
    elif isinstance(value, torch.Tensor):
        dense = value.detach()
        if dense.layout is not torch.strided:
            dense = dense.to_dense()
        found.update(f"{value.dtype}{tuple(value.shape)}{value.layout}".encode())
        flat = dense.contiguous().reshape(-1).view(torch.uint8)
        if flat.storage_offset() % 8:  # of a slice: words could not be seen in it
            flat = flat.clone()
        if flat.numel() <= _SMALL_BYTES:
            found.update(flat.cpu().numpy().tobytes())
        else:
            found.update(_fingerprint(flat))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            found.update(repr(key).encode())
            _feed(found, one)
    elif isinstance(value, list | tuple):
        found.update(f"{type(value).__name__}{len(value)}".encode())
        for one in value:
            _feed(found, one)
    else:
        found.update(repr(value).encode())


def _fingerprint(flat: torch.Tensor) -> bytes:
    """Of many bytes, where they are: weighted sums that run as fast as memory does.

    Weights tell the same numbers in another order apart, as of a permutation; that of
    a column by what stands in it, that of a row by hashing the rows' sums in order.
    """
    row = _WEIGHTS.numel() * 8
    whole = flat.numel() // row * row
    weights = _WEIGHTS.to(flat.device)
    rows = flat[:whole].view(torch.int64).view(-1, weights.numel())
    sums = [
        (rows[at : at + _ROWS_AT_ONCE] * weights).sum(1)
        for at in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return (
        torch.cat(sums).cpu().numpy().tobytes() + flat[whole:].cpu().numpy().tobytes()
    )


def _on_host(value: Any) -> Any:
    """For the way through the control group; tensors that are views lose their base."""
    if _is_elsewhere(value):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, list):
        return [_on_host(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _on_host(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_on_host(one) for one in value)
    return value


def _patched(tree: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with a patch applied; shares what is not changed."""
    result = dict(tree)
    for path in patch["drop"]:
        inner = _opened(result, path[:-1])
        inner.pop(path[-1], None)
    for path, value in patch["set"]:
        _opened(result, path[:-1])[path[-1]] = value
    return result


def _opened(tree: dict[Any, Any], path: list[Any]) -> dict[Any, Any]:
    """The mapping at a path, after each on the way was copied."""
    for key in path:
        inner = tree.get(key)
        copied = inner.copy() if isinstance(inner, dict) else {}
        if isinstance(inner, OrderedDict):
            vars(copied).update(vars(inner))  # torch's _metadata of a state dict
        tree[key] = copied
        tree = copied
    return tree


def _mean(trees: list[Any]) -> Any:
    """The mean of the tensors at each place of trees of one shape."""
    first = trees[0]
    if is_sharded(first):
        return first
    if isinstance(first, torch.Tensor):
        return torch.stack(trees).mean(0)
    if isinstance(first, Mapping):
        return {key: _mean([one[key] for one in trees]) for key in first}
    if isinstance(first, list):
        return [_mean(list(some)) for some in zip(*trees, strict=True)]
    return first
