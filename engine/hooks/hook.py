"""The base of all hooks: an object with methods for events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.events import Priority
from engine.hooks.points import POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["Hook", "overrides"]


class Hook:
    """Methods that a run calls at its events; override those you need.

    Only overridden methods are registered, so an empty one costs nothing. The general
    ``_before_epoch``, ``_after_epoch``, ``_before_iter`` and ``_after_iter`` serve
    training, validation and test where the specific method is not overridden, and
    ``before_epoch`` ... ``after_iter`` those that need no ``mode``.

    A hook that remembers something defines ``state_dict()`` and
    ``load_state_dict(state)``; a checkpoint then carries it.
    """

    priority: ClassVar[int | str | Priority] = Priority.NORMAL
    """When it runs among the others, unless registration says otherwise."""

    transient: ClassVar[frozenset[str]] = frozenset()
    """Attributes that change and need not be saved: a cache, a timer's last time."""

    claims: ClassVar[frozenset[str]] = frozenset()
    """Keys of a checkpoint that it adds by itself, and takes out again."""

    # -- once per train(), val() or test() --------------------------------------

    def before_run(self, runner: RunContext) -> None:
        """Before anything of the call, also before weights are loaded."""

    def after_run(self, runner: RunContext) -> None:
        """After everything of the call."""

    def before_train(self, runner: RunContext) -> None:
        """Before the first epoch of this process."""

    def after_train(self, runner: RunContext) -> None:
        """After the last epoch."""

    def before_val(self, runner: RunContext) -> None:
        """Before a validation."""

    def after_val(self, runner: RunContext) -> None:
        """After a validation."""

    def before_test(self, runner: RunContext) -> None:
        """Before a test."""

    def after_test(self, runner: RunContext) -> None:
        """After a test."""

    # -- checkpoints, errors, safe points ---------------------------------------

    def before_save_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint was put together and is written next; may be added to."""

    def after_load_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        """A checkpoint was read and is put back next; may be changed."""

    def before_optimizer_step(self, runner: RunContext) -> None:
        """Gradients are final, the optimizer steps next."""

    def after_optimizer_step(self, runner: RunContext) -> None:
        """The optimizer has stepped."""

    def on_safe_point(self, runner: RunContext) -> None:
        """Between two iterations of training: all state is consistent."""

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """An error ends the run; it reaches the caller whatever this does."""

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """The run is interrupted at a safe point; ``signal`` is what asked for it."""

    # -- epochs -----------------------------------------------------------------

    def before_train_epoch(self, runner: RunContext) -> None:
        """Before an epoch of training."""
        self._before_epoch(runner, mode="train")

    def after_train_epoch(self, runner: RunContext) -> None:
        """After an epoch of training, before a validation that is due."""
        self._after_epoch(runner, mode="train")

    def before_val_epoch(self, runner: RunContext) -> None:
        """Before the batches of a validation."""
        self._before_epoch(runner, mode="val")

    def after_val_epoch(
        self,
        runner: RunContext,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """After the batches of a validation, with its metrics."""
        self._after_epoch(runner, mode="val")

    def before_test_epoch(self, runner: RunContext) -> None:
        """Before the batches of a test."""
        self._before_epoch(runner, mode="test")

    def after_test_epoch(
        self,
        runner: RunContext,
        metrics: Mapping[str, Any] | None = None,
    ) -> None:
        """After the batches of a test, with its metrics."""
        self._after_epoch(runner, mode="test")

    def _before_epoch(self, runner: RunContext, mode: str = "train") -> None:
        self.before_epoch(runner)

    def _after_epoch(self, runner: RunContext, mode: str = "train") -> None:
        self.after_epoch(runner)

    def before_epoch(self, runner: RunContext) -> None:
        """Before an epoch of any mode whose own method is not overridden."""

    def after_epoch(self, runner: RunContext) -> None:
        """After an epoch of any mode whose own method is not overridden."""

    # -- iterations -------------------------------------------------------------

    def before_train_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """Before a training step."""
        self._before_iter(runner, batch_idx, data_batch, mode="train")

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """After a training step; ``outputs`` is what ``train_step`` returned."""
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="train")

    def before_val_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """Before a batch of a validation."""
        self._before_iter(runner, batch_idx, data_batch, mode="val")

    def after_val_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """After a batch of a validation; ``outputs`` is what ``val_step`` returned."""
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="val")

    def before_test_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """Before a batch of a test."""
        self._before_iter(runner, batch_idx, data_batch, mode="test")

    def after_test_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """After a batch of a test; ``outputs`` is what ``test_step`` returned."""
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="test")

    def _before_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        mode: str = "train",
    ) -> None:
        self.before_iter(runner, batch_idx, data_batch)

    def _after_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        self.after_iter(runner, batch_idx, data_batch, outputs)

    def before_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """Before a batch of any mode whose own method is not overridden."""

    def after_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Any = None,
    ) -> None:
        """After a batch of any mode whose own method is not overridden."""

    # -- helpers ----------------------------------------------------------------

    def every_n_epochs(self, runner: RunContext, n: int, start: int = 0) -> bool:
        """Whether ``n`` epochs passed since ``start``; for use in ``*_epoch``."""
        return _every(runner.epoch + 1 - start, n)

    def every_n_train_iters(self, runner: RunContext, n: int, start: int = 0) -> bool:
        """Whether ``n`` iterations passed since ``start``; for use in ``*_iter``."""
        return _every(runner.iter + 1 - start, n)

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Whether ``n`` batches of the epoch passed."""
        return _every(batch_idx + 1, n)

    def end_of_epoch(self, dataloader: Any, batch_idx: int) -> bool:
        """Whether this is the last batch of the loader."""
        return bool(batch_idx + 1 == len(dataloader))

    def is_last_train_epoch(self, runner: RunContext) -> bool:
        """Whether the epoch in progress is the last one."""
        return runner.epoch + 1 == runner.max_epochs

    def is_last_train_iter(self, runner: RunContext) -> bool:
        """Whether the iteration in progress is the last one."""
        last = runner.max_iters - runner.state.iterations_left_out
        return runner.iter + 1 == last

    def get_triggered_stages(self) -> list[str]:
        """Names of the events at which this hook does something, in order."""
        return [
            name
            for name, point in POINTS.items()
            if any(overrides(self, method) for method in (name, *point.general))
        ]


def overrides(hook: Hook, method: str) -> bool:
    """Whether the hook's class, or the hook itself, has a method of its own."""
    own = getattr(hook, "__dict__", {})
    return method in own or getattr(type(hook), method) is not getattr(Hook, method)


def _every(count: int, n: int) -> bool:
    return n > 0 and count > 0 and count % n == 0
