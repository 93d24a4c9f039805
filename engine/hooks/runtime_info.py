"""Writes to the message hub where the run is, its learning rate and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.state import MessageHub, RunContext
    from engine.typing import Batch

__all__ = ["RuntimeInfoHook"]


@HOOKS.register_module()
class RuntimeInfoHook(Hook):
    """Writes to the message hub where the run is, its learning rate and its losses.

    Scalars: ``train/lr`` (``train/NAME.lr`` of several optimizers; of several parameter
    groups the first one's, and ``train/base_lr`` beside it), ``train/KEY`` for
    each number that the training step returned, ``val/KEY`` and ``test/KEY`` for each
    metric. Facts: ``epoch``, ``iter``, ``max_epochs``, ``max_iters``, ``seed``.
    """

    priority: ClassVar[Priority] = Priority.VERY_HIGH
    transient: ClassVar[frozenset[str]] = frozenset({"_record"})

    def __init__(self) -> None:
        self._record = _Record(None)

    def before_run(self, runner: RunContext) -> None:
        """Note the seed."""
        runner.message_hub.update_info("seed", runner.state.seed)

    def before_train(self, runner: RunContext) -> None:
        """Note where training begins and how far it goes."""
        hub = runner.message_hub
        self._record = _Record(hub)  # a hook may serve one run after another
        hub.update_info("max_epochs", runner.max_epochs)
        hub.update_info("max_iters", runner.max_iters)
        if not runner.state.started:  # a resumed run knows these from its checkpoint
            hub.update_info("epoch", runner.epoch)
            hub.update_info("iter", runner.iter)

    def before_train_epoch(self, runner: RunContext) -> None:
        """Note the epoch."""
        runner.message_hub.update_info("epoch", runner.epoch)

    def before_train_iter(
        self, runner: RunContext, batch_idx: int, data_batch: Batch = None
    ) -> None:
        """Note the iteration and the learning rate that it uses."""
        state, record = runner.state, self._record
        state.hub.update_info("iter", state.progress.iteration)
        optimizer = getattr(runner, "optim_wrapper", None)
        groups = getattr(optimizer, "param_groups", None)
        if type(groups) is list:
            record["lr"](groups[0]["lr"])
            if len(groups) > 1 and "lr" in (
                base := getattr(optimizer, "base_param_settings", None) or {}
            ):
                record["base_lr"](base["lr"])
        elif optimizer is not None:  # several, by name
            for name, one in optimizer.items():
                record[f"{name}.lr"](one.param_groups[0]["lr"])

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Any = None,
    ) -> None:
        """Record the numbers that the training step returned."""
        record = self._record
        # The first question is the quick one: Mapping's own check is in Python.
        if type(outputs) is dict or isinstance(outputs, Mapping):
            for key, value in outputs.items():
                if type(value) is float or _is_scalar(value):
                    record[key](value)
        elif _is_scalar(outputs):
            record["loss"](outputs)

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Record the metrics of a validation."""
        _record(runner, "val", metrics)

    def after_test_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Record the metrics of a test."""
        _record(runner, "test", metrics)


class _Record(dict[str, "Callable[[float | Tensor], None]"]):
    """By key what adds to its history: an iteration looks nothing else up.

    Args:
        hub: Has the histories.
    """

    def __init__(self, hub: MessageHub | None) -> None:
        super().__init__()
        self._hub = hub

    def __missing__(self, key: str) -> Callable[[float | Tensor], None]:
        assert self._hub is not None, "before_train runs before any iteration"
        update: Callable[[float | Tensor], None] = self._hub.scalar(
            f"train/{key}"
        ).update
        self[key] = update
        return update


def _is_scalar(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    if isinstance(value, (np.ndarray, np.number)):
        return value.size == 1 and value.dtype.kind in "iuf"
    return isinstance(value, int | float) and not isinstance(value, bool)


def _record(runner: RunContext, mode: str, metrics: Mapping[str, Any] | None) -> None:
    for key, value in (metrics or {}).items():
        if _is_scalar(value):
            runner.message_hub.update_scalar(f"{mode}/{key}", value)
        else:  # a confusion matrix, a table: shown by who knows it, not resumed
            runner.message_hub.update_info(f"{mode}/{key}", value, resumed=False)
