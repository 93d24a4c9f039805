"""The Runner: from arguments to a trained, validated and tested model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import nn

from engine.build import (
    RunParts,
    bounded_by_iters,
    build_hook,
    check_groups,
    compile_model,
    default_hooks,
    require_group,
    unwrap,
)
from engine.checkpoint import (
    CheckpointLoader,
    Location,
    Store,
    check,
    find_latest_checkpoint,
    join,
    place,
)
from engine.checkpoint.weights import find_weights, put_weights, read_for
from engine.config import at, located
from engine.dataset import check_sample_randomness
from engine.dist import is_main_process, on_main
from engine.dist.place import check_launcher
from engine.errors import (
    ConfigError,
    DataError,
    a_type,
    amount,
    check_switch,
    did_you_mean,
)
from engine.hooks import HookSet
from engine.logging import is_terminal
from engine.loops import EvalEngine, TrainEngine
from engine.model import require_step, turn_on_activation_checkpointing
from engine.registry import RUNNERS
from engine.runner.agreement import check_alike
from engine.runner.arguments import as_config, pick_arguments, read_config
from engine.runner.builders import RunnerBuilders
from engine.runner.changes import Effect, changes, flatten
from engine.runner.ends import telling_the_end
from engine.runner.environment import ON_CONSOLE, describe_environment, versions
from engine.runner.folders import as_path, log_folder, make_folder
from engine.state import (
    DueKind,
    Exactness,
    PartReport,
    RunState,
    Stream,
    derive_seed,
    fence,
    seed_everything,
)
from engine.typing import Stateful
from engine.version import __version__

if TYPE_CHECKING:
    from engine.events import Priority
    from engine.optim.scheduler import OnLonger

__all__ = ["Runner"]


@RUNNERS.register_module()
class Runner(RunnerBuilders):
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
            ``val_at_start``; a loop, or a spec of one. With ``on_longer`` it says what
            schedules do in a run that is resumed with another length (see
            :meth:`resume`).
        val_cfg: ``{}``, a loop, or a spec of one.
        test_cfg: Likewise.
        auto_scale_lr: ``enable`` and ``base_batch_size``: with other batches the
            learning rate is multiplied by (processes x batch) / base.
        optim_wrapper: An ``OptimWrapper``, a torch optimizer, or a spec.
        param_scheduler: Schedules or their specs; one or a list.
        val_evaluator: An evaluator, a metric, a spec, or a list.
        test_evaluator: Likewise.
        default_hooks: Changes to the default hooks by name; ``None`` removes one.
        custom_hooks: Further hooks or their specs.
        data_preprocessor: Goes into a model's spec that has none.
        load_from: A checkpoint, ours or MMEngine's: its weights, or with ``resume``
            all of it. A path, a URL that fsspec knows, or a name with a prefix that
            ``CheckpointLoader`` was told of.
        resume: Go on from ``load_from``, or without it from the newest good checkpoint
            in ``work_dir``; a new run begins if there is none. What does not come back
            to the bit is listed; ``"exact"`` refuses it.
        launcher: How the processes were started: ``"none"``, this one by hand;
            ``"pytorch"`` by torchrun, ``"slurm"`` by srun, ``"mpi"`` by mpirun. This
            process joins the others, unless it did so before.
        env_cfg: Settings of the process: ``cudnn_benchmark``, ``mp_cfg``
            (``mp_start_method``, ``opencv_num_threads``), ``dist_cfg`` (``backend``,
            ``timeout``), ``resource_limit`` (open files), ``handle_signals`` (whether
            SIGTERM, SIGINT and SIGUSR1 stop the run in good order), ``max_seconds``
            (after which it is stopped likewise; counted in each process from the call
            of ``train()``).
        log_processor: Formats log lines; an object or a spec.
        log_level: Lowest level that is logged.
        visualizer: Writes scalars; an object or a spec.
        default_scope: Scope whose registries are asked first.
        randomness: ``seed`` (``None`` draws one), ``diff_rank_seed``,
            ``deterministic``, and ``samples``: what random numbers that the training
            data draws depend on, each ``"sample"``'s place in the run, each
            ``"batch"``'s, or (``"off"``) on which worker loads it.
        experiment_name: The run's name; the start's time is added.
        cfg: The config that this was made from; it goes into checkpoints as text, and
            into the work dir. Its ``compile``, ``activation_checkpointing``,
            ``strategy`` (``"ddp"``, ``"fsdp2"`` or a spec), ``sync_bn``,
            ``model_wrapper_cfg`` and ``find_unused_parameters`` are heeded.

    Raises:
        ConfigError: Arguments contradict each other, the work dir cannot be written,
            the launcher's variables are missing, or the ranks have other configs.
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
        auto_scale_lr: Mapping[str, Any] | None = None,
        optim_wrapper: Any = None,
        param_scheduler: Any = None,
        val_evaluator: Any = None,
        test_evaluator: Any = None,
        default_hooks: Mapping[str, Any] | None = None,
        custom_hooks: Sequence[Any] | None = None,
        data_preprocessor: Any = None,
        load_from: str | os.PathLike[str] | None = None,
        resume: bool | Literal["exact"] = False,
        launcher: str = "none",
        env_cfg: Mapping[str, Any] | None = None,
        log_processor: Any = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        default_scope: str | None = "engine",
        randomness: Mapping[str, Any] | None = None,
        experiment_name: str | None = None,
        cfg: Any = None,
    ) -> None:
        given = {
            "train_dataloader": train_dataloader,
            "val_dataloader": val_dataloader,
            "test_dataloader": test_dataloader,
            "train_cfg": train_cfg,
            "val_cfg": val_cfg,
            "test_cfg": test_cfg,
            "auto_scale_lr": auto_scale_lr,
            "optim_wrapper": optim_wrapper,
            "param_scheduler": param_scheduler,
            "val_evaluator": val_evaluator,
            "test_evaluator": test_evaluator,
        }
        self._cfg = as_config(cfg)
        check_groups(given, self.cfg.locate)
        if not isinstance(resume, bool) and resume != "exact":
            message = f"resume={resume!r}: give True, False or 'exact'"
            raise ConfigError(message)
        self._launcher = check_launcher(launcher)
        self.parts = RunParts(given=given, builder=self)
        self.batch_limit: int | None = None
        """At most so many batches of each loader: for trying a config out."""
        self.epoch_limit: int | None = None
        """At most so many epochs, of schedules that are made for all of them."""
        self._load_from: str | None = None
        if load_from is not None:
            as_path("load_from", load_from, "a checkpoint")
            self._load_from = os.fspath(load_from)
        self._resume = bool(resume)
        self._resume_exactly = resume == "exact"
        self._settings = flatten(
            {
                **given,
                "model": model,
                "data_preprocessor": data_preprocessor,
                "default_hooks": default_hooks,
                "custom_hooks": custom_hooks,
                "randomness": randomness,
                "env_cfg": env_cfg,
            }
        )
        self._initialized = self._compiled = False
        self._has_weights = False  # for val() and test(): loaded, trained or resumed
        self._has_run = False  # for train(): what load_from and resume say is done
        self._default_scope = default_scope
        self.outer_randomness: dict[str, Any] | None = None
        self._randomness = _check_randomness(randomness)
        with located(self.cfg):
            self.setup_env(env_cfg)
            check_alike(self.cfg, versions())
            chosen = dict(self._randomness)
            del chosen["samples"]
            seed = self.set_randomness(**chosen)
        self._timestamp, self._work_dir, self._log_dir = on_main(
            lambda: self._begin(work_dir)
        )
        self._experiment_name = _experiment_name(experiment_name, cfg, self.timestamp)
        self._state = RunState(seed=seed, hub=self.build_message_hub())
        self._logger = self.build_logger(log_level)
        with self._building():
            with at("log_processor"):
                self.log_processor = self.build_log_processor(log_processor)
            with at("visualizer"):
                self._visualizer = self.build_visualizer(visualizer)
            chosen_by = "strategy" if "strategy" in self.cfg else "model_wrapper_cfg"
            with at(chosen_by):
                self.strategy = self.build_strategy(self.cfg.get("strategy"))
            with at("model"):
                built = self.build_model(_with_preprocessor(model, data_preprocessor))
                self._model_name = type(unwrap(built)).__name__
            with at(chosen_by):
                self._model = self.wrap_model(self.cfg.get("model_wrapper_cfg"), built)
            self._make_engines()
            self.register_hooks(default_hooks, custom_hooks)
        self._log_environment()

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any] | str | os.PathLike[str]) -> Self:
        """A Runner from a config.

        Args:
            cfg: A ``Config``, a mapping, or a config file's path. Entries named like
                an argument of the Runner are that; others are your own business, as
                long as they are not nearly named like one. It is not changed, and is
                kept as the Runner's ``cfg``.

        Raises:
            ConfigError: A key is misspelt, or ``model`` or ``work_dir`` is missing.
        """
        config = read_config(cfg)
        return cls(**pick_arguments(config, argument_names()), cfg=config)

    def _begin(self, work_dir: str | os.PathLike[str]) -> tuple[str, Path, Path]:
        """The start's time and folders, which are made."""
        timestamp = datetime.now().astimezone().strftime("%Y%m%d_%H%M%S")
        folder = make_folder(work_dir)
        goes_on = (self._load_from or folder) if self._resume else None
        return timestamp, folder, log_folder(folder, timestamp, resume=goes_on)

    def _make_engines(self) -> None:
        """Make the three Ignite engines, so that handlers can be attached at once."""
        self.trainer = TrainEngine(
            self._train_step,
            self.state,
            randomness=self._randomness["samples"],
            diff_rank_seed=self._randomness["diff_rank_seed"],
            context=self,
        )
        self.trainer.strategy = self.strategy
        self.clock = self.trainer.clock
        self.validator = EvalEngine(
            lambda _, batch: self.model.val_step(batch),  # type: ignore[operator]  # required before
            self.state,
            model=self.model,
            mode="val",
            randomness=self._randomness["samples"],
            context=self,
        )
        self.tester = EvalEngine(
            lambda _, batch: self.model.test_step(batch),  # type: ignore[operator]  # required before
            self.state,
            model=self.model,
            mode="test",
            randomness=self._randomness["samples"],
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

    # -- running -----------------------------------------------------------------

    def train(self) -> nn.Module:
        """Train, with the validations that are due; go on if so asked.

        Returns:
            The model.

        Raises:
            ConfigError: Parts for training are missing or cannot be built.
            ModelError: The model lacks a step that is needed.
            CheckpointError: What is to be loaded cannot be.
            RunInterrupted: A signal came, or the time is over; the state is saved.
        """
        require_group("train", self.parts.given)
        require_step(self.model, "train_step")
        if self.parts.given["val_dataloader"] is not None:
            require_step(self.model, "val_step")
        self.build_training()
        with telling_the_end(self), self.trainer.leading():
            self._log_hooks()
            self._init_weights()
            self.load_or_resume()
            self.dump_config()  # of a run that is accepted
            self._compile()
            if not self.state.started:
                self.model.train()
            self._start_visualizer()
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
            RunInterrupted: A signal came, or the time is over.
        """
        require_group("val", self.parts.given)
        require_step(self.model, "val_step")
        with self._building():
            loop = self.parts.need_val_loop()
        with self.validator.leading():
            self._init_weights()
            self._load_weights()
            self._compile()
            self._start_visualizer()
            metrics: dict[str, Any] = loop.run()
        return metrics

    def test(self) -> dict[str, Any]:
        """Test once.

        Returns:
            The metrics.

        Raises:
            ConfigError: Parts for testing are missing or cannot be built.
            ModelError: The model lacks ``test_step``.
            RunInterrupted: A signal came, or the time is over.
        """
        require_group("test", self.parts.given)
        require_step(self.model, "test_step")
        with self._building():
            loop = self.parts.need_test_loop()
        with self.tester.leading():
            self._init_weights()
            self._load_weights()
            self._compile()
            self._start_visualizer()
            metrics: dict[str, Any] = loop.run()
        return metrics

    def build_training(self) -> None:
        """Build what training needs and is not there yet; ``train()`` does it."""
        with self._building():
            new = self.parts.need_training()
        if not new:
            return
        self.optim_wrapper.report = self.message_hub.update_scalar
        self.trainer.track(
            model=unwrap(self.model),
            optimizer=self.optim_wrapper,
            param_schedulers=self.param_schedulers,
        )
        if self.strategy.memory is not None:
            self.trainer.track(gradient_compression=self.strategy.memory)

    def _compile(self) -> None:
        """Recompute and compile what the config asks for, once."""
        if self._compiled:
            return
        self._compiled = True
        forgetful = self.cfg.get("activation_checkpointing")
        if forgetful:
            turn_on_activation_checkpointing(unwrap(self.model), forgetful)
        options = self.cfg.get("compile")
        if compile_model(unwrap(self.model), options):
            self.logger.info(
                "compiled",
                line=f"The model's step is compiled by torch.compile ({options}); the "
                "first iterations take longer",
                options=str(options),
            )

    def _init_weights(self) -> None:
        """Let the model initialize its weights: once, before any are loaded."""
        if self._initialized or self._has_weights:
            return
        self._initialized = True
        init = getattr(unwrap(self.model), "init_weights", None)
        with fence():  # from the run's seed, whatever was drawn since
            seed_everything(derive_seed(self.seed, Stream.INITIALIZATION))
            with self.strategy.initializing(self.model):
                if callable(init):
                    init()

    def _start_visualizer(self) -> None:
        """Reach the backends' services; from here on they cannot end the run."""
        start = getattr(self.visualizer, "start", None)  # the user's own may lack it
        if callable(start):
            start(self.logger)

    def _log_hooks(self) -> None:
        self.logger.info(
            "hooks",
            line=f"Hooks, in order: {self.hook_set.in_order()}",
            order=self.trainer.bus.order(),
            by_event=self.get_hooks_info(),
        )

    def _log_start(self) -> None:
        by_iters = bounded_by_iters(self.parts.given["train_cfg"])
        self.logger.info(
            "training_starts",
            line=f"Training from epoch {self.epoch}, iteration {self.iter}, seed "
            f"{self.seed}. Checkpoints: {self.work_dir}; log: {self.log_dir}",
            epoch=self.epoch,
            iter=self.iter,
            seed=self.seed,
            max_epochs=None if by_iters else self.max_epochs,
            max_iters=self.max_iters if by_iters else None,
            work_dir=str(self.work_dir),
            log_dir=str(self.log_dir),
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

    def register_hooks(
        self,
        default_hooks: Mapping[str, Any] | None = None,
        custom_hooks: Sequence[Any] | None = None,
    ) -> None:
        """Register the default hooks, with changes, then further ones."""
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks)

    def register_default_hooks(self, hooks: Mapping[str, Any] | None = None) -> None:
        """Register the default hooks with changes by name; ``None`` removes one."""
        for name, hook in default_hooks(hooks, on_terminal=is_terminal()):
            with at("default_hooks", name):
                built, priority = build_hook(hook, f"default_hooks.{name}")
                self.hook_set.add(built, priority, name)

    def register_custom_hooks(self, hooks: Sequence[Any] | None) -> None:
        """Register further hooks or their specs."""
        if hooks is not None and not isinstance(hooks, Sequence):
            message = f"custom_hooks: expected a list, found {a_type(hooks)}"
            raise ConfigError(message)
        for index, hook in enumerate(hooks or ()):
            with at("custom_hooks", index):
                built, priority = build_hook(hook, f"custom_hooks[{index}]")
                self.hook_set.add(built, priority)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a method of that name on each hook that has it, in order.

        From a loop that drives its engine, an event's name is that event: it is
        counted, and all its handlers run.
        """
        for engine in (self.trainer, self.validator, self.tester):
            if engine.take_call(fn_name, kwargs):
                return
        self.hook_set.call(fn_name, **kwargs)

    def get_hooks_info(self) -> str:
        """Which hook runs at which event, in order."""
        return self.hook_set.info()

    # -- what handlers may ask for -----------------------------------------------

    def stop(self, reason: str) -> None:
        """End training after the running epoch, or iteration if bounded by those."""
        self.trainer.stop(reason)

    def interrupt(self) -> None:
        """Halt training at the next safe point; ``train()`` again goes on from there.

        Nothing is saved, and ``train()`` returns.
        """
        self.trainer.interrupt()

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
        by_epoch: bool = True,
        backend_args: Mapping[str, Any] | None = None,
    ) -> Location:
        """Write a checkpoint; see ``TrainEngine.save_checkpoint``.

        Args:
            out_dir: Folder, a path or a URL that fsspec knows.
            filename: File in it.
            save_optimizer: Without it the run cannot go on exactly.
            save_param_scheduler: Likewise.
            meta: Facts to add to its ``meta``.
            by_epoch: MMEngine's; what is saved is the same, since both counters are.
            backend_args: For the file system of a URL.

        Raises:
            CheckpointError: It could not be written.
        """
        del by_epoch
        return self.trainer.save_checkpoint(
            join(place(out_dir), filename),
            meta={**self._meta(), **(meta or {})},
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
            backend_args=backend_args,
        )

    def capture_checkpoint(
        self,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What would be saved now; see ``TrainEngine.capture_checkpoint``."""
        return self.trainer.capture_checkpoint(
            meta={**self._meta(), **(meta or {})},
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
        )

    def _meta(self) -> dict[str, Any]:
        """Facts that the ``meta`` of each checkpoint has."""
        loader = getattr(self.parts.train_loop, "dataloader", None)
        dataset = getattr(loader, "dataset", None)
        return {
            "experiment_name": self.experiment_name,
            "engine_version": __version__,
            "cfg": self.cfg.pretty_text if len(self.cfg) else "",
            "dataset_meta": str(getattr(dataset, "metainfo", "")),
            "settings": dict(self._settings),
            "log_folder": self._log_dir.name,
            "logged": self._logged(),
        }

    def load_checkpoint(
        self,
        filename: str | os.PathLike[str],
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
    ) -> dict[str, Any]:
        """Load weights alone; see ``engine.checkpoint.load_checkpoint``.

        Hooks may change them before (``after_load_checkpoint``). What a hook claims is
        the memory of the run that was saved, and is not shown to it.
        """
        where = os.fspath(filename)
        model = unwrap(self.model)
        checkpoint = read_for(model, filename, map_location)
        weights = find_weights(checkpoint, where)  # a bare state_dict is one too
        shown = {
            key: value
            for key, value in (checkpoint if "state_dict" in checkpoint else {}).items()
            if not self.hook_set.claims(key)
        }
        shown["state_dict"] = weights
        self.call_hook("after_load_checkpoint", checkpoint=shown)
        put_weights(
            model,
            shown,
            where,
            strict=strict,
            logger=self.logger,
            revise_keys=revise_keys,
        )
        self._has_weights = True
        self.logger.info(
            "weights_loaded", line=f"Loaded weights from {filename}", path=str(filename)
        )
        return dict(checkpoint)

    def resume(
        self,
        filename: str | os.PathLike[str],
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
        on_longer: OnLonger | None = None,
    ) -> None:
        """Become the run that a checkpoint holds; ``train()`` then goes on.

        Args:
            filename: The checkpoint.
            resume_optimizer: Also the optimizer's state.
            resume_param_scheduler: Also the schedules' state.
            map_location: Where tensors are put while reading; ``"default"``: where
                the model is.
            on_longer: What the schedules do if this run has another length than the
                saved one: ``"keep"``, ``"stretch"`` or ``"hold"``, as
                ``TrainEngine.resume`` says; ``None``: what ``train_cfg`` says.

        Raises:
            ConfigError: Parts for training are missing.
            CheckpointError: It cannot be read, or does not fit this run.
        """
        require_group("train", self.parts.given)
        if map_location == "default":
            map_location = next(
                (one.device for one in self.model.parameters()), torch.device("cpu")
            )
        self._become(
            check(
                CheckpointLoader.load_checkpoint(
                    filename, map_location, layout=self.strategy.layout
                ),
                str(filename),
            ),
            place(filename),
            on_longer=on_longer,
            resume_optimizer=resume_optimizer,
            resume_param_scheduler=resume_param_scheduler,
        )

    def load_or_resume(self) -> None:
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
            elsewhere = self.hook_set.backend_args()
            found = Store(self.work_dir, elsewhere=elsewhere).newest_good(
                layout=self.strategy.layout
            )
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
            found = Store(self.work_dir).newest_good(layout=self.strategy.layout)
            if found is not None:
                self.load_checkpoint(found[0])
        self._has_weights = True

    def _become(
        self,
        checkpoint: dict[str, Any],
        path: Location,
        on_longer: OnLonger | None = None,
        **which: bool,
    ) -> None:
        self.build_training()
        given, mine = self._randomness["seed"], self.seed
        self.trainer.resume_from(
            checkpoint,
            exact=self._resume_exactly,
            further=self._compare(checkpoint["meta"]),
            on_longer=on_longer or getattr(self.train_loop, "on_longer", None),
            **which,
        )
        self.cut_logs_back(checkpoint["meta"])
        if given is not None and given != self.seed:
            self.logger.warning(
                "seed_differs",
                line=f"randomness.seed={given} is ignored: the run that is resumed has "
                f"seed {self.seed}",
                given=given,
                kept=self.seed,
            )
        if mine != self.seed:  # samplers were built with the other one
            loops = {"train": self.parts.train_loop, "val": self.parts.val_loop}
            for mode, loop in loops.items():
                if loop is not None:
                    with self._building():
                        loop.dataloader = self._own_dataloader(mode)
        self._has_weights = self._has_run = True
        self.logger.info(
            "resumed",
            line=f"Resumed from {path}: {amount(self.epoch, 'epoch')} and "
            f"{amount(self.state.epoch_iteration, 'iteration')} are done "
            f"({self.iter} in all)",
            path=str(path),
            epoch=self.epoch,
            iter=self.iter,
        )

    def _logged(self) -> Any:
        """How far the visualizer has written; ``None`` if it cannot take that back."""
        if not isinstance(self.visualizer, Stateful):
            return None
        return self.visualizer.state_dict()

    def cut_logs_back(self, meta: Mapping[str, Any]) -> None:
        """Take back what was shown after the checkpoint, if that was shown here."""
        here = meta.get("log_folder") == self._log_dir.name
        logged = meta.get("logged")
        if here and logged and isinstance(self.visualizer, Stateful):
            self.visualizer.load_state_dict(logged)

    def _compare(self, meta: Mapping[str, Any]) -> list[PartReport]:
        """What of the settings and the data is another than when the run was saved."""
        found = []
        for change in changes(meta.get("settings") or self._settings, self._settings):
            report = change.report()
            if report is not None:
                found.append(report)
            else:
                vain = change.effect in (Effect.SCHEDULE, Effect.IGNORED)
                tell = self.logger.warning if vain else self.logger.info
                tell(
                    "setting_changed",
                    line=f"Resume: {change.path} {change.describe()}",
                    path=change.path,
                    effect=change.effect.value,
                    change=change.describe(),
                )
        mine = self._meta()["dataset_meta"]
        saved = meta.get("dataset_meta", mine)
        if saved != mine:
            why = f"its metainfo was {saved or 'empty'} and is {mine or 'empty'}"
            found.append(PartReport("dataset", Exactness.BEST_EFFORT, why))
        return found

    # -- what is written down at the start -----------------------------------------

    def _log_environment(self) -> None:
        facts = describe_environment()
        self.logger.info(
            "environment",
            line="Environment: "
            + ", ".join(f"{name} {facts[name]}" for name in ON_CONSOLE),
            **facts,
        )

    def dump_config(self) -> Path | None:
        """Write the config into the work dir, and log it.

        Returns:
            The file, named as the config's own; ``None`` without a config, or for one
            with objects that cannot be written, which is warned of.
        """
        if not len(self.cfg) or not is_main_process():
            return None
        path = self.work_dir / f"{Path(self.cfg.filename or 'config').stem}.py"
        try:
            self.cfg.dump(path)
        except ConfigError as error:
            self.logger.warning(
                "config_not_written",
                line=f"The config is not kept in the work dir: {error}",
                reason=str(error),
            )
            return None
        self.logger.info(
            "config",
            line=f"The config is in {path}",
            path=str(path),
            text=self.cfg.pretty_text,
        )
        self.visualizer.add_config(self.cfg)
        return path


def argument_names() -> list[str]:
    """The Runner's arguments that a config gives."""
    names = inspect.signature(Runner).parameters
    return [name for name in names if name != "cfg"]


def _with_preprocessor(model: Any, data_preprocessor: Any) -> Any:
    """A model's spec with the preprocessor that the Runner was given.

    Raises:
        ConfigError: The model is a finished one.
    """
    if data_preprocessor is None:
        return model
    if not isinstance(model, Mapping):
        message = (
            "data_preprocessor goes into a model's spec, and the model is a finished "
            f"{type(model).__name__}: give the preprocessor to its constructor"
        )
        raise ConfigError(message)
    return {"data_preprocessor": data_preprocessor, **model}


def _check_randomness(randomness: Mapping[str, Any] | None) -> dict[str, Any]:
    known = {
        "seed": None,
        "diff_rank_seed": False,
        "deterministic": False,
        "samples": "sample",
    }
    if randomness is not None and not isinstance(randomness, Mapping):
        message = (
            "randomness: expected a mapping such as {'seed': 0}, found "
            f"{a_type(randomness)}"
        )
        raise ConfigError(message)
    given = dict(randomness or {})
    for key in given:
        if key not in known:
            message = f"randomness: unknown key {key!r}.{did_you_mean(key, known)}"
            raise ConfigError(message)
    whole = {**known, **given}
    for key in ("diff_rank_seed", "deterministic"):
        check_switch(f"randomness.{key}", whole[key])
    try:
        check_sample_randomness(whole["samples"])
    except DataError as error:
        message = f"randomness.samples: {error}"
        raise ConfigError(message) from error
    return whole


def _experiment_name(name: str | None, cfg: Any, timestamp: str) -> str:
    if name is None:
        filename = getattr(cfg, "filename", None)
        name = Path(filename).stem if filename else "run"
    if not isinstance(name, str):
        message = f"experiment_name: expected text, found {a_type(name)}"
        raise ConfigError(message)
    return f"{name}_{timestamp}"
