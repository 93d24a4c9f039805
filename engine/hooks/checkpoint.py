"""Saves checkpoints at intervals, keeps the newest and the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from engine.checkpoint import Store, choose
from engine.errors import ConfigError, SerializationError
from engine.evaluator import get_metric_value
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS
from engine.state import Due, DueKind, Phase, RunContext

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from engine.typing import Batch, Plain

__all__ = ["CheckpointHook"]

_GREATER = (
    "acc",
    "top",
    "AR@",
    "auc",
    "precision",
    "mAP",
    "mDice",
    "mIoU",
    "mAcc",
    "aAcc",
)
_LESS = ("loss",)


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves checkpoints at intervals, keeps the newest and the best.

    Saving is owed at an event and done at the safe point after it, when every other
    handler of the event has run: what is saved is consistent.

    Args:
        interval: Epochs (or iterations) between two saves; below 1: none.
        by_epoch: Whether epochs are counted, or iterations.
        save_optimizer: Without it the run cannot go on exactly.
        save_param_scheduler: Likewise.
        out_dir: Where to; ``None``: the run's work dir. A folder named like the work
            dir is made in it.
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
            ``iter_{}.pth``.
        save_begin: Epochs (or iterations) before the first save counts.
        freeze_interval: Iterations between two copies that are kept in the host's
            memory; the last one is written if an iteration fails. 0: none.

    Raises:
        ConfigError: Arguments are of the wrong kind or exclude each other.
    """

    priority: ClassVar[Priority] = Priority.VERY_LOW

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
        save_begin: int = 0,
        freeze_interval: int = 0,
    ) -> None:
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
        self.interval = interval
        self.by_epoch = by_epoch
        self.save_optimizer = save_optimizer
        self.save_param_scheduler = save_param_scheduler
        self.out_dir = out_dir
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.save_begin = save_begin
        self.freeze_interval = freeze_interval
        self.filename_tmpl = filename_tmpl or (
            "epoch_{}.pth" if by_epoch else "iter_{}.pth"
        )
        if "{}" not in self.filename_tmpl:
            message = (
                f"CheckpointHook: filename_tmpl={filename_tmpl!r} needs a {{}} for the "
                "number, or each checkpoint would replace the last"
            )
            raise ConfigError(message)
        self._greater = tuple(_GREATER if greater_keys is None else greater_keys)
        self._less = tuple(_LESS if less_keys is None else less_keys)
        self._monitored: list[str] = []
        if save_best is not None:
            self._monitored = (
                [save_best] if isinstance(save_best, str) else [*save_best]
            )
        self._rules = self._find_rules(rule)
        self._saved: list[str] = []
        self._best_scores: dict[str, float] = {}
        self._best_names: dict[str, str] = {}
        self._owed_best: dict[str, str] = {}  # metric by file

    def _find_rules(self, rule: str | Sequence[str] | None) -> dict[str, str]:
        names = self._monitored
        if "auto" in names and len(names) > 1:
            message = f"CheckpointHook: save_best={names}: 'auto' stands alone"
            raise ConfigError(message)
        given = [rule] if isinstance(rule, str) else rule
        if given is None:
            return {name: self._rule_by_name(name) for name in names if name != "auto"}
        if len(given) != len(names) or not {*given} <= {"greater", "less"}:
            message = (
                f"CheckpointHook: rule={rule!r}: give 'greater' or 'less' for each of "
                f"save_best={names}"
            )
            raise ConfigError(message)
        return dict(zip(names, given, strict=True))

    def _rule_by_name(self, name: str) -> str:
        lowered = name.lower()
        for keys, rule in ((self._greater, "greater"), (self._less, "less")):
            if any(key.lower() in lowered for key in keys):
                return rule
        message = (
            f"CheckpointHook: whether a greater {name!r} is better cannot be told from "
            "its name; give rule='greater' or rule='less'"
        )
        raise ConfigError(message)

    def before_train(self, runner: RunContext) -> None:
        """Find out now whether checkpoints can be written, not after an epoch.

        Raises:
            CheckpointError: The folder cannot be written.
        """
        Store(self._folder(runner)).prove()
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

    def _owe(self, runner: RunContext, number: int) -> None:
        runner.owe(DueKind.SAVE, self, self.filename_tmpl.format(number))

    def after_val_epoch(
        self, runner: RunContext, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Owe a save of the best where a metric is better than ever."""
        if not metrics or runner.state.outer is not Phase.TRAINING:
            return  # a validation alone has no progress to keep
        if self._monitored == ["auto"]:
            self._monitored = [next(iter(metrics))]
            self._rules = self._rules or self._find_rules(None)
        number = runner.epoch if self.by_epoch else runner.iter
        kind = "epoch" if self.by_epoch else "iter"
        for name in self._monitored:
            score = float(get_metric_value(name, metrics))
            if math.isnan(score):
                runner.logger.warning("best_metric_is_nan", metric=name)
            elif self._is_better(name, score):
                self._best_scores[name] = score
                label = name.replace("/", "_")
                file = f"best_{label}_{kind}_{number}.pth"
                self._owed_best[file] = name
                runner.owe(DueKind.SAVE_BEST, self, file)

    def _is_better(self, name: str, score: float) -> bool:
        best = self._best_scores.get(name)
        rule = self._rules.get(name) or self._rules["auto"]
        if best is None:
            return True
        return score > best if rule == "greater" else score < best

    # -- saving -------------------------------------------------------------------

    def pay(self, runner: RunContext, due: Due) -> None:
        """Save what is owed; called at a safe point.

        Raises:
            CheckpointError: It could not be written; older files are untouched.
        """
        store = Store(self._folder(runner))
        if due.kind is DueKind.SAVE:
            drop = self._add_saved(due.name)
        else:
            drop = self._replace_best(due.name)
        runner.save_checkpoint(
            store.folder,
            due.name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
        )
        if due.kind is DueKind.SAVE:
            store.point_to(due.name)
        for name in drop:
            store.drop(name)
        runner.logger.info(
            "checkpoint_saved",
            line=f"Saved {store.folder / due.name}",
            path=str(store.folder / due.name),
            epoch=runner.state.epoch,
            iter=runner.state.iteration,
        )

    # The memory is brought up to date before it is captured, so that the file's own
    # record holds the file.
    def _add_saved(self, name: str) -> list[str]:
        self._saved = [one for one in self._saved if one != name] + [name]
        drop = choose(self._saved, self.max_keep_ckpts)
        self._saved = [one for one in self._saved if one not in drop]
        return drop

    def _replace_best(self, name: str) -> list[str]:
        metric = self._owed_best.pop(name)
        old = self._best_names.get(metric)
        self._best_names[metric] = name
        return [] if old in (None, name) else [str(old)]

    def folder(self, runner: RunContext) -> Path:
        """Where its checkpoints lie."""
        return self._folder(runner)

    def _folder(self, runner: RunContext) -> Path:
        if self.out_dir is None:
            return Path(runner.work_dir)
        return Path(self.out_dir) / Path(runner.work_dir).name

    # -- memory -------------------------------------------------------------------

    @property
    def best_scores(self) -> Mapping[str, float]:
        """The best value so far of each monitored metric."""
        return dict(self._best_scores)

    def best_path(self, runner: RunContext, metric: str | None = None) -> Path | None:
        """The best checkpoint by a metric (default: the first one); ``None`` so far."""
        name = self._best_names.get(metric or next(iter(self._best_names), ""))
        return None if name is None else self._folder(runner) / name

    def state_dict(self) -> dict[str, Plain]:
        """What was saved, and the best so far."""
        return {
            "format": 1,
            "saved": list(self._saved),
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
        expected = set(self.state_dict())
        if set(state_dict) != expected or state_dict["format"] != 1:
            message = (
                f"CheckpointHook: expected state of format 1 with {sorted(expected)}, "
                f"found format {state_dict.get('format')!r} with {sorted(state_dict)}"
            )
            raise SerializationError(message)
        self._saved = list(state_dict["saved"])
        if self._monitored in ([], ["auto"], state_dict["monitored"]):
            if self._monitored == ["auto"]:
                self._monitored = list(state_dict["monitored"])
                self._rules = dict(state_dict["rules"])
            self._best_scores = dict(state_dict["best_scores"])
            self._best_names = dict(state_dict["best_names"])
            self._owed_best = dict(state_dict["owed_best"])
