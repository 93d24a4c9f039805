"""How a Runner builds its parts: one method each, which a subclass may override."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.build import (
    bounded_by_iters,
    build_dataloader,
    build_eval_loop,
    build_evaluator,
    build_log_processor,
    build_model,
    build_optim_wrapper,
    build_param_schedulers,
    build_strategy,
    build_train_loop,
    build_visualizer,
    unwrap,
    wrap_model,
)
from engine.config import at, located
from engine.dataset import data_length
from engine.dist import get_rank, init_dist, is_distributed, sync_random_seed
from engine.dist.board import board_of_group
from engine.errors import ConfigError, StateError
from engine.logging import RunLogger, build_logger
from engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop, Stops
from engine.optim import lr_ratio, scale_lr
from engine.registry import DefaultScope
from engine.runner.environment import check_env_cfg, set_up
from engine.runner.facts import RunnerFacts
from engine.state import MessageHub, running, set_random_seed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from torch import nn

    from engine.strategies import Strategy

__all__ = ["RunnerBuilders"]


class RunnerBuilders(RunnerFacts):
    """The ``build_*`` methods of a Runner, thin over ``engine.build``."""

    batch_limit: int | None
    stops: Stops
    strategy: Strategy
    _default_scope: str | None

    @contextmanager
    def _building(self) -> Iterator[None]:
        """Look names up in the run's scope; errors say where in the config they are."""
        with (
            located(self.cfg),
            DefaultScope.use(self._default_scope),
            running(self),
        ):
            yield

    def setup_env(self, env_cfg: Mapping[str, Any] | None) -> None:
        """Make the process as ``env_cfg`` asks, and join it to the others.

        A group that is there already stays as it is.
        """
        with at("env_cfg"):
            settings = check_env_cfg(env_cfg)
            self.stops = Stops(
                handle_signals=settings["handle_signals"],
                max_seconds=settings["max_seconds"],
            )
        set_up(
            settings,
            workers=any(
                isinstance(spec, Mapping) and spec.get("num_workers", 0)
                for name, spec in self.parts.given.items()
                if name.endswith("_dataloader")
            ),
            deterministic=self.deterministic,
        )
        if self.launcher != "none" and not is_distributed():
            with at("env_cfg"):
                init_dist(self.launcher, **settings["dist_cfg"])

    def set_randomness(
        self,
        seed: int | None,
        diff_rank_seed: bool = False,
        deterministic: bool = False,
    ) -> int:
        """Seed python, NumPy and torch; called once, before anything is built.

        Args:
            seed: ``None`` draws one, the same on all ranks.
            diff_rank_seed: Whether each process has generators of its own.
            deterministic: Whether torch uses deterministic operations only.

        Returns:
            The seed.

        Raises:
            ConfigError: The seed is out of range.
        """
        if seed is None:
            seed = sync_random_seed()
        try:
            return set_random_seed(seed, deterministic, diff_rank_seed, rank=get_rank())
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def build_logger(
        self,
        log_level: int | str = "INFO",
        log_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> RunLogger:
        """The run's logger: a console for people, JSON lines in the log folder.

        Args:
            log_level: Lowest level that is logged.
            log_file: Gets the JSON lines; ``None``: a file in the log folder, which
                rank 0 writes. Other ranks show their warnings and errors.
            kwargs: Keys that each line has.
        """
        path = self._log_dir / f"{self._log_dir.name}.log.jsonl"
        rank, board = get_rank(), board_of_group()
        own = path if rank == 0 else None
        return build_logger(
            self.experiment_name,
            level=log_level,
            json_path=own if log_file is None else Path(log_file),
            rank=rank,
            is_first=None if board is None else board.is_first,
            **kwargs,
        )

    def build_message_hub(
        self, message_hub: Mapping[str, Any] | None = None
    ) -> MessageHub:
        """The run's message hub; ``message_hub`` may give its ``name``."""
        return MessageHub(**{"name": self.experiment_name, **(message_hub or {})})

    def build_log_processor(self, log_processor: Any) -> Any:
        """The log processor; by default it counts as the training loop does."""
        by_epoch = not bounded_by_iters(self.parts.given["train_cfg"])
        return build_log_processor(log_processor, by_epoch=by_epoch)

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """The visualizer; by default it writes into the log folder."""
        name = self.experiment_name
        return build_visualizer(visualizer, save_dir=self._log_dir, name=name)

    def build_strategy(self, strategy: Any) -> Strategy:
        """How the model lies on ranks."""
        return build_strategy(
            strategy,
            model_wrapper_cfg=self.cfg.get("model_wrapper_cfg"),
            sync_bn=self.cfg.get("sync_bn"),
            find_unused_parameters=self.cfg.get("find_unused_parameters", False),
        )

    def build_model(self, model: Any) -> nn.Module:
        """The model from its spec, where the strategy has it."""
        return build_model(model, self.strategy)

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """The model wrapped for several processes; one needs no wrapper."""
        if model_wrapper_cfg == self.cfg.get("model_wrapper_cfg"):
            return self.strategy.wrap(model)
        return wrap_model(
            model_wrapper_cfg,
            model,
            distributed=self.distributed,
            sync_bn=self.cfg.get("sync_bn"),
            find_unused_parameters=self.cfg.get("find_unused_parameters", False),
        )

    @staticmethod
    def build_dataloader(
        dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False
    ) -> Any:
        """A dataloader from its spec.

        Args:
            dataloader: A spec; a finished loader passes through.
            seed: Of its sampler; ``None`` draws one, the same on all ranks.
            diff_rank_seed: Whether its sampler gets no seed, and draws its own.
        """
        chosen = sync_random_seed() if seed is None else seed
        return build_dataloader(dataloader, seed=None if diff_rank_seed else chosen)

    def _own_dataloader(self, mode: str) -> Any:
        name = f"{mode}_dataloader"
        with at(name):
            return self.build_dataloader(
                self.parts.given[name],
                seed=self.seed,
                diff_rank_seed=self._randomness["diff_rank_seed"],
            )

    def build_train_loop(self, loop: Any) -> Any:
        """The training loop with its data."""
        with self._building():
            loader = self._own_dataloader("train")
            with at("train_cfg"):
                return build_train_loop(loop, self, loader)

    def build_val_loop(self, loop: Any) -> Any:
        """The validation loop with its data and evaluator."""
        return self._build_eval_loop(loop, "val", "ValLoop")

    def build_test_loop(self, loop: Any) -> Any:
        """The test loop with its data and evaluator."""
        return self._build_eval_loop(loop, "test", "TestLoop")

    def _build_eval_loop(self, loop: Any, mode: str, default: str) -> Any:
        with self._building():
            loader = self._own_dataloader(mode)
            with at(f"{mode}_evaluator"):
                evaluator = self.build_evaluator(self.parts.given[f"{mode}_evaluator"])
            with at(f"{mode}_cfg"):
                return build_eval_loop(
                    loop, self, loader, evaluator, default=default, where=f"{mode}_cfg"
                )

    def build_evaluator(self, evaluator: Any) -> Any:
        """An evaluator from its spec."""
        return build_evaluator(evaluator)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """An optimizer wrapper around the model's parameters."""
        return build_optim_wrapper(unwrap(self.model), optim_wrapper)

    def scale_lr(
        self, optim_wrapper: Any, auto_scale_lr: Mapping[str, Any] | None = None
    ) -> None:
        """Multiply the learning rate for the batch size that this run has.

        Args:
            optim_wrapper: Its groups are changed.
            auto_scale_lr: ``enable`` and ``base_batch_size``; ``None``: nothing.

        Raises:
            StateError: Schedules were built already, from the old rate.
            OptimizerError: ``auto_scale_lr`` is no such mapping.
            ConfigError: The training loader does not tell its batch size.
        """
        if auto_scale_lr is None:
            return
        if self.param_schedulers:
            message = (
                "scale_lr() comes too late: the schedules are built, and began from "
                "the learning rate as it was. Call it before build_param_scheduler()."
            )
            raise StateError(message)
        loader = self.train_dataloader
        sampler = getattr(loader, "batch_sampler", None)
        size = getattr(loader, "batch_size", None) or getattr(
            sampler, "batch_size", None
        )
        if size is None and auto_scale_lr.get("enable"):
            message = (
                "auto_scale_lr: the training loader does not tell its batch size; "
                "set the learning rate by hand"
            )
            raise ConfigError(message)
        ratio = lr_ratio(
            auto_scale_lr, world_size=self.world_size, batch_size=size or 1
        )
        if ratio != 1:
            scale_lr(optim_wrapper, ratio)
            self.logger.info(
                "lr_scaled",
                line=f"The learning rate is multiplied by {ratio:g}: {self.world_size} "
                f"process(es) with batches of {size}, chosen for "
                f"{auto_scale_lr['base_batch_size']}",
                ratio=ratio,
            )

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Schedules that act on the optimizer wrapper; of several a dict by name."""
        length = data_length(self.train_dataloader)
        if length is not None and self.batch_limit is not None:
            length = min(length, self.batch_limit)
        return build_param_schedulers(
            scheduler,
            self.optim_wrapper,
            max_epochs=self.max_epochs,
            max_iters=self.max_iters,
            epoch_length=length,
            # A loop of the user's may validate in its own way.
            validates=self.parts.given["val_cfg"] is not None
            or type(self.train_loop) not in (EpochBasedTrainLoop, IterBasedTrainLoop),
        )
