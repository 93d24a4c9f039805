"""Compare engine.dist with MMEngine's, as a black box, on the same two and three ranks.

Not collected by pytest: MMEngine is not installed where the tests run. ``make oracle``
runs it where it is. One group serves both, so each call is made with either on the same
data: what they return, and what they leave in the data.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import tempfile
from typing import Any

import mmengine.dist as theirs
import torch
from torch import distributed

import engine.dist as ours

CASES = 150
SHAPES = ((), (1,), (4,), (2, 3))
WHOLE = (torch.int64, torch.int32, torch.uint8)
FLOATS = (torch.float32, torch.float64, torch.float16)
NAMES = (
    *("all_reduce", "all_gather", "gather", "broadcast", "all_reduce_dict"),
    *("all_reduce_params", "collect_results", "broadcast_object_list"),
    *("gather_object", "all_gather_object", "cast_data_device"),
)


def plain(value: Any) -> Any:
    """Something that compares by value and type."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def call(
    chance: random.Random, rank: int, world: int
) -> tuple[str, Any, tuple[Any, ...]]:
    """A function's name, how to make this rank's data, and the other arguments."""
    name = chance.choice(NAMES)
    seed, kinds = chance.randrange(10**6), chance.choice([WHOLE, FLOATS])
    specs = [(chance.choice(kinds), chance.choice(SHAPES)) for _ in range(3)]
    op = chance.choice(["sum", "mean", "product", "min", "max"])
    other = chance.randrange(world)

    def one(index: int) -> torch.Tensor:
        dtype, shape = specs[index]
        generator = torch.Generator().manual_seed(seed + 10 * rank + index)
        low = 0 if dtype is torch.uint8 else -4
        return torch.randint(low, 5, shape, generator=generator).to(dtype)

    if name == "all_reduce":
        return name, lambda: one(0), (op,)
    if name in {"gather", "broadcast"}:
        return name, lambda: one(0), (other,)
    if name == "all_gather":
        return name, lambda: one(0), ()
    if name == "all_reduce_dict":
        return name, lambda: {"b": one(0), "a": one(1), "c": one(2)}, (op,)
    if name == "all_reduce_params":
        more = (chance.random() < 0.5, chance.choice([-1, 1]), op)
        return name, lambda: [one(0), one(1), one(2)], more
    if name == "collect_results":
        size = chance.randrange(1, 4 * world)
        padded = list(range(size)) + [0] * (-size % world)
        return name, lambda: padded[rank::world], (size, chance.choice(["cpu", "gpu"]))
    if name == "cast_data_device":
        return name, lambda: {"a": [one(0), (one(1),)]}, (torch.device("cpu"),)
    if name == "broadcast_object_list":
        return name, lambda: [rank, {"text": "x" * rank}], (other,)
    return name, lambda: {"rank": rank}, (other,) if name == "gather_object" else ()


def on_rank(rank: int, world: int, folder: str) -> None:
    """What a process does."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world
    )
    chance = random.Random(world)
    for number in range(CASES):
        name, make, more = call(chance, rank, world)
        found = []
        for side in (ours, theirs):
            data = make()
            result = getattr(side, name)(data, *more)
            found.append((plain(result), plain(data)))
        assert found[0] == found[1], f"case {number}: {name}{more}: {found}"
    for name in ("get_dist_info", "get_backend", "get_comm_device", "is_distributed"):
        assert getattr(ours, name)() == getattr(theirs, name)(), name
    distributed.barrier()
    distributed.destroy_process_group()


def main() -> None:
    """Compare at both sizes."""
    missing = [name for name in theirs.__all__ if not hasattr(ours, name)]
    for world in (2, 3):
        with tempfile.TemporaryDirectory() as folder:
            ranks = [
                multiprocessing.Process(target=on_rank, args=(rank, world, folder))
                for rank in range(world)
            ]
            for one in ranks:
                one.start()
            for one in ranks:
                one.join()
            if any(one.exitcode for one in ranks):
                sys.exit(1)
    print(f"{CASES} calls on 2 and on 3 ranks gave the same; missing: {missing}")  # noqa: T201
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
