"""Smoothing and formatting of log lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.loops import LogProcessor
from engine.registry import LOG_PROCESSORS
from engine.state import MessageHub


def runner(**scalars: list[float]) -> Any:
    """A run at iteration 7, the second of its second epoch, with these scalars."""
    hub = MessageHub()
    for name, values in scalars.items():
        for value in values:
            hub.update_scalar(name.replace("_", "/", 1), value)
    return SimpleNamespace(
        message_hub=hub,
        epoch=1,
        iter=6,
        max_iters=20,
        max_epochs=4,
        clock=SimpleNamespace(epoch_length=5),
        validator=SimpleNamespace(length=12),
        tester=SimpleNamespace(length=3),
    )


def test_losses_are_smoothed_over_the_window() -> None:
    """Other scalars show their newest value; those of other modes do not show."""
    run = runner(train_loss=[9.0, 1.0, 3.0], train_lr=[0.1, 0.2], val_loss=[5.0])
    values, _ = LogProcessor(window_size=2).get_log_after_iter(run, 1, "train")
    assert values == {"loss": 2.0, "lr": 0.2, "epoch": 2, "iter": 7}


def test_the_window_reaches_into_the_epoch_before() -> None:
    """As MMEngine's does: the curve has no jump at an epoch's first batches."""
    run = runner(train_loss=[9.0, 1.0, 3.0])
    values, _ = LogProcessor(window_size=2).get_log_after_iter(run, 0, "train")
    assert values["loss"] == 2.0


def test_a_line_of_training() -> None:
    """Place, rate, time left, then the rest."""
    run = runner(train_lr=[0.01], train_loss=[0.5])
    run.message_hub.update_info("eta", 3661.9)
    _, line = LogProcessor().get_log_after_iter(run, 1, "train")
    assert line == "Epoch(train) [2][2/5]  lr: 1.0000e-02  eta: 1:01:01  loss: 0.5000"


def test_a_line_by_iterations() -> None:
    """Counts those."""
    run = runner(train_loss=[0.5])
    _, line = LogProcessor(by_epoch=False, num_digits=1).get_log_after_iter(
        run, 1, "train"
    )
    assert line == "Iter(train) [ 7/20]  loss: 0.5"


def test_lines_of_evaluations() -> None:
    """A validation names the epochs done; a test none. Metrics come before times."""
    run = runner(val_time=[0.5], val_acc=[0.9], test_time=[2.0], test_acc=[0.8])
    processor = LogProcessor(num_digits=2)
    _, line = processor.get_log_after_iter(run, 9, "val")
    assert line == "Epoch(val) [1][10/12]  eta: 0:00:01  time: 0.50", "acc is old"
    values, line = processor.get_log_after_epoch(run, 12, "val")
    assert line == "Epoch(val) [1][12/12]  acc: 0.90  time: 0.50"
    assert list(values) == ["acc", "time"]
    _, line = processor.get_log_after_epoch(run, 3, "test")
    assert line == "Epoch(test) [3/3]  acc: 0.80  time: 2.00"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"window_size": 0}, "window_size=0"),
        ({"window_size": 1.5}, r"window_size=1\.5"),
        ({"num_digits": -1}, "num_digits=-1"),
    ],
)
def test_numbers_out_of_range(settings: dict[str, Any], said: str) -> None:
    """Each is named."""
    with pytest.raises(ConfigError, match=f"LogProcessor: {said}: give a whole number"):
        LogProcessor(**settings)


def test_it_is_registered() -> None:
    """Specs name it."""
    assert LOG_PROCESSORS.get("LogProcessor") is LogProcessor


def test_metrics_that_are_no_numbers_stand_in_the_line() -> None:
    """Shortened where they are long; backends get them only if asked."""
    run = runner(val_acc=[0.5], val_time=[1.0])
    run.message_hub.update_info("val/names", ["a"])
    run.message_hub.update_info("val/matrix", [[0] * 100])
    tag, line = LogProcessor(num_digits=1).get_log_after_epoch(run, 1, "val")
    assert line.endswith("  acc: 0.5  names: ['a']  matrix: list  time: 1.0")
    assert list(tag) == ["acc", "time"]
    tag, _ = LogProcessor().get_log_after_epoch(run, 1, "val", with_non_scalar=True)
    assert list(tag) == ["acc", "names", "matrix", "time"]
