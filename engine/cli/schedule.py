"""``engine config schedule``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from engine.build import (
    build_dataloader,
    build_model,
    build_optim_wrapper,
    build_param_schedulers,
    unwrap,
)
from engine.cli.config_file import load_config
from engine.cli.schedule_curves import Curves, follow
from engine.config import at, located
from engine.dataset import data_length
from engine.errors import ConfigError
from engine.optim import OptimWrapperDict, lr_ratio, scale_lr
from engine.optim.scheduler import Place, Rehearsal, tabulate
from engine.registry import DefaultScope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.config import Config

__all__ = ["plan", "run"]


def run(path: Path, output: Path | None, *, overrides: Sequence[str]) -> None:
    """Draw a config's schedules and print their key points.

    Raises:
        ConfigError: matplotlib is missing, the config has no training, or a part that
            schedules depend on cannot be built.
    """
    try:
        from engine.cli.schedule_picture import draw
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("matplotlib"):
            raise
        message = (
            "engine config schedule draws with matplotlib, which is not installed: "
            "pip install 'ignite-runner[plot]'"
        )
        raise ConfigError(message) from error
    curves = plan(load_config(path, overrides=overrides))
    picture = output or path.with_name(f"{path.stem}_schedule.png").name
    typer.echo(f"{curves.length}\n")
    typer.echo(tabulate(curves.rows))
    for remark in curves.remarks:
        typer.echo(f"\n{remark}")
    draw(curves, picture, title=path.name)
    typer.echo(f"\n  picture     {picture}")


def plan(config: Config) -> Curves:
    """The curves of a config's run.

    Raises:
        ConfigError: It has no training, or a part cannot be built.
    """
    with located(config), DefaultScope.use(config.get("default_scope", "engine")):
        for name in ("model", "train_cfg", "optim_wrapper"):
            if config.get(name) is None:
                message = f"the config has no {name}: there is no schedule to draw"
                raise ConfigError(message)
        with at("train_cfg"):
            place = _length(config.train_cfg)
        if place.max_iters is None and _goes_by_iteration(
            config.get("param_scheduler")
        ):
            place = _with_epoch_length(place, config)
        with at("model"):
            model = unwrap(build_model(_model(config)))
        with at("optim_wrapper"):
            wrapper = build_optim_wrapper(model, config.optim_wrapper)
        with at("auto_scale_lr"):
            _scale(wrapper, config)
        with at("param_scheduler"):
            schedules = build_param_schedulers(
                config.get("param_scheduler"),
                wrapper,
                max_epochs=place.max_epochs or 1,
                max_iters=place.left(by_epoch=False) or 0,
            )
        several = isinstance(wrapper, OptimWrapperDict)
        optimizers = dict(wrapper.items()) if several else {"": wrapper}
        counts = {
            name: len(getattr(one, "optimizer", one).param_groups)
            for name, one in optimizers.items()
        }
        return follow(Rehearsal(schedules, optimizers), place, counts)


def _length(train_cfg: Any) -> Place:
    if isinstance(train_cfg, Mapping):
        bounds = {key: train_cfg.get(key) for key in ("max_epochs", "max_iters")}
    else:
        by_iter = getattr(train_cfg, "max_epochs", None) == 1
        name = "max_iters" if by_iter else "max_epochs"
        bounds = {name: getattr(train_cfg, name, None)}
    given = {key: value for key, value in bounds.items() if value is not None}
    if len(given) != 1 or not all(isinstance(n, int) and n > 0 for n in given.values()):
        message = (
            f"how long is the run? Expected max_epochs or max_iters, found {given}"
        )
        raise ConfigError(message)
    return Place(**given)


def _goes_by_iteration(schedules: Any) -> bool:
    """Whether the number of iterations in an epoch matters."""
    return any(
        not one.get("by_epoch", True) or one.get("convert_to_iter_based", False)
        if isinstance(one, Mapping)
        else not getattr(one, "by_epoch", True)
        for one in _specs(schedules)
    )


def _specs(schedules: Any) -> Iterator[Any]:
    if isinstance(schedules, Mapping) and "type" not in schedules:
        for some in schedules.values():
            yield from _specs(some)
    elif isinstance(schedules, list | tuple):
        yield from schedules
    elif schedules is not None:
        yield schedules


def _with_epoch_length(place: Place, config: Config) -> Place:
    """An epoch's length is the loader's: the dataset is made, no sample is read."""
    with at("train_dataloader"):
        loader = build_dataloader(config.get("train_dataloader"), seed=0)
        length = data_length(loader)
        if not length:
            message = (
                "a schedule goes by iteration, and how many an epoch has is not known: "
                "the data has no length"
            )
            raise ConfigError(message)
    return Place(max_epochs=place.max_epochs, epoch_length=length)


def _model(config: Config) -> Any:
    preprocessor = config.get("data_preprocessor")
    if preprocessor is None or not isinstance(config.model, Mapping):
        return config.model
    return {"data_preprocessor": preprocessor, **config.model}


def _scale(wrapper: Any, config: Config) -> None:
    loader = config.get("train_dataloader")
    size = None
    if isinstance(loader, Mapping):
        batches = loader.get("batch_sampler")
        size = (batches if isinstance(batches, Mapping) else loader).get("batch_size")
    else:
        size = getattr(loader, "batch_size", None)
    ratio = lr_ratio(config.get("auto_scale_lr"), world_size=1, batch_size=size or 1)
    if ratio != 1:
        scale_lr(wrapper, ratio)
