"""A run's log, and its metrics files, folded into one story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from engine.report.config import read_config
from engine.report.events import collapse, describe
from engine.report.lines import as_number
from engine.report.records import (
    APART,
    PLACES,
    curve_of,
    guess_spent,
    metrics_of,
    spent_of,
    vanished,
    whole,
)
from engine.report.run import Curve, Event, Run, Save, Start, Test, Validation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Story"]

# Lines that become curves and tables; the others are events.
_TOLD_ELSEWHERE = frozenset(
    {"train", "val", "test", "val_metrics", "test_metrics", "checkpoint_saved"}
    | {"environment", "config", "hooks", "experiment"}
)


@define
class Story:
    """What the log lines of a work dir come to, the newest run's only.

    Feed it each folder's lines in the order of the folders. A run that is resumed takes
    back what an earlier process did beyond the checkpoint; a new run begins anew.
    """

    starts: list[Start] = field(factory=list)
    tests: list[Test] = field(factory=list)
    saves: list[Save] = field(factory=list)
    events: list[Event] = field(factory=list)
    config: str = ""
    environment: dict[str, str] = field(factory=dict)
    earlier_runs: int = 0
    _training: dict[str, dict[int, float]] = field(factory=dict, init=False)
    _others: dict[str, dict[int, float]] = field(factory=dict, init=False)
    _validations: dict[int, Validation] = field(factory=dict, init=False)
    # Epoch, iteration, and whether the epoch was under way.
    _epochs: list[tuple[int, int, bool]] = field(factory=list, init=False)
    # Of the process whose lines are read.
    _process: Start | None = field(default=None, init=False)
    _own_config: str = field(default="", init=False)
    _events_before: int = field(default=0, init=False)
    _trains: bool = field(default=False, init=False)
    _has_log: bool = field(default=False, init=False)

    # -- the log -----------------------------------------------------------------

    def take_log(self, records: Iterable[Mapping[str, Any]]) -> bool:
        """Go on with the lines of a log.

        Returns:
            Whether they tell of training.
        """
        trained = False
        self._process, self._trains = None, False
        for record in records:
            if record.get("rank", 0) != 0:
                if record.get("level") in ("warning", "error", "critical"):
                    self.events.append(describe(record))
                continue
            self._has_log = True
            self._take(record)
            trained = trained or self._trains
        return trained

    def _take(self, record: Mapping[str, Any]) -> None:
        kind, time = str(record.get("event", "")), str(record.get("timestamp", ""))
        acts = {
            "environment": self._begin_process,
            "config": self._take_config,
            "resumed": self._resume,
            "rolled_back": self._roll_back,
            "training_starts": self._begin_training,
            "training_ends": self._end_training,
            "run_failed": self._end_training,
            "nothing_to_do": self._end_training,
            "train": self._take_iteration,
            "val_metrics": self._take_validation,
            "test_metrics": self._take_test,
            "checkpoint_saved": self._take_save,
        }
        if kind in acts:
            acts[kind](record, time)
        if kind not in _TOLD_ELSEWHERE:
            self.events.append(describe(record))
        self._update(ended=time, spent=spent_of(record))

    def _take_config(self, record: Mapping[str, Any], _: str) -> None:
        self._own_config = str(record.get("text", ""))
        self.config = self.config or self._own_config

    def _roll_back(self, record: Mapping[str, Any], _: str) -> None:
        self._cut_back(whole(record, "iteration"), None)

    def _end_training(self, record: Mapping[str, Any], _: str) -> None:
        failed = record.get("event") == "run_failed"
        self._update(
            outcome="failed" if failed else str(record.get("outcome", "finished")),
            reason=str(record.get("error" if failed else "reason") or ""),
            last=whole(record, "iter"),
            epoch=whole(record, "epoch"),
        )

    def _begin_process(self, record: Mapping[str, Any], time: str) -> None:
        found = {key: str(value) for key, value in record.items() if key not in APART}
        if self.environment and self.starts:
            changed = [
                f"{key} {self.environment.get(key, 'none')} -> {value}"
                for key, value in found.items()
                if self.environment.get(key) != value
            ]
            if changed:
                text = f"another environment: {', '.join(changed)}"
                self.events.append(Event(time, "info", "environment_changed", text))
        self.environment = found
        self._process = Start(began=time, environment=found)
        self._trains, self._events_before = False, len(self.events)

    def _begin_training(self, record: Mapping[str, Any], time: str) -> None:
        process = self._process or Start(began=time)
        first = whole(record, "iter") or 0
        if self.starts and not process.resumed_from and not first:
            self._forget()
        start = evolve(
            process,
            ended=time,
            first=first,
            last=first,
            epoch=whole(record, "epoch"),
            max_epochs=whole(record, "max_epochs"),
            max_iters=whole(record, "max_iters"),
            seed=whole(record, "seed"),
        )
        self.config = self._own_config or self.config
        self.starts.append(start)
        self._process = evolve(process, resumed_from="")
        self._trains = True

    def _forget(self) -> None:
        """A new run begins in this work dir: what was told is another one's."""
        self.earlier_runs += 1
        # What this process told before it began to train is its own.
        del self.events[: self._events_before]
        for told in (self.starts, self.tests, self.saves, self._epochs):
            told.clear()
        for scalars in (self._training, self._others, self._validations):
            scalars.clear()

    def _resume(self, record: Mapping[str, Any], time: str) -> None:
        self._process = evolve(
            self._process or Start(began=time),
            resumed_from=str(record.get("path", "")),
        )
        done = whole(record, "iter")
        if self.starts and not self.starts[-1].outcome:
            # It comes before all that the process which goes on has told.
            known = self._process is not None
            place = self._events_before if known else len(self.events)
            self.events.insert(place, vanished(self.starts[-1], done))
        self._cut_back(done, whole(record, "epoch"))

    def _cut_back(self, done: int | None, epoch: int | None) -> None:
        """The run goes on from a checkpoint: later work is done again.

        Args:
            done: Iterations that the checkpoint has.
            epoch: Epochs that it has; ``None``: not told.
        """
        if done is None:
            return
        for points in (*self._training.values(), *self._others.values()):
            for place in [place for place in points if place > done]:
                del points[place]
        for step, one in list(self._validations.items()):
            if one.iteration is not None:
                gone = one.iteration > done
            else:  # its step is an epoch, or an iteration
                gone = step > (done if epoch is None else max(epoch, 0)) and (
                    self._counts_epochs() or step > done
                )
            if gone:
                del self._validations[step]
        self._epochs = [one for one in self._epochs if one[1] <= done]

    def _take_iteration(self, record: Mapping[str, Any], time: str) -> None:
        if not self._trains:  # composed in code: nothing announces it
            self.starts.append(self._process or Start(began=time))
            self._trains = True
        self._take_training(record)

    def _take_validation(self, record: Mapping[str, Any], time: str) -> None:
        step = whole(record, "step")
        if not self._trains:  # the command validate
            self.tests.append(Test(time, metrics_of(record), "validation"))
        elif step is not None:
            self._add_validation(step, record, whole(record, "iter"))

    def _take_test(self, record: Mapping[str, Any], time: str) -> None:
        self.tests.append(Test(time, metrics_of(record)))

    def _take_save(self, record: Mapping[str, Any], time: str) -> None:
        epoch, done = whole(record, "epoch"), whole(record, "iter")
        if epoch is not None and done is not None:
            self._epochs.append((epoch, done, False))
            self._reach(epoch, done)
            self.saves.append(Save(time, str(record.get("path", "")), epoch, done))

    def _reach(self, epoch: int, done: int) -> None:
        """The running process has come this far."""
        if self.starts and self._trains:
            last = self.starts[-1]
            self._update(last=max(last.last, done), epoch=max(last.epoch or 0, epoch))

    def _update(self, **changes: Any) -> None:
        known = {key: value for key, value in changes.items() if value is not None}
        if self.starts and self._trains:
            self.starts[-1] = evolve(self.starts[-1], **known)

    # -- the metrics file ----------------------------------------------------------

    def take_metrics(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Go on with the lines of a metrics file, which the log may tell as well."""
        for record in records:
            step = whole(record, "step")
            if "iter" in record:
                self._take_training(record)
            elif step is not None and not self._has_log:
                self._add_validation(step, record, None)
            elif step is not None and not self._is_told(step, metrics_of(record)):
                for name, value in metrics_of(record).items():
                    self._others.setdefault(name, {})[step] = value

    def _is_told(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Whether the log told these, as a validation's or a test's."""
        told = [set(one.metrics) for one in self.tests]
        if step in self._validations:
            told.append(set(self._validations[step].metrics))
        return any(set(metrics) <= names for names in told)

    # -- scalars -------------------------------------------------------------------

    def _take_training(self, record: Mapping[str, Any]) -> None:
        done = whole(record, "iter")
        if done is None:
            return
        for key, value in record.items():
            number = as_number(value)
            if number is not None and key not in APART and key not in PLACES:
                name = key.removeprefix("train/")  # a log with hierarchy
                self._training.setdefault(name, {})[done] = number
        epoch = whole(record, "epoch")
        if epoch:
            self._epochs.append((epoch, done, True))
        if self._trains:
            start = self.starts[-1]
            last = max(done, start.last)
            if start.spent is None or not start.spent.measured:
                guess = guess_spent(start, record, done)
                self.starts[-1] = evolve(start, last=last, spent=guess)
            else:
                self.starts[-1] = evolve(start, last=last)

    def _add_validation(
        self, step: int, record: Mapping[str, Any], done: int | None
    ) -> None:
        self._validations.pop(step, None)
        self._validations[step] = Validation(step, done, metrics_of(record))

    # -- what came of it -------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a run was found."""
        return not (self.starts or self.tests or self._training or self._validations)

    @property
    def length(self) -> int | None:
        """Iterations in an epoch, as far as epochs and iterations of lines tell it.

        In epoch e (from 1) an iteration i lies in (e - 1) n < i <= e n; with e epochs
        done it lies in e n <= i < (e + 1) n.
        """
        low, high = 1, None
        for epoch, done, is_running in self._epochs:
            if is_running:
                low = max(low, -(-done // epoch))
                most = (done - 1) // (epoch - 1) if epoch > 1 else None
            else:
                low = max(low, done // (epoch + 1) + 1)
                most = done // epoch if epoch else None
            if most is not None:
                high = most if high is None else min(high, most)
        if high is None or low > high:
            return None
        return high

    def _counts_epochs(self) -> bool:
        """Whether the steps of validations are epochs."""
        if self.starts and self.starts[-1].max_iters is not None:
            return False
        epochs = [epoch for epoch, _, _ in self._epochs]
        if not epochs:  # lines of a run bounded by iterations tell none
            return not self._training
        return max(self._validations, default=0) <= max(epochs)

    def validations(self) -> Sequence[Validation]:
        """Each with the iteration that it followed, where that can be told."""
        length, by_epoch = self.length, self._counts_epochs()
        found = []
        for one in self._validations.values():
            done = one.iteration
            if done is None and not by_epoch:
                done = one.step
            elif done is None and length is not None:
                done = one.step * length
            found.append(evolve(one, iteration=done))
        return sorted(found, key=lambda one: one.step)

    def curves(self) -> Sequence[Curve]:
        """Training's, then validations', then others'."""
        found = [curve_of("train", name, told) for name, told in self._training.items()]
        metrics: dict[str, dict[int, float]] = {}
        for one in self.validations():
            for name, value in one.metrics.items():
                place = one.step if one.iteration is None else one.iteration
                metrics.setdefault(name, {})[place] = value
        found += [curve_of("val", name, told) for name, told in metrics.items()]
        found += [curve_of("other", name, told) for name, told in self._others.items()]
        return [one for one in found if one.places]

    def tell(self, **more: Any) -> Run:
        """The run.

        Args:
            more: What no log line tells: its name, its work dir, its checkpoints.
        """
        # Of the process that trained last; without one, of the last one.
        trained = self.starts[-1].environment if self.starts else {}
        given = {"config": self.config, **more}
        return Run(
            starts=self.starts,
            curves=self.curves(),
            validations=self.validations(),
            tests=self.tests,
            saves=self.saves,
            events=self.told_events(),
            environment=trained or self.environment,
            settings=read_config(given["config"]),
            length=self.length,
            **given,
        )

    def told_events(self) -> Sequence[Event]:
        """What happened, in order, repetitions counted."""
        return collapse(self.events)
