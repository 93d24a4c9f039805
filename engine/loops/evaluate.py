"""The validator and the tester: one pass over data that changes nothing in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from ignite.metrics import Metric
from torch import nn

from engine.dataset import (
    SampleRandomness,
    check_sample_randomness,
    count_samples,
    signals_left,
)
from engine.dist import sum_over_ranks
from engine.errors import DataError, MetricError, StateError, a_type, amount
from engine.events import Priority
from engine.loops.clock import Clock
from engine.loops.context import EngineContext
from engine.loops.eval_data import EvalData
from engine.loops.eval_driven import DrivenEvaluation
from engine.loops.eval_size import (
    length_of,
    padded_size,
    refuse_empty,
    samples_of,
)
from engine.loops.evaluation_mode import evaluation_mode
from engine.loops.inside import PART, Gathered, put_back, read_place, why_not
from engine.loops.rewind import Rewind
from engine.loops.rounds import Rounds, convene
from engine.loops.stops import Halt, Stops
from engine.state import (
    Exactness,
    PartReport,
    Phase,
    RunState,
    Stream,
    capture_randomness,
    derive_seed,
    fence,
    seed_everything,
)

if TYPE_CHECKING:
    from ignite.engine import State

    from engine.loops.driven import DrivenData

__all__ = ["EvalEngine"]

_PHASES = {"val": Phase.VALIDATING, "test": Phase.TESTING}
_STREAMS = {"val": Stream.VALIDATION, "test": Stream.TEST}


class EvalEngine(DrivenEvaluation):
    """Evaluates on an Ignite engine, leaving training as it was.

    Gradients are off and the model is in evaluation mode; the random generators start
    from (seed, iteration) and are put back afterwards, as is each module's mode.

    Args:
        step: ``step(validator, batch) -> output``.
        state: Where the run is; ``None`` begins one with a drawn seed.
        metrics: Ignite metrics by name, or an ``Evaluator``, which is given each
            step's output as ``data_samples``.
        model: Put into evaluation mode while this runs; ``None``: the step sees to it.
        mode: ``"val"`` or ``"test"``: which hook methods and phase are its.
        handle_signals: Whether SIGTERM, SIGINT and SIGUSR1 end an evaluation alone
            between two batches; inside training, the trainer's says it.
        randomness: What random numbers that a dataset draws depend on, as for
            ``TrainEngine``.
        context: What hooks get as ``runner``; ``None`` makes one.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None = None,
        *,
        metrics: Mapping[str, Metric] | Any = None,
        model: nn.Module | None = None,
        mode: Literal["val", "test"] = "val",
        handle_signals: bool = True,
        randomness: SampleRandomness = "sample",
        context: Any = None,
    ) -> None:
        super().__init__(step, state)
        if mode not in _PHASES:
            message = f"mode={mode!r}: an EvalEngine has mode 'val' or 'test'"
            raise StateError(message)
        self.mode = mode
        self.model = model
        self._done = 0
        self._samples = 0
        self._randomness: SampleRandomness = check_sample_randomness(randomness)
        self._data: EvalData | None = None  # what was evaluated last
        # Of a validation inside training, which may be left and gone on with.
        self._nested = False
        self._began: Any = None
        self._gathered: Gathered | None = None
        self._place_to_go_on: Any = None
        self._again: Rewind | None = None
        self._rounds: Rounds | None = None  # of several ranks
        self._paused: list[nn.Module] = []  # modules that train when it is over
        self.evaluator: Any = None
        self._set_metrics({} if metrics is None else metrics)
        name = "validator" if mode == "val" else "tester"
        self._joined = context is not None
        self.context = context
        if context is None:
            self.context = EngineContext(
                self.run_state,
                Clock(self.run_state),
                stops=Stops(handle_signals=handle_signals),
            )
            setattr(self.context, name, self)
            self.context.hook_set.connect(mode, self.bus)
        counted = ("STARTED", "EPOCH_STARTED", "COMPLETED")
        self._acts = {
            **{event: partial(self._run_handlers, event) for event in counted},
            "EPOCH_COMPLETED": self._on_epoch_completed,
        }

    def _set_metrics(self, metrics: Any) -> None:
        if not isinstance(metrics, Mapping):
            for method in ("process", "evaluate"):
                if not callable(getattr(metrics, method, None)):
                    message = (
                        "metrics: expected Ignite metrics by name, or an Evaluator; "
                        f"found {a_type(metrics)} without {method}()"
                    )
                    raise MetricError(message)
            self.evaluator = metrics
            return
        for name, metric in metrics.items():
            if not isinstance(metric, Metric):
                message = (
                    f"metrics[{name!r}]: expected an ignite.metrics.Metric, found "
                    f"{a_type(metric)}"
                )
                raise MetricError(message)
            # Before all other handlers, so that those see the metrics' values.
            self.attach_first(metric, name)

    def attach_first(self, metric: Metric, name: str) -> None:
        """Attach an Ignite metric ahead of handlers that read its value."""
        before, self._default_priority = self._default_priority, Priority.HIGHEST
        try:
            metric.attach(self, name)
        finally:
            self._default_priority = before

    def join(self, context: Any, state: RunState) -> None:
        """Become part of a run: share its state, hooks and context.

        Raises:
            StateError: It is part of another run.
        """
        if self._joined and self.context is not context:
            message = "this EvalEngine belongs to another run: make one for each run"
            raise StateError(message)
        if not self._joined:
            for record in self.context.hook_set.release():
                context.hook_set.add(record.hook, record.priority, record.name)
            context.hook_set.connect(self.mode, self.bus)
        self._joined = True
        self.context, self.run_state = context, state

    def add_hook(self, hook: Any, priority: int | str | Priority | None = None) -> None:
        """Register a hook with the run that this engine belongs to."""
        self.context.hook_set.add(hook, priority)

    # -- running -----------------------------------------------------------------

    def interrupt(self) -> None:
        """Refused: what is left of a pass could not be told from the next one.

        Raises:
            StateError: Always; it says what to do instead.
        """
        message = (
            "an evaluation is one pass and cannot be interrupted. Call terminate() to "
            "end it without metrics, or the trainer's interrupt() to halt training "
            "between two batches of it."
        )
        raise StateError(message)

    @property
    def length(self) -> int:
        """Batches of the running or last evaluation; 0 if that is not known."""
        return self.state.epoch_length or 0

    @property
    def metrics(self) -> dict[str, Any]:
        """Values of the last run's metrics."""
        return self.state.metrics

    def run(  # type: ignore[override]  # an evaluation is one pass, it has no bounds
        self,
        data: Iterable[Any],
        *,
        epoch_length: int | None = None,
        drive: Callable[[DrivenData], Any] | None = None,
    ) -> State:
        """Evaluate one pass over ``data``.

        Args:
            data: Iterable of batches.
            epoch_length: Batches to use; ``None``: all.
            drive: A loop of the user's that iterates what it is given and announces
                each stage by ``runner.call_hook``; it returns the metrics, or has
                announced them. ``None``: Ignite's loop turns.

        Returns:
            Ignite's state; its ``metrics`` holds the values.

        Raises:
            DataError: There is no batch.
            StateError: The run is in a phase that does not evaluate.
        """
        state = self.run_state
        leads = state.phase is not Phase.TRAINING
        outer = state.phase
        if leads:
            with self.leading(), self.context.stops.leaving():
                self._evaluate(data, epoch_length, outer, drive)
        else:
            self.bus.rearm()
            self._evaluate(data, epoch_length, outer, drive)
        return self.state

    def _evaluate(
        self,
        data: Iterable[Any],
        epoch_length: int | None,
        outer: Phase,
        drive: Callable[[DrivenData], Any] | None,
    ) -> None:
        state = self.run_state
        length = length_of(data, epoch_length)
        state.move(_PHASES[self.mode])
        self._done = self._samples = 0
        self.state.metrics = {}
        self._rounds = convene(self.context.stops, self.model)
        if self.evaluator is not None:
            self.evaluator.reset()
        nested = outer is Phase.TRAINING
        owed = nested and self.context.trainer.inside.begin()
        self._open(data, length, goes_on=owed and drive is None)
        if nested:  # for who saves from inside
            self.context.outer_randomness = capture_randomness()
        try:
            self._turn_once(data, length, drive)
        except Halt:
            state.move(outer)
            raise
        except BaseException:
            if nested and state.phase is _PHASES[self.mode]:
                state.move(outer)  # whoever catches this is in training again
            raise
        finally:
            self.context.outer_randomness = None
        if self._done == 0 and drive is None and self._rounds is None:
            refuse_empty(data)
        state.move(outer)

    def _open(self, data: Iterable[Any], length: int | None, *, goes_on: bool) -> None:
        """Get the data ready, and find out whether a validation was left in it."""
        seed = derive_seed(self.run_state.seed, _STREAMS[self.mode])
        self._nested, self._place_to_go_on, self._again = goes_on, None, None
        self._gathered = None
        if self._data is None or self._data.data is not data or self._data.seed != seed:
            self._data = EvalData(data, seed, self._randomness)
        if not goes_on:
            return
        trainer = self.context.trainer
        place = trainer.inside.place
        if place is None:
            return
        kinds = Gathered(self.evaluator, self.bus).kinds
        why = why_not(place, length, self._data, kinds)
        if why:
            why = f"it begins again whole, though hooks have seen its begin: {why}"
            trainer.report_validation([PartReport(PART, Exactness.BEST_EFFORT, why)])
            trainer.inside.done()
            return
        trainer.report_validation(self._data.report())
        self._place_to_go_on = place
        self._again = Rewind(self.run_state, trainer.parts, self.context.hook_set)

    def release(self) -> None:
        """Let loader workers that wait for another evaluation go."""
        if self._data is not None:
            self._data.close()

    def _turn_once(
        self,
        data: Iterable[Any],
        length: int | None,
        drive: Callable[[DrivenData], Any] | None,
    ) -> None:
        state = self.run_state
        with (
            fence(),
            torch.no_grad(),
            evaluation_mode(self.model) as self._paused,
            signals_left(data),
        ):
            seed_everything(
                derive_seed(state.seed, state.iteration, _STREAMS[self.mode])
            )
            # None for a rank without a batch: Ignite takes 0 for done, with its end.
            Clock(state).set_evaluation(self, length or None)
            self.state.dataloader = data
            if drive is None:
                self._turn()
            else:
                self._let(drive, data, length)
            self._wait_for_ranks()  # if it was ended before

    # -- between two batches -----------------------------------------------------

    def _setup_dataloader_iter(self) -> None:
        # Ignite's loop calls this when the handlers of the begin have run.
        assert self._data is not None
        data, expect = self.state.dataloader, getattr(self.evaluator, "expect", None)
        if expect is not None:
            expect(padded_size(data, self._dataset_size()))
        number = self.run_state.iteration
        place, self._place_to_go_on = self._place_to_go_on, None
        if place is None:
            if self._nested:
                self._gathered = Gathered(self.evaluator, self.bus)
            self._dataloader_iter, self._began = self._data.begin(number)
            return
        assert self._again is not None
        self._again.put_back()  # what those handlers noted was noted then
        self._again = None
        self._done, self._samples = place["batches"], place["samples"]
        Clock(self.run_state).go_on_evaluating(self, self._done)
        self._began = place["began"]
        self._dataloader_iter = self._data.go_on(number, self._done, self._began)
        self._gathered = Gathered(self.evaluator, self.bus)
        put_back(place, self._gathered)

    def read_place(self) -> dict[str, Any]:
        """Where a validation inside training is between two of its batches.

        Raises:
            MetricError: A metric cannot give its state.
        """
        assert self._data is not None
        assert self._gathered is not None
        return read_place(
            batches=self._done,
            samples=self._samples,
            length=self.state.epoch_length,
            data=self._data,
            began=self._began,
            gathered=self._gathered,
        )

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While the body runs, the model trains; what it draws, nobody sees."""
        with fence():
            for module in self._paused:
                module.training = True
            try:
                yield
            finally:
                for module in self._paused:
                    module.training = False

    def _between_batches(self) -> None:
        """Stop here if that was asked for; inside training, save what is owed."""
        if self._rounds is not None:
            leaves = self._rounds.after_batch()
            if self._rounds.terminated:
                self.should_terminate = self.should_terminate or True
            if not leaves:
                return
            if self._nested and self._rounds.interrupted:
                self.context.trainer.council.interrupt()
        if not self._nested:
            if self.context.stops.leaves:
                raise Halt
        elif self._done != self.state.epoch_length:  # else it is over in a moment
            self.context.trainer.between_batches(self)

    @property
    def _wants_interrupt(self) -> bool:
        return self._nested and self.context.trainer.council.wants_interrupt

    def _wait_for_ranks(self) -> None:
        """All batches of this rank are done; the others may have some left."""
        if self._rounds is not None:
            self._rounds.finish(
                interrupt=self._wants_interrupt,
                terminate=bool(self.should_terminate),
                keep_up=self._keep_up,
            )

    def _keep_up(self) -> None:
        """Evaluate the last batch again, for nobody: another rank's needs this one."""
        with fence():
            self._process_function(self, self.state.batch)

    # -- events ------------------------------------------------------------------

    def _place(self) -> str:
        return (
            f"{_PHASES[self.mode].value} at iteration {self.run_state.iteration}, "
            f"batch {self._done + 1}"
        )

    def _count(self, event: str) -> int:
        if event in ("GET_BATCH_STARTED", "GET_BATCH_COMPLETED", "ITERATION_STARTED"):
            return self._done + 1
        return 0 if event == "STARTED" else 1  # epochs begun, as Ignite counts them

    def _restart_data(self) -> None:
        data = self.state.dataloader
        if self._done == 0:
            refuse_empty(data)
        message = (
            f"{type(data).__name__} ended after {self._done} of "
            f"{self.state.epoch_length} batches: an evaluation is one pass. Give data "
            "that yields as many batches as its length says."
        )
        raise DataError(message)

    def _on_iteration_started(self) -> None:
        if self._rounds is not None:
            self._rounds.before_batch(
                last=self._done + 1 == self.state.epoch_length,
                interrupt=self._wants_interrupt,
                terminate=bool(self.should_terminate),
            )
        self._run_handlers("ITERATION_STARTED", self._done, self.state.batch)

    def _on_iteration_completed(self) -> None:
        if self.evaluator is not None:
            batch = self.state.batch
            self._samples += count_samples(batch)
            self.evaluator.process(data_samples=self.state.output, data_batch=batch)
        self._count_batch()

    def _count_batch(self) -> None:
        index = self._done
        self._done += 1
        batch, output = self.state.batch, self.state.output
        run = self.bus.dispatcher("ITERATION_COMPLETED").run
        if run is not None:
            run((self.context, index, batch, output), self._done)
        self._between_batches()

    def _done_so_far(self) -> str:
        return f"after {amount(self._done, 'batch', 'batches')} of a {self.mode}"

    def _on_epoch_completed(self) -> None:
        done = self._done
        if self._rounds is not None:
            self._wait_for_ranks()
            if self._rounds.terminated:  # by a handler of another rank
                return
            done, self._samples = sum_over_ranks([self._done, self._samples])
        if done == 0:
            refuse_empty(self.state.dataloader)
        if self.evaluator is not None:
            self.state.metrics.update(self.evaluator.evaluate(self._size()))
        self._run_handlers("EPOCH_COMPLETED", self.state.metrics)

    def _size(self) -> int:
        """Samples that were evaluated, by all ranks; padded ones left out."""
        size = self._dataset_size()
        return self._samples if size is None else size

    def _dataset_size(self) -> int | None:
        return samples_of(self.state.dataloader, self.state.epoch_length)
