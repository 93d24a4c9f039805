"""FSDP2: the same run as in one process, with each rank keeping a part of it."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from engine.build import build_model, unwrap
from engine.checkpoint import (
    compare_checkpoints,
    find_differences,
    is_sharded,
    read,
)
from engine.cli.ckpt import verify as verify_command
from engine.errors import (
    CheckpointError,
    ConfigError,
    ModelError,
    RunInterrupted,
)
from engine.events import Events
from engine.hooks import CheckpointHook
from engine.model import ExponentialMovingAverage, ImgDataPreprocessor, StepModel
from engine.optim import clip_grad_norm
from engine.registry import STRATEGIES
from engine.state import seed_everything
from engine.strategies import FSDP2Strategy, Strategy
from tests.distributed.nets import FEATURES, Block, Net, make_runner, whole_state
from tests.ranks import run_commands, run_ranks

pytestmark = pytest.mark.distributed

ROOT = Path(__file__).parents[2]
BLOCKS = {"type": "FSDP2Strategy", "modules": "blocks.*"}


# -- a run, stopped and resumed ----------------------------------------------------


def _trained(folder: str, **settings: Any) -> tuple[Any, dict[str, Any]]:
    runner = make_runner(folder, strategy=BLOCKS, **settings)
    return runner, whole_state(runner.train())


def _resumed(folder: str, cuts: list[int], settings: dict[str, Any]) -> list[str]:
    """Differences between a run and the same one resumed after some iterations."""
    _, whole = _trained(f"{folder}/whole", **settings)
    found = []
    for cut in cuts:
        start = f"{folder}/whole/iter_{cut}.pth"
        _, again = _trained(
            f"{folder}/{cut}", load_from=start, resume="exact", **settings
        )
        found += [f"from {cut}: {one}" for one in find_differences(whole, again)]
    return found


def test_a_resumed_run_is_bit_equal(tmp_path: Path) -> None:
    """Between windows of accumulation and inside one; saved in pieces."""
    optim = {
        "optimizer": {"type": "AdamW", "lr": 0.01},
        "clip_grad": {"max_norm": 0.5},
        "accumulative_counts": 2,
    }
    settings = {
        "optim_wrapper": optim,
        "train_cfg": {"by_epoch": False, "max_iters": 4},
    }
    assert run_ranks(_resumed, 3, str(tmp_path), [2, 3], settings) == [[]] * 3


def _stopped(folder: str) -> list[str]:
    """A signal to one rank: all save their pieces, and go on from there."""
    settings: dict[str, Any] = {
        "train_cfg": {"by_epoch": False, "max_iters": 8},
        "default_hooks": {"checkpoint": None},
    }
    _, whole = _trained(f"{folder}/whole", **settings)
    runner = make_runner(f"{folder}/stopped", strategy=BLOCKS, **settings)

    def stop() -> None:
        if runner.state.iteration == 2 and torch.distributed.get_rank() == 1:
            signal.raise_signal(signal.SIGTERM)

    runner.trainer.add_event_handler(Events.ITERATION_COMPLETED, stop)
    with pytest.raises(RunInterrupted):
        runner.train()
    saved = sorted(Path(folder, "stopped").glob("stopped_iter_*.dcp"))
    _, again = _trained(f"{folder}/stopped", resume="exact", **settings)
    found = [str(one) for one in find_differences(whole, again)]
    return found if len(saved) == 1 else [f"saved: {saved}"]


def test_a_signal_to_one_rank_saves_the_pieces_of_all(tmp_path: Path) -> None:
    """At one safe point, from which the run goes on exactly."""
    assert run_ranks(_stopped, 2, str(tmp_path)) == [[], []]


def _failing(folder: str) -> str:
    """A disk that is full on rank 1 while the run goes on."""
    runner = make_runner(folder, strategy=BLOCKS)
    hook = next(one for one in runner.hook_set.hooks if isinstance(one, CheckpointHook))
    storage: Any = hook.store(runner).storage
    if torch.distributed.get_rank() == 1:
        hook.store(runner)._storage = Full(storage)
    try:
        runner.train()
    except CheckpointError as error:
        return str(error)
    return "no error"


class Full:
    """A storage whose disk is full for shards."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def stage(self, name: str, fill: Any) -> Any:
        """Fail."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_a_rank_that_cannot_save_ends_the_run_on_all(tmp_path: Path) -> None:
    """With the same message, which names it."""
    for told in run_ranks(_failing, 2, str(tmp_path)):
        assert "iter_1.pth: could not be written: rank 1: [Errno 28] No space" in told


# -- another number of ranks, another strategy -------------------------------------


def _state(runner: Any) -> dict[str, Any]:
    optimizer = runner.strategy.full_state(runner.optim_wrapper.state_dict())
    return {"state_dict": whole_state(unwrap(runner.model)), "optimizer": optimizer}


def _run_and_keep(folder: str) -> str:
    _trained(f"{folder}/a")
    return type(make_runner(f"{folder}/b", strategy=BLOCKS).model).__name__


def _taken_over(path: str, folder: str, strategy: Any) -> list[str]:
    """Where a run that resumed a checkpoint is not what the file holds."""
    runner = make_runner(folder, strategy=strategy)
    runner.resume(path)
    saved = read(path)
    mine = _state(runner)
    theirs = {name: saved[name] for name in mine}
    return [str(one) for one in find_differences(theirs, mine)]


def test_pieces_are_loaded_by_any_number_of_ranks(tmp_path: Path) -> None:
    """Weights and optimizer state of 2 ranks on 1, 3 and 4, cut or whole, and back."""
    assert run_ranks(_run_and_keep, 2, str(tmp_path)) == ["FSDPNet"] * 2
    path = str(tmp_path / "a" / "iter_3.pth")
    assert _taken_over(path, str(tmp_path / "alone"), "fsdp2") == []
    for world, strategy in ((1, BLOCKS), (3, "ddp"), (4, BLOCKS)):
        where = str(tmp_path / f"{world}")
        found = run_ranks(_taken_over, world, path, where, strategy)
        assert found == [[]] * world
    single = make_runner(tmp_path / "single", strategy="single")
    single.resume(path)
    whole = str(single.save_checkpoint(tmp_path, "single.pth"))
    assert not list(tmp_path.glob("*.dcp"))
    found = run_ranks(_taken_over, 2, whole, str(tmp_path / "back"), BLOCKS)
    assert found == [[]] * 2


def _weights_alone(path: str, folder: str) -> bool:
    """Whether a file of weights is what a new run begins with."""
    runner = make_runner(folder, strategy=BLOCKS, load_from=path)
    runner.load_or_resume()
    mine, saved = whole_state(runner.model), torch.load(path, weights_only=True)
    return all(torch.equal(mine[name], saved[name]) for name in saved)


def test_a_file_of_weights_is_cut_over_ranks(tmp_path: Path) -> None:
    """As ``load_from`` takes one from one process."""
    path = tmp_path / "weights.pth"
    torch.save(Net().state_dict(), path)
    assert run_ranks(_weights_alone, 2, str(path), str(tmp_path / "run")) == [True] * 2


# -- the first weights -------------------------------------------------------------


def _first_weights(spec: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for meta_init in (False, True):
        strategy = FSDP2Strategy(classes="Block", meta_init=meta_init)
        seed_everything(3)
        model: Any = strategy.wrap(build_model(spec, strategy))
        seed_everything(4)
        with strategy.initializing(model):
            model.init_weights()
        found.append(strategy.full_state(dict(model.state_dict())))
    return found


@pytest.mark.parametrize("world", [1, 2, 3])
def test_first_weights_are_those_of_one_process(world: int) -> None:
    """To the bit, on any number of ranks, built with memory and without."""
    seed_everything(3)
    alone = Net()
    seed_everything(4)
    alone.init_weights()
    mine = dict(alone.state_dict())
    for built in run_ranks(_first_weights, world, {"type": Net}):
        assert [list(find_differences(mine, found)) for found in built] == [[], []]


class Forgetful(nn.Module):
    """What a constructor computes is lost where there is no memory."""

    def __init__(self, keep: str) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.images = ImgDataPreprocessor(mean=[1.0], std=[2.0])
        if keep == "buffer":
            self.register_buffer("table", torch.arange(3))
        elif keep == "kept":
            self.register_buffer("table", torch.arange(3, device="cpu"))
        else:
            self.weight = nn.Parameter(torch.ones(3))


def _meta_errors() -> list[str]:
    found = []
    for keep in ("buffer", "parameter", "kept"):
        strategy = FSDP2Strategy(meta_init=True)
        model = build_model({"type": Forgetful, "keep": keep}, strategy)
        try:
            model = strategy.wrap(model)
            with strategy.initializing(model):
                pass
            found.append(str(model.get_buffer("table").flatten().tolist()))
        except ModelError as error:
            found.append(str(error))
    return found


def test_meta_init_says_what_it_cannot_compute() -> None:
    """Buffers and parameters that no method of the model can make again."""
    buffer, parameter, kept = run_ranks(_meta_errors, 1)[0]
    assert "table would lose what the constructor" in buffer
    assert "weight have no values" in parameter
    assert kept == "[0, 1, 2]"


# -- one step ----------------------------------------------------------------------


def _inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(12, FEATURES, generator=generator), torch.arange(12) % 3


def _grads(strategy: Strategy, model: Any) -> dict[str, Any]:
    """Gradients of one loss on this rank's share of a batch, each whole."""
    inputs, labels = _inputs()
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    world = (
        torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    )
    share = slice(rank * 12 // world, (rank + 1) * 12 // world)
    loss = model(inputs[share], labels[share], mode="loss")["loss"]
    loss.backward()
    found = {name: one.grad for name, one in model.named_parameters()}
    whole: dict[str, Any] = strategy.full_state(found)
    return whole


def _one_step(each: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_of_one_step(options) for options in each]


def _of_one_step(options: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(0)
    strategy = FSDP2Strategy(**options)
    model = strategy.wrap(Net())
    grads = _grads(strategy, model)
    assert all(is_sharded(one.grad) for one in model.parameters())
    norms = {
        order: strategy.clip_grad_norm(model.parameters(), 1e9, order)
        for order in (1.0, 2.0, float("inf"))
    }
    clipped = strategy.clip_grad_norm(model.parameters(), 0.1)
    after = clip_grad_norm(model.parameters(), 1.0)
    return {"grads": grads, "norms": norms, "clipped": clipped, "after": after}


OPTIONS: list[dict[str, Any]] = [
    {},
    {"classes": "Block", "activation_checkpointing": True},
    {"modules": ["blocks.*", "stem"], "reshard_after_forward": False},
    {"min_params": 60, "cpu_offload": True, "activation_checkpointing": "blocks.0"},
    {"classes": [f"{Block.__module__}.Block"], "meta_init": False},
]


def test_gradients_and_norms_are_those_of_one_process() -> None:
    """On 3 ranks, some of which have nothing of some parameters."""
    torch.manual_seed(0)
    alone = Net()
    grads = _grads(Strategy(), alone)
    norms = {
        order: nn.utils.get_total_norm(list(grads.values()), order)
        for order in (1.0, 2.0, float("inf"))
    }
    for each in run_ranks(_one_step, 3, OPTIONS):
        for found in each:
            torch.testing.assert_close(found["grads"], grads)
            torch.testing.assert_close(found["norms"], norms)
            torch.testing.assert_close(found["clipped"], norms[2.0])
            torch.testing.assert_close(found["after"], torch.tensor(0.1))


def _dtypes() -> tuple[str, str, str]:
    strategy = FSDP2Strategy(
        classes="Block", param_dtype="bfloat16", reduce_dtype="float32"
    )
    model: Any = strategy.wrap(Net())
    seen = []
    model.blocks[0].linear.register_forward_hook(
        lambda module, _, out: seen.append((module.weight.dtype, out.dtype))
    )
    grads = _grads(strategy, model)
    (inside,) = set(seen)
    return str(inside[0]), str(inside[1]), str(grads["head.weight"].dtype)


def test_mixed_precision_computes_in_half_the_bits_and_keeps_all() -> None:
    """Weights are bfloat16 in the forward; what the optimizer sees is float32."""
    found = run_ranks(_dtypes, 2)
    assert found == [("torch.bfloat16", "torch.bfloat16", "torch.float32")] * 2


# -- a StepModel, whose own forward nobody calls -----------------------------------


class Loss(nn.Module):
    """A loss with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.5, 0.5]))

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Weighted squares."""
        return (self.scale * (outputs - targets).square()).mean()


def _step_model(strategy: Any, folder: str) -> dict[str, Any]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    data = [(torch.randn(3), torch.randn(2)) for _ in range(12)]
    world = torch.distributed.get_world_size()
    runner = make_runner(
        folder,
        model=StepModel(module, loss=Loss()),
        strategy=strategy,
        train_dataloader={
            "dataset": data,
            "batch_size": 12 // world,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"max_epochs": 3},
        default_hooks={"checkpoint": None},
    )
    model = runner.train()
    return whole_state(unwrap(model))


def test_a_step_model_trains_the_same_whichever_the_strategy(tmp_path: Path) -> None:
    """Its module and its loss are called in its step, and it is not."""
    (alone,) = run_ranks(_step_model, 1, None, str(tmp_path / "alone"))
    assert "loss.scale" in alone
    cut = {"type": "fsdp2", "modules": "0"}
    for name, strategy in (("ddp", "ddp"), ("fsdp2", cut)):
        for found in run_ranks(_step_model, 2, strategy, str(tmp_path / name)):
            torch.testing.assert_close(dict(found), dict(alone))


def _uneven(folder: str) -> int:
    rank = torch.distributed.get_rank()
    rows: Any = [{"inputs": torch.zeros(FEATURES), "data_samples": 0}] * (2 + rank)
    runner = make_runner(
        folder,
        strategy=BLOCKS,
        val_dataloader=DataLoader(rows, batch_size=1),
        val_cfg={},
        val_evaluator={"type": "DumpResults", "out_file_path": f"{folder}/out.pkl"},
    )
    runner.val()
    steps: int = runner.validator.state.iteration
    return steps


def test_an_evaluation_of_uneven_length_does_not_hang(tmp_path: Path) -> None:
    """Ranks compute each batch together; who has none left keeps up with the others."""
    assert run_ranks(_uneven, 2, str(tmp_path)) == [2, 3]


# -- the example ----------------------------------------------------------------------


DYING = """
import os
import signal

from engine import HOOKS, Hook

_base_ = ["{example}"]


@HOOKS.register_module()
class DiesHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == int(os.environ.get("DIES_AFTER", -1)):
            os.kill(os.getpid(), signal.SIGKILL)


train_dataloader = dict(batch_size=128)
train_cfg = dict(max_epochs=2)
custom_hooks = [dict(type="DiesHook")]
"""


def test_the_example_killed_on_all_ranks_ends_bit_equal(tmp_path: Path) -> None:
    """The same command with ``--resume`` goes on from the last commit."""
    config = tmp_path / "config.py"
    example = ROOT / "docs" / "examples" / "fsdp2.py"
    config.write_text(DYING.format(example=example), encoding="utf-8")

    def train(work_dir: str, *options: str, dies: int = -1) -> list[int]:
        words = ("-m", "engine", "train", config, "--launcher", "pytorch")
        env = {"DIES_AFTER": str(dies)}
        where = ("--work-dir", tmp_path / work_dir)
        done = run_commands(2, *words, *where, *options, cwd=tmp_path, env=env)
        return [one.returncode for one in done]

    assert train("whole") == [0, 0]
    assert 0 not in train("killed", dies=13)
    assert not (tmp_path / "killed" / "epoch_2.pth").exists()
    assert train("killed", "--resume") == [0, 0]
    one, other = (read(tmp_path / name / "epoch_2.pth") for name in ("whole", "killed"))
    assert [str(found) for found in compare_checkpoints(one, other)] == []
    assert verify_command([tmp_path / "killed"])


# -- mistakes ----------------------------------------------------------------------


def _mistakes() -> list[str]:
    tied = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    tied["b"].weight = tied["a"].weight
    found = []
    wrong: list[tuple[nn.Module, dict[str, Any]]] = [
        (Net(), {"classes": "Blokk"}),
        (Net(), {"modules": "block.*"}),
        (tied, {"modules": "a"}),
    ]
    for model, options in wrong:
        try:
            FSDP2Strategy(**options).wrap(model)
        except ModelError as error:
            found.append(str(error))
    try:
        ExponentialMovingAverage(FSDP2Strategy().wrap(Net()))
    except ConfigError as error:
        found.append(str(error))
    return found


def test_what_cannot_be_cut_is_refused_by_name() -> None:
    """Names that fit nothing, and a parameter in two places."""
    no_class, no_name, shared, average = run_ranks(_mistakes, 1)[0]
    assert "no module with parameters of the class 'Blokk'. Did you mean" in no_class
    assert "of the name 'block.*'" in no_name
    assert "'a.weight' and 'b.weight' are one parameter" in shared
    assert "keeps a copy of the model, and torch copies none" in average


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"min_params": 0}, "min_params=0: give a number of at least 1"),
        ({"param_dtype": "bf16"}, "param_dtype='bf16': give 'bfloat16'"),
        ({"modules": 3}, "modules=3: give a name, or a list of names"),
        ({"cpu_offload": "no"}, "cpu_offload='no': give True or False"),
    ],
)
def test_a_setting_that_is_none_is_refused(options: Any, match: str) -> None:
    """When the strategy is built, before any rank waits for another."""
    with pytest.raises(ConfigError, match=match):
        STRATEGIES.build({"type": "fsdp2", **options})
