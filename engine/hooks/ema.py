"""Keeps an average of the model's weights and evaluates with it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from engine.errors import CheckpointError, ConfigError
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.model import is_model_wrapper
from engine.registry import HOOKS, MODELS
from engine.registry.spec import check_arguments
from engine.state import Exactness, PartReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch.nn import Module

    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["EMAHook"]


@HOOKS.register_module()
class EMAHook(Hook):
    """Keeps an average of the model's weights and evaluates with it.

    In validation and test the averaged weights are in the model; afterwards the
    trained ones are back. Checkpoints have MMEngine's form: ``state_dict`` holds the
    averages, so what loads a checkpoint gets the weights that were evaluated, and
    ``ema_state_dict`` holds the trained weights as ``module.*`` and the count of
    updates. A resume puts both where they were.

    Args:
        ema_type: Name of the average's class, as ``"ExponentialMovingAverage"``,
            ``"MomentumAnnealingEMA"``, ``"StochasticWeightAverage"`` or
            ``"torch.optim.swa_utils.AveragedModel"``.
        strict_load: Whether averages that do not fit the model end a resume; else
            what does not fit is left as it is, with a warning.
        begin_iter: The first iteration (counted from 1) that is averaged.
        begin_epoch: The first epoch (likewise), instead of ``begin_iter``.
        kwargs: Of the average's class, as ``momentum``, ``interval``,
            ``update_buffers``.

    Attributes:
        ema_model: The average, from ``before_run`` on. Until it begins only a
            checkpoint of it, not it itself, follows the model.

    Raises:
        ConfigError: Both ``begin_iter`` and ``begin_epoch`` are given, or one is below
            0; ``ema_type`` is no average, or has no such arguments.
    """

    priority: ClassVar[Priority] = Priority.NORMAL
    claims: ClassVar[frozenset[str]] = frozenset({"ema_state_dict"})

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        strict_load: bool = False,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        for name, value in (("begin_iter", begin_iter), ("begin_epoch", begin_epoch)):
            if not isinstance(value, int) or value < 0:
                msg = f"EMAHook: {name} is {value!r}, but it counts from 1; 0: at once."
                raise ConfigError(msg)
        if begin_iter and begin_epoch:
            msg = (
                f"EMAHook: begin_iter is {begin_iter} and begin_epoch {begin_epoch}: "
                "give one of the two."
            )
            raise ConfigError(msg)
        kind = MODELS.get(ema_type) if isinstance(ema_type, str) else ema_type
        if not hasattr(kind, "update_parameters"):
            msg = (
                f"EMAHook: ema_type is {ema_type!r}, which has no update_parameters: "
                "it is no average. Take 'ExponentialMovingAverage', "
                "'MomentumAnnealingEMA', 'StochasticWeightAverage' or "
                "'torch.optim.swa_utils.AveragedModel'."
            )
            raise ConfigError(msg)
        check_arguments(
            kind, {"model": None, **kwargs}, where=f"EMAHook: {kind.__name__}"
        )
        self.ema_cfg = {"type": kind, **kwargs}
        self.strict_load = strict_load
        self.begin_iter = begin_iter
        self.begin_epoch = begin_epoch
        self.ema_model: Any = None
        self._source: Module | None = None
        self._swapped = False

    def before_run(self, runner: RunContext) -> None:
        """Copy the model, once for each."""
        self._have_average(runner)

    def before_train(self, runner: RunContext) -> None:
        """Find out now whether there will be an average, not when the run is over.

        Raises:
            ConfigError: ``begin_iter`` or ``begin_epoch`` lies behind the run's end.
        """
        if getattr(runner, "batch_limit", None) is not None:
            return  # cut short to try the config out: the real run may get there
        for name, begin, last in (
            ("begin_iter", self.begin_iter, runner.max_iters),
            ("begin_epoch", self.begin_epoch, runner.max_epochs),
        ):
            if 0 < last < begin:  # 0: not known yet
                msg = (
                    f"EMAHook: {name} is {begin}, but the run ends with {last}: there "
                    f"would be no average. Give at most {last}."
                )
                raise ConfigError(msg)

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Let the average follow; its first update copies the weights."""
        if runner.iter + 1 >= self.begin_iter and runner.epoch + 1 >= self.begin_epoch:
            self.ema_model.update_parameters(self._source)

    def before_val_epoch(self, runner: RunContext) -> None:
        """Put the averages into the model."""
        self._swap_in()

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Put the trained weights back."""
        self._swap_back()

    def before_test_epoch(self, runner: RunContext) -> None:
        """Put the averages into the model."""
        self._swap_in()

    def after_test_epoch(
        self, runner: RunContext, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Put the trained weights back."""
        self._swap_back()

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Put the trained weights back, also when an evaluation fails."""
        self._swap_back()

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """Put the trained weights back, also when an evaluation is left."""
        self._swap_back()

    def before_save_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        """Save the averages as the weights, and the trained weights beside them.

        Before the first update the average is what it will then copy: the model.
        """
        self._have_average(runner)
        averages = self.ema_model.state_dict()
        trained = {f"module.{k}": v for k, v in checkpoint["state_dict"].items()}
        if not _updates(self.ema_model):
            averages = {**averages, **trained}
        if self._swapped:  # saved from inside an evaluation
            trained, averages = _exchanged(trained, averages)
        checkpoint["state_dict"] = {
            name.removeprefix("module."): value
            for name, value in averages.items()
            if name in trained
        }
        checkpoint["ema_state_dict"] = {**averages, **trained}

    def after_load_checkpoint(
        self, runner: RunContext, checkpoint: dict[str, Any]
    ) -> None:
        """Take the averages out of a checkpoint that a run goes on from."""
        saved = checkpoint.pop("ema_state_dict", None)
        if saved is None:
            self._source = None  # what another checkpoint brought does not count
        self._have_average(runner)  # a Runner may resume before it runs
        if saved is None:  # resume_report says so
            return
        averages = {f"module.{k}": v for k, v in checkpoint["state_dict"].items()}
        checkpoint["state_dict"] = {
            name.removeprefix("module."): value
            for name, value in saved.items()
            if name in averages
        }
        try:
            found = self.ema_model.load_state_dict(
                {**saved, **averages}, strict=self.strict_load
            )
        except RuntimeError as error:  # torch's way to say that shapes differ
            message = f"the checkpoint's averages do not fit this run's model: {error}"
            raise CheckpointError(message) from error
        if found.missing_keys or found.unexpected_keys:
            runner.logger.warning(
                "ema_does_not_fit",
                line="Resume: averages that do not fit: missing "
                f"{found.missing_keys}, unknown {found.unexpected_keys}",
                missing=found.missing_keys,
                unknown=found.unexpected_keys,
            )

    def resume_report(self, part: str, checkpoint: Mapping[str, Any]) -> PartReport:
        """What a resume brings back: the averages, if the checkpoint has them."""
        if "ema_state_dict" in checkpoint:
            return PartReport(part, Exactness.EXACT)
        why = "the checkpoint has no averages: new ones begin"
        return PartReport(part, Exactness.LOST, why)

    def _have_average(self, runner: RunContext) -> None:
        """Copy the model if there is no average of it yet."""
        source = _unwrapped(runner.model)
        if self._source is not source:
            self._source = source
            self._swapped = False
            self.ema_model = MODELS.build(self.ema_cfg, model=source)

    def _swap_in(self) -> None:
        if not self._swapped and _updates(self.ema_model):
            self._swap()

    def _swap_back(self) -> None:
        if self._swapped:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange what the model and its average hold; both keep their tensors."""
        assert self._source is not None
        pairs = zip(
            _tensors(self._source), _tensors(self.ema_model.module), strict=True
        )
        for one, other in pairs:
            if one.device == other.device:
                one.data, other.data = other.data, one.data
            else:
                held = one.clone()
                one.copy_(other)
                other.copy_(held)
        self._swapped = not self._swapped


def _unwrapped(model: Any) -> Any:
    return model.module if is_model_wrapper(model) else model


def _tensors(model: Module) -> Iterator[Tensor]:
    return chain(model.parameters(), model.buffers())


def _updates(average: Any) -> int:
    """How often an average was updated; torch's own calls it otherwise."""
    count = average.steps if hasattr(average, "steps") else average.n_averaged
    return int(count)


def _exchanged(
    trained: dict[str, Any], averages: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two with what they hold exchanged, name by name."""
    return (
        {name: averages[name] for name in trained},
        {**averages, **trained},
    )
