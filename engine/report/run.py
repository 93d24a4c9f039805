"""What is known of a run from its files: plain values, no files, no drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import field, frozen

from engine.report.handlers import Handler
from engine.report.lines import Note

__all__ = [
    "CheckpointFile",
    "Curve",
    "Event",
    "Mode",
    "Run",
    "Save",
    "Spent",
    "Start",
    "Test",
    "Validation",
]

Mode = Literal["train", "val", "other"]


@frozen
class Curve:
    """A scalar over a run.

    Args:
        mode: ``"train"``, ``"val"``, or ``"other"`` for what users' code showed.
        name: The scalar's.
        places: Iterations finished, ascending.
        values: One for each place; not always finite.
    """

    mode: Mode
    name: str
    places: Sequence[int]
    values: Sequence[float]


@frozen
class Validation:
    """What a validation gave.

    Args:
        step: As the log counts it: the epoch, or the iteration.
        iteration: Iterations finished; ``None`` if it cannot be told.
        metrics: Values by name, times left out.
    """

    step: int
    iteration: int | None
    metrics: Mapping[str, float]


@frozen
class Test:
    """What a test gave, or a validation outside training.

    Args:
        time: When, ISO 8601.
        metrics: Values by name, times left out.
        mode: Which of the two.
    """

    time: str
    metrics: Mapping[str, float]
    mode: Literal["test", "validation"] = "test"


@frozen
class Save:
    """A checkpoint that the log says was written.

    Args:
        time: When, ISO 8601.
        path: The file.
        epoch: Epochs finished.
        iteration: Iterations finished.
    """

    time: str
    path: str
    epoch: int
    iteration: int


@frozen
class Event:
    """Something that happened once.

    Args:
        time: When, ISO 8601.
        level: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        kind: The log's name for it.
        text: For people, one line.
        details: The rest, such as a traceback.
        count: How often in a row.
    """

    time: str
    level: str
    kind: str
    text: str
    details: str = ""
    count: int = 1


@frozen(kw_only=True)
class Spent:
    """Where the time of a training process went, in seconds.

    Args:
        data: Waiting for batches.
        step: In the training step.
        validation: In validations.
        saving: In saves, as far as training waited for them.
        training: All of training; what no other part holds is hooks and engine.
        samples: Samples trained on; 0 if that is not known.
        iterations: Iterations done.
        measured: Whether the run measured it; else it is put together from log lines.
    """

    data: float = 0.0
    step: float = 0.0
    validation: float = 0.0
    saving: float = 0.0
    training: float = 0.0
    samples: int = 0
    iterations: int = 0
    measured: bool = True

    @property
    def rest(self) -> float:
        """Hooks and the engine."""
        known = self.data + self.step + self.validation + self.saving
        return max(self.training - known, 0.0)

    def __add__(self, other: Spent) -> Spent:
        """Of two processes together."""
        return Spent(
            data=self.data + other.data,
            step=self.step + other.step,
            validation=self.validation + other.validation,
            saving=self.saving + other.saving,
            training=self.training + other.training,
            samples=self.samples + other.samples,
            iterations=self.iterations + other.iterations,
            measured=self.measured and other.measured,
        )


@frozen(kw_only=True)
class Start:
    """A process that trained this run, or went on with it.

    Args:
        began: Time of its first line, ISO 8601.
        ended: Time of its last line.
        resumed_from: The checkpoint; empty if it began anew.
        first: Iterations done when it began.
        last: Iterations done by its last line.
        epoch: Epochs done by its last line, as far as that is told.
        max_epochs: Its bound; ``None`` if that is not told, or it is the other one.
        max_iters: Likewise.
        seed: The run's.
        outcome: ``"finished"``, ``"stopped"``, ``"interrupted"``, ``"failed"``, or
            ``""``: it does not say.
        reason: Why, of the last three.
        environment: Versions and devices by name.
        spent: Where its time went; ``None`` if nothing tells.
    """

    began: str
    ended: str = ""
    resumed_from: str = ""
    first: int = 0
    last: int = 0
    epoch: int | None = None
    max_epochs: int | None = None
    max_iters: int | None = None
    seed: int | None = None
    outcome: str = ""
    reason: str = ""
    environment: Mapping[str, str] = field(factory=dict)
    spent: Spent | None = None


@frozen(kw_only=True)
class CheckpointFile:
    """A checkpoint as it lies there.

    Args:
        name: Of the file, with its folder if that is not the work dir.
        size_bytes: Its length.
        epoch: Epochs finished; ``None`` if nothing tells.
        iteration: Iterations finished; ``None`` if nothing tells.
        time: When it was written, ISO 8601.
        good: Whether it verifies; ``None``: nobody looked.
        reason: Why it does not.
        roles: ``"newest"``, ``"best accuracy"``, ``"another run's"``.
    """

    name: str
    size_bytes: int
    epoch: int | None = None
    iteration: int | None = None
    time: str = ""
    good: bool | None = None
    reason: str = ""
    roles: Sequence[str] = ()


@frozen(kw_only=True)
class Run:
    """A run as its files tell it.

    Args:
        name: For a legend; unique among the runs of a report.
        work_dir: Its folder.
        starts: Processes that trained it, the first one first; empty for a folder that
            only evaluations were done in.
        curves: Scalars over the run.
        validations: In order.
        tests: In order.
        saves: Checkpoints that were written, in order.
        events: What happened, in order.
        checkpoints: Those that are there, oldest first.
        config: The config's text; empty without one.
        environment: Of the last process that trained.
        settings: The config as a tree; see :func:`read_config`.
        length: Iterations in an epoch; ``None`` if that cannot be told.
        notes: What could not be read.
        handlers: What each took, if that was measured.
    """

    name: str
    work_dir: str
    starts: Sequence[Start] = ()
    curves: Sequence[Curve] = ()
    validations: Sequence[Validation] = ()
    tests: Sequence[Test] = ()
    saves: Sequence[Save] = ()
    events: Sequence[Event] = ()
    checkpoints: Sequence[CheckpointFile] = ()
    config: str = ""
    environment: Mapping[str, str] = field(factory=dict)
    settings: Mapping[str, Any] = field(factory=dict)
    length: int | None = None
    notes: Sequence[Note] = ()
    handlers: Sequence[Handler] = ()

    @property
    def iterations(self) -> int:
        """Iterations done, as far as its files tell."""
        places = [max(one.places) for one in self.curves if one.places]
        return max([0, *places, *(one.last for one in self.starts[-1:])])

    @property
    def spent(self) -> Spent | None:
        """Where the time of all its processes went; ``None`` if nothing tells."""
        known = [one.spent for one in self.starts if one.spent is not None]
        return sum(known[1:], known[0]) if known else None
