"""A trainer that can go back to a checkpoint and leave batches out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from engine.dist import on_main
from engine.errors import NonFiniteError, StateError, amount
from engine.loops.left_out import RollBack, nothing_left
from engine.loops.paying import PayingEngine
from engine.state import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.checkpoint import Location
    from engine.state import RunState

__all__ = ["GoingBackEngine"]


class GoingBackEngine(PayingEngine):
    """Base of the trainer: it goes back where a batch ruined the run.

    Args:
        step: ``step(trainer, batch) -> output``.
        state: Where the run is; ``None`` begins one with a drawn seed.
        context: What hooks get as ``runner``.
    """

    driving: bool

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None,
        context: Any,
    ) -> None:
        super().__init__(step, state, context)
        self._turns = False  # whether the loop does
        self._goes_back = False
        self._read: tuple[Any, int | None] = ((), None)  # what _open was given
        self._pass_length = 0  # batches in a pass; 0 if that is not known

    @abstractmethod
    def _open(
        self,
        data: Iterable[Any],
        max_epochs: int | None,
        max_iters: int | None,
        epoch_length: int | None,
    ) -> None:
        """Set the limits and get the data ready to be read from where the run is."""

    @abstractmethod
    def _count_window(self) -> None:
        """Tell an optimizer wrapper where in its accumulation window the run is."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin to train from where the run is."""

    def roll_back(
        self, batches: Iterable[tuple[int, int]], *, before: int, reason: str
    ) -> None:
        """Go back to the newest good checkpoint, and leave batches out from now on.

        Does not return: the run goes on from the checkpoint. What is left out is part
        of the run's state, so each resume leaves it out too.

        Args:
            batches: Pairs of a pass over the data and a batch in it; those that the
                checkpoint has been trained on are passed over.
            before: The checkpoint is one of at most so many iterations.
            reason: Why, for the log.

        Raises:
            StateError: Nothing trains now, or a loop of the user's drives it.
        """
        if not self._turns or self.driving:
            message = f"the run cannot go back here ({reason}): no loop of ours turns"
            raise StateError(message)
        asked = RollBack(reason)
        asked.batches = [[*pair] for pair in batches]
        asked.before, asked.reason = before, reason
        raise asked

    def _go_back(self, asked: RollBack) -> None:
        state = self.run_state
        left_out, rollbacks = state.left_out, state.rollbacks + 1
        seconds = state.elapsed_seconds
        self.rescue.give_up()
        path, checkpoint = self._good_before(asked)
        if state.phase is Phase.TRAINING:
            state.move(Phase.INTERRUPTED)
        self.resume_from(checkpoint)
        self.context.cut_logs_back(checkpoint["meta"])
        done = state.progress
        place = [done.data_pass, done.pass_batch]
        # What was trained on before the checkpoint, of an open window, is done.
        batches = [one for one in asked.batches if one >= place]
        left_out = sorted([*left_out, *batches])
        state.left_out, state.rollbacks = left_out, rollbacks
        state.elapsed_seconds = max(seconds, state.elapsed_seconds)
        if self._pass_length and nothing_left(
            left_out, done.data_pass, done.pass_batch, self._pass_length
        ):
            if done.pass_batch == 0:
                message = (
                    f"{asked.reason}, as was so in all other batches of pass "
                    f"{done.data_pass}: none of them is left. It is not the batches: "
                    "look at the learning rate and the model."
                )
                raise NonFiniteError(message)
            done.finish_pass()
            state.epoch_cut = "end" if self._passes_are_epochs() else ""
        self.context.logger.warning(
            "rolled_back",
            line=f"{asked.reason}: back to {path} "
            f"({amount(state.iteration, 'iteration')}). Left out "
            f"from now on (pass, batch): {batches}",
            path=str(path),
            iteration=state.iteration,
            left_out=batches,
        )
        data, epoch_length = self._read
        limits = state.limits
        self._open(data, limits.max_epochs, limits.max_iters, epoch_length)
        self._count_window()
        self._goes_back = True
        self.bus.rearm()  # its counters are smaller again
        self._begin()

    def _good_before(self, asked: RollBack) -> tuple[Location, dict[str, Any]]:
        self.writer.wait()
        store = self.rescue.file.store
        before = on_main(lambda: store.of_run(self.run_id, up_to=asked.before))
        found = store.newest_good(among=before, layout=self.strategy.layout)
        if found is None:
            message = (
                f"{asked.reason}, and {store.folder} holds no checkpoint of this run "
                "from before it, so the run cannot go back. Keep more checkpoints."
            )
            raise NonFiniteError(message)
        return found[0], found[1]

    def _end_shorter_pass(self) -> None:
        """After an iteration of a run that leaves batches out: end what is over."""
        state = self.run_state
        done = state.progress
        if done.pass_batch:
            length = self._pass_length
            if not length or not nothing_left(
                state.left_out, done.data_pass, done.pass_batch, length
            ):
                return
            done.finish_pass()
        limit = state.limits.epoch_length or 0
        if self._passes_are_epochs() and done.epoch_iteration < limit:
            self.terminate_epoch()

    def _passes_are_epochs(self) -> bool:
        limits = self.run_state.limits
        return limits.max_iters is None and limits.epoch_length == self._pass_length
