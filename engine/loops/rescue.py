"""What is kept of a run that fails or is stopped."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.checkpoint import HostCopy, Store, name_of, parent_of
from engine.dist import get_world_size, is_main_process, on_main
from engine.errors import ConfigError, NonFiniteError, amount
from engine.events import Events, Priority
from engine.loops.rewind import Rewind
from engine.loops.stop_file import StopFile
from engine.state import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.checkpoint import Location
    from engine.events import Handle

__all__ = ["Rescue"]


class Rescue:
    """Saves what is whole of a run that fails or is stopped, and says what is lost.

    An iteration that fails leaves half-done state behind: nothing is saved of it, the
    newest checkpoint stands, or a copy that was frozen since. An error while data is
    waited for, in a validation or in a save finds the state of a safe point, and that
    is saved. With several ranks the others are not there to give theirs: of a failure
    only a frozen copy is written.

    Args:
        trainer: The run's.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.file = StopFile(trainer.context)
        self.amending: Rewind | None = None
        """Corrects what is captured while the stop's own file is written."""
        self._before_due: Rewind | None = None
        self._here: tuple[Location | None, int] = (None, 0)
        self._last: tuple[Location | None, int] = (None, 0)
        self._last_but_one: tuple[Location | None, int] = (None, 0)
        self._freezing: Handle | None = None
        self._host = HostCopy()
        self._frozen: dict[str, Any] | None = None

    # -- at safe points ----------------------------------------------------------

    @contextmanager
    def paying(self) -> Iterator[None]:
        """While the body pays a due, remember what the run was before it."""
        trainer, outer = self._trainer, self._before_due
        if outer is None:
            self._before_due = Rewind(
                trainer.run_state, trainer.parts, trainer.context.hook_set
            )
        yield
        self._before_due = outer

    def left(self) -> None:
        """The validation that was being paid is left: it is as if it never began."""
        assert self._before_due is not None
        self._before_due.put_back()

    def kept(self) -> None:
        """The validation that was being paid is left, and its place is kept."""
        self.give_up()

    def moved_on(self) -> None:
        """The state is another one than that which was saved last."""
        self._here = (None, 0)

    def give_up(self) -> None:
        """Nothing that was remembered of an earlier state is of use."""
        self._before_due, self._here = None, (None, 0)

    def saved(self, path: Location, iteration: int, *, here: bool) -> None:
        """A whole checkpoint was written, or will be by the run's writer.

        Args:
            path: The file.
            iteration: Iterations that were done.
            here: Whether it holds the state of the present safe point.
        """
        self._last_but_one, self._last = self._last, (path, iteration)
        self._frozen = None  # older than this
        if here:
            self._here = (path, iteration)

    def resumed(self, iteration: int) -> None:
        """The run is another one: that of a checkpoint."""
        self._last = self._last_but_one = (None, iteration)
        self._frozen = None
        self.give_up()
        self.file.adopt(iteration)

    # -- a stop ------------------------------------------------------------------

    def keep(self) -> Location:
        """Save the state of the safe point where the run was halted.

        Raises:
            CheckpointError: It could not be written.
        """
        rewind, self._before_due = self._before_due, None
        self._trainer.writer.wait()
        held = on_main(lambda: self._held_by_regular)
        return held or self._write(rewind)

    @property
    def _held_by_regular(self) -> Location | None:
        """The newest checkpoint, if it is a regular one of this very state."""
        path, iteration = self._here
        # Iterations at which nothing is due are not told of.
        same = iteration == self._trainer.run_state.iteration
        return path if path is not None and same and path == self.file.newest else None

    def save_now(self) -> Location:
        """Save between regular checkpoints, from a hook's ``pay()``.

        Raises:
            CheckpointError: It could not be written.
        """
        return self._write(None)

    def _write(self, rewind: Rewind | None) -> Location:
        trainer = self._trainer
        trainer.writer.wait()  # files are written in the order of their states

        def save(store: Store, name: str) -> None:
            trainer.context.save_checkpoint(
                store.folder, name, backend_args=store.backend_args
            )

        self.amending = rewind
        try:
            return self.file.write(trainer.run_state.iteration, trainer.run_id, save)
        finally:
            self.amending = None

    # -- a failure ---------------------------------------------------------------

    def after(self, error: BaseException, *, while_reading: bool) -> None:
        """Save what can be saved of a run that failed, and say so in the error's notes.

        Args:
            error: What happened.
            while_reading: Whether it did between two iterations, in the data.
        """
        rewind, self._before_due = self._before_due, None
        parts = self._trainer.parts
        alone = get_world_size() == 1  # what a rank has is not the run's state
        tracked = (parts.model, parts.optimizer) != (None, None) or parts.others
        ruined = isinstance(error, NonFiniteError)  # whole, and worth nothing
        try:
            self._trainer.writer.wait()
            whole = alone and (rewind is not None or while_reading)
            if tracked and not ruined and whole:
                path = self._held_by_regular or self._write(rewind)
                error.add_note(f"{_place(self._trainer)} Its state is saved: {path}.")
                return
            if self._frozen is not None:
                error.add_note(self._write_frozen())
                return
        except Exception as another:  # noqa: BLE001 - told with the first error
            error.add_note(
                f"its state could not be saved: {type(another).__name__}: {another}"
            )
        error.add_note(self._describe_loss())

    def _describe_loss(self) -> str:
        path, iteration = self._last
        told = f"{_place(self._trainer)} Nothing is saved from what failed. "
        if path is not None and not self._is_there(path):
            if not is_main_process():  # who may be at it
                return (
                    f"{told}Rank 0 was writing {path}: a resume takes it if it is "
                    "whole, and the checkpoint before it if not."
                )
            path, iteration = self._last_but_one  # its writer has failed
        again = self._trainer.run_state.iteration - iteration
        if path is None and iteration:  # it was resumed from what was in memory
            path = self.file.newest
        if path is None:
            return f"{told}This run has no checkpoint yet: it begins anew."
        return (
            f"{told}The newest checkpoint is {path}; a resume from it does "
            f"{amount(again, 'iteration')} again, exactly as before."
        )

    def _is_there(self, path: Location) -> bool:
        store = self.file.store
        if parent_of(path) != store.folder:
            store = Store(parent_of(path))
        return store.has(name_of(path))

    # -- frozen copies -----------------------------------------------------------

    def freeze_each(self, interval: int) -> None:
        """Keep a copy in the host's memory each so many iterations; 0: none.

        Raises:
            ConfigError: It is no whole number of at least 0.
        """
        if not isinstance(interval, int) or isinstance(interval, bool) or interval < 0:
            message = (
                f"freeze_interval={interval!r}: give a whole number of iterations, or "
                "0 to keep no copy"
            )
            raise ConfigError(message)
        if interval and self._trainer.strategy.is_sharded:
            message = (
                f"freeze_interval={interval}: after a failure the other ranks are not "
                "there to write their pieces of the copy: save more often instead"
            )
            raise ConfigError(message)
        if self._freezing is not None:
            self._freezing.remove()
            self._freezing = None
        if interval:
            self._freezing = self._trainer.add_event_handler(
                Events.SAFE_POINT(every=interval), self.freeze, priority=Priority.LOWEST
            )

    def freeze(self, _: object = None) -> None:
        """Copy the state of this safe point into the host's memory."""
        captured = self._trainer.context.capture_checkpoint()
        if not is_main_process():
            return
        self._frozen = None  # its memory is written over: half of each is neither
        self._frozen = self._host.take(captured)

    def _write_frozen(self) -> str:
        frozen, self._frozen = self._frozen, None
        assert frozen is not None
        iteration = frozen["meta"]["iter"]

        def save(store: Store, name: str) -> None:
            store.write(name, frozen)

        path = self.file.write(iteration, self._trainer.run_id, save, together=False)
        again = self._trainer.run_state.iteration - iteration
        return (
            f"{_place(self._trainer)} Nothing is saved from what failed; {path} is the "
            f"copy that was frozen after {amount(iteration, 'iteration')}. A resume "
            f"from it does {amount(again, 'iteration')} again, exactly as before."
        )


def _place(trainer: Any) -> str:
    state = trainer.run_state
    was = "training" if state.phase is Phase.FAILED else state.phase.value
    return (
        f"the run failed while {was}, after {amount(state.iteration, 'iteration')} "
        f"({amount(state.epoch, 'epoch')} and "
        f"{amount(state.epoch_iteration, 'iteration')})."
    )
