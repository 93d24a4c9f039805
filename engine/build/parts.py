"""The parts of a run: what was given of each, and what was built of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define, field

from engine.config import at

__all__ = ["Builder", "RunParts"]


class Builder(Protocol):
    """Who builds: the Runner, whose subclasses may override a method."""

    def build_train_loop(self, loop: Any) -> Any:
        """The training loop."""

    def build_val_loop(self, loop: Any) -> Any:
        """The validation loop."""

    def build_test_loop(self, loop: Any) -> Any:
        """The test loop."""

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """The optimizer wrapper."""

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: Any) -> None:
        """Scale its learning rate."""

    def build_param_scheduler(self, scheduler: Any) -> list[Any]:
        """The schedules."""


@define(kw_only=True, eq=False)
class RunParts:
    """Parts that are built when they are first needed, each once.

    Args:
        given: The Runner's arguments by name: objects or specs; not changed.
        builder: Builds one part at a time.
    """

    given: Mapping[str, Any]
    builder: Builder
    train_loop: Any = None
    val_loop: Any = None
    test_loop: Any = None
    optim_wrapper: Any = None
    param_schedulers: list[Any] = field(factory=list)

    def need_training(self) -> bool:
        """Build what training needs, in this order; returns whether anything was."""
        self.need_train_loop()
        new = self.optim_wrapper is None
        if new:
            with at("optim_wrapper"):
                self.optim_wrapper = self.builder.build_optim_wrapper(
                    self.given["optim_wrapper"]
                )
            with at("auto_scale_lr"):
                self.builder.scale_lr(
                    self.optim_wrapper, self.given.get("auto_scale_lr")
                )
            with at("param_scheduler"):
                self.param_schedulers = self.builder.build_param_scheduler(
                    self.given["param_scheduler"]
                )
        self.need_val_loop()
        return new

    def need_train_loop(self) -> Any:
        """The training loop with its data, built if it is not; None if not given."""
        if self.train_loop is None and self.given["train_cfg"] is not None:
            self.train_loop = self.builder.build_train_loop(self.given["train_cfg"])
        return self.train_loop

    def need_val_loop(self) -> Any:
        """The validation loop with data and evaluator, likewise."""
        if self.val_loop is None and self.given["val_cfg"] is not None:
            self.val_loop = self.builder.build_val_loop(self.given["val_cfg"])
        return self.val_loop

    def need_test_loop(self) -> Any:
        """The test loop with data and evaluator, likewise."""
        if self.test_loop is None and self.given["test_cfg"] is not None:
            self.test_loop = self.builder.build_test_loop(self.given["test_cfg"])
        return self.test_loop
