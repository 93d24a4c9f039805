"""Facts and scalars of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.hooks import Hook, RuntimeInfoHook
from engine.loops import EvalEngine, TrainEngine
from engine.state import MessageHub, Phase, RunState
from tests.toys import quiet_logger


def trained(step: Any, batches: list[Any], *, seed: int = 0, **tracked: Any) -> Any:
    """The trainer of a run with the hook."""
    trainer = TrainEngine(
        step, RunState(seed=seed), facilities={"logger": quiet_logger()}
    )
    trainer.track(**tracked)
    trainer.add_hook(RuntimeInfoHook())
    trainer.run(batches)
    return trainer


def recorded(hub: MessageHub) -> dict[str, list[float]]:
    """Every value of every scalar."""
    return {key: one.data[0].tolist() for key, one in hub.log_scalars.items()}


def test_facts_say_where_the_run_is() -> None:
    """Epoch and iteration are indices of those in progress."""
    seen: list[dict[str, Any]] = []

    class Looks(Hook):
        def before_train_iter(
            self, runner: Any, batch_idx: int, data_batch: Any = None
        ) -> None:
            seen.append(dict(runner.message_hub.runtime_info))

    trainer = TrainEngine(
        lambda _, batch: batch, RunState(seed=7), facilities={"logger": quiet_logger()}
    )
    trainer.add_hook(Looks())
    trainer.add_hook(RuntimeInfoHook())
    trainer.run([0.0, 0.0], max_epochs=2)
    assert seen == [
        {"seed": 7, "epoch": e, "iter": i, "max_epochs": 2, "max_iters": 4}
        for e, i in ((0, 0), (0, 1), (1, 2), (1, 3))
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (3.0, {"train/loss": [3.0]}),
        (torch.tensor(3.0), {"train/loss": [3.0]}),
        (
            {"a": 1.0, "b": torch.tensor([2])},
            {"train/a": [1], "train/b": [2]},
        ),
        ({"loss": 1.0, "logits": torch.zeros(2), "name": "x"}, {"train/loss": [1]}),
        (
            {"a": np.float64(1), "b": np.float32(2), "c": np.int64(3)},
            {"train/a": [1], "train/b": [2], "train/c": [3]},
        ),
        ({"a": np.array([1.0]), "b": np.array(2)}, {"train/a": [1], "train/b": [2]}),
        (np.float32(3), {"train/loss": [3.0]}),
        (None, {}),
        (torch.zeros(3), {}),
        (np.zeros(3), {}),
        (np.array("text"), {}),
        (np.bool_(1), {}),
        ("text", {}),
        (True, {}),
    ],
)
def test_numbers_that_a_step_returns_are_recorded(
    output: Any, expected: dict[str, list[float]]
) -> None:
    """Each number of a mapping, or a single one as the loss; nothing else."""
    trainer = trained(lambda *_: output, [None])
    assert recorded(trainer.run_state.hub) == expected


def test_the_learning_rate_is_the_one_that_the_step_uses() -> None:
    """It is read before the step; of the first group."""
    weights = [nn.Parameter(torch.ones(())) for _ in range(2)]
    optimizer = torch.optim.SGD(
        [{"params": weights[:1], "lr": 0.5}, {"params": weights[1:], "lr": 9.0}]
    )

    def step(*_: Any) -> None:
        optimizer.param_groups[0]["lr"] /= 2

    trainer = trained(step, [0, 0, 0], optimizer=optimizer)
    assert recorded(trainer.run_state.hub) == {"train/lr": [0.5, 0.25, 0.125]}


def test_several_optimizers_have_a_rate_each() -> None:
    """Under their names."""

    class Several(dict[str, torch.optim.Optimizer]):
        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any], /) -> None: ...

    weight = nn.Parameter(torch.ones(()))
    several = Several(
        g=torch.optim.SGD([weight], lr=0.1), d=torch.optim.SGD([weight], lr=0.2)
    )
    trainer = trained(lambda *_: None, [0], optimizer=several)
    rates = {"train/g.lr": [0.1], "train/d.lr": [0.2]}
    assert recorded(trainer.run_state.hub) == rates


@pytest.mark.parametrize("mode", ["val", "test"])
def test_metrics_are_recorded_under_their_mode(mode: Any) -> None:
    """Numbers as scalars; a table as a fact that no checkpoint carries."""

    class Fixed:
        def reset(self) -> None: ...
        def process(self, **_: Any) -> None: ...
        def evaluate(self, size: int) -> dict[str, Any]:
            assert size == 2
            return {"acc": 0.5, "f1": np.float32(0.25), "table": [[1, 2], [3, 4]]}

    engine = EvalEngine(
        lambda _, batch: batch, RunState(seed=0), metrics=Fixed(), mode=mode
    )
    engine.add_hook(RuntimeInfoHook())
    engine.run([0, 0])
    hub = engine.run_state.hub
    assert recorded(hub) == {f"{mode}/acc": [0.5], f"{mode}/f1": [0.25]}
    assert hub.get_info(f"{mode}/table") == [[1, 2], [3, 4]]
    assert set(hub.state_dict()["info"]) == {"seed"}
    assert engine.run_state.phase is Phase.READY
