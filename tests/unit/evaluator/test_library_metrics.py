"""Metrics of ``ignite.metrics`` and of torchmetrics, where ours go."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import ignite.metrics
import pytest
import torch
import torchmetrics
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassPrecision,
    MulticlassRecall,
)

from engine.build import build_evaluator
from engine.errors import ConfigError, MetricError, RegistryError
from engine.evaluator import Evaluator, IgniteMetric, TorchMetric
from tests.runs import bits

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = 3


def batches(count: int = 5) -> list[tuple[Tensor, Tensor]]:
    """Scores and targets."""
    generator = torch.Generator().manual_seed(7)
    return [
        (
            torch.randn(4, CLASSES, generator=generator),
            torch.randint(CLASSES, (4,), generator=generator),
        )
        for _ in range(count)
    ]


def as_step_model(batch: tuple[Tensor, Tensor]) -> list[Any]:
    """What ``StepModel`` returns."""
    return [{"outputs": batch[0], "targets": batch[1]}]


def pair(data_samples: list[Any]) -> tuple[Tensor, Tensor]:
    """An ``output_transform``: of samples that are apart."""
    return (
        torch.stack([one["score"] for one in data_samples]),
        torch.tensor([one["label"] for one in data_samples]),
    )


def apart(batch: tuple[Tensor, Tensor]) -> list[Any]:
    """What a model in MMEngine's way returns."""
    return [
        {"score": score, "label": int(label)}
        for score, label in zip(*batch, strict=True)
    ]


IGNITE: dict[str, Callable[[], Any]] = {
    "accuracy": ignite.metrics.Accuracy,
    "precision": lambda: ignite.metrics.Precision(average=True),
    "confusion_matrix": lambda: ignite.metrics.ConfusionMatrix(CLASSES),
    "made of others": lambda: ignite.metrics.Fbeta(1),
    "running": lambda: ignite.metrics.RunningAverage(ignite.metrics.Accuracy()),
    "loss": lambda: ignite.metrics.Loss(torch.nn.CrossEntropyLoss()),
}
TORCH: dict[str, Callable[[], Any]] = {
    "accuracy": lambda: MulticlassAccuracy(CLASSES),
    "confusion_matrix": lambda: MulticlassConfusionMatrix(CLASSES),
    "collection": lambda: MetricCollection(
        {"p": MulticlassPrecision(CLASSES), "r": MulticlassRecall(CLASSES)}
    ),
    "curve": lambda: torchmetrics.AUROC(task="multiclass", num_classes=CLASSES),
}
MAKERS = {
    **{f"ignite: {name}": make for name, make in IGNITE.items()},
    **{f"torch: {name}": make for name, make in TORCH.items()},
}


@pytest.mark.parametrize("name", TORCH)
def test_it_is_what_torchmetrics_computes(name: str) -> None:
    """Twice: the second evaluation begins anew."""
    evaluator = Evaluator(TORCH[name]())
    for _ in range(2):
        theirs = TORCH[name]()
        for batch in batches():
            evaluator.process(as_step_model(batch))
            theirs.update(*batch)
        value = theirs.compute()
        expected = list(value.values()) if isinstance(value, dict) else [value]
        found = [torch.as_tensor(one) for one in evaluator.evaluate(20).values()]
        assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("name", IGNITE)
def test_it_is_what_ignite_computes(name: str) -> None:
    """In Ignite's own engine; twice: the second evaluation begins anew."""
    engine = ignite.engine.Engine(lambda _, batch: batch)
    IGNITE[name]().attach(engine, "value")
    expected = engine.run(batches()).metrics["value"]
    evaluator = Evaluator(IGNITE[name]())
    for _ in range(2):
        for batch in batches():
            evaluator.process(as_step_model(batch))
        (found,) = evaluator.evaluate(20).values()
        assert bits(found) == bits(expected)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("cut", [1, 4])
def test_it_goes_on_from_its_state(name: str, cut: int) -> None:
    """Read from a file, in fresh objects and in the same ones."""
    whole = Evaluator(MAKERS[name]())
    whole.watch()
    for batch in batches()[:cut]:
        whole.process(as_step_model(batch))
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    for batch in batches()[cut:]:
        whole.process(as_step_model(batch))
    expected = whole.evaluate(20)
    for again in (Evaluator(MAKERS[name]()), whole):
        again.reset()
        again.watch()
        again.load_state_dict(saved)
        for batch in batches()[cut:]:
            again.process(as_step_model(batch))
        assert bits(again.evaluate(20)) == bits(expected)


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "ignite.metrics.Accuracy"},
        {"type": "Accuracy"},
        "Accuracy",
        {"type": ignite.metrics.Accuracy},
        {"type": "IgniteMetric", "metric": {"type": "Accuracy"}},
        {"type": "IgniteMetric", "metric": ignite.metrics.Accuracy()},
        {"type": "torchmetrics.Accuracy", "task": "multiclass", "num_classes": CLASSES},
        {
            "type": "torchmetrics.classification.MulticlassAccuracy",
            "num_classes": CLASSES,
            "average": "micro",
            "name": "accuracy",
        },
        ignite.metrics.Accuracy(),
    ],
)
def test_by_name_by_spec_or_by_object(spec: Any) -> None:
    """With an ``output_transform`` and a prefix where a spec is given."""
    evaluator = build_evaluator(spec)
    for batch in batches():
        evaluator.process(as_step_model(batch))
    scores, targets = map(torch.cat, zip(*batches(), strict=True))
    expected = (scores.argmax(1) == targets).float().mean().item()
    (found,) = evaluator.evaluate(20).values()
    assert found == pytest.approx(expected)
    if not isinstance(spec, dict) or spec["type"] == "IgniteMetric":
        return
    evaluator = build_evaluator({**spec, "prefix": "val", "output_transform": pair})
    for batch in batches():
        evaluator.process(apart(batch))
    ((key, again),) = evaluator.evaluate(20).items()
    assert key.startswith("val/")
    assert key.endswith("accuracy")
    assert again == pytest.approx(expected)


def test_an_own_transform_of_ignites_gets_the_output_itself() -> None:
    """As the validator's output in Ignite."""
    metric = ignite.metrics.Accuracy(output_transform=pair)
    evaluator = Evaluator(metric)
    for batch in batches():
        evaluator.process(apart(batch))
    plain = Evaluator(ignite.metrics.Accuracy())
    for batch in batches():
        plain.process(list(batch))  # a pair of tensors is taken apart
    assert evaluator.evaluate(20) == plain.evaluate(20)


@pytest.mark.parametrize("size", [20, 17, 9])
@pytest.mark.parametrize("name", ["ignite: accuracy", "torch: confusion_matrix"])
def test_padded_samples_are_left_out(name: str, size: int) -> None:
    """Those beyond the dataset's size: a batch is cut, or left out whole."""
    evaluator = Evaluator(MAKERS[name]())
    evaluator.expect(size)
    for batch in batches():
        evaluator.process(as_step_model(batch))
    scores, targets = map(torch.cat, zip(*batches(), strict=True))
    alone = Evaluator(MAKERS[name]())
    alone.process(as_step_model((scores[:size], targets[:size])))
    assert bits(evaluator.evaluate(size)) == bits(alone.evaluate(size))


def flattened(data_samples: list[Any]) -> tuple[Tensor, Tensor]:
    """An ``output_transform``: each token of each sample counts."""
    whole = data_samples[0]
    return whole["outputs"].flatten(0, 1), whole["targets"].flatten()


def stacked(data_samples: list[Any]) -> tuple[Tensor, Tensor]:
    """The same of samples that are apart."""
    return flattened(
        [
            {
                "outputs": torch.stack([one["outputs"] for one in data_samples]),
                "targets": torch.stack([one["targets"] for one in data_samples]),
            }
        ]
    )


@pytest.mark.parametrize("size", [8, 7, 5, 4, 2])
@pytest.mark.parametrize("is_apart", [False, True])
@pytest.mark.parametrize(
    "kind", [ignite.metrics.Accuracy, lambda: MulticlassAccuracy(CLASSES)]
)
def test_samples_are_counted_not_what_the_metric_takes(
    kind: Callable[[], Any], is_apart: bool, size: int
) -> None:
    """A sample may give many tokens or pixels: none of a real one is left out."""
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(8, 10, CLASSES, generator=generator)
    targets = torch.randint(CLASSES, (8, 10), generator=generator)

    def samples(start: int, end: int) -> list[Any]:
        if not is_apart:
            part = slice(start, end)
            return [{"outputs": scores[part], "targets": targets[part]}]
        return [
            {"outputs": scores[n], "targets": targets[n]} for n in range(start, end)
        ]

    transform = stacked if is_apart else flattened
    make = IgniteMetric if isinstance(kind(), ignite.metrics.Metric) else TorchMetric
    evaluator = Evaluator(make(kind(), name="acc", output_transform=transform))
    evaluator.expect(size)
    for start in (0, 4):
        evaluator.process(samples(start, start + 4), {"inputs": torch.zeros(4, 2)})
    alone = Evaluator(make(kind(), name="acc", output_transform=transform))
    alone.process(samples(0, size))
    assert bits(evaluator.evaluate(size)) == bits(alone.evaluate(size))


def test_padding_that_nobody_can_leave_out() -> None:
    """The batch that holds it is an error, which says what to do; others are none."""
    evaluator = Evaluator(
        ignite.metrics.Accuracy(output_transform=lambda samples: samples[0])
    )
    evaluator.expect(6)
    pair_of_tokens = (torch.eye(3).repeat(10, 1), torch.zeros(30).long())
    evaluator.process([pair_of_tokens], {"inputs": torch.zeros(4, 2)})
    with pytest.raises(MetricError, match="the last 2 of the batch's 4 samples are"):
        evaluator.process([pair_of_tokens], {"inputs": torch.zeros(4, 2)})


def test_a_metric_that_goes_on_moves_to_its_data_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A checkpoint's tensors lie on the host, whatever the device."""
    metric = TorchMetric(MulticlassAccuracy(CLASSES))
    metric.process(None, as_step_model(batches()[0]))
    saved = metric.state_dict()
    again = TorchMetric(MulticlassAccuracy(CLASSES))
    again.load_state_dict(saved)
    moves: list[torch.device] = []
    monkeypatch.setattr(again.metric, "to", moves.append)
    for batch in batches():
        again.process(None, as_step_model(batch))
    assert moves == [torch.device("cpu")]


def test_two_values_of_one_name_are_refused() -> None:
    """A prefix tells them apart."""
    evaluator = Evaluator([ignite.metrics.Accuracy(), ignite.metrics.Accuracy()])
    evaluator.process(as_step_model(batches()[0]))
    with pytest.raises(MetricError, match=r"both report 'accuracy'. Give one of"):
        evaluator.evaluate(4)


def test_an_output_that_nobody_can_take_apart() -> None:
    """It says what there is, and asks for a transform."""
    evaluator = Evaluator(ignite.metrics.Accuracy())
    with pytest.raises(
        MetricError, match=r"output is 4 elements \(a dict\).*transform"
    ):
        evaluator.process(apart(batches()[0]))


def test_no_batch_is_an_error() -> None:
    """Not the metric's own, which says less."""
    with pytest.raises(MetricError, match="has seen no batch"):
        Evaluator(MulticlassAccuracy(CLASSES)).evaluate(4)


def test_what_is_no_metric() -> None:
    """Of the library, or at all."""
    with pytest.raises(MetricError, match=r"IgniteMetric: metric is an int"):
        IgniteMetric(3)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(MetricError, match=r"TorchMetric: metric is an Accuracy"):
        TorchMetric(ignite.metrics.Accuracy())
    with pytest.raises(MetricError, match="output_transform is a str"):
        TorchMetric(MulticlassAccuracy(CLASSES), output_transform="x")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(RegistryError, match="Accuracies"):
        build_evaluator("Accuracies")


def test_torchmetrics_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the message names the extra."""
    monkeypatch.setattr("engine.build.evaluation.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'ignite-runner\[torchmetrics"):
        build_evaluator({"type": "torchmetrics.Accuracy"})
    assert "torchmetrics" in sys.modules  # by this test, not by the engine
