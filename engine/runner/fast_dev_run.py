"""A few batches of everything that a config describes, saved nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError
from engine.loops import EpochBasedTrainLoop
from engine.registry import LOOPS, RUNNERS
from engine.runner.arguments import read_config

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from engine.config import Config
    from engine.runner.runner import Runner

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
        hooks = config.get("default_hooks") or {}
        if isinstance(hooks, Mapping):  # what is wrong the Runner will tell
            config["default_hooks"] = {**hooks, "checkpoint": None}
        hooks = config.get("custom_hooks")
        if isinstance(hooks, list | tuple):
            config["custom_hooks"] = [hook for hook in hooks if not _saves(hook)]
        if isinstance(config.get("train_cfg"), Mapping):
            config["train_cfg"] = _validating(config["train_cfg"], batches)
        runner: Runner = RUNNERS.build(config)
        if "train" in modes and config.get("train_cfg") is not None:
            runner.build_training()  # schedules are made for the whole length
        runner.batch_limit, runner.epoch_limit = batches, 1
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


def _validating(train_cfg: Mapping[str, Any], batches: int) -> dict[str, Any]:
    """Settings of a training loop that validates after so many batches."""
    changed = dict(train_cfg)
    changed.pop("dynamic_intervals", None)
    if "max_epochs" in changed and not _is_ours(changed.get("type")):
        changed["max_epochs"] = 1  # ours see that only some batches are tried
    by_epoch = "max_iters" not in changed
    for name, value in (("val_begin", 1), ("val_interval", 1 if by_epoch else batches)):
        if name in changed or not by_epoch:
            changed[name] = value
    return changed


def _is_ours(kind: Any) -> bool:
    found = LOOPS.find(kind) if isinstance(kind, str) else kind
    return kind is None or (
        isinstance(found, type) and issubclass(found, EpochBasedTrainLoop)
    )
