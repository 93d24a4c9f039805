"""Tells at the start of a run whether its checkpoints will fit on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.checkpoint import Room, count_files, count_saves, tree_bytes
from engine.events import Events, Priority

if TYPE_CHECKING:
    from engine.events import Handle
    from engine.hooks.checkpoint import CheckpointHook
    from engine.state import RunContext

__all__ = ["RoomCheck"]

_SURELY = 64  # iterations after which an optimizer has stepped, or never will


class RoomCheck:
    """Looks at the disk once, when the optimizer has made its state.

    What hooks add to a checkpoint, as EMAHook does averages, is not counted: the need
    is at least what is told.

    Args:
        hook: Whose checkpoints.
    """

    def __init__(self, hook: CheckpointHook) -> None:
        self._hook = hook
        self._handle: Handle | None = None
        self._begin = 0

    def start(self, runner: RunContext) -> None:
        """Look at the next safe point after an optimizer step; that costs one event."""
        self.stop()
        self._begin = runner.state.iteration
        self._handle = runner.trainer.add_event_handler(
            Events.SAFE_POINT, lambda: self._look(runner), priority=Priority.LOWEST
        )

    def stop(self) -> None:
        """Do not look any more."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _look(self, runner: RunContext) -> None:
        progress, optimizer = runner.state.progress, runner.trainer.parts.optimizer
        passed = progress.iteration - self._begin
        if passed and (
            optimizer is None or progress.optimizer_steps or passed > _SURELY
        ):
            self.stop()
            self._tell(runner)

    def _tell(self, runner: RunContext) -> None:
        room = self.measure(runner)
        if room.files == 0:
            return
        folder = str(self._hook.store(runner).folder)
        facts: dict[str, Any] = {
            "path": folder,
            "files": room.files,
            "size_bytes": room.size_bytes,
            "free_bytes": room.free_bytes,
        }
        if room.is_short:
            runner.logger.warning(
                "disk_is_short",
                line=f"{folder}: {room}. A save will fail before this run ends: make "
                "room there, lower max_keep_ckpts, or raise the interval.",
                **facts,
            )
        else:
            runner.logger.info("disk_room", line=f"{folder}: {room}", **facts)

    def measure(self, runner: RunContext) -> Room:
        """What this run's checkpoints will need from here on, at least."""
        hook, parts = self._hook, runner.trainer.parts
        tree = [] if parts.model is None else [parts.model.state_dict()]
        if hook.save_optimizer and parts.optimizer is not None:
            tree.append(parts.optimizer.state_dict())
        return Room(
            files=self._files(runner),
            size_bytes=tree_bytes(tree),
            free_bytes=hook.store(runner).free_bytes(),
        )

    def _files(self, runner: RunContext) -> int:
        hook = self._hook
        state = runner.state
        done, end = (
            (state.epoch, runner.max_epochs)
            if hook.by_epoch
            else (state.iteration, runner.max_iters)
        )
        saves = count_saves(
            done,
            end,
            interval=hook.interval,
            begin=hook.save_begin,
            last=hook.save_last,
        )
        if end <= done or hook.interval_seconds is not None:
            # Nobody knows how many: as many as are kept, and one that replaces them.
            saves = max(saves, hook.max_keep_ckpts + 1, 1)
        return count_files(
            saves,
            keep=hook.max_keep_ckpts,
            kept=len(hook.saved_names),
            best=hook.monitored_count,
            best_kept=len(hook.best_scores),
        )
