"""A few batches of everything that a config describes, saved nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError
from engine.runner.arguments import read_config
from engine.runner.runner import Runner

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from engine.config import Config

__all__ = ["fast_dev_run"]


def fast_dev_run(
    cfg: Config | Mapping[str, Any] | str | os.PathLike[str],
    batches: int,
    modes: Sequence[str] = ("train", "val", "test"),
) -> dict[str, dict[str, Any]]:
    """Try a config out: train, validate and test on so many batches.

    One epoch (or that many iterations) is trained, validated in, and every part that
    the config gives is built and used. Checkpoints are not written; logs go to a folder
    that is deleted; visualizers show nothing.

    Args:
        cfg: A config, a mapping, or a file; not changed.
        batches: Of each loader, at least 1.
        modes: What is tried, as far as the config has it.

    Returns:
        Metrics by ``"val"`` and ``"test"``, as far as they were tried.

    Raises:
        ConfigError: ``batches`` is below 1, the config has nothing to try, or cannot be
            built.
    """
    if not isinstance(batches, int) or isinstance(batches, bool) or batches < 1:
        message = f"fast_dev_run: batches={batches!r}: give a number of at least 1"
        raise ConfigError(message)
    config = read_config(cfg).copy()
    if all(config.get(f"{mode}_cfg") is None for mode in modes):
        message = f"fast_dev_run: the config has none of {', '.join(modes)}"
        raise ConfigError(message)
    found: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory(prefix="engine_fast_dev_run_") as folder:
        config["work_dir"] = folder
        config["resume"] = False
        config["visualizer"] = {"vis_backends": []}
        config["default_hooks"] = {
            **(config.get("default_hooks") or {}),
            "checkpoint": None,
        }
        config["custom_hooks"] = [
            hook for hook in config.get("custom_hooks") or [] if not _saves(hook)
        ]
        if isinstance(config.get("train_cfg"), Mapping):
            config["param_scheduler"] = _with_ends(
                config.get("param_scheduler"), config["train_cfg"]
            )
            config["train_cfg"] = _shortened(config["train_cfg"], batches)
        runner = Runner.from_cfg(config)
        runner.batch_limit = batches
        for mode in modes:
            if config.get(f"{mode}_cfg") is None:
                continue
            done = getattr(runner, mode)()
            if mode != "train":
                found[mode] = done
    return found


def _saves(hook: Any) -> bool:
    kind = hook.get("type") if isinstance(hook, Mapping) else type(hook)
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.rpartition(".")[2] == "CheckpointHook"


def _shortened(train_cfg: Mapping[str, Any], batches: int) -> dict[str, Any]:
    """Settings of a training loop for one epoch, or for so many iterations."""
    short = dict(train_cfg)
    short.pop("dynamic_intervals", None)
    if "max_epochs" in short:
        short["max_epochs"] = 1
    for name, value in (("val_begin", 1), ("val_interval", batches)):
        if name in short or "max_iters" in short:
            short[name] = 1 if "max_epochs" in short else value
    return short


def _with_ends(schedules: Any, train_cfg: Mapping[str, Any]) -> Any:
    """Specs of schedules that end where they would in the whole run.

    One that begins behind the shortened run's end could not be built without.
    """
    if isinstance(schedules, Mapping) and "type" not in schedules:
        return {name: _with_ends(some, train_cfg) for name, some in schedules.items()}
    if isinstance(schedules, list | tuple):
        return [_with_ends(one, train_cfg) for one in schedules]
    if not isinstance(schedules, Mapping) or not schedules.get("begin"):
        return schedules
    by_epoch = schedules.get("by_epoch", True)
    length = train_cfg.get("max_epochs" if by_epoch else "max_iters")
    if length is None:  # in iterations, and the data is not open yet
        length = schedules["begin"] + 1
    return {"end": length, **schedules}
