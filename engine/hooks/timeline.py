"""Says at the end of a run where its time went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from engine.events import Priority, Timeline
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.state import RunContext

__all__ = ["TimelineHook"]

_ENGINES = {"train": "trainer", "val": "validator", "test": "tester"}


@HOOKS.register_module()
class TimelineHook(Hook):
    """Measures each handler, and what part of the time data, step and saving take.

    Where the call of ``train()``, ``val()`` or ``test()`` ends, also by an error or an
    interrupt, a table is logged, and ``timeline.json`` written into the log folder.
    ``engine train --profile-hooks`` adds it. Measuring costs each handler about half a
    microsecond; a run without this hook has none of it.

    Args:
        timeline: What measures; ``None`` makes one.
    """

    priority: ClassVar[Priority] = Priority.LOWEST
    transient: ClassVar[frozenset[str]] = frozenset({"timeline", "_measures"})

    def __init__(self, timeline: Timeline | None = None) -> None:
        self.timeline = Timeline() if timeline is None else timeline
        self._measures = False

    def before_run(self, runner: RunContext) -> None:
        """Begin to measure."""
        self.timeline.meters.clear()
        for mode, name in _ENGINES.items():
            engine = getattr(runner, name, None)
            if engine is not None:
                engine.bus.measure_with(self.timeline.meter(mode))
        if runner.trainer is not None:
            runner.trainer.meter = self.timeline.meter("train")
        self._measures = True

    def after_run(self, runner: RunContext) -> None:
        """Say what was measured."""
        self._end(runner)

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Say what was measured up to the error."""
        self._end(runner)

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """Say what was measured so far."""
        self._end(runner)

    def _end(self, runner: RunContext) -> None:
        if not self._measures:
            return
        self._measures = False
        for name in _ENGINES.values():
            engine = getattr(runner, name, None)
            if engine is not None:
                engine.bus.measure_with(None)
        if runner.trainer is not None:
            runner.trainer.meter = None
        if runner.rank:
            return
        folder = Path(getattr(runner, "log_dir", None) or runner.work_dir)
        path = folder / "timeline.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.timeline.as_plain(), indent=1) + "\n")
        runner.logger.info(
            "timeline",
            line=f"Where the time went ({path}):\n{self.timeline.table()}",
            path=str(path),
        )
