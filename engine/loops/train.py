"""The trainer: an Ignite engine that counts, pays what is due, saves and resumes."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from attrs import evolve

from engine.dataset import (
    check_sample_randomness,
    count_samples,
    data_shape,
    draws_apart,
    open_cursor,
    reads_alike,
    shares_unseen,
)
from engine.dist import gather_on_all, get_rank, get_world_size
from engine.errors import DataError, EngineError, StateError
from engine.loops.context import EngineContext
from engine.loops.driven import Driven, DrivenData, Leave
from engine.loops.eval_size import check_has_batches
from engine.loops.feed import Feed
from engine.loops.going_back import GoingBackEngine
from engine.loops.interval import ValidationPlan
from engine.loops.left_out import RollBack
from engine.loops.optimizer_steps import watch_optimizers
from engine.loops.rescue import Rescue
from engine.loops.stops import Stops
from engine.state import (
    Phase,
    Stream,
    derive_seed,
    restore_randomness,
    seed_everything,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ignite.engine import State

    from engine.dataset import Cursor, SampleRandomness
    from engine.loops.evaluate import EvalEngine
    from engine.state import RunState

__all__ = ["TrainEngine"]


class TrainEngine(Driven, GoingBackEngine):
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
        handle_signals: Whether SIGTERM, SIGINT and SIGUSR1 stop the run at the next
            safe point: it is saved, and ``run()`` raises ``RunInterrupted``.
        max_seconds: How long ``run()`` may take: at the first safe point after that it
            is stopped likewise. ``None``: as long as it needs.
        diff_rank_seed: Whether each rank draws random numbers of its own while it
            trains; if not, all draw the same.
        context: What hooks get as ``runner``; ``None`` makes one.

    Raises:
        ConfigError: ``max_seconds`` is no number above 0.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None = None,
        *,
        work_dir: str | os.PathLike[str] = "work_dir",
        randomness: SampleRandomness = "sample",
        facilities: Mapping[str, Any] | None = None,
        handle_signals: bool = True,
        max_seconds: float | None = None,
        diff_rank_seed: bool = False,
        context: Any = None,
    ) -> None:
        super().__init__(step, state, context)
        if context is None:
            self.context = EngineContext(
                self.run_state,
                self.clock,
                work_dir,
                dict(facilities or {}),
                Stops(handle_signals=handle_signals, max_seconds=max_seconds),
            )
            self.context.trainer = self
            self.context.hook_set.connect("train", self.bus)
        self._randomness: SampleRandomness = check_sample_randomness(randomness)
        self._diff_rank_seed = diff_rank_seed
        self._data: Iterable[Any] | None = None  # what was opened last
        self.rescue = Rescue(self)
        self._unread = False  # whether reading the data has failed
        self._reads_apart = False  # whether that leaves the state as it was
        self._begins = False  # whether what it begins with is still to be paid
        if self.context.stops.max_seconds is not None:
            self.bus.add("SAFE_POINT", self._look_at_clock, priority=0, args=())
        # Of a run that a loop of the user's drives.
        self._halted = self._announced = self._completed = False
        # Of the running data, so that nothing is looked up per iteration.
        self._batch_size = self._last_batch_size = 0
        self._ranks = 1
        self._dispatch_started = self.bus.dispatcher("ITERATION_STARTED")
        self._dispatch_completed = self.bus.dispatcher("ITERATION_COMPLETED")
        self._acts = {
            "STARTED": self._on_started,
            "EPOCH_STARTED": self._on_epoch_started,
            "TERMINATE_SINGLE_EPOCH": self._on_epoch_cut,
            "EPOCH_COMPLETED": self._on_epoch_completed,
            "COMPLETED": self._on_completed,
            "INTERRUPT": self._on_interrupt,
        }

    # -- composing ---------------------------------------------------------------

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
            dynamic_intervals: ``(milestone, interval)`` pairs; see
                :class:`ValidationPlan`.
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
        if self._validations.run is not None:
            message = (
                "this trainer validates already: one validator runs inside training. "
                "Run a second one from a handler of the first one's COMPLETED."
            )
            raise StateError(message)
        check_has_batches(data)
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
        self._validations.plan(validate, plan, at_start=at_start)

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
        if self._halted:
            message = (
                "this run was interrupted in a loop that drove it: let the same loop "
                "go on (runner.train())"
            )
            raise StateError(message)
        if self._suspended:
            self._check_same_bounds(max_epochs, max_iters)
            with self.leading():
                self.run_state.move(Phase.TRAINING)
                self.spent.begin(self.run_state.progress)
                self._turn_to_the_end(going_on=True)
            return self.state
        if data is None:
            data = self._no_data(epoch_length)
        self._convene()
        self._open(data, max_epochs, max_iters, epoch_length)
        self._count_window()
        if self._is_finished():
            return self.state
        with self.leading():
            self.spent.begin(self.run_state.progress)
            self._begin()
            self._turn_to_the_end()
        return self.state

    def _turn_to_the_end(self, *, going_on: bool = False) -> None:
        """Let Ignite's loop run until it ends or is interrupted, through rollbacks."""
        while True:
            try:
                with self._turning():
                    if going_on:
                        self._go_on()
                    if going_on and self.should_interrupt:
                        # By what was owed: not a batch later.
                        self.should_interrupt = False
                        self._on_interrupt()
                    else:
                        self._turn()
            except RollBack as asked:
                self._go_back(asked)
                going_on = False
            else:
                return

    @contextmanager
    def driven(
        self,
        data: Iterable[Any],
        max_epochs: int | None = None,
        max_iters: int | None = None,
        epoch_length: int | None = None,
    ) -> Iterator[DrivenData | None]:
        """Train, or go on training, by the calls of a loop that runs in the body.

        The loop announces each stage by ``runner.call_hook``, from ``before_train`` to
        ``after_train``; what it leaves out at either end is added.

        Args:
            data: Batches; what the body gets iterates them from the run's place on.
            max_epochs: Epochs in all.
            max_iters: Iterations in all, instead of ``max_epochs``.
            epoch_length: Iterations after which the data ends for this epoch; default:
                the data's length.

        Yields:
            The data for the loop; ``None`` if all work is done already.

        Raises:
            StateError: A bound is out of range, or all work is done already.
            DataError: The data is empty.
        """
        going_on = self._halted
        self._convene()
        self._open(data, max_epochs, max_iters, epoch_length)
        self._count_window()
        if not going_on and self._is_finished():
            yield None
            return
        with self.leading():
            self._halted = False
            self.spent.begin(self.run_state.progress)
            if going_on:
                self.run_state.move(Phase.TRAINING)
            else:
                self._begin()
                self.should_terminate = self.should_terminate_single_epoch = False
                self._announced = self._completed = False
            with self._turning():
                self.driving = True
                try:
                    if going_on:
                        self._begins = True  # the loop does
                        self._go_on()
                    assert self.state.dataloader is not None
                    yield DrivenData(
                        self.state.dataloader,
                        data,
                        ends=lambda: self._epoch_ends(epoch_length),
                    )
                    self._announce()
                except Leave:
                    self.logger.debug("the loop was left")
                finally:
                    self.driving = False
                self._leave()

    def _is_finished(self) -> bool:
        """Whether a resumed run has nothing left to do; then it says so."""
        if not self._resumed or self.run_state.has_work():
            return False
        self.context.logger.info(
            "nothing_to_do",
            line=f"This run is finished: all of {self.run_state.limits.describe()} "
            "is done. Raise it to go on.",
        )
        return True

    def _begin(self) -> None:
        self.run_state.move(Phase.TRAINING)
        if not self.run_state.started:
            # Training's random numbers depend on the run's seed alone.
            own = (get_rank(),) if self._diff_rank_seed else ()
            seed_everything(derive_seed(self.run_state.seed, Stream.TRAINING, *own))
        self._resumed = False
        self.clock.set_counters(self)

    def _go_on(self) -> None:
        """After an interrupt: what was left unpaid comes first."""
        restore_randomness(self._paused)
        self._pay_what_it_begins_with()

    def _check_same_bounds(self, max_epochs: int | None, max_iters: int | None) -> None:
        limits = self.run_state.limits
        given = (max_epochs or limits.max_epochs, max_iters or limits.max_iters)
        if given != (limits.max_epochs, limits.max_iters):
            message = (
                f"an interrupted run goes on to the bound that it had, "
                f"{limits.describe()}. Call run() without one; when that is reached, "
                "call it with the larger one."
            )
            raise StateError(message)

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
        if data is self._data:
            self._saved_data = self._data_state()
        cursor = self._open_cursor(data)
        self.run_state.check_data(data_shape(cursor))
        if reads_alike(cursor):
            self.context.logger.warning(
                "ranks_read_alike",
                line="Each rank reads all of the training data, in the same order: "
                "give its loader a sampler that shares it, such as DefaultSampler",
            )
        elif shares_unseen(cursor):
            self.context.logger.info(
                "ranks_share_unseen",
                line="Each rank trains on all that its own training data yields: only "
                "the data itself can share samples among ranks. It knows them by "
                "engine.dist.get_dist_info()",
            )
        self._read = (data, epoch_length)
        self._reads_apart = draws_apart(data, self._randomness)
        if epoch_length is None:
            epoch_length = cursor.length or limits.epoch_length
        bounds = {
            "max_epochs": max_epochs,
            "max_iters": max_iters,
            "epoch_length": epoch_length,
        }
        self._settle_schedules(self.run_state.check_limits(**bounds))
        self.run_state.set_limits(**bounds)
        if self.run_state.started:
            cursor.load(self._saved_data)
            if self._resumed and self.resume_report is not None:
                self._report_data(cursor.resume_report())
        self._saved_data = None
        self._data = data
        self._read_from(cursor)

    def _open_cursor(self, data: Iterable[Any]) -> Cursor:
        seed = self.run_state.seed
        cursor = open_cursor(data, seed=seed, randomness=self._randomness)
        lengths = gather_on_all(cursor.length)
        if len(set(lengths)) > 1:
            message = (
                f"the ranks have {lengths} batches of training data in a pass (0: not "
                "known): those with fewer would leave the others waiting in a step. "
                "Give each as many, by round_up=True in a DefaultSampler."
            )
            raise DataError(message)
        return cursor

    def _read_from(self, cursor: Cursor) -> None:
        self._pass_length = cursor.length
        self.run_state.take_data(data_shape(cursor))
        # Of all ranks, which read alike.
        self._ranks = get_world_size()
        self._batch_size = cursor.batch_size * self._ranks
        self._last_batch_size = cursor.last_batch_size * self._ranks
        state = self.run_state
        self.state.dataloader = Feed(
            cursor, state.progress, state.left_out, self._on_unread
        )

    def _count_window(self) -> None:
        """Tell an optimizer wrapper where in its accumulation window the run is."""
        count = getattr(self.parts.optimizer, "initialize_count_status", None)
        if count is not None:
            length = self.clock.epoch_length or 0
            total = length * (self.clock.max_epochs or 0)
            total -= self.run_state.iterations_left_out
            # A model may use it more or less often than once an iteration.
            counted = self.parts.counts() if self.run_state.started else None
            count(self.parts.model, self.run_state.iteration, total or -1)
            if counted is not None:
                self.parts.load_counts(counted, self.run_state.iteration)

    @contextmanager
    def _turning(self) -> Iterator[None]:
        """While the body trains: watch the optimizers, know that it does."""
        state = self.run_state
        self._turns, self._unread = True, False
        with watch_optimizers(self.parts, state.progress, self.bus, self.context):
            yield
        self._turns = False
        if not self._suspended:
            state.move(Phase.FINISHED)
            self._release_data()

    def _release_data(self) -> None:
        """Let loader workers go: another run opens its data anew."""
        self._dataloader_iter = None
        if isinstance(self.state.dataloader, Feed):
            self.state.dataloader.cursor.close()
        validator = getattr(self.context, "validator", None)
        if validator is not None:
            validator.release()

    def _on_unread(self) -> None:
        """Reading the data gave an error."""
        self._unread = True

    def _after_failure(self, error: BaseException) -> None:
        if not self._turns:
            return  # it had not begun, or was done
        self._turns = False
        if isinstance(error, EngineError):
            error.while_running = True
        # What runs between a safe point and a batch would run again after a resume.
        between = ("GET_BATCH_STARTED", "DATALOADER_STOP_ITERATION")
        untouched = all(self.bus.dispatcher(event).run is None for event in between)
        self.rescue.after(
            error,
            while_reading=self._unread
            and self._reads_apart
            and self._at_safe_point
            and untouched,
        )
        self._release_data()

    # -- driven by a loop of the user's ------------------------------------------

    @property
    def _suspended(self) -> bool:
        return self._halted or super()._suspended

    def _start_anew(self) -> None:
        self._halted = False
        super()._start_anew()

    def _calls(self) -> Mapping[str, Callable[..., None]]:
        return {
            "before_train": self._announce,
            "before_train_epoch": self._begin_epoch,
            "before_train_iter": self._begin_iteration,
            "after_train_iter": self._end_iteration,
            "after_train_epoch": self._end_epoch,
            "after_train": self._end_training,
        }

    def _announce(self) -> None:
        """Begin training, once, whether the loop says so or not."""
        if not self._announced:
            self._announced = True
            self._on_started()

    def _check_goes_on(self) -> None:
        self._announce()
        if self.should_terminate or self.should_interrupt:
            raise Leave

    def _begin_epoch(self) -> None:
        self._check_goes_on()
        if self.run_state.limits.reached(self.run_state.progress):
            raise Leave
        self.clock.show_epoch(self)
        self._on_epoch_started()

    def _begin_iteration(self, batch_idx: int = 0, data_batch: Any = None) -> None:
        # The place in the epoch is the state's: a loop that was resumed counts from 0.
        del batch_idx
        self._check_goes_on()
        self.clock.show_iteration(self)
        self.state.batch, self.state.output = data_batch, None
        self._on_iteration_started()

    def _end_iteration(
        self, batch_idx: int = 0, data_batch: Any = None, outputs: Any = None
    ) -> None:
        del batch_idx
        if data_batch is not None:
            self.state.batch = data_batch
        self.state.output = outputs
        self._on_iteration_completed()

    def _end_epoch(self) -> None:
        self._check_goes_on()
        cut, self.should_terminate_single_epoch = (
            self.should_terminate_single_epoch,
            False,
        )
        progress = self.run_state.progress
        if cut:
            self._on_epoch_cut(progress.epoch_iteration)
        elif progress.pass_batch and self.run_state.limits.max_iters is None:
            # A loop that leaves a pass before its end begins the next one.
            progress.finish_pass()
        if cut != "skip_epoch_completed":
            self._on_epoch_completed()

    def _end_training(self) -> None:
        self._announce()
        if self.should_interrupt:
            raise Leave
        if not self._completed:
            self._completed = True
            self._on_completed()

    def _epoch_ends(self, epoch_length: int | None) -> bool:
        done = self.run_state.progress.epoch_iteration
        bounded = self.run_state.limits.max_iters is None
        return bool(
            self.should_terminate_single_epoch
            or self.should_terminate
            or self.should_interrupt
            or (bounded and epoch_length is not None and done >= epoch_length)
        )

    def _leave(self) -> None:
        """The loop has returned, or was left: end the run, or halt it."""
        if self.should_interrupt:
            self.should_interrupt = False
            self._halted = True
            self._on_interrupt()
            return
        ended, self.should_terminate = self.should_terminate, False
        if not self._completed and ended != "skip_completed":
            self._completed = True
            self._on_completed()

    def set_data(self, data: Iterable[Any]) -> None:
        """Read from other data from the next batch on, beginning a pass over it.

        A resumed run reads what its ``run()`` is given: switch there again.
        """
        self._read_from(self._open_cursor(data))
        progress = self.run_state.progress
        if progress.pass_batch:
            progress.finish_pass()
        self._setup_dataloader_iter()

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
        self._requests.clear(state, going_back=self._goes_back)
        if self._council is not None and not self._goes_back:
            self._council.forget()
        self._goes_back = False
        if self.context.stops.asked:  # while weights were loaded
            self._halt_soon()
        self._at_safe_point = False
        self._run_handlers("STARTED")
        self.context.hook_set.watch()
        first, state.started = not state.started, True
        self._validations.begin(first=first)
        self._begins = True
        self._pay_what_it_begins_with()

    def _pay_what_it_begins_with(self) -> None:
        """What was owed; then comes the end before which it was saved, if it was."""
        self._pay_dues()
        self.spent.mark = perf_counter()
        if not self._begins or self.should_interrupt:  # that waits for what is owed
            return
        self._begins = False
        if self.run_state.ended:
            self.should_terminate = True
        elif self.clock.epoch_is_over:
            self._end_owed_epoch()

    def _end_owed_epoch(self) -> None:
        """End an epoch that was saved between its last step and its end."""
        skip = self.run_state.epoch_cut == "skip"
        progress = self.run_state.progress
        bounded = self.run_state.limits.max_iters is None
        if self.driving and bounded and progress.pass_batch:  # as in _end_epoch
            progress.finish_pass()
        if self.run_state.epoch_cut:
            self._on_epoch_cut()
        self.should_terminate_single_epoch = False
        self.clock.skip_epoch(self)
        if not skip:
            self._on_epoch_completed()

    def _on_epoch_started(self) -> None:
        if self.run_state.epoch_iteration:  # Ignite fires it again after a resume
            return
        # Until its first batch is trained on: a resume would fire the event again.
        self._at_safe_point = self.bus.dispatcher("EPOCH_STARTED").run is None
        self._run_handlers("EPOCH_STARTED")
        self.spent.mark = perf_counter()
        self._agree()
        if self._requests.terminate:  # no batch was read yet: a safe point as well
            self._requests.settle(self.run_state)
            self._heed()

    def _on_iteration_started(self) -> None:
        self._at_safe_point = False
        spent = self.spent
        spent.data += perf_counter() - spent.mark
        run = self._dispatch_started.run
        if run is not None:
            done = self.run_state.progress
            run(
                (self.context, done.epoch_iteration, self.state.batch),
                done.iteration + 1,
            )
        spent.mark = perf_counter()

    def _on_iteration_completed(self) -> None:
        # The hot path: what is looked up here is looked up a million times.
        spent = self.spent
        spent.step += perf_counter() - spent.mark
        state = self.run_state
        done = state.progress
        index = done.epoch_iteration
        samples = self._batch_size
        if samples == 0:
            samples = count_samples(self.state.batch) * self._ranks
        elif done.pass_batch + 1 == self._pass_length:
            samples = self._last_batch_size
        done.finish_iteration(samples, self._pass_length)
        if state.left_out:
            self._end_shorter_pass()
        if done.iteration == self._validations.next_iteration:
            self._validations.after_iteration()
        run = self._dispatch_completed.run
        if run is not None:
            clock = self.clock
            clock.closing_iteration = 1
            try:
                run(
                    (self.context, index, self.state.batch, self.state.output),
                    done.iteration,
                )
            finally:  # a run may go on from another place after an error
                clock.closing_iteration = 0
        due = self._requests.pending or state.due or self._council is not None
        if due or self._dispatch_safe_point.run is not None:
            self._safe_point()
        else:
            self._at_safe_point = True
        spent.mark = perf_counter()

    def _on_epoch_cut(self, iter_counter: int = 0) -> None:
        state = self.run_state
        self.bus.fire("TERMINATE_SINGLE_EPOCH", self.context, iter_counter)
        if state.progress.pass_batch:
            state.progress.finish_pass()
        if state.epoch_cut == "skip":
            state.progress.finish_epoch()
            state.epoch_cut = ""

    def _on_epoch_completed(self) -> None:
        state = self.run_state
        unknown = state.limits.epoch_length is None and state.limits.max_iters is None
        if unknown and not state.epoch_cut:
            # The data has no length; its first epoch has told it.
            state.limits = evolve(state.limits, epoch_length=state.epoch_iteration)
            # A run that is resumed from here on knows it from its begin.
            self._count_window()
            self._validations.find_next()
        self._at_safe_point = False
        state.progress.finish_epoch()
        state.epoch_cut = ""
        self._validations.after_epoch()
        self.clock.closing_epoch = 1
        try:
            self._run_handlers("EPOCH_COMPLETED")
        finally:
            self.clock.closing_epoch = 0
        self._safe_point()

    def _on_completed(self) -> None:
        self._at_safe_point = False
        self._run_handlers("COMPLETED")
        self._safe_point()
