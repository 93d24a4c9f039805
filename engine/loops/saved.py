"""An engine whose run is saved and resumed."""

from __future__ import annotations

import functools
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from torch import nn

from engine.checkpoint import (
    CheckpointLoader,
    Layout,
    Location,
    Parts,
    Store,
    Writer,
    as_ours,
    capture,
    check,
    examine,
    gather_ranks,
    is_mmengine,
    name_of,
    of_rank,
    parent_of,
    place,
    restore,
)
from engine.dataset import open_cursor
from engine.dist import get_world_size, on_main
from engine.errors import (
    CheckpointNotFoundError,
    SerializationError,
    StateError,
)
from engine.loops.clock import Clock
from engine.loops.context import EngineContext
from engine.loops.feed import Feed
from engine.loops.inside import Inside
from engine.loops.inside import examine as examine_inside
from engine.loops.lengthen import MadeSchedules
from engine.loops.loop import EventEngine
from engine.model import Buckets, reduced_parameters
from engine.optim.scheduler import check_on_longer
from engine.state import (
    Exactness,
    PartReport,
    Phase,
    ResumeReport,
    capture_randomness,
    fence,
    restore_randomness,
)
from engine.strategies import SingleStrategy

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from engine.events import Priority
    from engine.hooks import Hook
    from engine.loops.rescue import Rescue
    from engine.optim.scheduler import OnLonger
    from engine.state import Limits, RunState
    from engine.strategies import Strategy
    from engine.typing import Plain

__all__ = ["SavedEngine"]


class SavedEngine(EventEngine):
    """Base of the trainer: knows what the run is made of, saves and resumes it.

    Args:
        step: ``step(trainer, batch) -> output``.
        state: Where the run is; ``None`` begins one with a drawn seed.
        context: What hooks get as ``runner``.
    """

    def __init__(
        self,
        step: Callable[[Any, Any], Any],
        state: RunState | None,
        context: Any,
    ) -> None:
        super().__init__(step, state)
        self.context = context
        self.parts = Parts()
        self.clock = Clock(self.run_state)
        self.run_id = uuid4().hex[:12]
        """Of the run over all its starts; tells its files from another run's."""
        self.writer = Writer()
        """Writes checkpoints in the background; one for all who save in this run, so
        that they are written in the order in which they were owed."""
        self.strategy: Strategy = SingleStrategy()
        """How the model lies on ranks; set before anything is saved or resumed."""
        self._resumed = False
        self._must_be_exact = False
        self._report: ResumeReport | None = None
        self._made_schedules: MadeSchedules | None = None
        self._at_safe_point = True
        self._saved_data: Plain = None  # of a checkpoint, until the data is opened
        self.rescue: Rescue
        self.inside = Inside()
        """Where a validation was left, if it was."""

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
        self.parts.take(
            model=model, optimizer=optimizer, param_schedulers=param_schedulers
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

    # -- Ignite's own way of saving ----------------------------------------------

    def state_dict(self) -> OrderedDict[str, Any]:
        """Where the run is, for Ignite's ``Checkpoint`` handler.

        Counters, message hub, hooks, random generators and the data's state; the model
        and the optimizer are other entries of the handler's ``to_save``.
        """
        return OrderedDict(
            run_state=self.run_state.state_dict(),
            message_hub=self.run_state.hub.state_dict(),
            hooks=self.context.hook_set.state_dict(),
            randomness=self._training_randomness(),
            data=self._data_state(),
            validation=self.inside.saved(self.run_state.phase, rewound=False),
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put back what :meth:`state_dict` returned.

        Raises:
            SerializationError: It was not made by :meth:`state_dict`.
            StateError: The run is under way.
        """
        expected = {"run_state", "message_hub", "hooks", "randomness", "data"}
        if set(state_dict) - {"validation"} != expected:
            message = (
                f"TrainEngine.load_state_dict: expected the keys {sorted(expected)}, "
                f"found {sorted(state_dict)}"
            )
            raise SerializationError(message)
        self._check_at_rest()
        self.run_state.hub.load_state_dict(state_dict["message_hub"])
        self.run_state.load_state_dict(state_dict["run_state"])
        self.parts.load_counts(None, self.run_state.iteration)
        self.context.hook_set.load_state_dict(state_dict["hooks"])
        self._start_anew()
        self._saved_data = state_dict["data"]
        self.inside.load(state_dict.get("validation"))
        restore_randomness(state_dict["randomness"])

    # -- checkpoints -------------------------------------------------------------

    def save_checkpoint(
        self,
        path: str | os.PathLike[str],
        *,
        meta: Mapping[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        backend_args: Mapping[str, Any] | None = None,
    ) -> Location:
        """Write everything that is needed to go on exactly.

        Best called at a safe point: between runs, or by owing it
        (``runner.owe(DueKind.SAVE, hook, name)``). From inside another handler it
        lacks what the handlers after it do; the checkpoint says so.

        Args:
            path: The file, a path or a URL that fsspec knows; it is whole afterwards,
                or an error says why.
            meta: Facts to add to its ``meta``.
            save_optimizer: Without it the run cannot go on exactly.
            save_param_scheduler: Likewise.
            backend_args: For the file system of a URL.

        Raises:
            CheckpointError: It could not be written.
        """
        where = place(path)
        checkpoint = self.capture_checkpoint(
            meta=meta,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
        )
        store = Store(parent_of(where), backend_args)
        if self.strategy.is_sharded:
            self.writer.wait()  # it writes over the same group
            mine = self.strategy.divide(checkpoint)
            saved = self.strategy.write(store, name_of(where), mine)
        else:
            # The others wait: a rank that ends takes rank 0, which writes, with it.
            saved = on_main(lambda: store.write(name_of(where), checkpoint))
        if save_optimizer and save_param_scheduler:
            self.rescue.saved(saved, self.run_state.iteration, here=self._at_safe_point)
        return saved

    def capture_checkpoint(
        self,
        *,
        meta: Mapping[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
    ) -> dict[str, Any]:
        """What :meth:`save_checkpoint` writes, after all hooks have had it.

        Its tensors are the run's own: the next iteration changes them. With several
        ranks all call this at the same safe point; rank 0's holds what each of the
        others has for itself, unless tensors lie over ranks: then that is gathered when
        it is written.
        """
        checkpoint = capture(
            self.run_state,
            self.parts,
            self.context.hook_set,
            meta={"run_id": self.run_id, **(meta or {})},
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            at_safe_point=self._at_safe_point
            and (self.inside.between or self.run_state.phase is not Phase.VALIDATING),
            randomness=self._training_randomness(),
            data=self._data_state(),
            validation=self.inside.saved(
                self.run_state.phase, rewound=self.rescue.amending is not None
            ),
            buckets=self._buckets.state_dict() if get_world_size() > 1 else None,
        )
        if self.run_state.phase is Phase.FAILED:  # what is saved of it is whole
            checkpoint["engine"]["run_state"]["phase"] = Phase.TRAINING.value
        if self.rescue.amending is not None:
            self.rescue.amending.amend(checkpoint)
        with fence():  # what handlers draw here, a resumed run does not draw again
            self.bus.fire("CHECKPOINT_SAVING", self.context, checkpoint)
        if not self.strategy.is_sharded:
            gather_ranks(
                checkpoint,
                self.parts.model if isinstance(self.parts.model, nn.Module) else None,
                reduced=reduced_parameters(self._wrapped_model),
            )
        return checkpoint

    @property
    def _wrapped_model(self) -> Any:
        """The model as it is trained; what is tracked may be the one in a wrapper."""
        if isinstance(self.context, EngineContext):
            return self.parts.model
        return self.context.model

    @functools.cached_property
    def _buckets(self) -> Buckets:
        """How the gradients of DDP wrappers are grouped."""
        return Buckets(self._wrapped_model)

    def resume(
        self,
        path: str | os.PathLike[str],
        *,
        map_location: Any = "cpu",
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        exact: bool = False,
        on_longer: OnLonger | None = None,
    ) -> ResumeReport:
        """Become the run that a checkpoint holds; ``run()`` then goes on.

        Args:
            path: A checkpoint, or a folder: its newest good one.
            map_location: Where tensors are put while reading.
            resume_optimizer: Also the optimizer's state.
            resume_param_scheduler: Also the schedules' state.
            exact: Refuse where a part of the run does not come back to the bit; what
                ``run()`` finds of the data counts too.
            on_longer: What the schedules do if ``run()`` is then given another length
                than the run was saved with: ``"keep"`` stays with what was saved,
                ``"hold"`` too, but keeps the value from the old end on, ``"stretch"``
                takes them as they are made now, for the new length. ``None``: it is an
                error of ``run()`` if that makes a difference.

        Returns:
            How exactly each part comes back; what is not exact is logged. The data's
            part follows in :attr:`resume_report` when ``run()`` has seen it.

        Raises:
            CheckpointNotFoundError: There is none.
            CheckpointDamagedError: It cannot be read, or holds no run.
            CheckpointError: It does not fit this run.
            InexactResumeError: ``exact``, and a part does not come back so; nothing
                was changed.
            ScheduleError: ``on_longer`` is none of these.
            StateError: This run is training.
        """
        checkpoint, passed_over = _find(
            path,
            map_location=map_location,
            elsewhere=self.context.hook_set.backend_args(),
            layout=self.strategy.layout,
        )
        for remark in passed_over:
            self.context.logger.warning(
                "checkpoint_passed_over", line=f"Passed over: {remark}", reason=remark
            )
        return self.resume_from(
            checkpoint,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
            exact=exact,
            on_longer=on_longer,
        )

    def resume_from(
        self,
        checkpoint: dict[str, Any],
        *,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        exact: bool = False,
        further: Iterable[PartReport] = (),
        on_longer: OnLonger | None = None,
    ) -> ResumeReport:
        """Become the run that a checkpoint, read and checked, holds.

        Args:
            checkpoint: Hooks may change it.
            resume_optimizer: Also the optimizer's state.
            resume_param_scheduler: Also the schedules' state.
            exact: As for :meth:`resume`.
            further: What the caller knows of parts that are not this engine's.
            on_longer: As for :meth:`resume`.

        Returns:
            How exactly each part comes back; what is not exact is logged.

        Raises:
            CheckpointError: It does not fit this run.
            InexactResumeError: ``exact``, and a part does not come back so; nothing
                was changed.
            ScheduleError: ``on_longer`` is none of those that :meth:`resume` takes.
            StateError: This run is training.
        """
        self._check_at_rest()
        check_on_longer(on_longer)
        made = MadeSchedules.of(self.parts, on_longer)
        foreign: list[PartReport] = []
        if is_mmengine(checkpoint):
            checkpoint, remarks = self._from_mmengine(checkpoint)
            foreign = [
                PartReport("MMEngine's checkpoint", Exactness.BEST_EFFORT, one)
                for one in remarks
            ]
        checkpoint, changed = of_rank(checkpoint)
        checkpoint = self.strategy.take_in(
            checkpoint, self._wrapped_model, self.parts.optimizer
        )
        found = examine(
            checkpoint,
            self.parts,
            self.context.hook_set,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )
        inside = examine_inside(checkpoint["engine"].get("validation"))
        changed += self._buckets.report(get_world_size())
        report = ResumeReport([*foreign, *changed]).with_parts([*found, *inside])
        report = report.with_parts(further)
        if exact:
            report.check_exact()
        if self.run_state.started:  # another run, or this one further on
            self.run_state.hub.forget_since(checkpoint["message_hub"])
        self.bus.fire("CHECKPOINT_LOADED", self.context, checkpoint)
        if checkpoint["engine"].get("buckets"):
            self._buckets.load_state_dict(checkpoint["engine"]["buckets"])
        restore(
            checkpoint,
            self.run_state,
            self.parts,
            self.context.hook_set,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )
        self.run_id = checkpoint["meta"].get("run_id", self.run_id)
        self._made_schedules = made if resume_param_scheduler else None
        self._start_anew()
        self._saved_data = checkpoint["engine"].get("data")
        self.inside.load(checkpoint["engine"].get("validation"))
        self._must_be_exact, self._report = exact, report
        self._tell(report.inexact)
        for one in inside:
            self.context.logger.info(
                "validation_resumed", line=f"Resume: {one}", reason=one.reason
            )
        return report

    @property
    def resume_report(self) -> ResumeReport | None:
        """How exactly each part came back; ``None`` if nothing was resumed."""
        return self._report

    def _report_data(self, found: Iterable[PartReport]) -> None:
        """Add what ``run()`` found of the data that a resumed run goes on with.

        Raises:
            InexactResumeError: All had to be exact, and this is not.
        """
        assert self._report is not None
        data = ResumeReport(found)
        self._report = self._report.with_parts(data.parts)
        if self._must_be_exact:
            self._report.check_exact()
        self._tell(data.inexact)
        self.context.logger.info(
            "resume_report",
            line=f"Resume report:\n{self._report}",
            parts={one.part: one.level.label for one in self._report.parts},
        )

    def report_validation(self, found: Iterable[PartReport]) -> None:
        """Add what is found of a validation that a resumed run goes on with.

        Raises:
            InexactResumeError: All had to be exact, and this is not.
        """
        parts = ResumeReport(found)
        if self._report is not None:
            self._report = self._report.with_parts(parts.parts)
            if self._must_be_exact:
                self._report.check_exact()
        self._tell(parts.inexact)

    def _tell(self, inexact: Iterable[PartReport]) -> None:
        for one in inexact:
            self.context.logger.warning(
                "resume_remark",
                line=f"Resume: {one}",
                part=one.part,
                level=one.level.label,
                reason=one.reason,
            )

    def _from_mmengine(
        self, checkpoint: dict[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        loop = getattr(self.context, "train_loop", None)
        loader = getattr(loop, "dataloader", None)
        length = None
        if loader is not None:
            seed = self.run_state.seed
            length = open_cursor(loader, seed=seed, randomness="sample").length
        template = capture(self.run_state, self.parts, self.context.hook_set)
        return as_ours(
            checkpoint,
            template,
            by_epoch=loop is None or loop.plan.by_epoch,
            pass_length=length,
        )

    def _settle_schedules(self, limits: Limits) -> None:
        """After a resume: what the schedules do in a run of another length."""
        if self._made_schedules is not None:
            self._made_schedules.settle(
                self.parts, self.run_state, limits, self.context
            )
            self._made_schedules = None

    def _training_randomness(self) -> dict[str, Any]:
        """Training's generators, also while a validation draws from its own."""
        return self.context.outer_randomness or capture_randomness()

    def _data_state(self) -> Plain:
        """What the training data needs, beside the run's place, to go on there."""
        feed = self.state.dataloader
        return feed.state() if isinstance(feed, Feed) else self._saved_data

    def _check_at_rest(self) -> None:
        phase = self.run_state.phase
        if phase in (Phase.TRAINING, Phase.VALIDATING, Phase.TESTING):
            message = f"cannot resume while {phase.value}: do it before run()"
            raise StateError(message)

    def _start_anew(self) -> None:
        """Forget a loop that was interrupted: the state is another one now."""
        self._internal_run_generator = None
        self._dataloader_iter = None
        self.state.dataloader = None
        self.inside.done()
        self._resumed = True
        self.rescue.resumed(self.run_state.iteration)


def _find(
    path: str | os.PathLike[str],
    *,
    map_location: Any,
    elsewhere: Mapping[str, Any] | None,
    layout: Layout | None,
) -> tuple[dict[str, Any], list[str]]:
    """A checkpoint to resume from: the file, or a folder's newest good one.

    Returns:
        What it holds, and a remark for each file that was passed over.

    Raises:
        CheckpointNotFoundError: There is none.
        CheckpointDamagedError: It cannot be read, or holds no run.
    """
    where = place(path)
    if not (isinstance(where, Path) and where.is_dir()):
        content = CheckpointLoader.load_checkpoint(path, map_location, layout=layout)
        return check(content, str(path)), []
    store = Store(where, elsewhere=elsewhere)
    found = store.newest_good(map_location=map_location, layout=layout)
    if found is None:
        message = f"{path}: the folder holds no checkpoint (*.pth)"
        raise CheckpointNotFoundError(message)
    return found[1], found[2]
