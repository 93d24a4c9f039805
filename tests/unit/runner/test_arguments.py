"""Every argument of the Runner does what it says."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from engine import MODELS, Hook, Runner, StepModel
from engine.config import Config
from engine.dist.launch import leave
from engine.errors import (
    ConfigError,
    EngineError,
    ModelError,
    OptimizerError,
    RegistryError,
    StateError,
)
from engine.model import (
    BaseDataPreprocessor,
    BaseModel,
    MMDistributedDataParallel,
)
from engine.registry import OPTIM_WRAPPER_CONSTRUCTORS, Registry
from engine.runner import fast_dev_run
from tests.runs import RunPlan, make_runner

if TYPE_CHECKING:
    from pathlib import Path

PLAN = RunPlan(max_epochs=1)


def specs(**changes: Any) -> dict[str, Any]:
    """A whole config of specs alone."""
    loader = {
        "dataset": {"type": "tests.runs.Samples", "size": 6},
        "batch_size": 3,
        "collate_fn": {"type": "default_collate"},
    }
    whole = {
        "model": {
            "type": "StepModel",
            "module": {
                "type": "torch.nn.Sequential",
            },
            "loss": nn.functional.cross_entropy,
        },
        "train_dataloader": loader,
        "train_cfg": {"max_epochs": 1},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
        "param_scheduler": [{"type": "MultiStepLR", "milestones": [1]}],
        "val_dataloader": deepcopy(loader),
        "val_cfg": {"type": "ValLoop"},
        "val_evaluator": {"type": "tests.runs.Spread"},
        "test_dataloader": deepcopy(loader),
        "test_cfg": {},
        "test_evaluator": [{"type": "tests.runs.Spread"}],
        "randomness": {"seed": 3},
        "log_level": "ERROR",
    }
    return {**whole, **changes}


class Net(BaseModel):
    """A model in MMEngine's way."""

    def __init__(self, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.layer = nn.Linear(6, 2)

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = "tensor"
    ) -> Any:
        out = self.layer(inputs)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(out, data_samples)}
        return [{"outputs": out, "targets": data_samples}]


class Flat(BaseDataPreprocessor):
    """Inputs and labels of a toy batch."""

    def forward(self, data: Any, training: bool = False) -> Any:
        _, points, labels = self.cast_data(data)
        return {"inputs": points.flatten(1), "data_samples": labels}


def whole(tmp_path: Path, **changes: Any) -> Runner:
    """A Runner of a model in MMEngine's way, all of it in specs."""
    model = {"type": Net, "data_preprocessor": {"type": Flat}}
    return Runner.from_cfg(specs(**{"model": model, "work_dir": tmp_path, **changes}))


# -- specs -----------------------------------------------------------------------


def test_a_run_of_specs_alone_trains_validates_and_tests(tmp_path: Path) -> None:
    """And the specs are as they were."""
    cfg = specs(
        model={"type": Net, "data_preprocessor": {"type": Flat}}, work_dir=tmp_path
    )
    before = deepcopy(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert set(runner.val()) == set(runner.test()) == {"mean", "drawn"}
    assert cfg == before


def test_loops_loaders_and_evaluators_are_built_when_asked_for(tmp_path: Path) -> None:
    """As MMEngine's users reach them before a run."""
    runner = whole(tmp_path)
    assert runner.parts.val_loop is None
    assert len(runner.val_dataloader) == 2
    assert runner.val_evaluator is runner.val_loop.evaluator
    assert runner.parts.train_loop is None
    assert runner.train_loop.max_iters == 2


def test_training_without_validation_needs_no_good_validation(tmp_path: Path) -> None:
    """A test's parts are not looked at either."""
    runner = whole(
        tmp_path,
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
        test_dataloader={"dataset": {"type": "NoSuchData"}},
        test_evaluator={"type": "NoSuchMetric"},
    )
    runner.train()
    assert runner.parts.test_loop is None


def test_a_subclass_may_build_a_part_itself(tmp_path: Path) -> None:
    """The order stays the Runner's."""
    built = []

    class Own(Runner):
        def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
            built.append("optimizer")
            return super().build_optim_wrapper(optim_wrapper)

        def build_param_scheduler(self, scheduler: Any) -> Any:
            built.append("schedules")
            return super().build_param_scheduler(scheduler)

        def build_train_loop(self, loop: Any) -> Any:
            built.append("train loop")
            return super().build_train_loop(loop)

    model = {"type": Net, "data_preprocessor": {"type": Flat}}
    Own.from_cfg(specs(model=model, work_dir=tmp_path)).train()
    assert built == ["train loop", "optimizer", "schedules"]


def test_errors_name_the_place_in_the_config_and_its_line(tmp_path: Path) -> None:
    """From a file, with the path of the key."""
    file = tmp_path / "toy.py"
    file.write_text(
        "import torch\n"
        "model = dict(type='StepModel', module=dict(type='torch.nn.Linear',\n"
        "    in_features=6, out_features=2), loss=torch.nn.functional.cross_entropy)\n"
        "train_dataloader = dict(\n"
        "    batch_size=3,\n"
        "    dataset=dict(type='Sampels', size=6),\n"
        ")\n"
        "train_cfg = dict(max_epochs=1)\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
        f"work_dir = {str(tmp_path / 'runs')!r}\n"
        "log_level = 'ERROR'\n",
        encoding="utf-8",
    )
    runner = Runner.from_cfg(file)
    with pytest.raises(RegistryError) as caught:
        runner.train()
    assert str(caught.value).startswith(
        f"{file}:6: train_dataloader.dataset: no dataset is called 'Sampels'."
    )


# -- model -----------------------------------------------------------------------


def test_a_preprocessor_goes_into_a_models_spec_that_has_none(tmp_path: Path) -> None:
    """Its own comes first."""
    given = {"type": Flat, "non_blocking": True}
    runner: Any = whole(tmp_path, model={"type": Net}, data_preprocessor=given)
    assert isinstance(runner.model.data_preprocessor, Flat)
    own = {"type": Net, "data_preprocessor": {"type": "BaseDataPreprocessor"}}
    runner = whole(tmp_path, model=own, data_preprocessor=given)
    assert type(runner.model.data_preprocessor) is BaseDataPreprocessor


def test_a_preprocessor_beside_a_finished_model_is_refused(tmp_path: Path) -> None:
    """It would go nowhere."""
    with pytest.raises(ConfigError, match="the model is a finished Net"):
        whole(tmp_path, model=Net(), data_preprocessor={"type": Flat})


def test_sync_batch_norm_becomes_batch_norm_in_one_process(tmp_path: Path) -> None:
    """It cannot work there."""
    net = nn.Sequential(nn.SyncBatchNorm(3), nn.Flatten(), nn.Linear(6, 2))
    model = StepModel(net, nn.functional.cross_entropy, preprocess=lambda b: b[1:])
    runner = make_runner(PLAN, tmp_path, model=model)
    assert not any(isinstance(m, nn.SyncBatchNorm) for m in runner.model.modules())
    runner.train()
    assert runner.iter == 3


@pytest.fixture
def process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A process group of this process alone."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    leave()


@pytest.mark.usefixtures("process_group")
def test_a_wrapper_is_built_around_the_model(tmp_path: Path) -> None:
    """Checkpoints have the names of the model inside."""
    runner: Any = whole(
        tmp_path / "run",
        model_wrapper_cfg={"type": "MMDistributedDataParallel"},
        sync_bn=None,
    )
    assert isinstance(runner.model, MMDistributedDataParallel)
    assert runner.model_name == "Net"
    runner.train()
    saved = torch.load(tmp_path / "run" / "epoch_1.pth", weights_only=True)
    assert set(saved["state_dict"]) == {"layer.weight", "layer.bias"}
    again = whole(tmp_path / "again", load_from=tmp_path / "run" / "epoch_1.pth")
    again.val()
    assert torch.equal(
        again.model.state_dict()["layer.weight"], saved["state_dict"]["layer.weight"]
    )


def test_one_process_needs_no_wrapper(tmp_path: Path) -> None:
    """So a config for several ranks serves one too; a wrong name shows at once."""
    spec = {"type": "MMDistributedDataParallel", "find_unused_parameters": True}
    runner: Any = whole(tmp_path / "run", model_wrapper_cfg=spec)
    assert (
        type(runner.wrap_model(dict(spec), runner.model)) is type(runner.model) is Net
    )
    runner.train()
    with pytest.raises(EngineError, match="Did you mean 'MMDistributedDataParallel'"):
        whole(
            tmp_path / "bad",
            model_wrapper_cfg={"type": "MMDistributedDataParalel"},
        ).train()


@pytest.mark.usefixtures("process_group")
def test_a_wrapped_model_is_not_wrapped_again(tmp_path: Path) -> None:
    """Two wrappers would reduce twice."""
    model = MMDistributedDataParallel(Net(Flat()))
    with pytest.raises(ConfigError, match="is a MMDistributedDataParallel already"):
        whole(
            tmp_path / "run",
            model=model,
            model_wrapper_cfg={"type": "MMDistributedDataParallel"},
        )


def test_compile_compiles_the_step_and_says_so(tmp_path: Path) -> None:
    """The numbers and the names of the weights stay."""
    compiled: Any = whole(
        tmp_path / "compiled", compile={"backend": "eager"}, log_level="INFO"
    )
    compiled.train()
    plain: Any = whole(tmp_path / "plain")
    plain.train()
    ours, theirs = plain.model.state_dict(), compiled.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name]) for name in ours)
    log = compiled.log_dir / f"{compiled.log_dir.name}.log.jsonl"
    assert '"event": "compiled"' in log.read_text(encoding="utf-8")


def test_compile_takes_true_or_options(tmp_path: Path) -> None:
    """Anything else is a mistake."""
    with pytest.raises(ConfigError, match="compile: expected True or a mapping"):
        whole(tmp_path, compile="yes").train()


def test_named_parts_recompute_their_activations(tmp_path: Path) -> None:
    """Their forward runs once more in each backward; the weights come out the same."""

    def train(**changes: Any) -> tuple[int, dict[str, torch.Tensor]]:
        runner: Any = whole(tmp_path / str(len(changes)), **changes)
        forward, calls = runner.model.layer.forward, []

        def counted(inputs: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            result: torch.Tensor = forward(inputs)
            return result

        runner.model.layer.forward = counted
        runner.train()
        return len(calls), runner.model.state_dict()

    once, ours = train()
    twice, theirs = train(activation_checkpointing=["layer"])
    assert twice > once
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_part_that_is_not_there_cannot_recompute(tmp_path: Path) -> None:
    """The nearest one is named."""
    with pytest.raises(ModelError, match=r"has no part 'layr'.*Did you mean 'layer'"):
        whole(tmp_path, activation_checkpointing="layr").train()


# -- optimizer -------------------------------------------------------------------


def test_the_learning_rate_is_scaled_before_schedules_begin(tmp_path: Path) -> None:
    """3 samples a batch, chosen for 6: half of it."""
    scale = {"enable": True, "base_batch_size": 6}
    runner = whole(tmp_path, auto_scale_lr=scale)
    runner.train()
    assert runner.message_hub.get_scalar("train/lr").data[0][0] == pytest.approx(0.05)
    with pytest.raises(StateError, match="comes too late"):
        runner.scale_lr(runner.optim_wrapper, scale)


def test_bad_scaling_is_named_with_its_place(tmp_path: Path) -> None:
    """Before anything is trained."""
    with pytest.raises(OptimizerError, match="auto_scale_lr: unknown key 'enabel'"):
        whole(tmp_path, auto_scale_lr={"enabel": True}).train()


def test_a_constructor_makes_the_optimizer_wrapper(tmp_path: Path) -> None:
    """It gets the rest of the spec, and the model."""
    seen = []

    class Half:
        def __init__(self, optim_wrapper_cfg: Any, paramwise_cfg: Any = None) -> None:
            self.cfg = dict(optim_wrapper_cfg)
            seen.append(paramwise_cfg)

        def __call__(self, model: nn.Module) -> Any:
            lr = self.cfg["optimizer"]["lr"] / 2
            return Runner.build_optim_wrapper(
                runner, {"optimizer": {"type": "SGD", "lr": lr}}
            )

    OPTIM_WRAPPER_CONSTRUCTORS.register_module(name="Half", force=True, module=Half)
    runner = whole(
        tmp_path,
        optim_wrapper={
            "constructor": "Half",
            "optimizer": {"type": "SGD", "lr": 0.4},
            "paramwise_cfg": {"bias_lr_mult": 2},
        },
    )
    runner.train()
    assert runner.message_hub.get_scalar("train/lr").data[0][0] == pytest.approx(0.2)
    assert seen == [{"bias_lr_mult": 2}]


# -- scope, environment, files -----------------------------------------------------


def test_names_are_looked_up_in_the_default_scope_first(tmp_path: Path) -> None:
    """A child registry of that scope is asked before ours, in this run alone."""
    child = Registry("model", parent=MODELS, scope="arguments_toy")
    child.register_module(name="StepNet", module=Net)
    model = {"type": "StepNet", "data_preprocessor": {"type": Flat}}
    runner: Any = whole(tmp_path, model=model, default_scope="arguments_toy")
    assert isinstance(runner.model, Net)
    with pytest.raises(RegistryError, match="no model is called 'StepNet'"):
        whole(tmp_path, model=model)


@pytest.mark.parametrize("scope", ["engine", "mmengine", None])
def test_our_scope_has_two_names(scope: str | None, tmp_path: Path) -> None:
    """MMEngine's configs name their own."""
    whole(tmp_path, default_scope=scope).train()


def test_the_config_is_written_and_loads_back(tmp_path: Path) -> None:
    """Into the work dir, under its own name."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "model: {type: tests.unit.runner.test_arguments.Net}\n"
        f"work_dir: {tmp_path / 'run'}\nlog_level: ERROR\n",
        encoding="utf-8",
    )
    runner = Runner.from_cfg(str(file))
    written = tmp_path / "run" / "mine.py"
    assert not written.exists()  # what is refused leaves the last run's in place
    assert runner.dump_config() == written
    assert Config.fromfile(written) == Config.fromfile(file) == runner.cfg


def test_a_config_with_objects_is_told_not_written(tmp_path: Path) -> None:
    """The run goes on; the object is named."""
    runner = whole(tmp_path, model=Net(Flat()), log_level="WARNING")
    assert runner.dump_config() is None
    log = runner.log_dir / f"{runner.log_dir.name}.log.jsonl"
    (line,) = [json.loads(one) for one in log.read_text().splitlines()]
    assert line["event"] == "config_not_written"
    assert "model" in line["reason"]


def test_the_environment_is_logged(tmp_path: Path) -> None:
    """As keys, for who compares two runs."""
    runner = whole(tmp_path, log_level="INFO")
    log = runner.log_dir / f"{runner.log_dir.name}.log.jsonl"
    lines = [json.loads(one) for one in log.read_text().splitlines()]
    (line,) = [one for one in lines if one["event"] == "environment"]
    assert line["torch"].startswith(torch.__version__.partition("+")[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"launcher": "pytorch"},
            "variables that are not set: RANK, WORLD_SIZE",
        ),
        ({"launcher": "torch"}, "give none, pytorch, slurm or mpi"),
        ({"env_cfg": {"dist_cfg": {"timeout": -1}}}, "a number of seconds above 0"),
        ({"env_cfg": {"cudn_benchmark": 1}}, "Did you mean 'cudnn_benchmark'"),
        (
            {"trian_cfg": {}},
            "'trian_cfg' is nothing that the Runner knows.",
        ),
        ({"train_cfg": {"type": "EpochBasedTrainLoop", "by_epoch": True}}, "not both"),
        ({"val_cfg": 3}, "val_cfg: expected a loop or a mapping, found an int"),
        ({"default_hooks": {"looger": {"interval": 1}}}, "Did you mean 'logger'"),
        (
            {"custom_hooks": [{"type": "CheckpointHok"}]},
            r"custom_hooks\[0\]: no hook is called 'CheckpointHok'. Did you mean",
        ),
    ],
)
def test_bad_arguments(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Each is named with its place."""
    with pytest.raises((ConfigError, RegistryError), match=said):
        whole(tmp_path, **changes).train()


# -- trying out ------------------------------------------------------------------


class Counting(Hook):
    """Counts batches by mode."""

    seen: list[str]

    def __init__(self) -> None:
        self.seen = []

    def _after_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        self.seen.append(mode)


@pytest.mark.parametrize(
    "train_cfg",
    [
        {"max_epochs": 5, "val_interval": 2},
        {"by_epoch": False, "max_iters": 50, "val_interval": 20},
        {"type": "EpochBasedTrainLoop", "max_epochs": 5},
    ],
)
def test_a_fast_dev_run_takes_so_many_batches_of_everything(
    train_cfg: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    counting = Counting()
    cfg = specs(
        model={"type": Net, "data_preprocessor": {"type": Flat}},
        work_dir=tmp_path / "never",
        train_cfg=train_cfg,
        custom_hooks=[counting, {"type": "CheckpointHook", "interval": 1}],
    )
    cfg["train_dataloader"]["dataset"]["size"] = 30
    before = deepcopy({key: cfg[key] for key in cfg if key != "custom_hooks"})
    found = fast_dev_run(cfg, 2)
    assert set(found) == {"val", "test"}
    assert counting.seen.count("train") == 2
    assert counting.seen.count("val") == 4  # inside training, and alone
    assert counting.seen.count("test") == 2
    assert list(tmp_path.iterdir()) == []
    assert {key: cfg[key] for key in before} == before


def test_a_fast_dev_run_makes_schedules_for_the_whole_length() -> None:
    """One that begins later than the few batches end is no mistake."""
    cfg = specs(
        model={"type": Net, "data_preprocessor": {"type": Flat}},
        train_cfg={"max_epochs": 9},
        param_scheduler=[
            {"type": "CosineAnnealingLR", "begin": 5},
            {"type": "LinearLR", "by_epoch": False, "begin": 7},
        ],
        work_dir="never",
    )
    assert set(fast_dev_run(cfg, 1)) == {"val", "test"}


def test_an_epoch_that_is_converted_is_a_pass_over_the_data(tmp_path: Path) -> None:
    """Also in a run bounded by iterations."""
    runner = whole(
        tmp_path,
        train_cfg={"by_epoch": False, "max_iters": 8, "val_interval": 8},
        param_scheduler={"type": "LinearLR", "end": 3, "convert_to_iter_based": True},
    )
    runner.train()
    assert runner.param_schedulers[0].end == 3 * 2


def test_a_fast_dev_run_has_parts_that_begin_later() -> None:
    """What begins behind the shortened run's end is built all the same."""
    cfg = specs(model={"type": Net, "data_preprocessor": {"type": Flat}})
    cfg["train_cfg"] = {"max_epochs": 9}
    cfg["param_scheduler"] = [
        {"type": "CosineAnnealingLR", "begin": 5},
        {"type": "LinearLR", "begin": 7, "by_epoch": False},
    ]
    cfg["custom_hooks"] = [{"type": "EMAHook", "begin_epoch": 5}]
    fast_dev_run(cfg, 1, modes=["train"])


@pytest.mark.parametrize("batches", [0, -1, True, 1.5])
def test_a_fast_dev_run_needs_a_batch(batches: Any) -> None:
    """At least one."""
    with pytest.raises(ConfigError, match="give a number of at least 1"):
        fast_dev_run(specs(), batches)
