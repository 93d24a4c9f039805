"""RunState keeps to the state machine of the specification, and to nothing else.

The model below is written from the specification alone: it shares neither the table
nor a line of code with ``engine.state``.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.errors import StateError
from engine.state import DueKind, Limits, Phase, RunState

EVALUATIONS = ("validating", "testing")


class Model:
    """Where a run is, by the rules of the specification, in plain words."""

    def __init__(self, *, by_epoch: bool, limit: int, epoch_length: int) -> None:
        self.by_epoch = by_epoch
        self.limit = limit
        self.epoch_length = epoch_length
        self.phase = "ready"
        self.outer = ""  # where an evaluation came from
        self.left = ""  # what was interrupted
        self.iterations = 0
        self.in_epoch = 0
        self.epochs = 0
        self.owed = 0
        self.ended = False

    @property
    def bound_reached(self) -> bool:
        """Whether the counters stand at the bound, the end of the epoch included."""
        if self.by_epoch:
            return self.epochs >= self.limit
        return self.iterations >= self.limit and self.epochs == 1

    @property
    def done(self) -> int:
        """What the bound counts, as far as it is done."""
        return self.epochs if self.by_epoch else self.iterations

    @property
    def has_work(self) -> bool:
        """Whether training has anything to do or to pay."""
        return self.owed > 0 or not (self.ended or self.bound_reached)

    @property
    def can_iterate(self) -> bool:
        """Whether an iteration may follow."""
        bounded = self.epoch_length if self.by_epoch else self.limit
        return self.in_epoch < bounded and not self.bound_reached

    def allows(self, to: str) -> bool:
        """Whether the specification has the move."""
        if self.phase == "ready":
            return to in ("training", *EVALUATIONS)
        if self.phase == "training":
            return to in ("validating", "interrupted", "finished", "failed")
        if self.phase in EVALUATIONS:
            return to in (self.outer, "interrupted", "failed")
        if self.phase == "interrupted":
            return to == self.left
        if self.phase == "finished":
            return to in EVALUATIONS or (to == "training" and self.has_work)
        return False  # failed is final

    def move(self, to: str) -> None:
        """Make an allowed move."""
        if to in EVALUATIONS and self.phase != "interrupted":
            self.outer = self.phase
        if to == "interrupted":
            self.left = self.phase
        self.phase = to

    def rest(self) -> None:
        """Be read from a file: nothing runs, what ran was interrupted."""
        if self.phase in EVALUATIONS:
            self.phase = self.outer
        if self.phase == "training":
            self.phase, self.left = "interrupted", "training"
        if self.phase == "interrupted" and not self.has_work:
            self.phase = "finished"


class RunStateMachine(RuleBasedStateMachine):
    """Drives a RunState and the model side by side."""

    @initialize(
        by_epoch=st.booleans(),
        limit=st.integers(1, 4),
        epoch_length=st.integers(1, 3),
        steps=st.integers(0, 13),
    )
    def begin(
        self, *, by_epoch: bool, limit: int, epoch_length: int, steps: int
    ) -> None:
        """Begin a run bounded by epochs or by iterations; mostly train a bit."""
        self.model = Model(by_epoch=by_epoch, limit=limit, epoch_length=epoch_length)
        self.state = RunState(seed=5)
        self._limit(limit)
        if steps:
            self.state.move(Phase.TRAINING)
            self.model.move("training")
            self.train(steps)

    def _limit(self, limit: int) -> None:
        name = "max_epochs" if self.model.by_epoch else "max_iters"
        self.state.set_limits(**{name: limit}, epoch_length=self.model.epoch_length)

    def _all(self) -> dict[str, Any]:
        """Everything that may not change in a refused call; the clock goes on."""
        everything = self.state.state_dict()
        del everything["elapsed_seconds"]
        return everything

    @precondition(lambda self: self.model.phase != "failed")
    @rule(data=st.data())
    def make_an_allowed_move(self, data: st.DataObject) -> None:
        """Each move that the specification has succeeds; failing is final, so rare."""
        allowed = [phase for phase in Phase if self.model.allows(phase.value)]
        often = 3 * [phase for phase in allowed if phase is not Phase.FAILED]
        to = data.draw(st.sampled_from(often + allowed), label="to")
        self.state.move(to)
        self.model.move(to.value)

    @rule(data=st.data())
    def try_any_other_move(self, data: st.DataObject) -> None:
        """A move that the specification lacks is an error and changes nothing."""
        refused = [phase for phase in Phase if not self.model.allows(phase.value)]
        to = data.draw(st.sampled_from(refused), label="to")
        before = self._all()
        with pytest.raises(StateError, match=r"^cannot go from") as caught:
            self.state.move(to)
        assert f"from {self.model.phase} to {to.value}" in str(caught.value)
        assert f"at iteration {self.model.iterations}" in str(caught.value)
        assert self._all() == before

    @precondition(lambda self: self.model.phase == "training")
    @rule(steps=st.integers(1, 5))
    def go_on_training(self, steps: int) -> None:
        """Train some more."""
        self.train(steps)

    def train(self, steps: int) -> None:
        """Finish some iterations, and the epoch when its last one is done."""
        model, progress = self.model, self.state.progress
        for _ in range(steps):
            if model.can_iterate:
                progress.finish_iteration(2, model.epoch_length)
                model.iterations += 1
                model.in_epoch += 1
            elif model.in_epoch:
                progress.finish_epoch()
                model.epochs += 1
                model.in_epoch = 0

    @precondition(lambda self: self.model.phase == "training")
    @rule()
    def stop_early(self) -> None:
        """End training before its bound."""
        self.state.stop_reason, self.state.ended = "a test said so", True
        self.model.ended = True

    @rule(kind=st.sampled_from(DueKind))
    def owe(self, kind: DueKind) -> None:
        """Owe something; the same thing twice is owed once."""
        known = {due.kind for due in self.state.due}
        self.state.owe(kind, "someone")
        self.model.owed += kind not in known
        assert len(self.state.due) == self.model.owed
        assert [due.kind for due in self.state.due] == sorted(known | {kind})

    @precondition(lambda self: self.model.owed > 0)
    @rule()
    def pay(self) -> None:
        """Pay what is owed first."""
        self.state.due.pop(0)
        self.model.owed -= 1

    @rule(more=st.integers(0, 4))
    def change_limit(self, more: int) -> None:
        """A bound may move to where the run is or beyond; a larger one lifts a stop."""
        model = self.model
        limit = max(model.done, 1) + more
        self._limit(limit)
        if limit > model.limit:
            model.ended = False
        if not model.by_epoch and model.epochs and limit > model.iterations:
            # The one long epoch goes on.
            model.epochs, model.in_epoch = 0, model.iterations
        model.limit = limit

    @precondition(lambda self: self.model.done > 1)
    @rule(data=st.data())
    def try_a_limit_below_what_is_done(self, data: st.DataObject) -> None:
        """A bound cannot lie in the past; trying changes nothing."""
        limit = data.draw(st.integers(1, self.model.done - 1), label="limit")
        before = self._all()
        with pytest.raises(StateError, match="are done already"):
            self._limit(limit)
        assert self._all() == before

    @rule()
    def save_and_load(self) -> None:
        """Go through a file into a new process: the state is at rest afterwards."""
        file = io.BytesIO()
        torch.save(self.state.state_dict(), file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
        self.state = RunState()
        self.state.load_state_dict(loaded)
        self.model.rest()

    @invariant()
    def agree(self) -> None:
        """The state says what the model says."""
        state, model = self.state, self.model
        assert state.phase.value == model.phase
        assert (state.epoch, state.iteration) == (model.epochs, model.iterations)
        assert state.epoch_iteration == model.in_epoch
        assert state.has_work() is model.has_work
        assert state.seed == 5
        if model.phase in EVALUATIONS:
            assert state.outer.value == model.outer
        if model.phase == "interrupted":
            assert state.left is not None
            assert state.left.value == model.left


RunStateMachine.TestCase.settings = settings(
    max_examples=4 * settings().max_examples, stateful_step_count=40
)
TestRunState = RunStateMachine.TestCase


@pytest.mark.parametrize("by_epoch", [True, False])
def test_a_finished_run_trains_on_with_a_larger_limit_only(*, by_epoch: bool) -> None:
    """At its limit a finished run refuses to train; with a larger one it goes on."""
    bound = "max_epochs" if by_epoch else "max_iters"
    state = RunState()
    state.set_limits(**{bound: 1}, epoch_length=1)
    state.move(Phase.TRAINING)
    state.progress.finish_iteration(4, 1)
    state.progress.finish_epoch()
    state.move(Phase.FINISHED)
    with pytest.raises(StateError, match=f"{bound}=1 are done. Raise {bound} to go on"):
        state.move(Phase.TRAINING)
    state.set_limits(**{bound: 2}, epoch_length=1)
    state.move(Phase.TRAINING)
    assert state.phase is Phase.TRAINING
    assert state.limits == Limits(**{bound: 2}, epoch_length=1)
