"""The validator and the tester: they measure, and leave everything as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.metrics import Accuracy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from engine import BaseMetric, Evaluator, Events, Hook, Phase, RunState
from engine.errors import DataError, MetricError, StateError
from engine.loops import EvalEngine, TrainEngine, evaluation_mode
from engine.state import RunContext, capture_randomness
from tests.runs import bits


class Count(BaseMetric):
    """How many batches and how large the dataset was said to be."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(list(data_samples))

    def evaluate(self, size: int) -> dict[str, Any]:
        return {"size": size, "samples": sum(map(len, self.results))}

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {}


def test_ignite_metrics_are_computed() -> None:
    """Over the whole pass, anew in each."""
    outputs = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    validator = EvalEngine(
        lambda _, labels: (outputs, labels), metrics={"accuracy": Accuracy()}
    )
    validator.run([torch.tensor([0, 1]), torch.tensor([0, 0])])
    assert validator.metrics == {"accuracy": 0.75}
    validator.run([torch.tensor([1, 0])])
    assert validator.metrics == {"accuracy": 0.0}


def test_handlers_of_the_epochs_end_see_the_metrics() -> None:
    """Ignite's metrics are computed before handlers of any priority of theirs."""
    validator = EvalEngine(
        lambda _, labels: (torch.eye(2), labels), metrics={"accuracy": Accuracy()}
    )
    seen: list[Any] = []
    validator.add_event_handler(
        Events.EPOCH_COMPLETED, lambda e: seen.append(e.metrics["accuracy"])
    )
    validator.run([torch.tensor([0, 1])])
    assert seen == [1.0]


def test_an_evaluator_gets_batches_and_the_datasets_size() -> None:
    """The dataset's length, for padding is cut; a part of it counts its samples."""
    validator = EvalEngine(lambda _, batch: list(batch[0]), metrics=Evaluator(Count()))
    loader = DataLoader(TensorDataset(torch.arange(5)), batch_size=2)
    validator.run(loader)
    assert validator.metrics == {"size": 5, "samples": 5}
    validator.run(loader, epoch_length=2)
    assert validator.metrics["size"] == 4


def test_training_is_left_as_it_was() -> None:
    """Generators, each module's mode, gradients' switch, the phase."""
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    model[1].eval()  # frozen by its owner
    seen: list[Any] = []

    def step(_: EvalEngine, batch: Any) -> None:
        seen.append((model[0].training, torch.is_grad_enabled(), torch.rand(()).item()))

    state = RunState(seed=3)
    validator = EvalEngine(step, state, model=model)
    before = bits(capture_randomness())
    validator.run([1])
    validator.run([1])
    assert bits(capture_randomness()) == before
    assert [one[:2] for one in seen] == [(False, False)] * 2
    assert seen[0][2] == seen[1][2], "the same place, the same numbers"
    assert (model[0].training, model[1].training) == (True, False)
    assert torch.is_grad_enabled()
    assert state.phase is Phase.READY
    tester = EvalEngine(step, state, mode="test")
    tester.run([1])
    assert seen[2][2] != seen[0][2], "a test draws numbers of its own"


def test_a_model_is_put_back_after_an_error() -> None:
    """Its mode does not stay behind."""
    model = nn.Dropout()
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        _ = 1 / 0
    assert model.training


@pytest.mark.parametrize("data", [[], DataLoader(TensorDataset(torch.empty(0)))])
def test_nothing_to_evaluate_is_refused(data: Any) -> None:
    """An average of nothing is no metric."""
    with pytest.raises(DataError, match="gives no batch: an evaluation needs at least"):
        EvalEngine(lambda _, batch: batch).run(data)


def test_data_without_a_length_that_gives_nothing_is_refused() -> None:
    """Found when it ends."""
    with pytest.raises(DataError, match="gives no batch"):
        EvalEngine(lambda _, batch: batch).run(iter(()))


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"a": 3}, r"metrics\['a'\]: expected an ignite.metrics.Metric, found an int"),
        (3, r"found an int without process\(\)"),
    ],
)
def test_no_metrics_are_refused(metrics: Any, said: str) -> None:
    """At once."""
    with pytest.raises(MetricError, match=said):
        EvalEngine(lambda _, batch: batch, metrics=metrics)


def test_a_mode_is_val_or_test() -> None:
    """Nothing else has hook methods."""
    with pytest.raises(StateError, match=r"'validate'.*'val' or 'test'"):
        EvalEngine(lambda _, batch: batch, mode="validate")  # type: ignore[arg-type]


def test_it_belongs_to_one_run() -> None:
    """Its hooks come along; another run cannot take it."""

    class Seen(Hook):
        count = 0

        def after_val(self, runner: RunContext) -> None:
            self.count += 1

    hook, validator = Seen(), EvalEngine(lambda _, batch: batch)
    validator.add_hook(hook)
    trainer = TrainEngine(lambda _, batch: batch)
    trainer.validate_with(validator, [1])
    trainer.run([1, 2], max_epochs=2)
    assert hook.count == 2
    assert trainer.context.hooks == [hook]
    with pytest.raises(StateError, match="belongs to another run"):
        TrainEngine(lambda _, batch: batch).validate_with(validator, [1])
