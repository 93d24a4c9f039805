"""The Runner: from arguments to a trained, validated and tested model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from engine.build import (
    build_dataloader,
    build_eval_loop,
    build_evaluator,
    build_hook,
    build_log_processor,
    build_model,
    build_optim_wrapper,
    build_param_schedulers,
    build_train_loop,
    build_visualizer,
    check_groups,
    default_hooks,
    require_group,
)
from engine.checkpoint import (
    Store,
    check,
    find_latest_checkpoint,
    load_checkpoint,
    read,
)
from engine.dist import get_rank, get_world_size
from engine.errors import ConfigError, did_you_mean
from engine.hooks import Hook, HookSet
from engine.logging import build_logger
from engine.loops import EvalEngine, TrainEngine
from engine.model import require_step
from engine.runner.folders import log_folder, make_folder
from engine.state import (
    DueKind,
    MessageHub,
    RunState,
    Stream,
    derive_seed,
    fence,
    seed_everything,
    set_random_seed,
)
from engine.version import __version__

if TYPE_CHECKING:
    import os

    from engine.events import Priority

__all__ = ["Runner"]


class Runner:
    """Trains, validates and tests a model by specs or finished objects.

    Parts are built when they are first needed: ``test()`` opens no training data. The
    mappings that are passed in are not changed.

    Args:
        model: A module with ``train_step``, ``val_step``, ``test_step`` (those that are
            used), or a spec of one.
        work_dir: Folder for checkpoints; logs go into a folder in it for each start.
        train_dataloader: A loader or its spec.
        val_dataloader: Likewise.
        test_dataloader: Likewise.
        train_cfg: ``{"max_epochs": n}`` or ``{"by_epoch": False, "max_iters": n}``,
            with ``val_begin``, ``val_interval``, ``dynamic_intervals`` and
            ``val_at_start``; a loop, or a spec of one.
        val_cfg: ``{}``, a loop, or a spec of one.
        test_cfg: Likewise.
        optim_wrapper: An ``OptimWrapper``, a torch optimizer, or a spec.
        param_scheduler: Schedules or their specs; one or a list.
        val_evaluator: An evaluator, a metric, a spec, or a list.
        test_evaluator: Likewise.
        default_hooks: Changes to the default hooks by name; ``None`` removes one.
        custom_hooks: Further hooks or their specs.
        load_from: A checkpoint: its weights, or with ``resume`` all of it.
        resume: Go on from ``load_from``, or without it from the newest good checkpoint
            in ``work_dir``; a new run begins if there is none.
        log_processor: Formats log lines; an object or a spec.
        log_level: Lowest level that is logged.
        visualizer: Writes scalars; an object or a spec.
        randomness: ``seed`` (``None`` draws one), ``diff_rank_seed``,
            ``deterministic``.
        experiment_name: The run's name; the start's time is added.
        cfg: The config that this was made from; it goes into checkpoints as text.

    Raises:
        ConfigError: Arguments contradict each other, or the work dir cannot be written.
    """

    def __init__(
        self,
        model: Any,
        work_dir: str | os.PathLike[str],
        *,
        train_dataloader: Any = None,
        val_dataloader: Any = None,
        test_dataloader: Any = None,
        train_cfg: Any = None,
        val_cfg: Any = None,
        test_cfg: Any = None,
        optim_wrapper: Any = None,
        param_scheduler: Any = None,
        val_evaluator: Any = None,
        test_evaluator: Any = None,
        default_hooks: Mapping[str, Any] | None = None,
        custom_hooks: Sequence[Any] | None = None,
        load_from: str | os.PathLike[str] | None = None,
        resume: bool = False,
        log_processor: Any = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        randomness: Mapping[str, Any] | None = None,
        experiment_name: str | None = None,
        cfg: Any = None,
    ) -> None:
        self._specs = {
            "train_dataloader": train_dataloader,
            "val_dataloader": val_dataloader,
            "test_dataloader": test_dataloader,
            "train_cfg": train_cfg,
            "val_cfg": val_cfg,
            "test_cfg": test_cfg,
            "optim_wrapper": optim_wrapper,
            "param_scheduler": param_scheduler,
            "val_evaluator": val_evaluator,
            "test_evaluator": test_evaluator,
        }
        check_groups(self._specs)
        if not isinstance(resume, bool):
            message = f"resume={resume!r}: give True or False"
            raise ConfigError(message)
        self.cfg = cfg
        self._load_from = None if load_from is None else Path(load_from)
        self._resume = resume
        self._initialized = False
        self._has_weights = False  # for val() and test(): loaded, trained or resumed
        self._has_run = False  # for train(): what load_from and resume say is done
        self.outer_randomness: dict[str, Any] | None = None
        self._randomness = _check_randomness(randomness)
        try:
            seed = set_random_seed(**self._randomness, rank=get_rank())
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._work_dir = make_folder(work_dir)
        self.timestamp = datetime.now().astimezone().strftime("%Y%m%d_%H%M%S")
        self._log_dir = log_folder(self._work_dir, self.timestamp)
        self.experiment_name = _experiment_name(experiment_name, cfg, self.timestamp)
        self.state = RunState(seed=seed, hub=MessageHub(self.experiment_name))
        self.logger = build_logger(
            self.experiment_name,
            level=log_level,
            json_path=self._log_dir / f"{self._log_dir.name}.log.jsonl",
            rank=get_rank(),
        )
        self.log_processor = build_log_processor(
            log_processor, by_epoch=not _bounded_by_iters(train_cfg)
        )
        self.visualizer = build_visualizer(visualizer, save_dir=self._log_dir)
        self.model: nn.Module = build_model(model)
        self.train_loop: Any = None
        self.val_loop: Any = None
        self.test_loop: Any = None
        self.optim_wrapper: Any = None
        self.param_schedulers: list[Any] = []
        self._make_engines()
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks)

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> Runner:
        """A Runner from a mapping of its arguments.

        Args:
            cfg: Mapping; it is not changed, and is kept as the Runner's ``cfg``.

        Raises:
            ConfigError: A key is no argument, or ``model`` or ``work_dir`` is missing.
        """
        known = [
            name
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        for key in cfg:
            if key not in known:
                message = (
                    f"the config: Runner has no argument {key!r}."
                    f"{did_you_mean(key, known)}"
                )
                raise ConfigError(message)
        missing = [name for name in ("model", "work_dir") if name not in cfg]
        if missing:
            message = f"the config lacks {' and '.join(missing)}"
            raise ConfigError(message)
        return cls(**{"cfg": cfg, **cfg})

    def _make_engines(self) -> None:
        """Make the three Ignite engines, so that handlers can be attached at once."""
        self.trainer = TrainEngine(self._train_step, self.state, context=self)
        self.clock = self.trainer.clock
        self.validator = EvalEngine(
            lambda _, batch: self.model.val_step(batch),  # type: ignore[operator]  # required before
            self.state,
            model=self.model,
            mode="val",
            context=self,
        )
        self.tester = EvalEngine(
            lambda _, batch: self.model.test_step(batch),  # type: ignore[operator]  # required before
            self.state,
            model=self.model,
            mode="test",
            context=self,
        )
        self.hook_set = HookSet(self)
        for mode, engine in (
            ("train", self.trainer),
            ("val", self.validator),
            ("test", self.tester),
        ):
            self.hook_set.connect(mode, engine.bus)

    def _train_step(self, _: TrainEngine, batch: Any) -> Any:
        return self.model.train_step(batch, optim_wrapper=self.optim_wrapper)  # type: ignore[operator]  # required before

    # -- where the run is --------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Index of the one in progress while its handlers run, else epochs done."""
        return self.clock.epoch

    @property
    def iter(self) -> int:
        """Index of the one in progress while its handlers run, else iterations done."""
        return self.clock.iter

    @property
    def max_epochs(self) -> int:
        """Epochs to train; 1 in a run bounded by iterations or without training."""
        return 1 if self.train_loop is None else int(self.train_loop.max_epochs)

    @property
    def max_iters(self) -> int:
        """Iterations to train; 0 without training or a length."""
        return 0 if self.train_loop is None else int(self.train_loop.max_iters)

    @property
    def message_hub(self) -> MessageHub:
        """Scalars and facts of the run."""
        return self.state.hub

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.state.seed

    @property
    def deterministic(self) -> bool:
        """Whether torch uses deterministic operations only."""
        return bool(self._randomness["deterministic"])

    # -- what the run is ---------------------------------------------------------

    @property
    def work_dir(self) -> Path:
        """Folder for checkpoints."""
        return self._work_dir

    @property
    def log_dir(self) -> Path:
        """Folder for this start's logs."""
        return self._log_dir

    @property
    def model_name(self) -> str:
        """Name of the model's class."""
        return type(self.model).__name__

    @property
    def hooks(self) -> list[Hook]:
        """All hooks in running order."""
        return self.hook_set.hooks

    @property
    def launcher(self) -> str:
        """How processes were started: this Runner runs in one, started by hand."""
        return "none"

    @property
    def rank(self) -> int:
        """This process's rank."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Processes in the run."""
        return get_world_size()

    @property
    def distributed(self) -> bool:
        """Whether there are several processes."""
        return self.world_size > 1

    @property
    def train_dataloader(self) -> Any:
        """The training loader; ``None`` until training needs it."""
        return getattr(self.train_loop, "dataloader", None)

    @property
    def val_dataloader(self) -> Any:
        """The validation loader; ``None`` until a validation needs it."""
        return getattr(self.val_loop, "dataloader", None)

    @property
    def test_dataloader(self) -> Any:
        """The test loader; ``None`` until a test needs it."""
        return getattr(self.test_loop, "dataloader", None)

    @property
    def val_evaluator(self) -> Any:
        """The validation's evaluator; ``None`` until a validation needs it."""
        return getattr(self.val_loop, "evaluator", None)

    @property
    def test_evaluator(self) -> Any:
        """The test's evaluator; ``None`` until a test needs it."""
        return getattr(self.test_loop, "evaluator", None)

    @property
    def val_interval(self) -> int:
        """Epochs (or iterations) between validations; 1 without training."""
        return 1 if self.train_loop is None else int(self.train_loop.val_interval)

    @property
    def val_begin(self) -> int:
        """The first epoch (or iteration) before a validation; 1 without training."""
        return 1 if self.train_loop is None else int(self.train_loop.val_begin)

    # -- running -----------------------------------------------------------------

    def train(self) -> nn.Module:
        """Train, with the validations that are due; go on if so asked.

        Returns:
            The model.

        Raises:
            ConfigError: Parts for training are missing or cannot be built.
            ModelError: The model lacks a step that is needed.
            CheckpointError: What is to be loaded cannot be.
        """
        require_group("train", self._specs)
        require_step(self.model, "train_step")
        if self._specs["val_dataloader"] is not None:
            require_step(self.model, "val_step")
        self._build_training()
        with self.trainer.leading():
            self._log_hooks()
            self._init_weights()
            self._load_or_resume()
            if not self.state.started:
                self.model.train()
            self._log_start()
            self.train_loop.run()
        return self.model

    def val(self) -> dict[str, Any]:
        """Validate once.

        Returns:
            The metrics.

        Raises:
            ConfigError: Parts for validation are missing or cannot be built.
            ModelError: The model lacks ``val_step``.
        """
        require_group("val", self._specs)
        require_step(self.model, "val_step")
        self._build_validation()
        with self.validator.leading():
            self._init_weights()
            self._load_weights()
            metrics: dict[str, Any] = self.val_loop.run()
        return metrics

    def test(self) -> dict[str, Any]:
        """Test once.

        Returns:
            The metrics.

        Raises:
            ConfigError: Parts for testing are missing or cannot be built.
            ModelError: The model lacks ``test_step``.
        """
        require_group("test", self._specs)
        require_step(self.model, "test_step")
        if self.test_loop is None:
            self.test_loop = self.build_test_loop(self._specs["test_cfg"])
        with self.tester.leading():
            self._init_weights()
            self._load_weights()
            metrics: dict[str, Any] = self.test_loop.run()
        return metrics

    def _build_training(self) -> None:
        """Build what training needs, once, in this order."""
        if self.train_loop is None:
            self.train_loop = self.build_train_loop(self._specs["train_cfg"])
        if self.optim_wrapper is None:
            self.optim_wrapper = self.build_optim_wrapper(self._specs["optim_wrapper"])
            self.optim_wrapper.report = self.message_hub.update_scalar
            self.param_schedulers = self.build_param_scheduler(
                self._specs["param_scheduler"]
            )
            self.trainer.track(
                model=self.model,
                optimizer=self.optim_wrapper,
                param_schedulers=self.param_schedulers,
            )
        self._build_validation()

    def _build_validation(self) -> None:
        if self.val_loop is None and self._specs["val_dataloader"] is not None:
            self.val_loop = self.build_val_loop(self._specs["val_cfg"])

    def _init_weights(self) -> None:
        """Let the model initialize its weights: once, before any are loaded."""
        if self._initialized or self._has_weights:
            return
        self._initialized = True
        init = getattr(self.model, "init_weights", None)
        if callable(init):
            with fence():  # from the run's seed, whatever was drawn since
                seed_everything(derive_seed(self.seed, Stream.INITIALIZATION))
                init()

    def _log_hooks(self) -> None:
        self.logger.info(
            "hooks",
            line=f"Hooks by event, in order:\n{self.get_hooks_info()}",
            order=self.trainer.bus.order(),
        )

    def _log_start(self) -> None:
        self.logger.info(
            "training_starts",
            line=f"Training from epoch {self.epoch}, iteration {self.iter}, seed "
            f"{self.seed}. Checkpoints: {self.work_dir}; log: {self.log_dir}",
            epoch=self.epoch,
            iter=self.iter,
            seed=self.seed,
            work_dir=str(self.work_dir),
            log_dir=str(self.log_dir),
        )

    # -- building ----------------------------------------------------------------

    def build_dataloader(self, dataloader: Any, seed: int | None = None) -> Any:
        """A dataloader from its spec; its samplers get ``seed`` or the run's."""
        return build_dataloader(dataloader, seed=self.seed if seed is None else seed)

    def build_train_loop(self, loop: Any) -> Any:
        """The training loop with its data."""
        loader = self.build_dataloader(self._specs["train_dataloader"])
        return build_train_loop(loop, self, loader)

    def build_val_loop(self, loop: Any) -> Any:
        """The validation loop with its data and evaluator."""
        return build_eval_loop(
            loop,
            self,
            self.build_dataloader(self._specs["val_dataloader"]),
            self.build_evaluator(self._specs["val_evaluator"]),
            default="ValLoop",
            where="val_cfg",
        )

    def build_test_loop(self, loop: Any) -> Any:
        """The test loop with its data and evaluator."""
        return build_eval_loop(
            loop,
            self,
            self.build_dataloader(self._specs["test_dataloader"]),
            self.build_evaluator(self._specs["test_evaluator"]),
            default="TestLoop",
            where="test_cfg",
        )

    def build_evaluator(self, evaluator: Any) -> Any:
        """An evaluator from its spec."""
        return build_evaluator(evaluator)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """An optimizer wrapper around the model's parameters."""
        return build_optim_wrapper(self.model, optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> list[Any]:
        """Schedules that act on the optimizer wrapper."""
        return build_param_schedulers(
            scheduler,
            self.optim_wrapper,
            max_epochs=self.max_epochs,
            max_iters=self.max_iters,
        )

    # -- hooks -------------------------------------------------------------------

    def register_hook(
        self, hook: Any, priority: int | str | Priority | None = None
    ) -> None:
        """Register a hook.

        Args:
            hook: A hook, or a spec of one, which may name its ``priority``.
            priority: When it runs; ``None``: the spec's or the hook's own.

        Raises:
            HookError: It is no hook, or a method does not take what its event gives.
        """
        built, own = build_hook(hook, "register_hook()")
        self.hook_set.add(built, own if priority is None else priority)

    def register_default_hooks(self, hooks: Mapping[str, Any] | None = None) -> None:
        """Register the default hooks with changes by name; ``None`` removes one."""
        for name, hook in default_hooks(hooks):
            built, priority = build_hook(hook, f"default_hooks[{name!r}]")
            self.hook_set.add(built, priority, name)

    def register_custom_hooks(self, hooks: Sequence[Any] | None) -> None:
        """Register further hooks or their specs."""
        if hooks is not None and not isinstance(hooks, Sequence):
            message = f"custom_hooks: expected a list, found a {type(hooks).__name__}"
            raise ConfigError(message)
        for index, hook in enumerate(hooks or ()):
            built, priority = build_hook(hook, f"custom_hooks[{index}]")
            self.hook_set.add(built, priority)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a method of that name on each hook that has it, in order."""
        self.hook_set.call(fn_name, **kwargs)

    def get_hooks_info(self) -> str:
        """Which hook runs at which event, in order."""
        return self.hook_set.info()

    # -- what handlers may ask for -----------------------------------------------

    def stop(self, reason: str) -> None:
        """End training after the running epoch, or iteration if bounded by those."""
        self.trainer.stop(reason)

    def owe(self, kind: DueKind, owner: object, name: str = "") -> None:
        """Ask for something to be done at the next safe point, by ``owner.pay``."""
        self.state.owe(kind, self.hook_set.name_of(owner), name)

    # -- checkpoints -------------------------------------------------------------

    def save_checkpoint(
        self,
        out_dir: str | os.PathLike[str],
        filename: str,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a checkpoint; see ``TrainEngine.save_checkpoint``.

        Args:
            out_dir: Folder.
            filename: File in it.
            save_optimizer: Without it the run cannot go on exactly.
            save_param_scheduler: Likewise.
            meta: Facts to add to its ``meta``.

        Raises:
            CheckpointError: It could not be written.
        """
        return self.trainer.save_checkpoint(
            Path(out_dir) / filename,
            meta={**self._meta(), **(meta or {})},
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
        )

    def _meta(self) -> dict[str, Any]:
        dataset = getattr(self.train_dataloader, "dataset", None)
        return {
            "experiment_name": self.experiment_name,
            "engine_version": __version__,
            "cfg": "" if self.cfg is None else str(self.cfg),
            "dataset_meta": str(getattr(dataset, "metainfo", "")),
        }

    def load_checkpoint(
        self,
        filename: str | os.PathLike[str],
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> dict[str, Any]:
        """Load weights alone; see ``engine.checkpoint.load_checkpoint``."""
        checkpoint = load_checkpoint(
            self.model, filename, map_location, strict, self.logger, revise_keys
        )
        self._has_weights = True
        self.logger.info(
            "weights_loaded", line=f"Loaded weights from {filename}", path=str(filename)
        )
        return checkpoint

    def resume(
        self,
        filename: str | os.PathLike[str],
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
    ) -> None:
        """Become the run that a checkpoint holds; ``train()`` then goes on.

        Args:
            filename: The checkpoint.
            resume_optimizer: Also the optimizer's state.
            resume_param_scheduler: Also the schedules' state.
            map_location: Where tensors are put while reading; ``"default"``: where
                the model is.

        Raises:
            ConfigError: Parts for training are missing.
            CheckpointError: It cannot be read, or does not fit this run.
        """
        require_group("train", self._specs)
        if map_location == "default":
            map_location = next(
                (one.device for one in self.model.parameters()), torch.device("cpu")
            )
        self._become(
            check(read(filename, map_location=map_location), str(filename)),
            Path(filename),
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )

    def _load_or_resume(self) -> None:
        """Do what ``load_from`` and ``resume`` say, once."""
        if self._has_run:
            return
        self._has_run = True
        if not self._resume:
            self._warn_of_others()
            self._load_weights()
        elif self._load_from is not None:
            self.resume(self._load_from)
        else:
            found = Store(self.work_dir).newest_good()
            if found is None:
                self.logger.info(
                    "nothing_to_resume",
                    line=f"{self.work_dir} holds no checkpoint: a new run begins",
                )
            else:
                path, checkpoint, remarks = found
                for remark in remarks:
                    self.logger.warning(
                        "checkpoint_passed_over",
                        line=f"Passed over: {remark}",
                        reason=remark,
                    )
                self._become(checkpoint, path)
        self._has_weights = True

    def _warn_of_others(self) -> None:
        """Say that a new run begins among another one's checkpoints."""
        latest = find_latest_checkpoint(self.work_dir)
        if latest is not None:
            self.logger.warning(
                "work_dir_in_use",
                line=f"{self.work_dir} holds checkpoints of another run (newest: "
                f"{Path(latest).name}): this one replaces those of the same name, and "
                "a resume may take the others. Resume it, or choose another work dir.",
                newest=latest,
            )

    def _load_weights(self) -> None:
        """Load what ``load_from`` or ``resume`` names, weights alone, once."""
        if self._has_weights:
            return
        if self._load_from is not None:
            self.load_checkpoint(self._load_from)
        elif self._resume:
            found = Store(self.work_dir).newest_good()
            if found is not None:
                self.load_checkpoint(found[0])
        self._has_weights = True

    def _become(self, checkpoint: dict[str, Any], path: Path, **which: bool) -> None:
        self._build_training()
        given, mine = self._randomness["seed"], self.seed
        self.trainer.resume_from(checkpoint, **which)
        if given is not None and given != self.seed:
            self.logger.warning(
                "seed_differs",
                line=f"randomness.seed={given} is ignored: the run that is resumed has "
                f"seed {self.seed}",
            )
        if mine != self.seed:  # samplers were built with the other one
            for mode, loop in (("train", self.train_loop), ("val", self.val_loop)):
                if loop is not None:
                    spec = self._specs[f"{mode}_dataloader"]
                    loop.dataloader = self.build_dataloader(spec)
        self._has_weights = self._has_run = True
        self.logger.info(
            "resumed",
            line=f"Resumed from {path}: {self.epoch} epochs and "
            f"{self.state.epoch_iteration} iterations are done ({self.iter} in all)",
            path=str(path),
            epoch=self.epoch,
            iter=self.iter,
        )


def _check_randomness(randomness: Mapping[str, Any] | None) -> dict[str, Any]:
    known = {"seed": None, "diff_rank_seed": False, "deterministic": False}
    given = dict(randomness or {})
    for key in given:
        if key not in known:
            message = f"randomness: unknown key {key!r}.{did_you_mean(key, known)}"
            raise ConfigError(message)
    return {**known, **given}


def _bounded_by_iters(train_cfg: Any) -> bool:
    if isinstance(train_cfg, Mapping):
        return "max_iters" in train_cfg
    return (
        train_cfg is not None
        and getattr(train_cfg, "plan", None) is not None
        and (not train_cfg.plan.by_epoch)
    )


def _experiment_name(name: str | None, cfg: Any, timestamp: str) -> str:
    if name is None:
        filename = getattr(cfg, "filename", None)
        name = Path(filename).stem if filename else "run"
    return f"{name}_{timestamp}"
