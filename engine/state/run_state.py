"""Where a run is: the one owner of its phase, counters, limits and dues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import define, field, fields, frozen, setters
from attrs.validators import ge, in_, instance_of, lt

from engine.errors import StateError
from engine.state.data_shape import DataShape
from engine.state.message_hub import MessageHub
from engine.state.phase import NEXT, Phase
from engine.state.progress import Progress
from engine.state.serialize import UNSAVED, from_plain, to_plain

if TYPE_CHECKING:
    from engine.typing import Plain

__all__ = ["Due", "DueKind", "Limits", "RunState"]


class DueKind(IntEnum):
    """What can be owed at a safe point, in the order in which it is paid."""

    SAVE = 0
    VALIDATION = 1
    SAVE_BEST = 2


@frozen(order=False)
class Due:
    """One thing that is owed at the present safe point.

    Args:
        kind: What is owed.
        owner: Unique name of who asked, and who will pay.
        name: What the owner needs to know, such as a file's name.
    """

    FORMAT: ClassVar[int] = 1

    kind: DueKind
    owner: str
    name: str = ""


@frozen(kw_only=True)
class Limits:
    """How long training goes on.

    Args:
        max_epochs: Epochs, at least 1; ``None`` in a run bounded by iterations.
        max_iters: Iterations, at least 1; ``None`` in a run bounded by epochs.
        epoch_length: Iterations in an epoch; ``None`` until the data has told.

    Raises:
        StateError: A limit is not a whole number of at least 1, or both bounds are
            given.
    """

    FORMAT: ClassVar[int] = 1

    max_epochs: int | None = None
    max_iters: int | None = None
    epoch_length: int | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("max_epochs", "max_iters", "epoch_length"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                message = f"{name}={value!r}: give a whole number of at least 1"
                raise StateError(message)
        if self.max_epochs is not None and self.max_iters is not None:
            message = (
                f"max_epochs={self.max_epochs} and max_iters={self.max_iters}: "
                "a run is bounded by one of them, give only that one"
            )
            raise StateError(message)

    def reached(self, progress: Progress) -> bool:
        """Whether the work that the limits allow is done, epoch ends included."""
        if self.max_iters is not None:
            return progress.iteration >= self.max_iters and progress.epoch > 0
        return self.max_epochs is not None and progress.epoch >= self.max_epochs

    def describe(self) -> str:
        """The bound, as a person would write it: ``max_epochs=3``."""
        if self.max_iters is not None:
            return f"max_iters={self.max_iters}"
        return f"max_epochs={self.max_epochs}"


def _of_one_rank(old: Any) -> Plain:
    """Batches in a pass and samples in a batch, as format 2 had them."""
    match old:
        case [int(length), int(batch_size)]:
            return to_plain(DataShape(length=length, batch_size=batch_size))
    return None  # refused as of a wrong type


_ACTIVE = (Phase.TRAINING, Phase.VALIDATING, Phase.TESTING)


@define(kw_only=True)
class RunState:
    """Where a run is; all that a checkpoint needs beside tensors.

    Args:
        seed: The run's seed, from 0 to 2**32 - 1. Loading a saved state replaces it.
        phase: What the run is doing; changed by :meth:`move` alone.
        outer: The phase that an evaluation goes back to.
        left: The phase that was interrupted.
        progress: Counters of finished work.
        limits: How long training goes on.
        due: What is owed at the present safe point, in the order of payment.
        started: Whether training ever began.
        stop_reason: Why training is to end before its limit; ``None`` if it is not.
        ended: Whether it did end so.
        epoch_cut: ``"end"`` if the running epoch ends here, whatever its length;
            ``"skip"`` if without its ``EPOCH_COMPLETED``; else empty.
        data_shape: How the training data lies in batches and on ranks.
        elapsed_seconds: Time spent running, over all processes of the run.
        left_out: Batches that training leaves out, as pairs of a pass over the data and
            a batch in it; in order.
        rollbacks: How often the run went back to a checkpoint to leave batches out.
        hub: Scalars and facts that hooks hand to each other; saved beside this.
    """

    FORMAT: ClassVar[int] = 3
    MIGRATIONS: ClassVar[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        1: lambda old: {**old, "left_out": [], "rollbacks": 0},
        2: lambda old: {**old, "data_shape": _of_one_rank(old.get("data_shape"))},
    }

    seed: int = field(
        default=0,
        validator=[instance_of(int), ge(0), lt(2**32)],
        on_setattr=setters.frozen,
    )
    phase: Phase = field(default=Phase.READY, validator=instance_of(Phase))
    outer: Phase = field(default=Phase.READY, validator=instance_of(Phase))
    left: Phase | None = None
    progress: Progress = field(factory=Progress)
    limits: Limits = field(factory=Limits)
    due: list[Due] = field(factory=list)
    started: bool = False
    stop_reason: str | None = None
    ended: bool = False
    epoch_cut: str = field(default="", validator=in_(("", "end", "skip")))
    data_shape: DataShape = field(factory=DataShape)
    elapsed_seconds: float = field(default=0.0, validator=ge(0.0))
    left_out: list[list[int]] = field(factory=list)
    rollbacks: int = field(default=0, validator=[instance_of(int), ge(0)])
    hub: MessageHub = field(factory=MessageHub, metadata=UNSAVED)
    _running_since: float | None = field(
        default=None, init=False, eq=False, repr=False, metadata=UNSAVED
    )

    # -- counters ---------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.progress.epoch

    @property
    def iteration(self) -> int:
        """Iterations finished."""
        return self.progress.iteration

    @property
    def epoch_iteration(self) -> int:
        """Iterations finished in the running epoch: the place in it."""
        return self.progress.epoch_iteration

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps taken."""
        return self.progress.optimizer_steps

    @property
    def samples(self) -> int:
        """Samples seen."""
        return self.progress.samples

    @property
    def iterations_left_out(self) -> int:
        """How many iterations fewer the run has for the batches that are left out.

        An epoch has fewer; a run bounded by iterations takes others.
        """
        return 0 if self.limits.max_iters is not None else len(self.left_out)

    def take_seed(self, seed: int) -> None:
        """Have another seed, before anything was drawn from this one."""
        object.__setattr__(self, "seed", seed)  # past the frozen setter, on purpose

    # -- phases -----------------------------------------------------------------

    def move(self, to: Phase) -> None:
        """Enter phase ``to``.

        Raises:
            StateError: The table lacks the move, an evaluation would not go back to
                where it came from, an interrupted run not to what it left, or a
                finished run has nothing left to train. Nothing is changed.
        """
        self._check_move(to)
        if self.phase is Phase.INTERRUPTED:
            self.left = None
        elif to in (Phase.VALIDATING, Phase.TESTING):
            self.outer = self.phase
        if to is Phase.INTERRUPTED:
            self.left = self.phase
        self._count_time(running=to in _ACTIVE)
        self.phase = to

    def _check_move(self, to: Phase) -> None:
        move = f"cannot go from {self.phase.value} to {to.value}"
        where = f"at iteration {self.progress.iteration}"
        if to not in NEXT[self.phase]:
            allowed = ", ".join(sorted(phase.value for phase in NEXT[self.phase]))
            message = f"{move} {where}: allowed from here: {allowed or 'none'}."
            raise StateError(message)
        if (
            self.phase is Phase.FINISHED
            and to is Phase.TRAINING
            and not self.has_work()
        ):
            message = f"{move} {where}: {self._why_finished()}"
            raise StateError(message)
        back = (Phase.READY, Phase.TRAINING, Phase.FINISHED)
        evaluating = self.phase in (Phase.VALIDATING, Phase.TESTING)
        if evaluating and to in back and to is not self.outer:
            message = f"{move} {where}: it was begun from {self.outer.value}."
            raise StateError(message)
        if self.phase is Phase.INTERRUPTED and to is not self.left:
            left = "nothing" if self.left is None else self.left.value
            message = f"{move} {where}: it left {left}. Go on with that first."
            raise StateError(message)

    def _why_finished(self) -> str:
        limits, done = self.limits, self.progress
        name, count = "max_epochs", done.epoch
        if limits.max_iters is not None:
            name, count = "max_iters", done.iteration
        if self.ended:
            return (
                f"it was stopped early ({self.stop_reason}). "
                f"Raise {name} above {getattr(limits, name)} to go on."
            )
        return f"all {count} of {limits.describe()} are done. Raise {name} to go on."

    def fail(self) -> None:
        """Enter FAILED from wherever the run is active; elsewhere change nothing."""
        if Phase.FAILED in NEXT[self.phase]:
            self.move(Phase.FAILED)

    def rest(self) -> None:
        """Become a state at rest, as one read from a file is: nothing runs yet.

        A run that was active when it was saved is one that was interrupted. A
        validation is owed through ``due``, so it counts as training that was left.
        """
        self._running_since = None
        if self.phase in (Phase.VALIDATING, Phase.TESTING):
            self.phase = self.outer
        if self.phase is Phase.TRAINING:
            self.phase, self.left = Phase.INTERRUPTED, Phase.TRAINING
        if self.phase is Phase.INTERRUPTED and self.has_work() is False:
            self.phase, self.left = Phase.FINISHED, None

    # -- limits -----------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether training has something left to do or to pay."""
        if self.due:
            return True
        return not self.ended and not self.limits.reached(self.progress)

    def check_limits(
        self,
        *,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        epoch_length: int | None = None,
    ) -> Limits:
        """What :meth:`set_limits` would set; raises the same, and changes nothing."""
        new = Limits(
            max_epochs=max_epochs, max_iters=max_iters, epoch_length=epoch_length
        )
        if self.progress.iteration:
            self._check_limits(self.limits, new)
        return new

    def set_limits(
        self,
        *,
        max_epochs: int | None = None,
        max_iters: int | None = None,
        epoch_length: int | None = None,
    ) -> None:
        """Say how long training goes on; a larger bound lifts an early stop.

        Raises:
            StateError: A limit is no whole number of at least 1, both bounds are
                given, the kind of bound or the epoch length changes in a run that
                has begun, or the bound lies below what is done. Nothing is changed.
        """
        new = self.check_limits(
            max_epochs=max_epochs, max_iters=max_iters, epoch_length=epoch_length
        )
        old, done = self.limits, self.progress
        raised = (new.max_epochs or 0) > (old.max_epochs or 0) or (
            new.max_iters or 0
        ) > (old.max_iters or 0)
        if self.ended and raised:
            self.ended, self.stop_reason = False, None
        goes_on = new.max_iters is not None and new.max_iters > done.iteration
        if goes_on and done.epoch and not self.ended:
            # Its one long epoch was closed at the old bound and goes on.
            done.epoch, done.epoch_iteration = 0, done.iteration
        self.limits = new

    def _check_limits(self, old: Limits, new: Limits) -> None:
        done = self.progress
        if (old.max_iters is None) != (new.max_iters is None):
            message = (
                f"this run is bounded by {old.describe()} and {done.iteration} "
                f"iterations are done; it cannot go on with {new.describe()}"
            )
            raise StateError(message)
        if new.max_epochs is not None and new.max_epochs < done.epoch:
            message = (
                f"max_epochs={new.max_epochs}: {done.epoch} epochs are done already"
            )
            raise StateError(message)
        if new.max_iters is not None and new.max_iters < done.iteration:
            message = (
                f"max_iters={new.max_iters}: {done.iteration} iterations are done "
                "already"
            )
            raise StateError(message)
        changed = old.epoch_length not in (None, new.epoch_length)
        if new.max_iters is None and changed:
            message = (
                f"an epoch of this run has {old.epoch_length} iterations, the data "
                f"given now has {new.epoch_length}: it is not the data (or the batch "
                "size) that the run began with. Give that, or start a new run."
            )
            raise StateError(message)

    def check_data(self, shape: DataShape) -> None:
        """Check that data to go on with has the shape of the data begun with.

        Raises:
            StateError: A pass has another number of batches, a batch other samples, or
                the ranks now cannot go on with what those then had read.
        """
        if not self.progress.iteration:
            return
        why = self.data_shape.why_not(shape)
        if not why and shape.ranks != self.data_shape.ranks and self.left_out:
            why = "a run that leaves batches out goes on with as many ranks as it had"
        if why:
            raise StateError(why)

    def take_data(self, shape: DataShape) -> None:
        """Read from data of that shape, which was checked, from here on."""
        known, self.data_shape = self.data_shape, shape
        if known.ranks != shape.ranks and shape.endless and known.length:
            done = self.progress  # passes over endless data are shares of a rank
            done.data_pass, done.pass_batch = divmod(
                done.data_pass * known.length + done.pass_batch, shape.length
            )

    # -- dues -------------------------------------------------------------------

    def owe(self, kind: DueKind, owner: str, name: str = "") -> None:
        """Add what has to be done at this safe point; the same thing is owed once."""
        due = Due(kind, owner, name)
        if due not in self.due:
            self.due.append(due)
            self.due.sort(key=lambda item: item.kind)

    # -- time -------------------------------------------------------------------

    def _count_time(self, *, running: bool) -> None:
        now = time.monotonic()
        if self._running_since is not None:
            self.elapsed_seconds += now - self._running_since
        self._running_since = now if running else None

    # -- saving -----------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All fields but the hub, as plain data with a format version."""
        if self._running_since is not None:
            self._count_time(running=True)
        plain: dict[str, Any] = to_plain(self)
        return plain

    def load_state_dict(self, state_dict: Plain, /) -> None:
        """Become the saved state, at rest; the hub is loaded by itself.

        Raises:
            SerializationError: The data does not fit; nothing is changed.
        """
        loaded = from_plain(RunState, state_dict)
        loaded.rest()
        for one in fields(RunState):
            if one.metadata.get("saved", True):
                # Past the frozen setter of `seed`: loading replaces it on purpose.
                object.__setattr__(self, one.name, getattr(loaded, one.name))
        self._running_since = None
