"""The Runner's training loops: how long, and which validation inside."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from engine.dataset import data_length
from engine.errors import ConfigError
from engine.loops.base_loop import BaseLoop, turns_itself
from engine.loops.driven import Leave
from engine.loops.interval import ValidationPlan
from engine.registry import LOOPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["EpochBasedTrainLoop", "IterBasedTrainLoop"]


class _TrainLoop(BaseLoop):
    """What both training loops have in common.

    Args:
        runner: The Runner.
        dataloader: The training data.
        plan: When validations are due.
        val_at_start: Also validate before the first iteration.
    """

    mode = "train"

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

    # -- MMEngine's own counters, which its loops' subclasses use ------------------

    @property
    def _epoch(self) -> int:
        return int(self._runner.state.epoch)

    @_epoch.setter
    def _epoch(self, value: int) -> None:
        self._agree("epoch", value, self._runner.state.epoch)

    @property
    def _iter(self) -> int:
        return int(self._runner.state.iteration)

    @_iter.setter
    def _iter(self, value: int) -> None:
        self._agree("iter", value, self._runner.state.iteration)

    @property
    def _max_epochs(self) -> int:
        return int(self.max_epochs)

    @property
    def _max_iters(self) -> int:
        return int(self.max_iters)

    @property
    @abstractmethod
    def max_epochs(self) -> int:
        """Epochs in all."""

    @property
    @abstractmethod
    def max_iters(self) -> int:
        """Iterations in all."""

    def _agree(self, name: str, value: int, done: int) -> None:
        # The state counts: `self._iter += 1` after after_train_iter says what it knows.
        if value not in (done, done + 1):
            message = (
                f"{type(self).__name__}._{name} = {value}: the run's state counts, and "
                f"{done} are done. Announce each stage by runner.call_hook instead."
            )
            raise ConfigError(message)

    # -- running -----------------------------------------------------------------

    def plan_validation(self) -> None:
        """Let the trainer validate when it is due, at its safe points."""
        runner = self._runner
        if runner.val_loop is not None:
            runner.trainer.plan_validation(
                runner.val_loop.run,
                self.plan,
                at_start=self.val_at_start,
            )

    def _turn(self, **bound: int | None) -> Any:
        """Let Ignite's loop turn."""
        self._runner.trainer.run(self.dataloader, **bound)
        return self._runner.model


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
        self._bound_epochs = _limit("max_epochs", max_epochs)

    @property
    def max_epochs(self) -> int:
        """Epochs in all, or as many of them as are tried out."""
        limit: int | None = getattr(self._runner, "epoch_limit", None)
        return self._bound_epochs if limit is None else min(self._bound_epochs, limit)

    @property
    def max_iters(self) -> int:
        """Iterations in all; 0 for data without a length."""
        length = data_length(self.dataloader) or 0
        limit = self.batch_limit
        return self.max_epochs * (length if limit is None else min(length, limit))

    @turns_itself
    def run(self) -> Any:
        """Train; returns the model."""
        self.plan_validation()
        if self.leads():  # the run of a subclass calls this one
            return self._drive()
        mine, cls = EpochBasedTrainLoop, type(self)
        if (cls.run_epoch, cls.run_iter) != (mine.run_epoch, mine.run_iter):
            return self.lead(self._drive)
        return self._turn(max_epochs=self.max_epochs, epoch_length=_at_most(self))

    def _drive(self) -> None:
        self._runner.call_hook("before_train")
        while self._epoch < self.max_epochs and not self.stop_training:
            self.run_epoch()
        self._runner.call_hook("after_train")

    def run_epoch(self) -> None:
        """Train one epoch; a loop of one's own may override it, in MMEngine's way."""
        self._runner.call_hook("before_train_epoch")
        self._runner.model.train()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        self._runner.call_hook("after_train_epoch")

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch; a loop of one's own may override it, likewise.

        Args:
            idx: Index of the batch in what this call of ``run_epoch`` iterates.
            data_batch: The batch.
        """
        _train_on(self._runner, idx, data_batch)


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
        self._batches: Iterator[Any] | None = None
        self._batches_of: Any = None
        self._bound_iters = _limit("max_iters", max_iters)

    @property
    def max_epochs(self) -> int:
        """The whole run is one epoch."""
        return 1

    @property
    def max_iters(self) -> int:
        """Iterations in all."""
        limit = self.batch_limit
        return self._bound_iters if limit is None else min(self._bound_iters, limit)

    @turns_itself
    def run(self) -> Any:
        """Train; returns the model."""
        self.plan_validation()
        if self.leads():  # the run of a subclass calls this one
            return self._drive()
        if type(self).run_iter is not IterBasedTrainLoop.run_iter:
            return self.lead(self._drive)
        return self._turn(max_iters=self.max_iters)

    @property
    def dataloader_iterator(self) -> Iterator[Any]:
        """The batches from the run's place on, without end; one for each run."""
        if self._batches is None or self._batches_of is not self.dataloader:
            self._batches_of = self.dataloader
            self._batches = _endless(self.dataloader)
        return self._batches

    def _drive(self) -> None:
        call = self._runner.call_hook
        call("before_train")
        call("before_train_epoch")
        self._runner.model.train()
        while self._iter < self.max_iters and not self.stop_training:
            self.run_iter(next(self.dataloader_iterator))
        call("after_train_epoch")
        call("after_train")

    def run_iter(self, data_batch: Any) -> None:
        """Train on one batch; a loop of one's own may override it, in MMEngine's way.

        Args:
            data_batch: The batch.
        """
        _train_on(self._runner, self._iter, data_batch)

    def _bound(self) -> dict[str, int]:
        return {"max_iters": self.max_iters}


def _train_on(runner: Any, index: int, batch: Any) -> None:
    runner.call_hook("before_train_iter", batch_idx=index, data_batch=batch)
    outputs = runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
    runner.call_hook(
        "after_train_iter", batch_idx=index, data_batch=batch, outputs=outputs
    )


def _at_most(loop: EpochBasedTrainLoop) -> int | None:
    """Batches of an epoch, if the Runner limits them."""
    limit: int | None = loop.batch_limit
    length = data_length(loop.dataloader)
    return limit if limit is None or length is None else min(limit, length)


def _endless(data: Iterable[Any]) -> Iterator[Any]:
    while True:
        empty = True
        for batch in data:
            empty = False
            yield batch
        if empty:  # the run ends or halts here, and the data with it
            raise Leave


def _limit(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        message = f"train_cfg: {name}={value!r}: give a whole number of at least 1"
        raise ConfigError(message)
    return value
