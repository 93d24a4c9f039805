"""The Runner's training loops: how long, and which validation inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from engine.dataset import data_length
from engine.errors import ConfigError
from engine.loops.interval import ValidationPlan
from engine.registry import LOOPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["BaseLoop", "EpochBasedTrainLoop", "IterBasedTrainLoop"]


class BaseLoop(ABC):
    """Something that the Runner runs over data.

    Args:
        runner: The Runner.
        dataloader: The data.
    """

    def __init__(self, runner: Any, dataloader: Iterable[Any]) -> None:
        self._runner = runner
        self.dataloader = dataloader

    @property
    def runner(self) -> Any:
        """The Runner."""
        return self._runner

    @abstractmethod
    def run(self) -> Any:
        """Run it."""


class _TrainLoop(BaseLoop):
    """What both training loops have in common.

    Args:
        runner: The Runner.
        dataloader: The training data.
        plan: When validations are due.
        val_at_start: Also validate before the first iteration.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Iterable[Any],
        plan: ValidationPlan,
        *,
        val_at_start: bool,
    ) -> None:
        super().__init__(runner, dataloader)
        self.plan = plan
        self.val_at_start = val_at_start

    @property
    def val_begin(self) -> int:
        """The first epoch (or iteration) that may be followed by a validation."""
        return self.plan.begin

    @property
    def val_interval(self) -> int:
        """Epochs (or iterations) between validations, at the present place."""
        done = self._runner.state.progress
        return self.plan.interval_at(
            done.epoch if self.plan.by_epoch else done.iteration
        )

    @property
    def epoch(self) -> int:
        """As ``runner.epoch``."""
        return int(self._runner.clock.epoch)

    @property
    def iter(self) -> int:
        """As ``runner.iter``."""
        return int(self._runner.clock.iter)

    @property
    def stop_training(self) -> bool:
        """Whether training is to end; set it to end after the epoch or iteration."""
        return bool(self._runner.trainer.stop_training)

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self._runner.trainer.stop_training = value

    def _run(self, **bound: int) -> Any:
        runner = self._runner
        if runner.val_loop is not None:
            runner.trainer.plan_validation(
                runner.val_loop.run, self.plan, at_start=self.val_at_start
            )
        runner.trainer.run(self.dataloader, **bound)
        return runner.model


@LOOPS.register_module()
class EpochBasedTrainLoop(_TrainLoop):
    """Trains for a number of epochs; validations are due by epoch.

    Args:
        runner: The Runner.
        dataloader: The training data.
        max_epochs: Epochs in all, at least 1.
        val_begin: The first epoch that may be followed by a validation, at least 1.
        val_interval: Epochs between validations, at least 1.
        dynamic_intervals: ``(milestone, interval)`` pairs in ascending order.
        val_at_start: Also validate before the first iteration.

    Raises:
        ConfigError: A number is out of range.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Iterable[Any],
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        val_at_start: bool = False,
    ) -> None:
        plan = ValidationPlan(
            by_epoch=True,
            begin=val_begin,
            interval=val_interval,
            dynamic_intervals=dynamic_intervals or (),
        )
        super().__init__(runner, dataloader, plan, val_at_start=val_at_start)
        self.max_epochs = _limit("max_epochs", max_epochs)

    @property
    def max_iters(self) -> int:
        """Iterations in all; 0 for data without a length."""
        return self.max_epochs * (data_length(self.dataloader) or 0)

    def run(self) -> Any:
        """Train; returns the model."""
        return self._run(max_epochs=self.max_epochs)


@LOOPS.register_module()
class IterBasedTrainLoop(_TrainLoop):
    """Trains for a number of iterations over data that restarts.

    The whole run is one epoch; validations are due by iteration.

    Args:
        runner: The Runner.
        dataloader: The training data; each restart is a new shuffle.
        max_iters: Iterations in all, at least 1.
        val_begin: The first iteration that may be followed by a validation.
        val_interval: Iterations between validations, at least 1.
        dynamic_intervals: ``(milestone, interval)`` pairs in ascending order.
        val_at_start: Also validate before the first iteration.

    Raises:
        ConfigError: A number is out of range.
    """

    max_epochs = 1

    def __init__(
        self,
        runner: Any,
        dataloader: Iterable[Any],
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        val_at_start: bool = False,
    ) -> None:
        plan = ValidationPlan(
            by_epoch=False,
            begin=val_begin,
            interval=val_interval,
            dynamic_intervals=dynamic_intervals or (),
        )
        super().__init__(runner, dataloader, plan, val_at_start=val_at_start)
        self.max_iters = _limit("max_iters", max_iters)

    def run(self) -> Any:
        """Train; returns the model."""
        return self._run(max_iters=self.max_iters)


def _limit(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = f"train_cfg: {name}={value!r}: give a whole number of at least 1"
        raise ConfigError(message)
    return value
