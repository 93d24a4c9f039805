"""DDP by its strategy: its settings, and what ranks agree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from engine.build import build_strategy, unwrap
from engine.checkpoint import find_differences
from engine.errors import ConfigError
from engine.model import (
    MMDistributedDataParallel,
    MMSeparateDistributedDataParallel,
)
from engine.optim import OptimWrapper
from engine.strategies import DDPStrategy, FSDP2Strategy, Strategy
from tests.distributed.nets import Net, make_runner, whole_state
from tests.ranks import run_commands, run_ranks

pytestmark = pytest.mark.distributed

ROOT = Path(__file__).parents[2]


def _inputs(rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(4, 6, generator=generator), torch.arange(4) % 3


def _grads(strategy: Strategy) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = strategy.wrap(Net())
    inputs, labels = _inputs(distributed.get_rank())
    for _ in range(4):  # the first ones of PowerSGD it does not compress
        model.zero_grad()
        model(inputs, labels, mode="loss")["loss"].backward()
    found = {name: one.grad for name, one in unwrap(model).named_parameters()}
    return {name: grad.clone() for name, grad in found.items() if grad is not None}


def _compressed() -> list[dict[str, torch.Tensor]]:
    power = {"type": "powersgd", "start_powerSGD_iter": 2, "min_compression_rate": 1}
    return [
        _grads(DDPStrategy(gradient_compression=how))
        for how in (None, "fp16", "bf16", power)
    ]


def test_gradients_may_be_sent_in_fewer_bits() -> None:
    """All ranks have the same, which are nearly those that are sent whole."""
    first, second = run_ranks(_compressed, 2)
    for one, other in zip(first, second, strict=True):
        assert list(find_differences(one, other)) == []
    whole, *others = first
    for one, tolerance in zip(others, (1e-3, 1e-2, 1.0), strict=True):
        torch.testing.assert_close(one, whole, atol=tolerance, rtol=tolerance)
        assert list(find_differences(one, whole)) != []


def _power_resumed(folder: str) -> list[str]:
    power = {"type": "powersgd", "start_powerSGD_iter": 2, "min_compression_rate": 1}
    settings: dict[str, Any] = {
        "strategy": {"type": "ddp", "gradient_compression": power},
        "train_cfg": {"by_epoch": False, "max_iters": 6},
    }
    whole = whole_state(unwrap(make_runner(f"{folder}/a", **settings).train()))
    start = f"{folder}/a/iter_4.pth"
    again = make_runner(f"{folder}/b", load_from=start, resume="exact", **settings)
    return [
        str(one) for one in find_differences(whole, whole_state(unwrap(again.train())))
    ]


def test_what_compression_left_out_is_resumed(tmp_path: Path) -> None:
    """PowerSGD adds its errors to the next gradients; each rank has its own."""
    assert run_ranks(_power_resumed, 2, str(tmp_path)) == [[], []]


def _kinds() -> list[str]:
    found = []
    for options in (
        {"sync_bn": "torch"},
        {},
        {
            "wrapper": "MMSeparateDistributedDataParallel",
            "gradient_compression": "fp16",
        },
        {"broadcast_buffers": True, "find_unused_parameters": True},
    ):
        model: Any = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))
        try:
            wrapped: Any = DDPStrategy(**options).wrap(model)
        except ConfigError as error:
            found.append(str(error))
            continue
        inner: Any = unwrap(wrapped)
        found.append(f"{type(wrapped).__name__} {type(inner[1]).__name__}")
        if isinstance(wrapped, MMSeparateDistributedDataParallel):
            continue
        unused = wrapped.find_unused_parameters
        found.append(f"{wrapped.broadcast_buffers} {unused}")
    return found


def test_settings_reach_the_wrapper() -> None:
    """DDP's own arguments, and a wrapper by its name; a CPU has no SyncBatchNorm."""
    assert run_ranks(_kinds, 2)[0] == [
        (
            "sync_bn='torch': SyncBatchNorm works on GPUs alone, and the model is on "
            "the CPU: drop sync_bn there"
        ),
        "MMDistributedDataParallel BatchNorm1d",
        "False False",
        "MMSeparateDistributedDataParallel MMDistributedDataParallel",
        "MMDistributedDataParallel BatchNorm1d",
        "True True",
    ]


def _shared_weights() -> bool:
    """Whether ranks that drew other weights have rank 0's afterwards."""
    rank = distributed.get_rank()
    strategy = DDPStrategy()
    torch.manual_seed(rank)
    model: Any = strategy.wrap(Net())
    torch.manual_seed(10 + rank)
    with strategy.initializing(model):
        model.module.init_weights()
    expected = Net()
    expected.load_state_dict(unwrap(model).state_dict())
    torch.manual_seed(10)
    expected.init_weights()
    return (
        list(find_differences(whole_state(expected), whole_state(model.module))) == []
    )


def test_all_ranks_begin_with_rank_0s_weights() -> None:
    """Also after ``init_weights``, whatever each has drawn."""
    assert run_ranks(_shared_weights, 2) == [True, True]


def _accumulated(folder: str, counts: int, batch: int) -> dict[str, torch.Tensor]:
    runner = make_runner(
        folder,
        strategy="ddp",
        optim_wrapper={
            "optimizer": {"type": "SGD", "lr": 0.5},
            "accumulative_counts": counts,
        },
        train_dataloader={
            "dataset": [
                {"inputs": row, "data_samples": label}
                for row, label in zip(*_inputs(3), strict=True)
            ],
            "batch_size": batch,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"max_epochs": 1},
        default_hooks={"checkpoint": None},
    )
    return whole_state(unwrap(runner.train()))


def _both(folder: str) -> tuple[Any, Any]:
    return (
        _accumulated(f"{folder}/1", 1, 2),
        _accumulated(f"{folder}/2", 2, 1),
    )


def test_a_window_of_accumulation_is_one_batch(tmp_path: Path) -> None:
    """Ranks agree at its end alone, on the mean over all of it."""
    for one, other in run_ranks(_both, 2, str(tmp_path)):
        torch.testing.assert_close(one, other)


# -- what a config says ------------------------------------------------------------


def test_a_strategy_by_name_spec_and_object() -> None:
    """And without: DDP where there are several processes."""
    assert isinstance(build_strategy(None), DDPStrategy)
    assert isinstance(build_strategy("fsdp2"), FSDP2Strategy)
    assert isinstance(build_strategy({"type": "DDPStrategy"}), DDPStrategy)
    mine = Strategy()
    assert build_strategy(mine) is mine


@pytest.mark.parametrize(
    ("spec", "others", "match"),
    [
        ("fsdp2", {"sync_bn": "torch"}, "are settings of the strategy 'ddp'"),
        (
            None,
            {"model_wrapper_cfg": {"type": "mmengine.MMFullyShardedDataParallel"}},
            r"is not here. Write strategy=dict\(type='FSDP2Strategy'",
        ),
        (3, {}, "expected 'ddp', 'fsdp2', 'single', a spec, or a Strategy, found"),
        ({"type": "torch.nn.ReLU"}, {}, "a Strategy, found a ReLU"),
        (
            {"type": "ddp", "gradient_compression": "fp8"},
            {},
            "gradient_compression: found 'fp8', allowed: fp16, bf16, powersgd",
        ),
        (
            {"type": "ddp", "gradient_compression": {"type": "fp16", "rank": 1}},
            {},
            r"'fp16' takes no \['rank'\]",
        ),
    ],
)
def test_what_is_no_strategy_is_refused(spec: Any, others: Any, match: str) -> None:
    """When it is built, not when the first gradient is sent."""
    with pytest.raises(ConfigError, match=match):
        build_strategy(spec, **others)


def _alone() -> str:
    with pytest.raises(ConfigError) as caught:
        build_strategy("single").wrap(Net())
    wrapped = MMDistributedDataParallel(Net())
    assert build_strategy("single").wrap(wrapped) is wrapped
    return str(caught.value)


def test_one_process_is_no_strategy_for_two() -> None:
    """Each would train a model of its own."""
    for said in run_ranks(_alone, 2):
        assert "SingleStrategy is for one process: 2 ranks would train" in said


def _unused() -> list[str]:
    model = Net()
    model.spare = nn.Linear(2, 2)
    wrapper = MMDistributedDataParallel(model)
    inputs, labels = _inputs(distributed.get_rank())
    data = {"inputs": inputs, "data_samples": labels}
    optimizer = OptimWrapper(torch.optim.SGD(wrapper.parameters(), lr=0.1))
    wrapper.train_step(data, optimizer)
    with pytest.raises(RuntimeError, match="Expected to have finished") as caught:
        wrapper.train_step(data, optimizer)
    return caught.value.__notes__


def test_parameters_without_a_gradient_are_named() -> None:
    """And the setting that lets them be."""
    for (note,) in run_ranks(_unused, 2):
        assert "does not depend on spare.weight, spare.bias. If" in note
        assert "find_unused_parameters=True" in note


def test_the_composed_example_resumes_exactly(tmp_path: Path) -> None:
    """On each rank, with DDP as torch has it and metrics as Ignite has them."""
    example = ROOT / "docs" / "examples" / "composed_ranks.py"
    done = run_commands(3, example, tmp_path, cwd=tmp_path)
    told = "\n".join(one.stdout + one.stderr for one in done)
    assert [one.returncode for one in done] == [0, 0, 0], told
    assert done[0].stdout.startswith("accuracy 0.9")
    for rank, one in enumerate(done):
        assert f"rank {rank} is bit-equal after 68 iterations" in one.stdout, told
