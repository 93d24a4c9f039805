"""Ends training on a plateau; ``tests/oracle`` compares it with MMEngine's."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import ConfigError, MetricError, SerializationError
from engine.hooks import EarlyStoppingHook
from engine.state import Phase


class Run:
    """As much of a runner as the hook looks at."""

    def __init__(self, outer: Phase = Phase.TRAINING) -> None:
        self.state = SimpleNamespace(outer=outer)
        self.reasons: list[str] = []
        self.warnings: list[str] = []
        self.logger = SimpleNamespace(
            info=lambda *_, **__: None,
            warning=lambda _, line, **__: self.warnings.append(line),
        )

    def stop(self, reason: str) -> None:
        self.reasons.append(reason)


def feed(hook: EarlyStoppingHook, scores: list[float]) -> int | None:
    """At which value, from 0, it asks training to end."""
    run: Any = Run()
    for number, score in enumerate(scores):
        hook.after_val_epoch(run, {"accuracy": score, "loss": score})
        if run.reasons:
            return number
    return None


@pytest.mark.parametrize(
    ("arguments", "scores", "expected"),
    [
        ({"patience": 2}, [0.5, 0.55, 0.59], 2),
        ({"patience": 2}, [0.5, 0.55, 0.6, 0.61, 0.62], 4),  # better by just min_delta
        ({"patience": 2, "min_delta": 0}, [0.5, 0.51, 0.52, 0.53], None),
        ({"patience": 1, "rule": "less"}, [0.5, 0.2, 0.15], 2),
        ({"stopping_threshold": 0.9}, [0.5, 0.9, 0.95], 2),
        ({"stopping_threshold": 0.1, "rule": "less"}, [0.5, 0.1, 0.05], 2),
        ({}, [0.5, math.nan], 1),
        ({}, [0.5, -math.inf], 1),
        ({"check_finite": False, "patience": 1}, [0.5, math.nan, 0.1], None),
    ],
)
def test_when_training_ends(
    arguments: dict[str, Any], scores: list[float], expected: int | None
) -> None:
    """After so many values that are no better, beyond the threshold, at a nan."""
    assert feed(EarlyStoppingHook("accuracy", **arguments), scores) == expected


def test_a_validation_alone_ends_nothing() -> None:
    """There is no training to end, and its value is not one of training's."""
    hook = EarlyStoppingHook("accuracy", patience=0)
    run: Any = Run(outer=Phase.READY)
    hook.after_val_epoch(run, {"accuracy": math.nan})
    assert not run.reasons
    assert hook.best_score == -math.inf


def test_a_missing_metric() -> None:
    """It is a warning that names the nearest, or with ``strict`` an error."""
    run: Any = Run()
    EarlyStoppingHook("accuracies", rule="greater").after_val_epoch(
        run, {"accuracy": 1.0}
    )
    (told,) = run.warnings
    assert "gave no 'accuracies'" in told
    assert "Did you mean 'accuracy'?" in told
    strict = EarlyStoppingHook("accuracies", rule="greater", strict=True)
    with pytest.raises(MetricError, match="gave no 'accuracies'"):
        strict.after_val_epoch(run, {"accuracy": 1.0})
    with pytest.raises(MetricError, match=r"It gave \[\]"):
        strict.after_val_epoch(run, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"monitor": "acc", "rule": "greatest"}, "rule='greatest': give 'greater'"),
        ({"monitor": "kappa"}, "whether a greater 'kappa' is better cannot be told"),
        ({"monitor": "acc", "patience": -1}, "patience=-1: give a whole number"),
        ({"monitor": "acc", "patience": 1.5}, "patience=1.5: give a whole number"),
        ({"monitor": "acc", "patience": True}, "patience=True"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], said: str) -> None:
    """Each is told."""
    with pytest.raises(ConfigError, match=said):
        EarlyStoppingHook(**arguments)


def test_its_patience_goes_on() -> None:
    """At each cut the resumed one ends training where the other one does."""
    scores = [0.5, 0.4, 0.7, 0.6, 0.65, 0.69, 0.5]
    whole = feed(EarlyStoppingHook("accuracy", patience=3), scores)
    assert whole == 5
    for cut in range(whole):
        first = EarlyStoppingHook("accuracy", patience=3)
        assert feed(first, scores[:cut]) is None
        second = EarlyStoppingHook("accuracy", patience=3)
        second.load_state_dict(first.state_dict())
        assert feed(second, scores[cut:]) == whole - cut


def test_another_metric_begins_anew() -> None:
    """The best loss says nothing of the accuracy."""
    first = EarlyStoppingHook("loss")
    feed(first, [0.5])
    second = EarlyStoppingHook("accuracy")
    second.load_state_dict(first.state_dict())
    assert second.best_score == -math.inf


@pytest.mark.parametrize("change", [{"format": 2}, {"more": 1}])
def test_a_foreign_state(change: dict[str, Any]) -> None:
    """It is refused."""
    hook = EarlyStoppingHook("loss")
    with pytest.raises(SerializationError, match="EarlyStoppingHook: expected state"):
        hook.load_state_dict({**hook.state_dict(), **change})
