"""Something that the Runner runs over data, ours or the user's."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.optim.scheduler import OnLonger

__all__ = ["BaseLoop", "turns_itself"]

F = TypeVar("F", bound="Callable[..., Any]")


def turns_itself(run: F) -> F:
    """Mark a ``run`` of ours, which decides itself who turns."""
    run.turns_itself = True  # type: ignore[attr-defined]  # a mark on a function
    return run


class BaseLoop(ABC):
    """Something that the Runner runs over data.

    A subclass overrides ``run``, or what our loops call in it, and announces each stage
    as MMEngine's loops do: ``self.runner.call_hook("before_train_iter", batch_idx=...,
    data_batch=...)``. Such a loop drives the engine: the calls count, run the handlers
    of the event, and pay what is due, so that the run is saved, stopped and resumed as
    with our own loops. While it runs, ``dataloader`` begins at the run's place.

    Args:
        runner: The Runner.
        dataloader: The data.
    """

    mode: str = ""
    """``train``, ``val`` or ``test``; the Runner sets it where a class does not."""

    on_longer: OnLonger | None = None
    """Of a training loop: see ``TrainEngine.resume``; the Runner sets it."""

    def __init__(self, runner: Any, dataloader: Iterable[Any]) -> None:
        self._runner = runner
        self.dataloader = dataloader

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        run = cls.__dict__.get("run")
        if run is None or getattr(run, "turns_itself", False):
            return

        @functools.wraps(run)
        def leading(self: BaseLoop) -> Any:
            if self.leads():  # a subclass's run calls this one
                return run(self)
            return self.lead(lambda: run(self))

        cls.run = turns_itself(leading)  # type: ignore[method-assign]  # what wraps does

    @property
    def runner(self) -> Any:
        """The Runner."""
        return self._runner

    @property
    def batch_limit(self) -> int | None:
        """At most so many batches of an epoch; ``None``: all."""
        limit: int | None = getattr(self._runner, "batch_limit", None)
        return limit

    @abstractmethod
    def run(self) -> Any:
        """Run it."""

    @property
    def engine(self) -> Any:
        """The Ignite engine that this loop runs.

        Raises:
            ConfigError: The loop belongs to no mode.
        """
        engines = {
            "train": self._runner.trainer,
            "val": self._runner.validator,
            "test": self._runner.tester,
        }
        if self.mode not in engines:
            message = (
                f"{type(self).__name__}.mode is {self.mode!r}: set it to one of "
                f"{sorted(engines)}, or pass the loop to the Runner, which does"
            )
            raise ConfigError(message)
        return engines[self.mode]

    def leads(self) -> bool:
        """Whether this loop drives its engine now."""
        return bool(self.engine.driving)

    def lead(self, drive: Callable[[], Any]) -> Any:
        """Drive the engine by ``drive``, which announces each stage.

        Returns:
            The model for training, else the metrics.
        """
        loader = self.dataloader
        try:
            return self._lead(drive)
        finally:
            self.dataloader = loader

    def _lead(self, drive: Callable[[], Any]) -> Any:
        runner, engine, limit = self._runner, self.engine, self.batch_limit
        if self.mode == "train":
            with engine.driven(
                self.dataloader, **self._bound(), epoch_length=limit
            ) as data:
                if data is not None:
                    self.dataloader = data
                    drive()
            return runner.model

        def with_data(data: Any) -> Any:
            self.dataloader = data
            return drive()

        engine.evaluator = None  # the loop feeds its own
        engine.run(self.dataloader, epoch_length=limit, drive=with_data)
        return dict(engine.metrics)

    def _bound(self) -> dict[str, int]:
        """How long a training loop of the user's is.

        Raises:
            ConfigError: It does not say.
        """
        for name in ("max_epochs", "max_iters"):
            value = getattr(self, name, None) or getattr(self, f"_{name}", None)
            if value is not None:
                return {name: int(value)}
        message = (
            f"{type(self).__name__} says neither max_epochs nor max_iters: a training "
            "loop needs one of them as attribute, for the run's state to know its end"
        )
        raise ConfigError(message)
