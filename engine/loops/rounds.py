"""How the ranks of an evaluation stay together, though some have more batches.

::

    rank 0   batch 1   batch 2   batch 3   batch 4   --------   --------
    rank 1   batch 1   batch 2   --------  --------  --------   --------
    round          1         2         3         4          5
    has a batch   2         2         1         1          0    -> over, on both

A rank takes part in a round when it has fetched a batch, and reads it when it has
evaluated that batch: nobody waits for more than the slowest rank's batch. Who has none
left takes part in rounds until nobody had one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.parallel import DistributedDataParallel

from engine.dist import get_rank, get_world_size
from engine.errors import DataError
from engine.loops.council import CLOCK, SIGNALS, Ballots, heed_stops, stops_noted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from engine.loops.stops import Stops

__all__ = ["Rounds", "convene"]

_HAS, _MORE = "has a batch", "may have another one"
_KINDS = (_HAS, _MORE, *SIGNALS, CLOCK, "interrupt", "terminate")


def convene(stops: Stops, model: nn.Module | None) -> Rounds | None:
    """With several ranks: what lets them end an evaluation together.

    Args:
        stops: The run's.
        model: What is evaluated, as far as that is known.
    """
    if get_world_size() == 1:
        return None
    parameters = () if model is None else model.parameters()
    modules = () if model is None else model.modules()
    # Not by their class: importing torch's takes as long as all of ours.
    together = any(hasattr(one, "device_mesh") for one in parameters)
    wrappers = [one for one in modules if isinstance(one, DistributedDataParallel)]
    broadcasting = [
        one
        for one in wrappers
        if one.will_sync_module_buffers()  # type: ignore[no-untyped-call]  # torch's
    ]
    return Rounds(stops, together=together, broadcasting=broadcasting)


class Rounds:
    """Lets the ranks of an evaluation end together, or leave it at the same batch.

    Args:
        stops: The run's.
        together: Whether each forward needs all ranks, as that of a model does whose
            tensors lie over them.
        broadcasting: Wrappers whose next forward sends rank 0's buffers to all ranks.
            Where a rank has no batch at all, no rank's does: each evaluates with its
            own, and the next forward in training sends them.
    """

    def __init__(
        self,
        stops: Stops,
        *,
        together: bool = False,
        broadcasting: Sequence[DistributedDataParallel] = (),
    ) -> None:
        self._stops = stops
        self._together = together
        self._broadcasting = broadcasting
        self._world = get_world_size()
        self._ballots = Ballots(_KINDS)
        self._open = self._over = False
        self._count = 0  # rounds that this rank had a batch in
        self.interrupted = False
        """Whether the trainer's ``interrupt()`` was called on a rank meanwhile."""
        self.terminated = False
        """Whether a rank ends the evaluation without metrics."""

    def before_batch(
        self, *, last: bool, interrupt: bool = False, terminate: bool = False
    ) -> None:
        """This rank has fetched a batch: take part in a round.

        Args:
            last: Whether it is known to be this rank's last one.
            interrupt: Whether a handler of this rank has asked for an interrupt.
            terminate: Whether one has ended the evaluation.

        Raises:
            DataError: The forward needs all ranks, and another one has no batch at all.
        """
        if self._over:  # a loop of the user's that reads its data again
            return
        if self._open:  # or one that does not tell what it has evaluated
            self._read()
        asked = {_HAS} if last else {_HAS, _MORE}
        self._vote(asked, interrupt=interrupt, terminate=terminate)
        self._count += 1
        if self._count == 1 and self._together:
            self._check_all_have_one()
        if self._count == 1 and self._broadcasting:
            if self._ballots.counts()[_HAS] == self._world:
                self._broadcasting = ()  # all take part: they are let be
            self._broadcast(on=False)

    def after_batch(self) -> bool:
        """That batch is evaluated; whether all ranks leave the evaluation here."""
        if self._over:
            return False
        if not self._open:
            self._vote({_HAS, _MORE}, interrupt=False, terminate=False)
        counts = self._read()
        wanted = bool(self._stops.asked) or self.interrupted
        return wanted and counts[_MORE] == self._world

    def finish(
        self,
        *,
        interrupt: bool = False,
        terminate: bool = False,
        keep_up: Callable[[], object] | None = None,
    ) -> None:
        """This rank has no batch left: wait until all are done; once.

        Args:
            interrupt: As for :meth:`before_batch`.
            terminate: Likewise.
            keep_up: Called while another rank evaluates a batch, where the forward
                needs all ranks.

        Raises:
            DataError: The forward needs all ranks, and this one had no batch at all.
        """
        if self._over:
            return
        if self._open:
            self._read()
        while True:
            self._vote(set(), interrupt=interrupt, terminate=terminate)
            if self._together and self._count == 0:
                self._check_all_have_one()
            if self._read()[_HAS] == 0:
                break
            if self._together and keep_up is not None:
                keep_up()
        self._over = True
        self._broadcast(on=True)

    def _broadcast(self, *, on: bool) -> None:
        # A forward without gradients takes the flag back: ranks would differ in it.
        for wrapper in self._broadcasting:
            wrapper.require_forward_param_sync = on

    def _vote(self, asked: set[str], *, interrupt: bool, terminate: bool) -> None:
        asked |= stops_noted(self._stops)
        if interrupt:
            asked.add("interrupt")
        if terminate:
            asked.add("terminate")
        self._ballots.start(asked)
        self._open = True

    def _read(self) -> dict[str, int]:
        counts = self._ballots.counts()
        self._open = False
        told = {kind for kind, count in counts.items() if count}
        heed_stops(self._stops, told)
        self.interrupted = self.interrupted or "interrupt" in told
        self.terminated = self.terminated or "terminate" in told
        return counts

    def _check_all_have_one(self) -> None:
        having = self._ballots.counts()[_HAS]
        if 0 < having < self._world:
            message = (
                f"{having} of {self._world} ranks have a batch to evaluate, and rank "
                f"{get_rank()} has {'one' if self._count else 'none'}: a model whose "
                "tensors lie over ranks needs all of them in each forward. Let the "
                "sampler pad (round_up=True), or evaluate more data."
            )
            raise DataError(message)
