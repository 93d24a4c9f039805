"""Saves checkpoints at intervals, keeps the newest and the best."""

from __future__ import annotations

import functools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from engine.checkpoint import (
    Divided,
    HostCopy,
    Store,
    check_writable,
    choose,
    join,
    place,
    publish,
)
from engine.dist import is_main_process, on_main
from engine.errors import ConfigError, MetricError
from engine.evaluator.evaluator import get_metric_number
from engine.events import Events, Priority
from engine.hooks.agreed import agreed_metrics
from engine.hooks.best import GREATER, LESS, find_rules, is_better
from engine.hooks.disk_room import RoomCheck
from engine.hooks.hook import Hook
from engine.hooks.saving import Save, pointer_text
from engine.registry import HOOKS
from engine.state import Due, DueKind, Phase, RunContext, check_format

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from engine.checkpoint import Location
    from engine.events import Handle
    from engine.typing import Batch, Plain

__all__ = ["CheckpointHook"]


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves checkpoints at intervals, keeps the newest and the best.

    Saving is owed at an event and done at the safe point after it, when every other
    handler of the event has run: what is saved is consistent. There the state is copied
    into memory that is kept for it, and a thread writes the copy while training goes
    on. An error in it is raised at the next safe point; the end of the run, an
    interrupt and an error wait for it.

    It deletes only files that this run wrote. After the first optimizer step it tells
    how much disk its files will need, and warns if less is free.

    Args:
        interval: Epochs (or iterations) between two saves; below 1: none.
        by_epoch: Whether epochs are counted, or iterations.
        save_optimizer: Without it the run cannot go on exactly.
        save_param_scheduler: Likewise.
        out_dir: Where to, a path or a URL that fsspec knows; ``None``: the run's work
            dir. A folder named like the work dir is made in it.
        max_keep_ckpts: How many of the interval's checkpoints stay; -1: all.
        save_last: Also save after the last epoch (or iteration).
        save_best: Metric (or several) whose best checkpoint is kept; ``"auto"``: the
            first metric of the first validation.
        rule: ``"greater"`` or ``"less"`` is better, one for each metric; ``None``:
            by the metric's name.
        greater_keys: Parts of names for which greater is better; ``None``: acc, top,
            AR@, auc, precision, mAP, mDice, mIoU, mAcc, aAcc.
        less_keys: Parts of names for which less is better; ``None``: loss.
        filename_tmpl: Name with ``{}`` for the number; ``None``: ``epoch_{}.pth`` or
            ``iter_{}.pth``. The best are named ``best_METRIC_`` and this.
        backend_args: For the file system of a URL in ``out_dir``, as fsspec takes them.
        published_keys: After training, write copies of the last and the best
            checkpoints with these keys alone, named by their hash.
        save_begin: Epochs (or iterations) before the first save counts.
        background: Write in a thread, from a copy in memory that is as large as the
            state. Without, training waits until the file is on the disk.
        interval_seconds: Also save when so many seconds have passed since the last
            save, as ``iter_{}.pth``; these count among the interval's.
        freeze_interval: Iterations between two copies that are kept in the host's
            memory; the last one is written if an iteration fails. 0: none.
        clock: Seconds that only grow, for ``interval_seconds``.

    Raises:
        ConfigError: Arguments are of the wrong kind or exclude each other.
    """

    priority: ClassVar[Priority] = Priority.VERY_LOW
    transient: ClassVar[frozenset[str]] = frozenset(
        {
            "_last_save",
            "_opened",
            "_host",
            "_reports",
            "_watching",
            "_warned",
            "_room",
        }
    )

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | os.PathLike[str] | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = None,
        rule: str | Sequence[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        filename_tmpl: str | None = None,
        backend_args: Mapping[str, Any] | None = None,
        published_keys: str | Sequence[str] | None = None,
        save_begin: int = 0,
        *,
        background: bool = True,
        interval_seconds: float | None = None,
        freeze_interval: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_numbers(interval, save_begin, max_keep_ckpts, interval_seconds)
        self.interval = interval
        self.by_epoch = by_epoch
        self.save_optimizer = save_optimizer
        self.save_param_scheduler = save_param_scheduler
        self.out_dir = out_dir
        self.backend_args = backend_args
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.save_begin = save_begin
        self.background = background
        self.interval_seconds = interval_seconds
        self.freeze_interval = freeze_interval
        self.published_keys = (
            [published_keys] if isinstance(published_keys, str) else published_keys
        )
        self.filename_tmpl = filename_tmpl or (
            "epoch_{}.pth" if by_epoch else "iter_{}.pth"
        )
        if "{}" not in self.filename_tmpl:
            message = (
                f"CheckpointHook: filename_tmpl={filename_tmpl!r} needs a {{}} for the "
                "number, or each checkpoint would replace the last"
            )
            raise ConfigError(message)
        greater = tuple(GREATER if greater_keys is None else greater_keys)
        less = tuple(LESS if less_keys is None else less_keys)
        self._find_rules = functools.partial(find_rules, greater=greater, less=less)
        self._monitored: list[str] = []
        if save_best is not None:
            self._monitored = (
                [save_best] if isinstance(save_best, str) else [*save_best]
            )
        self._rules = self._find_rules(self._monitored, rule)
        self._saved: list[str] = []
        self._stale: list[str] = []  # to be deleted once the newest is written
        self._best_scores: dict[str, float] = {}
        self._best_names: dict[str, str] = {}
        self._owed_best: dict[str, str] = {}  # metric by file
        # Not part of the run's state:
        self._clock = clock
        self._last_save = clock()
        self._left_over: list[str] = []  # stale by the checkpoint that was resumed
        self._opened: Store | None = None
        self._host = HostCopy()
        self._reports: list[Save] = []
        self._watching: Handle | None = None
        self._warned = False
        self._room = RoomCheck(self)

    def before_train(self, runner: RunContext) -> None:
        """Find out now whether checkpoints can be written, not after an epoch.

        Raises:
            CheckpointError: The folder cannot be written.
        """
        on_main(self.store(runner).prove)
        if is_main_process():
            self._room.start(runner)
        council = runner.trainer.council
        if self.interval_seconds is not None and council is not None:
            council.wish(
                runner.hook_set.name_of(self),
                lambda: is_main_process() and self._is_time,
                lambda: self._owe_by_time(runner),
            )
        self._last_save = self._clock()
        if self.freeze_interval != 0:
            runner.trainer.rescue.freeze_each(self.freeze_interval)

    # -- when ---------------------------------------------------------------------

    def after_train_epoch(self, runner: RunContext) -> None:
        """Owe a save where one is due."""
        if self.by_epoch and (
            self.every_n_epochs(runner, self.interval, self.save_begin)
            or (self.save_last and self.is_last_train_epoch(runner))
        ):
            self._owe(runner, runner.epoch + 1)

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Owe a save where one is due."""
        if not self.by_epoch and (
            self.every_n_train_iters(runner, self.interval, self.save_begin)
            or (self.save_last and self.is_last_train_iter(runner))
        ):
            self._owe(runner, runner.iter + 1)
        elif runner.trainer.council is None and self._is_time:
            self._owe_by_time(runner)

    @property
    def _is_time(self) -> bool:
        """Whether the last save is long enough ago."""
        passed = self._clock() - self._last_save
        return self.interval_seconds is not None and passed >= self.interval_seconds

    def _owe_by_time(self, runner: RunContext) -> None:
        template = "iter_{}.pth" if self.by_epoch else self.filename_tmpl
        done = runner.state.iteration
        runner.owe(DueKind.SAVE, self, template.format(done))

    def _owe(self, runner: RunContext, number: int) -> None:
        runner.owe(DueKind.SAVE, self, self.filename_tmpl.format(number))

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Owe a save of the best where a metric is better than ever."""
        if not self._monitored or runner.state.outer is not Phase.TRAINING:
            return  # a validation alone has no progress to keep
        metrics = agreed_metrics(metrics)
        if not metrics:
            return
        if self._monitored == ["auto"]:
            self._monitored = [next(iter(metrics))]
            self._rules = self._rules or self._find_rules(self._monitored, None)
        number = runner.epoch if self.by_epoch else runner.iter
        for name in self._monitored:
            try:
                score = get_metric_number(name, metrics)
            except MetricError as error:
                message = f"CheckpointHook: save_best={name!r}: {error}"
                raise MetricError(message) from error
            if math.isnan(score):
                runner.logger.warning(
                    "best_metric_is_nan",
                    line=f"CheckpointHook: save_best={name!r}: the metric is nan, "
                    "which is never the best: nothing is saved for it",
                    metric=name,
                )
            elif is_better(score, self._best_scores.get(name), self._rule(name)):
                self._best_scores[name] = score
                label = name.replace("/", "_")
                file = f"best_{label}_{self.filename_tmpl.format(number)}"
                self._owed_best[file] = name
                runner.owe(DueKind.SAVE_BEST, self, file)

    def _rule(self, name: str) -> str:
        return self._rules.get(name) or self._rules["auto"]

    # -- saving -------------------------------------------------------------------

    def pay(self, runner: RunContext, due: Due) -> None:
        """Save what is owed; called at a safe point.

        Raises:
            CheckpointError: It, or the save before it, could not be written; older
                files are untouched.
        """
        # One in flight, and its copy's memory is ours again.
        self._finish(runner)
        runner.trainer.writer.wait()
        store = self.store(runner)
        # The memory is brought up to date before it is captured, so that the file's own
        # record holds the file.
        if due.kind is DueKind.SAVE:
            self._add_saved(due.name)
        else:
            self._replace_best(due.name)
        self._tell(runner, store, due)
        checkpoint = runner.capture_checkpoint(
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
        )
        path = join(store.folder, due.name)
        strategy = runner.trainer.strategy
        mine = strategy.divide(checkpoint)
        if is_main_process():
            check_writable(getattr(mine, "rest", mine), str(path))
        if due.kind is DueKind.SAVE:
            self._last_save = self._clock()
        if self.save_optimizer and self.save_param_scheduler:
            runner.trainer.rescue.saved(path, runner.state.iteration, here=True)
        if is_main_process():
            self._write(runner, store, due, mine)
        elif strategy.is_sharded:
            kept = self._kept(mine)
            self._submit(runner, Save(store, due.name, kept, strategy=strategy))

    def _write(
        self,
        runner: RunContext,
        store: Store,
        due: Due,
        checkpoint: Any,
    ) -> None:
        pointers: Sequence[tuple[Store, str]] = ()
        superseded: Sequence[str] = ()
        if due.kind is DueKind.SAVE:
            pointers = self.pointers(runner, due.name)
            superseded = runner.trainer.rescue.file.superseded()
        saving = Save(
            store=store,
            name=due.name,
            checkpoint=self._kept(checkpoint),
            strategy=runner.trainer.strategy,
            pointers=pointers,
            drop=(*self._left_over, *self._stale, *superseded),
        )
        self._left_over = []
        self._submit(runner, saving)

    def _kept(self, checkpoint: Any) -> Any:
        """What training does not change while it is written."""
        if not self.background:
            return checkpoint
        if isinstance(checkpoint, Divided):
            return checkpoint.copied_into(self._host)
        return self._host.take(checkpoint)

    def _submit(self, runner: RunContext, saving: Save) -> None:
        self._reports.append(saving)
        if self.background:
            runner.trainer.writer.submit(saving.run)
            self._watch(runner)
        else:
            saving.run()
            self._report(runner)

    def _add_saved(self, name: str) -> None:
        self._saved = [one for one in self._saved if one != name] + [name]
        self._stale = choose(self._saved, self.max_keep_ckpts)
        self._saved = [one for one in self._saved if one not in self._stale]

    def _replace_best(self, name: str) -> None:
        metric = self._owed_best.pop(name)
        old = self._best_names.get(metric)
        self._best_names[metric] = name
        self._stale = [] if old in (None, name) else [str(old)]

    def _tell(self, runner: RunContext, store: Store, due: Due) -> None:
        """Facts that MMEngine's users find in the hub; paths, so not saved."""
        path = str(join(store.folder, due.name))
        if due.kind is DueKind.SAVE:
            runner.message_hub.update_info("last_ckpt", path, resumed=False)
            return
        for metric, name in self._best_names.items():
            label = "" if len(self._monitored) == 1 else f"_{metric}"
            facts = {
                f"best_ckpt{label}": str(join(store.folder, name)),
                f"best_score{label}": self._best_scores[metric],
            }
            for key, value in facts.items():
                runner.message_hub.update_info(key, value, resumed=False)

    def pointers(self, runner: RunContext, name: str) -> tuple[tuple[Store, str], ...]:
        """Where ``last_checkpoint`` is to name a file of :meth:`store`, and how."""
        store = self.store(runner)
        work_dir = Path(runner.work_dir)
        if store.folder == work_dir:
            return ((store, name),)
        elsewhere = pointer_text(store.folder, work_dir, name)
        return ((store, name), (Store(work_dir), elsewhere))

    def _watch(self, runner: RunContext) -> None:
        """Look at each safe point whether the save is done, for as long as it is not.

        A run that is not saving pays nothing for it.
        """
        if self._watching is None:
            self._watching = runner.trainer.add_event_handler(
                Events.SAFE_POINT, lambda: self._look(runner), priority=Priority.LOWEST
            )

    def _look(self, runner: RunContext) -> None:
        if runner.trainer.writer.busy:
            return
        if not runner.trainer.strategy.is_sharded:
            self._finish_whole(runner)
        elif all(one.written for one in self._reports):
            self._report(runner)  # a failure all ranks raise together, at the next save

    def _finish(self, runner: RunContext) -> None:
        """Wait for the save in flight.

        Raises:
            CheckpointError: It could not be written.
        """
        if not self._reports:
            return  # none; an evaluation alone has no writer
        if self._watching is not None:
            self._watching.remove()
            self._watching = None
        try:
            runner.trainer.writer.wait()
        finally:
            self._report(runner)

    def _finish_whole(self, runner: RunContext) -> None:
        """The same at a safe point: if that save failed, the state there is kept."""
        if self._reports:
            with runner.trainer.rescue.paying():
                self._finish(runner)

    def _report(self, runner: RunContext) -> None:
        """Log what was written: not in the thread, so that lines keep their order."""
        reports, self._reports = self._reports, []
        for saving in reports:
            if not saving.written or not is_main_process():
                continue
            path = str(join(saving.store.folder, saving.name))
            meta = saving.checkpoint["meta"]
            runner.logger.info(
                "checkpoint_saved",
                line=f"Saved {path}",
                path=path,
                epoch=meta["epoch"],
                iter=meta["iter"],
            )
            if saving.replaced_another and not self._warned:
                self._warned = True
                runner.logger.warning(
                    "checkpoint_folder_is_shared",
                    line=f"{path} replaced a checkpoint of another run: two runs save "
                    "in one folder. Give each a work_dir of its own.",
                    path=path,
                )

    # -- the end ------------------------------------------------------------------

    def after_train(self, runner: RunContext) -> None:
        """Publish the last and the best checkpoints, if so asked.

        Raises:
            CheckpointError: One could not be read, or its copy not be written.
        """
        if self.published_keys is None or not is_main_process():
            return
        self._finish(runner)
        store = self.store(runner)
        last = self._saved[-1:] if self.save_last else []
        for name in dict.fromkeys([*last, *self._best_names.values()]):
            path, missing = publish(store, name, self.published_keys)
            runner.logger.info(
                "checkpoint_published",
                line=f"Published {name} as {path}"
                + (f", which has no {missing}" if missing else ""),
                path=str(path),
                missing=missing,
            )

    def after_run(self, runner: RunContext) -> None:
        """Wait for the save in flight: on all ranks, which may read it next."""
        on_main(lambda: self._finish(runner))
        self._finish(runner)

    def on_interrupt(self, runner: RunContext, signal: int | None = None) -> None:
        """Wait for the save in flight: on all ranks, which may read it next."""
        on_main(lambda: self._finish_whole(runner))
        self._finish_whole(runner)

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """Wait for the save in flight; an error in it does not hide the first one."""
        try:
            self._finish(runner)
        except Exception as another:  # noqa: BLE001  # whatever it is, it is told
            error.add_note(f"The save that was in flight failed too: {another}")

    def store(self, runner: RunContext) -> Store:
        """The folder that its checkpoints are written into."""
        folder = self._folder(runner)
        if self._opened is None or self._opened.folder != folder:
            arguments = None if self.out_dir is None else self.backend_args
            self._opened = Store(folder, arguments)
        return self._opened

    def _folder(self, runner: RunContext) -> Location:
        if self.out_dir is None:
            return Path(runner.work_dir)
        return join(place(self.out_dir), Path(runner.work_dir).name)

    # -- memory -------------------------------------------------------------------

    @property
    def saved_names(self) -> Sequence[str]:
        """The interval's files that are kept, oldest first."""
        return tuple(self._saved)

    @property
    def monitored_count(self) -> int:
        """How many metrics' best checkpoints are kept."""
        return len(self._monitored)

    @property
    def best_scores(self) -> Mapping[str, float]:
        """The best value so far of each monitored metric."""
        return dict(self._best_scores)

    def best_path(
        self, runner: RunContext, metric: str | None = None
    ) -> Location | None:
        """The best checkpoint by a metric (default: the first one); ``None`` so far."""
        name = self._best_names.get(metric or next(iter(self._best_names), ""))
        return None if name is None else join(self._folder(runner), name)

    def state_dict(self) -> dict[str, Plain]:
        """What was saved, and the best so far."""
        return {
            "format": 2,
            "saved": list(self._saved),
            "stale": list(self._stale),
            "monitored": list(self._monitored),
            "rules": dict(self._rules),
            "best_scores": dict(self._best_scores),
            "best_names": dict(self._best_names),
            "owed_best": dict(self._owed_best),
        }

    def load_state_dict(self, state_dict: Mapping[str, Plain], /) -> None:
        """Take over what was saved, and the best so far.

        Raises:
            SerializationError: The format or the keys are not ours.
        """
        if state_dict.get("format") == 1:
            state_dict = {**state_dict, "format": 2, "stale": []}
        check_format("CheckpointHook", state_dict, self.state_dict())
        self._saved = list(state_dict["saved"])
        self._stale = list(state_dict["stale"])
        self._left_over = list(self._stale)
        if self._monitored in ([], ["auto"], state_dict["monitored"]):
            if self._monitored == ["auto"]:
                self._monitored = list(state_dict["monitored"])
                self._rules = dict(state_dict["rules"])
            self._best_scores = dict(state_dict["best_scores"])
            self._best_names = dict(state_dict["best_names"])
            self._owed_best = dict(state_dict["owed_best"])


def _check_numbers(
    interval: Any, save_begin: Any, max_keep_ckpts: Any, interval_seconds: Any
) -> None:
    """Check the arguments that are numbers.

    Raises:
        ConfigError: One is of the wrong kind, or out of range.
    """
    for name, value in (("interval", interval), ("save_begin", save_begin)):
        if not isinstance(value, int) or isinstance(value, bool):
            message = f"CheckpointHook: {name}={value!r}: give a whole number"
            raise ConfigError(message)
    if save_begin < 0:
        message = f"CheckpointHook: save_begin={save_begin}: give at least 0"
        raise ConfigError(message)
    if not isinstance(max_keep_ckpts, int) or max_keep_ckpts == 0:
        message = (
            f"CheckpointHook: max_keep_ckpts={max_keep_ckpts!r}: give a whole "
            "number of at least 1, or -1 to keep all"
        )
        raise ConfigError(message)
    if interval_seconds is not None and (
        isinstance(interval_seconds, bool)
        or not isinstance(interval_seconds, int | float)
        or not interval_seconds > 0
    ):
        message = (
            f"CheckpointHook: interval_seconds={interval_seconds!r}: give a number of "
            "seconds above 0, or None"
        )
        raise ConfigError(message)
