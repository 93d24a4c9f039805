"""The run as its handlers see it, when engines are composed in code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checkpoint import Location, join, place
from engine.dist import get_rank, get_world_size
from engine.errors import ContextError
from engine.hooks import HookSet
from engine.logging import build_logger
from engine.loops.log_processor import LogProcessor
from engine.loops.stops import Stops
from engine.visualization import Visualizer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from engine.loops.clock import Clock
    from engine.state import DueKind, MessageHub, RunState

__all__ = ["EngineContext"]

# Attributes that are tracked parts, and what track() calls those.
_TRACKED = {"model": "model", "optim_wrapper": "optimizer"}


class EngineContext:
    """What hooks and handlers get as ``runner`` under a composed ``TrainEngine``.

    Args:
        state: The run's.
        clock: Derives ``iter`` and ``epoch``.
        work_dir: Folder of the run's files.
        facilities: ``logger``, ``log_processor``, ``visualizer`` and whatever else
            hooks of the user's ask for, by name.
        stops: What ends the run from outside; ``None``: signals.
    """

    def __init__(
        self,
        state: RunState,
        clock: Clock,
        work_dir: str | os.PathLike[str] = "work_dir",
        facilities: dict[str, Any] | None = None,
        stops: Stops | None = None,
    ) -> None:
        self.state = state
        self.clock = clock
        self.work_dir = Path(work_dir)
        self.hook_set = HookSet(self)
        self.facilities = dict(facilities or {})
        self.stops = Stops() if stops is None else stops
        # Training's generators while a validation draws from its own; else None.
        self.outer_randomness: dict[str, Any] | None = None
        self.trainer: Any = None
        self.validator: Any = None
        self.tester: Any = None

    # -- where the run is --------------------------------------------------------

    @property
    def message_hub(self) -> MessageHub:
        """Scalars and facts of the run."""
        return self.state.hub

    @property
    def epoch(self) -> int:
        """Index of the one in progress while its handlers run, else epochs done."""
        return self.clock.epoch

    @property
    def iter(self) -> int:
        """Index of the one in progress while its handlers run, else iterations done."""
        return self.clock.iter

    @property
    def max_epochs(self) -> int:
        """Epochs to train; 1 in a run bounded by iterations."""
        return self.clock.max_epochs or 1

    @property
    def max_iters(self) -> int:
        """Iterations to train; 0 while the data has not told its length."""
        return self.max_epochs * (self.clock.epoch_length or 0)

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.state.seed

    @property
    def rank(self) -> int:
        """This process's rank."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Processes in the run."""
        return get_world_size()

    @property
    def hooks(self) -> list[Any]:
        """All hooks in running order."""
        return list(self.hook_set.hooks)

    # -- the parts ---------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The tracked model."""
        return self._tracked("model")

    @property
    def optim_wrapper(self) -> Any:
        """The tracked optimizer or optimizer wrapper."""
        return self._tracked("optimizer")

    @property
    def param_schedulers(self) -> Any:
        """The tracked schedules; empty if there are none."""
        return () if self.trainer is None else self.trainer.parts.param_schedulers

    def _tracked(self, name: str) -> Any:
        part = None if self.trainer is None else getattr(self.trainer.parts, name)
        if part is None:
            message = (
                f"this run has no {name}: it was composed in code and none was given. "
                f"Call trainer.track({name}=...)."
            )
            raise ContextError(message)
        return part

    # -- facilities, made when first asked for -----------------------------------

    def __getattr__(self, name: str) -> Any:
        """A facility of the user's, or an error that says what there is."""
        if name == "facilities":  # not there yet: copying and unpickling ask early
            raise AttributeError(name)
        if name in self.facilities:
            return self.facilities[name]
        if name in _TRACKED:  # python asks here when the property found none
            return self._tracked(_TRACKED[name])
        makers: dict[str, Callable[[], Any]] = {
            "logger": lambda: build_logger("engine", rank=self.rank),
            "log_processor": lambda: LogProcessor(
                by_epoch=self.state.limits.max_iters is None
            ),
            "visualizer": lambda: Visualizer(save_dir=str(self.work_dir)),
        }
        if name in makers:
            self.facilities[name] = makers[name]()
            return self.facilities[name]
        message = (
            f"runner.{name}: this run was composed in code; what only a Runner has is "
            f"not there. It has {sorted({*makers, *self.facilities})}, the tracked "
            "parts, and what RunContext lists. Add to it by "
            f"TrainEngine(..., facilities={{{name!r}: ...}})."
        )
        raise ContextError(message)

    # -- what handlers may ask for -----------------------------------------------

    def stop(self, reason: str) -> None:
        """End training after the running epoch, or iteration if bounded by those."""
        self._training("stop").stop(reason)

    def owe(self, kind: DueKind, owner: object, name: str = "") -> None:
        """Ask for something to be done at the next safe point.

        Args:
            kind: What.
            owner: The hook that asks, and whose ``pay(runner, due)`` will do it.
            name: What the owner needs to know, such as a file's name.
        """
        self.state.owe(kind, self.hook_set.name_of(owner), name)

    def save_checkpoint(
        self, out_dir: str | os.PathLike[str], filename: str, **options: Any
    ) -> Location:
        """Write a checkpoint; see ``TrainEngine.save_checkpoint``."""
        path = join(place(out_dir), filename)
        saved: Location = self._training("save_checkpoint").save_checkpoint(
            path, **options
        )
        return saved

    def capture_checkpoint(self, **options: Any) -> dict[str, Any]:
        """What would be saved now; see ``TrainEngine.capture_checkpoint``."""
        captured: dict[str, Any] = self._training(
            "capture_checkpoint"
        ).capture_checkpoint(**options)
        return captured

    def cut_logs_back(self, meta: dict[str, Any]) -> None:
        """Take back what was shown after a checkpoint; here the user's own affair."""

    def interrupt(self) -> None:
        """Halt training at the next safe point; ``run()`` again goes on from there."""
        self._training("interrupt").interrupt()

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a method of that name on each hook that has it, in order."""
        self.hook_set.call(fn_name, **kwargs)

    def get_hooks_info(self) -> str:
        """Which hook runs at which event, in order."""
        return self.hook_set.info()

    def _training(self, what: str) -> Any:
        if self.trainer is None:
            message = f"runner.{what}: this run only evaluates, it has no trainer"
            raise ContextError(message)
        return self.trainer
