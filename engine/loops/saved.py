"""An engine whose run is saved and resumed."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checkpoint import Parts, Store, capture, check, read, restore
from engine.errors import (
    CheckpointNotFoundError,
    SerializationError,
    StateError,
)
from engine.loops.clock import Clock
from engine.loops.loop import EventEngine
from engine.state import Phase, capture_randomness, restore_randomness

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from engine.events import Priority
    from engine.hooks import Hook
    from engine.loops.rescue import Rescue
    from engine.state import RunState

__all__ = ["SavedEngine"]


class SavedEngine(EventEngine):
    """Base of the trainer: knows what the run is made of, saves and resumes it.

    Args:
        step: ``step(trainer, batch) -> output``.
        state: Where the run is; ``None`` begins one with a drawn seed.
        context: What hooks get as ``runner``.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None,
        context: Any,
    ) -> None:
        super().__init__(step, state)
        self.context = context
        self.parts = Parts()
        self.clock = Clock(self.run_state)
        self._resumed = False
        self._at_safe_point = True
        self.rescue: Rescue

    def track(
        self,
        *,
        model: Any = None,
        optimizer: Any = None,
        param_schedulers: Any = None,
        **others: Any,
    ) -> None:
        """Name what the run is made of, so that checkpoints carry it.

        Args:
            model: The model.
            optimizer: A torch optimizer or an optimizer wrapper; its steps are
                counted, and fire events.
            param_schedulers: Schedules; one, a list, or a dict of lists by optimizer.
            others: Anything with ``state_dict`` and ``load_state_dict``, and
                generators of torch, NumPy and python.

        Raises:
            CheckpointError: A part has no state, or its name is taken.
        """
        self.parts.take(
            model=model, optimizer=optimizer, param_schedulers=param_schedulers
        )
        for name, part in others.items():
            self.parts.track(name, part)

    def add_hook(
        self, hook: Hook, priority: int | str | Priority | None = None
    ) -> None:
        """Register a hook on this trainer and on the validator that belongs to it.

        Args:
            hook: The hook.
            priority: When it runs; ``None``: the hook's own.

        Raises:
            HookError: It is no hook, or a method does not take what its event gives.
        """
        self.context.hook_set.add(hook, priority)

    # -- Ignite's own way of saving ----------------------------------------------

    def state_dict(self) -> OrderedDict[str, Any]:
        """Where the run is, for Ignite's ``Checkpoint`` handler.

        Counters, message hub, hooks and random generators; the model and the optimizer
        are other entries of the handler's ``to_save``.
        """
        return OrderedDict(
            run_state=self.run_state.state_dict(),
            message_hub=self.run_state.hub.state_dict(),
            hooks=self.context.hook_set.state_dict(),
            randomness=self._training_randomness(),
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put back what :meth:`state_dict` returned.

        Raises:
            SerializationError: It was not made by :meth:`state_dict`.
            StateError: The run is under way.
        """
        expected = {"run_state", "message_hub", "hooks", "randomness"}
        if set(state_dict) != expected:
            message = (
                f"TrainEngine.load_state_dict: expected the keys {sorted(expected)}, "
                f"found {sorted(state_dict)}"
            )
            raise SerializationError(message)
        self._check_at_rest()
        self.run_state.hub.load_state_dict(state_dict["message_hub"])
        self.run_state.load_state_dict(state_dict["run_state"])
        self.parts.load_counts(None, self.run_state.iteration)
        self.context.hook_set.load_state_dict(state_dict["hooks"])
        self._start_anew()
        restore_randomness(state_dict["randomness"])

    # -- checkpoints -------------------------------------------------------------

    def save_checkpoint(
        self,
        path: str | os.PathLike[str],
        *,
        meta: Mapping[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
    ) -> Path:
        """Write everything that is needed to go on exactly.

        Best called at a safe point: between runs, or by owing it
        (``runner.owe(DueKind.SAVE, hook, name)``). From inside another handler it
        lacks what the handlers after it do; the checkpoint says so.

        Args:
            path: The file; it is whole afterwards, or an error says why.
            meta: Facts to add to its ``meta``.
            save_optimizer: Without it the run cannot go on exactly.
            save_param_scheduler: Likewise.

        Raises:
            CheckpointError: It could not be written.
        """
        checkpoint = self.make_checkpoint(
            meta=meta,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
        )
        path = self.write_checkpoint(path, checkpoint)
        if save_optimizer and save_param_scheduler:
            self.rescue.saved(path, self.run_state.iteration, here=self._at_safe_point)
        return path

    def make_checkpoint(
        self,
        *,
        meta: Mapping[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
    ) -> dict[str, Any]:
        """What :meth:`save_checkpoint` writes; its tensors are the run's own."""
        checkpoint = capture(
            self.run_state,
            self.parts,
            self.context.hook_set,
            meta={**self.context.checkpoint_meta(), **(meta or {})},
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            at_safe_point=self._at_safe_point
            and self.run_state.phase is not Phase.VALIDATING,
            randomness=self._training_randomness(),
        )
        if self.run_state.phase is Phase.FAILED:  # what is saved of it is whole
            checkpoint["engine"]["run_state"]["phase"] = Phase.TRAINING.value
        if self.rescue.amending is not None:
            self.rescue.amending.amend(checkpoint)
        self.bus.fire("CHECKPOINT_SAVING", self.context, checkpoint)
        return checkpoint

    def write_checkpoint(self, path: str | os.PathLike[str], checkpoint: Any) -> Path:
        """Write what :meth:`make_checkpoint` gave, or a copy of it.

        Raises:
            CheckpointError: It could not be written.
        """
        path = Path(path)
        return Store(path.parent).write(path.name, checkpoint)

    def resume(
        self,
        path: str | os.PathLike[str],
        *,
        map_location: Any = "cpu",
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
    ) -> list[str]:
        """Become the run that a checkpoint holds; ``run()`` then goes on.

        Args:
            path: A checkpoint, or a folder: its newest good one.
            map_location: Where tensors are put while reading.
            resume_optimizer: Also the optimizer's state.
            resume_param_scheduler: Also the schedules' state.

        Returns:
            Remarks, also logged: what may keep the run from being bit-equal.

        Raises:
            CheckpointNotFoundError: There is none.
            CheckpointDamagedError: It cannot be read, or holds no run.
            CheckpointError: It does not fit this run.
            StateError: This run is training.
        """
        checkpoint, passed_over = _find(path, map_location=map_location)
        for remark in passed_over:
            self.context.logger.warning(
                "checkpoint_passed_over", line=f"Passed over: {remark}", reason=remark
            )
        return passed_over + self.resume_from(
            checkpoint,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )

    def resume_from(
        self,
        checkpoint: dict[str, Any],
        *,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
    ) -> list[str]:
        """Become the run that a checkpoint, read and checked, holds.

        Returns:
            Remarks, also logged.

        Raises:
            CheckpointError: It does not fit this run.
            StateError: This run is training.
        """
        self._check_at_rest()
        self.bus.fire("CHECKPOINT_LOADED", self.context, checkpoint)
        remarks = restore(
            checkpoint,
            self.run_state,
            self.parts,
            self.context.hook_set,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )
        self._start_anew()
        for remark in remarks:
            self.context.logger.warning(
                "resume_remark", line=f"Resume: {remark}", remark=remark
            )
        return remarks

    def _training_randomness(self) -> dict[str, Any]:
        """Training's generators, also while a validation draws from its own."""
        return self.context.outer_randomness or capture_randomness()

    def _check_at_rest(self) -> None:
        phase = self.run_state.phase
        if phase in (Phase.TRAINING, Phase.VALIDATING, Phase.TESTING):
            message = f"cannot resume while {phase.value}: do it before run()"
            raise StateError(message)

    def _start_anew(self) -> None:
        """Forget a loop that was interrupted: the state is another one now."""
        self._internal_run_generator = None
        self._dataloader_iter = None
        self._resumed = True
        self.rescue.resumed(self.run_state.iteration)


def _find(
    path: str | os.PathLike[str], *, map_location: Any
) -> tuple[dict[str, Any], list[str]]:
    """A checkpoint to resume from: the file, or a folder's newest good one.

    Returns:
        What it holds, and a remark for each file that was passed over.

    Raises:
        CheckpointNotFoundError: There is none.
        CheckpointDamagedError: It cannot be read, or holds no run.
    """
    path = Path(path)
    if not path.is_dir():
        return check(read(path, map_location=map_location), str(path)), []
    found = Store(path).newest_good(map_location=map_location)
    if found is None:
        message = f"{path}: the folder holds no checkpoint (*.pth)"
        raise CheckpointNotFoundError(message)
    return found[1], found[2]
