"""The Runner: what it is given, what it says of itself, what its methods do."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from engine import Hook, Phase, Priority, Runner
from engine.checkpoint import read
from engine.errors import CheckpointError, ConfigError, HookError
from engine.hooks import CheckpointHook, IterTimerHook, LoggerHook, RuntimeInfoHook
from engine.loops import EpochBasedTrainLoop, ValLoop
from engine.optim import OptimWrapper
from tests.runs import RunPlan, Samples, Spread, make_runner, recorder, story, train

if TYPE_CHECKING:
    from pathlib import Path

    from engine.state import RunContext

READ_ONLY = """
experiment_name model_name work_dir log_dir max_epochs max_iters epoch iter launcher
distributed rank world_size deterministic seed timestamp hooks train_loop val_loop
test_loop train_dataloader val_dataloader test_dataloader val_evaluator test_evaluator
val_interval val_begin optim_wrapper param_schedulers message_hub visualizer logger
model cfg state
"""
PLAN = RunPlan(max_epochs=2, size=6, batch_size=3)


def arguments() -> dict[str, Any]:
    """Of a Runner from specs alone."""
    data = {
        "dataset": {"type": Samples, "size": 6},
        "batch_size": 3,
        "collate_fn": "default_collate",
    }
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    return {
        "model": {
            "type": "StepModel",
            "module": net,
            "loss": nn.functional.cross_entropy,
            "preprocess": lambda batch: (batch[1], batch[2]),
        },
        "train_dataloader": {**data, "sampler": {"type": "DefaultSampler"}},
        "val_dataloader": data,
        "test_dataloader": data,
        "train_cfg": {"max_epochs": 2},
        "val_cfg": {},
        "test_cfg": {},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
        "param_scheduler": [{"type": "LinearLR", "start_factor": 0.5}],
        "val_evaluator": {"type": Spread},
        "test_evaluator": [{"type": Spread}],
        "default_hooks": {"timer": None},
        "custom_hooks": [{"type": "IterTimerHook", "priority": "LOWEST"}],
        "randomness": {"seed": 3},
        "log_level": "ERROR",
    }


# -- what it is given ----------------------------------------------------------


def test_specs_are_not_changed(tmp_path: Path) -> None:
    """Nor by training, validating and testing."""
    given = arguments()
    before = copy.deepcopy(given)
    runner = Runner(work_dir=tmp_path, **given)
    runner.train()
    runner.val()
    runner.test()
    module = given["model"].pop("module"), before["model"].pop("module")
    for key in ("loss", "preprocess"):
        del given["model"][key], before["model"][key]
    assert type(module[0]) is type(module[1])
    assert given == before


def test_finished_objects_are_taken_as_they_are(tmp_path: Path) -> None:
    """Loops aside, which need the Runner."""
    first = make_runner(PLAN, tmp_path / "a")
    first.train()
    model, wrapper = first.model, first.optim_wrapper
    loader = first.train_dataloader
    second = make_runner(
        PLAN,
        tmp_path / "b",
        model=model,
        optim_wrapper=wrapper,
        train_dataloader=loader,
        param_scheduler=None,
    )
    second.train()
    assert second.model is model
    assert second.optim_wrapper is wrapper
    assert second.train_dataloader is loader


def test_a_bare_optimizer_is_wrapped(tmp_path: Path) -> None:
    """Of torch's."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    runner = make_runner(PLAN, tmp_path, optim_wrapper=optimizer)
    runner.train()
    assert isinstance(runner.optim_wrapper, OptimWrapper)
    assert runner.optim_wrapper.optimizer is optimizer


def test_from_cfg_keeps_the_config(tmp_path: Path) -> None:
    """As ``cfg``; checkpoints carry its text."""
    cfg = {**arguments(), "work_dir": tmp_path}
    runner = Runner.from_cfg(cfg)
    assert runner.cfg == cfg
    runner.train()
    meta = read(tmp_path / "epoch_2.pth")["meta"]
    assert "DefaultSampler" in meta["cfg"]
    assert meta["experiment_name"] == runner.experiment_name


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"modle": 1}, "lacks model and work_dir. Is 'modle' meant to be 'model'"),
        ({"model": 1}, "the config lacks work_dir"),
        ({}, "the config lacks model and work_dir"),
    ],
)
def test_from_cfg_names_what_is_wrong(cfg: dict[str, Any], said: str) -> None:
    """With the nearest name."""
    with pytest.raises(ConfigError, match=said):
        Runner.from_cfg(cfg)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resume": "yes"}, "resume='yes': give True, False or 'exact'"),
        ({"randomness": {"sede": 1}}, "unknown key 'sede'. Did you mean 'seed'"),
        ({"custom_hooks": Hook()}, "custom_hooks: expected a list, found a Hook"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=said):
        make_runner(PLAN, tmp_path, **changes)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7"])
def test_a_seed_out_of_range_is_refused(seed: Any, tmp_path: Path) -> None:
    """NumPy takes no larger one."""
    with pytest.raises(ValueError, match=r"randomness.seed=.*from 0 to 4294967295"):
        make_runner(PLAN, tmp_path, randomness={"seed": seed})


# -- what it says of itself ----------------------------------------------------


@pytest.mark.parametrize(
    ("train_cfg", "expected"),
    [
        ({"max_epochs": 3, "val_interval": 2, "val_begin": 2}, (3, 0, 2, 2)),
        ({"max_epochs": 3}, (3, 0, 1, 1)),
        ({"max_iters": 7}, (1, 7, 1000, 1)),
        ({"by_epoch": False, "max_iters": 7, "val_interval": 5}, (1, 7, 5, 1)),
    ],
)
def test_the_length_is_known_before_anything_is_built(
    train_cfg: dict[str, int], expected: tuple[int, ...], tmp_path: Path
) -> None:
    """As the settings say; the data stays closed."""
    runner = Runner(work_dir=tmp_path, **(arguments() | {"train_cfg": train_cfg}))
    told = (runner.max_epochs, runner.max_iters, runner.val_interval, runner.val_begin)
    assert told == expected
    assert runner.parts.train_loop is None


def test_properties_are_read_only(tmp_path: Path) -> None:
    """Setting one would change half of the run."""
    runner = Runner(work_dir=tmp_path, **arguments())
    for name in READ_ONLY.split():
        with pytest.raises(AttributeError, match=name):
            setattr(runner, name, getattr(runner, name))


def test_properties_before_and_after_training(tmp_path: Path) -> None:
    """Parts are built when they are needed."""
    runner: Any = Runner(work_dir=tmp_path, experiment_name="toy", **arguments())
    assert (runner.parts.train_loop, runner.parts.val_loop) == (None, None)
    assert (runner.epoch, runner.iter) == (0, 0)
    assert (runner.max_epochs, runner.max_iters) == (2, 0)
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    assert (runner.max_epochs, runner.max_iters) == (2, 4)
    assert (runner.val_begin, runner.val_interval) == (1, 1)
    assert runner.seed == 3
    assert runner.experiment_name == f"toy_{runner.timestamp}"
    assert runner.model_name == "StepModel"
    assert runner.work_dir == tmp_path
    assert runner.log_dir.parent == tmp_path
    assert (runner.rank, runner.world_size) == (0, 1)
    assert (runner.distributed, runner.launcher) == (False, "none")
    assert not runner.deterministic
    assert isinstance(runner.train_loop, EpochBasedTrainLoop)
    assert isinstance(runner.val_loop, ValLoop)
    loaders: list[Any] = [runner.train_dataloader, runner.val_dataloader]
    assert [len(loader) for loader in loaders] == [2, 2]
    assert len(runner.param_schedulers) == 1
    assert runner.state.phase is Phase.FINISHED
    assert runner.parts.test_loop is None
    runner.test()
    assert isinstance(runner.test_dataloader, DataLoader)
    assert runner.test_evaluator is not None


def test_two_starts_in_one_second_have_log_folders_of_their_own(tmp_path: Path) -> None:
    """In one work dir."""
    first, second = make_runner(PLAN, tmp_path), make_runner(PLAN, tmp_path)
    assert first.log_dir != second.log_dir
    assert {first.log_dir.parent, second.log_dir.parent} == {tmp_path}


def test_hooks_are_the_defaults_with_changes(tmp_path: Path) -> None:
    """In the order in which they run, as get_hooks_info tells."""
    runner = Runner(work_dir=tmp_path, **arguments())
    names = [type(hook).__name__ for hook in runner.hooks]
    assert names == [
        "RuntimeInfoHook",
        "DistSamplerSeedHook",
        "LoggerHook",
        "ParamSchedulerHook",
        "CheckpointHook",
        "IterTimerHook",
    ]
    info = runner.get_hooks_info()
    assert "before_train_iter:\n(VERY_HIGH   ) RuntimeInfoHook" in info
    assert "(LOWEST      ) IterTimerHook" in info


def test_hooks_of_equal_priority_run_as_they_were_registered(tmp_path: Path) -> None:
    """Defaults first, then custom ones, then those registered later."""
    told: list[str] = []

    class Tell(Hook):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_train(self, runner: RunContext) -> None:
            told.append(self.name)

    runner = make_runner(PLAN, tmp_path, custom_hooks=[Tell("b"), Tell("a")])
    runner.register_hook(Tell("later"))
    runner.register_hook(Tell("first"), priority=Priority.HIGHEST)
    runner.train()
    assert told == ["first", "b", "a", "later"]


def test_a_hook_is_registered_once(tmp_path: Path) -> None:
    """The same object twice would run twice."""
    runner, hook = make_runner(PLAN, tmp_path), Hook()
    runner.register_hook(hook)
    with pytest.raises(HookError, match="is registered already"):
        runner.register_hook(hook)


def test_points_of_a_users_own(tmp_path: Path) -> None:
    """call_hook reaches them by name."""
    told: list[Any] = []

    class Own(Hook):
        def on_tea(self, runner: RunContext, cups: int) -> None:
            told.append((runner, cups))

    runner = make_runner(PLAN, tmp_path, custom_hooks=[Own()])
    runner.call_hook("on_tea", cups=2)
    assert told == [(runner, 2)]


# -- what its methods do -------------------------------------------------------


def test_train_returns_the_model_and_leaves_checkpoints(tmp_path: Path) -> None:
    """One an epoch by default, and the pointer."""
    runner = Runner(work_dir=tmp_path, **arguments())
    assert runner.train() is runner.model
    assert {path.name for path in tmp_path.glob("*.pth")} == {
        "epoch_1.pth",
        "epoch_2.pth",
    }
    assert (tmp_path / "last_checkpoint").read_text() == "epoch_2.pth"


def test_a_log_and_metrics_are_written(tmp_path: Path) -> None:
    """JSON lines both."""
    given = {**arguments(), "default_hooks": {"logger": {"interval": 1}}}
    runner = Runner(work_dir=tmp_path, **{**given, "log_level": "INFO"})
    runner.train()
    log = runner.log_dir / f"{runner.log_dir.name}.log.jsonl"
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events.count("train") == 4
    assert events.count("val_metrics") == 2
    scalars = runner.log_dir / "vis_data" / "scalars.json"
    steps = [json.loads(line)["step"] for line in scalars.read_text().splitlines()]
    assert steps == [1, 2, 1, 3, 4, 2]


def test_init_weights_is_called_once(tmp_path: Path) -> None:
    """Before training, and not in a run that is resumed or loaded."""
    calls: list[int] = []

    def watched() -> Any:
        model = make_runner(PLAN, tmp_path / "x").model
        object.__setattr__(model, "init_weights", lambda: calls.append(1))
        return model

    runner = make_runner(PLAN, tmp_path / "a", model=watched())
    runner.train()
    assert calls == [1]


def test_load_from_takes_weights_alone(tmp_path: Path) -> None:
    """Everything else begins anew."""
    whole = train(PLAN, tmp_path / "a")
    runner = make_runner(PLAN, tmp_path / "b", load_from=tmp_path / "a" / "iter_2.pth")
    seen: list[Any] = []
    runner.trainer.add_event_handler(
        "STARTED",
        lambda _: seen.append(copy.deepcopy(runner.model.state_dict())),
    )
    runner.train()
    saved = read(tmp_path / "a" / "iter_2.pth")["state_dict"]
    assert all(torch.equal(seen[0][key], saved[key]) for key in saved)
    assert runner.iter == whole.iter == 4
    assert len(recorder(runner).losses()) == 4


@pytest.mark.parametrize("bare", [False, True])
def test_hooks_may_change_weights_that_are_loaded(
    tmp_path: Path, *, bare: bool
) -> None:
    """Before they are put in, of a bare file too; a run's memory is not shown."""
    seen: list[set[str]] = []

    class Renames(Hook):
        claims = frozenset({"averages"})

        def after_load_checkpoint(
            self, runner: Any, checkpoint: dict[str, Any]
        ) -> None:
            seen.append(set(checkpoint))
            weights = checkpoint["state_dict"]
            for name in list(weights):
                weights[name.removeprefix("old_")] = weights.pop(name)

    runner = make_runner(PLAN, tmp_path)
    runner.register_hook(Renames())
    wanted = {key: one + 1 for key, one in runner.model.state_dict().items()}
    old: dict[str, Any] = {f"old_{key}": one for key, one in wanted.items()}
    whole = {"state_dict": old, "averages": 1, "meta": {}}
    torch.save(old if bare else whole, tmp_path / "old.pth")
    runner.load_checkpoint(tmp_path / "old.pth", strict=True)
    assert seen == [{"state_dict"} if bare else {"state_dict", "meta"}]
    found = runner.model.state_dict()
    assert all(torch.equal(found[key], one) for key, one in wanted.items())


def test_resume_alone_takes_the_work_dirs_newest(tmp_path: Path) -> None:
    """And begins anew if there is none."""
    runner = make_runner(PLAN, tmp_path, resume=True)
    runner.train()
    whole = story(runner)
    for name in ("iter_4.pth", "epoch_2.pth", "iter_3.pth"):
        (tmp_path / name).unlink()
    (tmp_path / "last_checkpoint").write_text("epoch_1.pth")
    again = make_runner(PLAN, tmp_path, resume=True)
    again.train()
    assert story(again) == whole


def test_resume_and_save_by_hand(tmp_path: Path) -> None:
    """The methods; without the optimizer only if that is asked for."""
    whole = train(PLAN, tmp_path / "a")
    runner = make_runner(PLAN, tmp_path / "b")
    runner.resume(tmp_path / "a" / "iter_1.pth")
    runner.train()
    assert story(runner) == story(whole)
    path = runner.save_checkpoint(
        tmp_path, "x.pth", save_optimizer=False, meta={"note": "hello"}
    )
    assert path == tmp_path / "x.pth"
    assert read(path)["meta"]["note"] == "hello"
    other = make_runner(PLAN, tmp_path / "c")
    with pytest.raises(CheckpointError, match="has no 'optimizer'"):
        other.resume(path)
    make_runner(PLAN, tmp_path / "d").resume(path, resume_optimizer=False)


def test_another_seed_is_reported_when_resumed(tmp_path: Path) -> None:
    """The checkpoint's counts."""
    train(PLAN, tmp_path / "a")
    runner = make_runner(
        PLAN,
        tmp_path / "b",
        randomness={"seed": 8},
        load_from=tmp_path / "a" / "iter_1.pth",
        resume=True,
        log_level="INFO",
    )
    runner.train()
    log = (runner.log_dir / f"{runner.log_dir.name}.log.jsonl").read_text()
    assert "seed_differs" in log
    assert runner.seed == 7


def test_a_validation_and_a_test_load_what_load_from_names(tmp_path: Path) -> None:
    """Weights alone, and once."""
    data = {"dataset": Samples(5), "batch_size": 5, "collate_fn": "default_collate"}
    trained = train(PLAN, tmp_path / "a", val_dataloader=data)
    cut = tmp_path / "a" / "iter_4.pth"
    runner = make_runner(PLAN, tmp_path / "b", load_from=cut, val_dataloader=data)
    metrics = runner.val()
    assert metrics["mean"] == pytest.approx(trained.val()["mean"])
    assert runner.state.phase is Phase.READY


def test_a_test_without_test_parts_is_refused(tmp_path: Path) -> None:
    """With the names of what it needs; likewise a validation."""
    runner = make_runner(RunPlan(val_interval=None), tmp_path)
    with pytest.raises(ConfigError, match=r"test\(\) needs test_dataloader, test_cfg"):
        runner.test()
    with pytest.raises(ConfigError, match=r"val\(\) needs val_dataloader, val_cfg"):
        runner.val()


def test_classes_of_default_hooks() -> None:
    """Each default is the class that its name promises."""
    assert RuntimeInfoHook.priority is Priority.VERY_HIGH
    assert IterTimerHook.priority is Priority.NORMAL
    assert LoggerHook.priority is Priority.BELOW_NORMAL
    assert CheckpointHook.priority is Priority.VERY_LOW
