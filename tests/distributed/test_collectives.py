"""What ranks do together gives what one process computes from all their data.

Each rank knows every rank's data (it is drawn from a seed), so each checks for itself
what it got. Many cases share one group, for processes cost more than messages.
"""

from __future__ import annotations

import functools
import operator
import random
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, distributed

from engine import dist
from engine.errors import StateError
from tests.ranks import run_ranks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.distributed

CASES = 60
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
DTYPES = (*WHOLE, *FLOATS, torch.complex64)
SHAPES = ((), (0,), (1,), (5,), (2, 3), (2, 1, 4))


def drawn(
    case: int, rank: int, *, dtype: torch.dtype, shape: tuple[int, ...]
) -> Tensor:
    """A rank's tensor: small whole numbers, of which sums are exact in any order."""
    generator = torch.Generator().manual_seed(1000 * case + rank)
    low = 0 if dtype in {torch.uint8, torch.bool} else -4
    values = torch.randint(low, 5, shape, generator=generator).to(dtype)
    # Every second one with strides of its own.
    return values.transpose(0, -1) if shape and case % 2 else values


def reduced(op: str, parts: list[Tensor]) -> Tensor:
    """The reduction by its definition."""
    if op == "mean":
        total = reduced("sum", parts)
        if total.dtype is torch.bool:
            return total
        if total.is_floating_point() or total.is_complex():
            return total / len(parts)
        return total.div(len(parts), rounding_mode="trunc")
    if parts[0].dtype is torch.bool:
        name = {"sum": "or_", "product": "and_", "min": "and_", "max": "or_"}.get(op)
        op = {"band": "and_", "bor": "or_", "bxor": "xor"}.get(op, op)
        return functools.reduce(getattr(operator, name or op), parts)
    pairs: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "sum": torch.add,
        "product": torch.mul,
        "min": torch.minimum,
        "max": torch.maximum,
        "band": torch.bitwise_and,
        "bor": torch.bitwise_or,
        "bxor": torch.bitwise_xor,
    }
    return functools.reduce(pairs[op], parts)


def ops_of(dtype: torch.dtype) -> list[str]:
    """The reductions that a type has."""
    if dtype.is_complex:
        return ["sum", "mean"]
    bits = ["band", "bor", "bxor"] if dtype in WHOLE else []
    return ["sum", "mean", "product", "min", "max", *bits]


def tensors(group: Any, ranks: list[int]) -> list[str]:
    """Collectives on one tensor."""
    wrong: list[str] = []
    chance = random.Random(0)
    for case in range(CASES):
        kind: dict[str, Any] = {
            "dtype": chance.choice(DTYPES),
            "shape": chance.choice(SHAPES),
        }
        op = chance.choice(ops_of(kind["dtype"]))
        chosen = chance.choice(ranks)
        parts = [drawn(case, rank, **kind) for rank in ranks]
        me = dist.get_rank()

        def mine(case: int = case, kind: Any = kind) -> Tensor:
            return drawn(case, dist.get_rank(), **kind)

        def check(
            name: str,
            found: list[Tensor],
            right: list[Tensor],
            kind: Any = kind,
            op: str = op,
        ) -> None:
            same = len(found) == len(right) and all(
                one.dtype == other.dtype and torch.equal(one, other)
                for one, other in zip(found, right, strict=True)
            )
            if not same:
                wrong.append(f"{name} {op} {kind}: {found}, not {right}")

        data = mine()
        dist.all_reduce(data, op, group)
        check("all_reduce", [data], [reduced(op, parts)])
        check("all_gather", dist.all_gather(mine(), group), parts)
        right = parts if me == chosen else []
        check("gather", dist.gather(mine(), chosen, group), right)
        data = mine()
        dist.broadcast(data, chosen, group)
        check("broadcast", [data], [parts[ranks.index(chosen)]])
    return wrong


def many(group: Any, ranks: list[int]) -> list[str]:
    """Reductions of many tensors: each is as if it were alone."""
    wrong: list[str] = []
    chance = random.Random(1)
    for case in range(CASES // 3):
        kinds: list[dict[str, Any]] = [
            {"dtype": chance.choice((*WHOLE[:5], *FLOATS)), "shape": shape}
            for shape in chance.choices(SHAPES, k=chance.randint(0, 5))
        ]
        op = chance.choice(["sum", "mean", "min", "max"])
        sizes: dict[str, Any] = chance.choice(
            [{}, {"coalesce": False}, {"bucket_size_mb": 1e-5}, {"bucket_size_mb": 25}]
        )
        parts = [
            [drawn(case + i, rank, **kind) for rank in ranks]
            for i, kind in enumerate(kinds)
        ]
        data = [one[ranks.index(dist.get_rank())].clone() for one in parts]
        dist.all_reduce_params(iter(data), op=op, group=group, **sizes)
        for found, each in zip(data, parts, strict=True):
            if not torch.equal(found, reduced(op, each)):
                wrong.append(f"all_reduce_params {op} {kinds} {sizes}: {found}")
        named = {
            f"value {i}": one[ranks.index(dist.get_rank())]
            for i, one in enumerate(parts)
        }
        if dist.get_rank() == ranks[-1]:  # names in another order
            named = dict(reversed(named.items()))
        dist.all_reduce_dict(named, op, group)
        empty = [torch.zeros(0, dtype=kind["dtype"]) for kind in kinds]
        for i, each in enumerate(parts):
            alone = len(ranks) == 1  # then nothing is sent, and nothing changed
            one_type = each[0].dtype if alone else torch.cat(empty).dtype
            right = reduced(op, [one.to(one_type) for one in each])
            found = named[f"value {i}"]
            if found.dtype != one_type or not torch.equal(found, right):
                wrong.append(f"all_reduce_dict {op} {kinds}: {found}, not {right}")
    return wrong


def objects(group: Any, ranks: list[int]) -> list[str]:
    """Collectives on objects of any size."""
    wrong: list[str] = []
    chance = random.Random(2)
    me = dist.get_rank()
    for case in range(CASES // 6):
        chosen = chance.choice(ranks)
        parts = [{"rank": rank, "text": "x" * (case * rank)} for rank in ranks]
        mine = parts[ranks.index(me)]
        if dist.all_gather_object(mine, group) != parts:
            wrong.append("all_gather_object")
        if dist.gather_object(mine, chosen, group) != (parts if me == chosen else None):
            wrong.append("gather_object")
        data: list[Any] = [mine, me]
        dist.broadcast_object_list(data, chosen, group)
        if data != [parts[ranks.index(chosen)], chosen]:
            wrong.append("broadcast_object_list")
    return wrong


def results(folder: Path) -> list[str]:
    """Results in the order of the samples, for all sizes and both ways."""
    rank, world = dist.get_dist_info()
    wrong = []
    for size in range(2 * world + 2):
        padded = list(range(size)) + [0] * (-size % world)
        right = list(range(size)) if rank == 0 else None
        for how in ({}, {"tmpdir": str(folder)}, {"device": "gpu"}):
            found = dist.collect_results(padded[rank::world], size, **how)
            if found != right:
                wrong.append(f"collect_results of {size} {how}: {found}")
    return wrong


def facts() -> list[str]:
    """Who is who."""
    rank, world = dist.get_dist_info()
    found = {
        "is_distributed": dist.is_distributed(),
        "backend": dist.get_backend() == "gloo",
        "device": dist.get_comm_device() == torch.device("cpu"),
        "main": dist.is_main_process() == (rank == 0),
        "master_only": dist.master_only(lambda: 5)() == (5 if rank == 0 else None),
        "local": (dist.get_local_rank(), dist.get_local_size()) == (rank, world),
        "seeds": len(set(dist.all_gather_object(dist.sync_random_seed()))) == 1,
        "default": dist.get_default_group() is distributed.group.WORLD,
    }
    dist.barrier()
    return [name for name, good in found.items() if not good]


def local_groups() -> list[str]:
    """Two machines of one rank, then one of two: as many local groups."""
    try:
        dist.get_local_group()
    except StateError:
        dist.init_local_group(dist.get_rank(), 1)
    else:
        return ["there was a local group before"]
    value = torch.ones(1)
    dist.all_reduce(value, group=dist.get_local_group())
    found = (dist.get_local_rank(), dist.get_local_size(), value.item())
    return [] if found == (0, 1, 1) else [f"local group: {found}"]


def all_laws(folder: Path) -> list[str]:
    """On a rank: what does not hold."""
    world = dist.get_world_size()
    everyone = list(range(world))
    wrong = [*tensors(None, everyone), *many(None, everyone), *objects(None, everyone)]
    wrong += [*results(folder), *facts()]
    if world > 2:
        some = everyone[1:]
        group = distributed.new_group(some)
        if dist.get_rank() in some:
            wrong += [*tensors(group, some), *many(group, some), *objects(group, some)]
            if dist.get_dist_info(group) != (some.index(dist.get_rank()), len(some)):
                wrong.append("get_dist_info of a group")
        elif dist.get_world_size(group) != -1:
            wrong.append("a group that this rank is not in")
    return [*wrong, *local_groups()]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_get_what_one_process_computes(world: int, tmp_path: Path) -> None:
    """Over types, shapes, strides, operations, groups and sizes."""
    for rank, wrong in enumerate(run_ranks(all_laws, world, tmp_path)):
        assert wrong == [], f"rank {rank}"


def test_a_process_alone_needs_no_group(tmp_path: Path) -> None:
    """The same laws hold at world size 1, without a process group."""
    assert tensors(None, [0]) + many(None, [0]) + objects(None, [0]) == []
    assert results(tmp_path) == []
    dist.barrier()
    assert not dist.is_distributed()
    assert dist.get_backend() is None
    assert dist.get_default_group() is None
    assert dist.get_local_group() is None
    assert (dist.get_local_rank(), dist.get_local_size()) == (0, 1)
    assert dist.master_only(lambda: 5)() == 5
    assert 0 <= dist.sync_random_seed() < 2**31
