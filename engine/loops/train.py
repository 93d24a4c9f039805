"""The trainer: an Ignite engine that counts, pays what is due, saves and resumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from ignite.engine import State

from engine.checkpoint import Parts, Store, capture, check, read, restore
from engine.dataset import Cursor, SampleRandomness, count_samples, open_cursor
from engine.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    StateError,
    add_note,
)
from engine.events import Priority
from engine.hooks import Hook
from engine.loops.clock import Clock
from engine.loops.context import EngineContext
from engine.loops.evaluate import EvalEngine
from engine.loops.interval import ValidationPlan
from engine.loops.loop import EventEngine
from engine.state import Due, DueKind, Phase, Progress, RunState

__all__ = ["TrainEngine"]

_VALIDATION = "validation"  # owner of dues that the trainer itself pays


@frozen
class _Validation:
    run: Callable[[], object]
    plan: ValidationPlan


@frozen
class _Feed:
    """What Ignite iterates: the data from where the run is."""

    cursor: Cursor
    progress: Progress

    def __iter__(self) -> Iterator[Any]:
        done = self.progress
        yield from self.cursor.read(done.data_pass, done.pass_batch)
        if done.pass_batch:  # a pass of unknown length: its end is found here
            done.finish_pass()


class TrainEngine(EventEngine):
    """Trains on an Ignite engine.

    Ignite's handlers, metrics and events work on it; our hooks, priorities, validation,
    checkpoints and exact resume come on top. Between iterations there are safe points:
    there it saves, validates, stops, and is interrupted.

    Args:
        step: ``step(trainer, batch) -> output``: forward, backward, optimizer step.
        state: Where the run is; ``None`` begins one with a drawn seed.
        work_dir: Folder that hooks write into.
        randomness: What random numbers that a dataset draws depend on: each
            ``"sample"``'s place in the run, each ``"batch"``'s, or (``"off"``) on which
            worker loads it.
        facilities: ``logger``, ``log_processor``, ``visualizer``, or what else hooks
            find on their ``runner``, by name.
        context: What hooks get as ``runner``; ``None`` makes one.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None = None,
        *,
        work_dir: str | os.PathLike[str] = "work_dir",
        randomness: SampleRandomness = "sample",
        facilities: Mapping[str, Any] | None = None,
        context: Any = None,
    ) -> None:
        super().__init__(step, state)
        self.parts = Parts()
        self.clock = Clock(self.run_state)
        self._randomness: SampleRandomness = randomness
        self._validation: _Validation | None = None
        self._validate_at_start = False
        self._payers: dict[str, Callable[[Due], None]] = {_VALIDATION: self._validate}
        self._resumed = False
        self._at_safe_point = True
        self._wanted = False
        self._interrupt: tuple[int | None] | None = None
        self._end_epoch: bool | str = False
        # Of the running data, so that nothing is looked up per iteration.
        self._pass_length = self._batch_size = self._last_batch_size = 0
        self._next_validation = 0
        self._dispatch_started = self.bus.dispatcher("ITERATION_STARTED")
        self._dispatch_completed = self.bus.dispatcher("ITERATION_COMPLETED")
        self._dispatch_safe_point = self.bus.dispatcher("SAFE_POINT")
        self.context: Any = context
        if context is None:
            self.context = EngineContext(
                self.run_state, self.clock, work_dir, dict(facilities or {})
            )
            self.context.trainer = self
            self.context.hook_set.connect("train", self.bus)
        self._acts = {
            "STARTED": self._on_started,
            "EPOCH_STARTED": self._on_epoch_started,
            "GET_BATCH_STARTED": self._quick("GET_BATCH_STARTED"),
            "GET_BATCH_COMPLETED": self._quick("GET_BATCH_COMPLETED"),
            "ITERATION_STARTED": self._on_iteration_started,
            "ITERATION_COMPLETED": self._on_iteration_completed,
            "TERMINATE_SINGLE_EPOCH": self._on_epoch_cut,
            "EPOCH_COMPLETED": self._on_epoch_completed,
            "COMPLETED": self._on_completed,
            "INTERRUPT": self._on_interrupt,
        }

    # -- composing ---------------------------------------------------------------

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
        for name, part in (("model", model), ("optimizer", optimizer)):
            if part is None:
                continue
            if not hasattr(part, "state_dict"):
                message = f"{name}: a {type(part).__name__} has no state_dict()"
                raise CheckpointError(message)
            setattr(self.parts, name, part)
        if param_schedulers is not None:
            several = isinstance(param_schedulers, list | tuple | Mapping)
            self.parts.param_schedulers = (
                param_schedulers if several else [param_schedulers]
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

    def validate_with(
        self,
        validator: EvalEngine,
        data: Iterable[Any],
        *,
        by_epoch: bool = True,
        begin: int = 1,
        interval: int = 1,
        dynamic_intervals: Any = None,
        at_start: bool = False,
        epoch_length: int | None = None,
    ) -> None:
        """Validate inside training.

        Args:
            validator: Becomes part of this run: it shares state, hooks and context.
            data: What it evaluates.
            by_epoch: Whether epochs are counted, or iterations.
            begin: The first one that may be followed by a validation, at least 1.
            interval: Each so many; the last one too.
            dynamic_intervals: ``(milestone, interval)`` pairs; from the milestone on
                that interval counts.
            at_start: Also before the first iteration of the run.
            epoch_length: Batches of ``data`` to use; ``None``: all.

        Raises:
            ConfigError: A number is out of range.
            StateError: The validator belongs to another run.
        """
        plan = ValidationPlan(
            by_epoch=by_epoch,
            begin=begin,
            interval=interval,
            dynamic_intervals=dynamic_intervals or (),
        )
        validator.join(self.context, self.run_state)
        if isinstance(self.context, EngineContext):
            self.context.validator = validator

        def validate() -> None:
            validator.run(data, epoch_length=epoch_length)

        self.plan_validation(validate, plan, at_start=at_start)

    def plan_validation(
        self,
        validate: Callable[[], object],
        plan: ValidationPlan,
        *,
        at_start: bool = False,
    ) -> None:
        """Say what a validation is and when it is due; it runs at safe points.

        Args:
            validate: Runs an ``EvalEngine`` that belongs to this run.
            plan: Which finished epochs or iterations it follows.
            at_start: Also before the first iteration of the run.
        """
        self._validation = _Validation(validate, plan)
        self._validate_at_start = at_start

    # -- running -----------------------------------------------------------------

    def run(
        self,
        data: Iterable[Any] | None = None,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        epoch_length: int | None = None,
    ) -> State:
        """Train, or go on training.

        Args:
            data: Batches: a ``DataLoader``, or any iterable. ``None`` gives the step
                ``None`` as batch, ``epoch_length`` times an epoch.
            max_epochs: Epochs in all; default: what the run had, else 1.
            max_iters: Iterations in all, instead of ``max_epochs``.
            epoch_length: Iterations in an epoch; default: the data's length.

        Returns:
            Ignite's state. After an interrupt the phase of ``run_state`` is
            ``INTERRUPTED``, and calling ``run`` again goes on.

        Raises:
            StateError: A bound is out of range, or all work is done already.
            DataError: The data is empty, or ends before its length.
        """
        if self._suspended:
            with self.leading():
                self.run_state.move(Phase.TRAINING)
                self._loop(going_on=True)
            return self.state
        if data is None:
            data = self._no_data(epoch_length)
        self._open(data, max_epochs, max_iters, epoch_length)
        if self._resumed and not self.run_state.has_work():
            self.context.logger.info(
                "nothing_to_do",
                line=f"This run is finished: all of {self.run_state.limits.describe()} "
                "is done. Raise it to go on.",
            )
            return self.state
        with self.leading():
            self.run_state.move(Phase.TRAINING)
            self._resumed = False
            self.clock.set_counters(self)
            self._loop()
        return self.state

    def _no_data(self, epoch_length: int | None) -> list[None]:
        length = epoch_length or self.run_state.limits.epoch_length
        if length is None:
            message = "run() without data needs epoch_length: how long is an epoch?"
            raise StateError(message)
        return [None] * length

    def _open(
        self,
        data: Iterable[Any],
        max_epochs: int | None,
        max_iters: int | None,
        epoch_length: int | None,
    ) -> None:
        """Set the limits and get the data ready to be read from where the run is."""
        limits = self.run_state.limits
        if max_epochs is None and max_iters is None:
            max_epochs, max_iters = limits.max_epochs, limits.max_iters
            if max_epochs is None and max_iters is None:
                max_epochs = 1
        cursor = open_cursor(
            data, seed=self.run_state.seed, randomness=self._randomness
        )
        if epoch_length is None:
            epoch_length = cursor.length or limits.epoch_length
        self.run_state.set_limits(
            max_epochs=max_epochs, max_iters=max_iters, epoch_length=epoch_length
        )
        self._pass_length = cursor.length
        self._batch_size = cursor.batch_size
        self._last_batch_size = cursor.last_batch_size
        self.state.dataloader = _Feed(cursor, self.run_state.progress)

    def _loop(self, *, going_on: bool = False) -> None:
        """Let the loop turn until it ends or is interrupted."""
        handles = self._watch_optimizers()
        try:
            if going_on:  # what the interrupt left unpaid comes first
                self._safe_point()
            self._turn()
        except BaseException as error:
            add_note(error, self._describe_failure())
            raise
        finally:
            for handle in handles:
                handle.remove()
        if self._suspended:
            return
        self.run_state.move(Phase.FINISHED)

    def _describe_failure(self) -> str:
        done = self.run_state.progress
        return (
            f"the run failed while {self.run_state.phase.value}, after {done.iteration} "
            f"iterations ({done.epoch} epochs and {done.epoch_iteration} iterations). "
            "Nothing is saved from an iteration that failed; resume from the newest "
            "checkpoint."
        )

    def _watch_optimizers(self) -> list[Any]:
        """Count the steps of tracked optimizers, and fire their events."""
        progress, context = self.run_state.progress, self.context
        before = self.bus.dispatcher("OPTIMIZER_STEP_STARTED")
        after = self.bus.dispatcher("OPTIMIZER_STEP_COMPLETED")

        def started(*_: object) -> None:
            if before.run is not None:
                before.run((context,), progress.optimizer_steps + 1)

        def completed(*_: object) -> None:
            progress.optimizer_steps += 1
            if after.run is not None:
                after.run((context,), progress.optimizer_steps)

        handles: list[Any] = []
        for optimizer in self.parts.optimizers():
            handles.append(optimizer.register_step_pre_hook(started))
            handles.append(optimizer.register_step_post_hook(completed))
        return handles

    # -- stopping ----------------------------------------------------------------

    def stop(self, reason: str = "stop() was called") -> None:
        """End training after the running epoch, or iteration if bounded by those.

        What follows it (its handlers, a validation that is due) still takes place.
        """
        self.run_state.stop_reason = reason
        self._wanted = True

    def terminate(self, skip_completed: bool = False) -> None:
        """End training at the next safe point, inside an epoch too.

        Args:
            skip_completed: Leave ``COMPLETED`` out.
        """
        self._terminate = "skip_completed" if skip_completed else True
        self._wanted = True

    _terminate: bool | str = False

    def terminate_epoch(self, skip_epoch_completed: bool = False) -> None:
        """End the running epoch at the next safe point; the rest of it is not read.

        Args:
            skip_epoch_completed: Leave ``EPOCH_COMPLETED`` out.
        """
        self._end_epoch = "skip_epoch_completed" if skip_epoch_completed else True
        self._wanted = True

    def interrupt(self, signal: int | None = None) -> None:
        """Halt at the next safe point; ``run()`` again goes on from there.

        Args:
            signal: Number of the signal that asked for it, for handlers.
        """
        self._interrupt = (signal,)
        self._wanted = True

    @property
    def stop_training(self) -> bool:
        """MMEngine's name for asking to :meth:`stop`."""
        return self.run_state.stop_reason is not None

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        if value:
            self.stop("stop_training was set")
        else:
            self.run_state.stop_reason = None

    # -- events ------------------------------------------------------------------

    def _place(self) -> str:
        return f"iteration {self.run_state.progress.iteration}"

    def _count(self, event: str) -> int:
        done = self.run_state.progress
        if event.startswith(("GET_BATCH", "ITERATION")):
            return done.iteration + 1
        return done.epoch + 1 if event == "EPOCH_STARTED" else done.epoch

    def _on_started(self) -> None:
        state = self.run_state
        self._wanted = state.stop_reason is not None
        self._terminate = self._end_epoch = False
        self._interrupt = None
        self._at_safe_point = False
        run = self.bus.dispatcher("STARTED").run
        if run is not None:
            run((self.context,), state.epoch)
        if not state.started:
            state.started = True
            if self._validate_at_start and self._validation is not None:
                state.owe(DueKind.VALIDATION, _VALIDATION)
        self._plan_next_validation()
        self._safe_point()
        if self.clock.epoch_is_full:  # it was saved between its last step and its end
            self.clock.skip_epoch(self)
            self._on_epoch_completed()

    def _on_epoch_started(self) -> None:
        if self.run_state.epoch_iteration:  # Ignite fires it again after a resume
            return
        run = self.bus.dispatcher("EPOCH_STARTED").run
        if run is not None:
            run((self.context,), self.run_state.epoch + 1)
        if self._terminate:  # no batch was read yet: this is a safe point as well
            self.should_terminate = self._terminate

    def _on_iteration_started(self) -> None:
        self._at_safe_point = False
        run = self._dispatch_started.run
        if run is not None:
            done = self.run_state.progress
            run(
                (self.context, done.epoch_iteration, self.state.batch),
                done.iteration + 1,
            )

    def _on_iteration_completed(self) -> None:
        # The hot path: what is looked up here is looked up a million times.
        state = self.run_state
        done = state.progress
        index = done.epoch_iteration
        samples = self._batch_size
        if samples == 0:
            samples = count_samples(self.state.batch)
        elif done.pass_batch + 1 == self._pass_length:
            samples = self._last_batch_size
        done.finish_iteration(samples, self._pass_length)
        run = self._dispatch_completed.run
        if run is not None:
            clock = self.clock
            clock.closing_iteration = 1
            run(
                (self.context, index, self.state.batch, self.state.output),
                done.iteration,
            )
            clock.closing_iteration = 0
        if done.iteration == self._next_validation:
            self._owe_validation(done.iteration)
        if self._wanted or state.due or self._dispatch_safe_point.run is not None:
            self._safe_point()
        else:
            self._at_safe_point = True

    def _on_epoch_cut(self, iter_counter: int = 0) -> None:
        done = self.run_state.progress
        self.bus.fire("TERMINATE_SINGLE_EPOCH", self.context, iter_counter)
        if done.pass_batch:
            done.finish_pass()

    def _on_epoch_completed(self) -> None:
        state = self.run_state
        if state.limits.epoch_length is None and state.limits.max_iters is None:
            # The data has no length; its first epoch has told it.
            state.limits = evolve(state.limits, epoch_length=state.epoch_iteration)
        self._at_safe_point = False
        state.progress.finish_epoch()
        run = self.bus.dispatcher("EPOCH_COMPLETED").run
        if run is not None:
            self.clock.closing_epoch = 1
            run((self.context,), state.epoch)
            self.clock.closing_epoch = 0
        validation = self._validation
        if (
            validation is not None
            and validation.plan.by_epoch
            and validation.plan.due(state.epoch, total=state.limits.max_epochs)
        ):
            state.owe(DueKind.VALIDATION, _VALIDATION)
        self._safe_point()

    def _on_completed(self) -> None:
        self._at_safe_point = False
        run = self.bus.dispatcher("COMPLETED").run
        if run is not None:
            run((self.context,), self.run_state.epoch)
        self._safe_point()

    def _on_interrupt(self) -> None:
        (signal,) = self._interrupt or (None,)
        self._interrupt = None
        self.run_state.move(Phase.INTERRUPTED)
        self.bus.fire("INTERRUPT", self.context, signal)

    # -- safe points -------------------------------------------------------------

    def _safe_point(self) -> None:
        """Between iterations: pay what is due, then stop if that was asked for."""
        state = self.run_state
        self._at_safe_point = True
        if self._dispatch_safe_point.run is not None:
            self._dispatch_safe_point.run((self.context,), state.iteration)
        while state.due:
            due = state.due[0]
            if due.kind is DueKind.VALIDATION and self._interrupt is not None:
                break  # it stays owed
            self._pay(due)
        if self._wanted:
            self._heed()

    def _pay(self, due: Due) -> None:
        state = self.run_state
        payer = self._payers.get(due.owner)
        if due.kind is not DueKind.VALIDATION:
            state.due.remove(due)  # before: what is saved does not owe the saving
        if payer is not None:
            payer(due)
        else:
            hook = self.context.hook_set.find(due.owner)
            if hook is None or not hasattr(hook, "pay"):
                self.context.logger.warning(
                    "due_dropped", owner=due.owner, kind=due.kind.name, name=due.name
                )
            else:
                hook.pay(self.context, due)
        if due in state.due:
            state.due.remove(due)

    def _heed(self) -> None:
        """Do what stop, terminate, terminate_epoch and interrupt asked for."""
        state = self.run_state
        if self._interrupt is not None and state.phase is Phase.TRAINING:
            self.should_interrupt = True
        if self._end_epoch:
            self.should_terminate_single_epoch = self._end_epoch
            self._end_epoch = False
        if self._terminate:
            state.stop_reason = state.stop_reason or "terminate() was called"
            state.ended = True
            self.should_terminate = self._terminate
        elif state.stop_reason is not None and not state.ended:
            self._heed_stop()
        self._wanted = state.stop_reason is not None or self._interrupt is not None

    def _heed_stop(self) -> None:
        state = self.run_state
        if state.limits.max_iters is None and state.epoch_iteration:
            return  # the running epoch goes on to its end
        state.ended = True
        self.should_terminate = True
        if state.epoch_iteration:  # Ignite leaves the end of a cut epoch out
            self._on_epoch_completed()

    # -- validation --------------------------------------------------------------

    def _plan_next_validation(self) -> None:
        """Find the next iteration that a validation follows; 0 if none does."""
        self._next_validation = 0
        validation, state = self._validation, self.run_state
        if validation is None or validation.plan.by_epoch:
            return
        total = self.clock.epoch_length
        if total is not None and state.limits.max_iters is None:
            total *= state.limits.max_epochs or 1
        step = state.iteration + 1
        while total is None or step <= total:
            if validation.plan.due(step, total=total):
                self._next_validation = step
                return
            step += 1

    def _owe_validation(self, iteration: int) -> None:
        if iteration:
            self.run_state.owe(DueKind.VALIDATION, _VALIDATION)
            self._plan_next_validation()

    def _validate(self, due: Due) -> None:
        validation = self._validation
        if validation is None:
            self.context.logger.warning(
                "due_dropped", owner=due.owner, kind=due.kind.name, name=due.name
            )
            return
        validation.run()

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
        path = Path(path)
        checkpoint = capture(
            self.run_state,
            self.parts,
            self.context.hook_set,
            meta=meta,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            at_safe_point=self._at_safe_point,
        )
        self.bus.fire("CHECKPOINT_SAVING", self.context, checkpoint)
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
        path, remarks = Path(path), []
        if path.is_dir():
            found = Store(path).newest_good(map_location=map_location)
            if found is None:
                message = f"{path}: the folder holds no checkpoint (*.pth)"
                raise CheckpointNotFoundError(message)
            _, checkpoint, remarks = found
            for remark in remarks:
                self.context.logger.warning("resume_remark", remark=remark)
        else:
            checkpoint = check(read(path, map_location=map_location), str(path))
        return remarks + self.resume_from(
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
        if self.run_state.phase in (Phase.TRAINING, Phase.VALIDATING, Phase.TESTING):
            message = (
                f"cannot resume while {self.run_state.phase.value}: do it before run()"
            )
            raise StateError(message)
        self._internal_run_generator = None
        self._dataloader_iter = None
        self.bus.fire("CHECKPOINT_LOADED", self.context, checkpoint)
        remarks = restore(
            checkpoint,
            self.run_state,
            self.parts,
            self.context.hook_set,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )
        self._resumed = True
        for remark in remarks:
            self.context.logger.warning("resume_remark", remark=remark)
        return remarks
