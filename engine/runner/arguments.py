"""From a config to the Runner's arguments."""

from __future__ import annotations

from difflib import get_close_matches
from os import PathLike
from typing import TYPE_CHECKING, Any

from engine.config import Config
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["READ_FROM_CFG", "as_config", "pick_arguments", "read_config"]

READ_FROM_CFG = (
    "compile",
    "activation_checkpointing",
    "sync_bn",
    "strategy",
    "model_wrapper_cfg",
    "find_unused_parameters",
)
"""Entries that are no arguments, but that the Runner heeds."""


def read_config(cfg: Config | Mapping[str, Any] | str | PathLike[str]) -> Config:
    """A config from a file, a mapping, or itself."""
    if isinstance(cfg, str | PathLike):
        return Config.fromfile(cfg)
    return as_config(cfg)


def as_config(cfg: Any) -> Config:
    """A config as it is, a mapping as a config; ``None`` gives an empty one."""
    return cfg if isinstance(cfg, Config) else Config(cfg)


def pick_arguments(config: Config, known: Sequence[str]) -> dict[str, Any]:
    """The entries that are arguments of the Runner; others are the user's business.

    Args:
        config: Not changed.
        known: The arguments.

    Raises:
        ConfigError: An entry is nearly named like one that the Runner heeds, or
            ``model`` or ``work_dir`` is missing.
    """
    heeded = [*known, *READ_FROM_CFG]
    for name in config:
        near = get_close_matches(str(name), heeded, n=1, cutoff=0.85)
        if name not in heeded and near:
            where = config.locate(name) or config.filename or "the config"
            message = (
                f"{where}: {name!r} is nothing that the Runner knows. Did you mean "
                f"{near[0]!r}? If it is an entry of your own, rename it or begin it "
                "with an underscore."
            )
            raise ConfigError(message)
    missing = [name for name in ("model", "work_dir") if name not in config]
    if missing:
        where = config.filename or "the config"
        message = f"{where} lacks {' and '.join(missing)}"
        for name in missing:
            near = get_close_matches(name, [str(one) for one in config], n=1)
            message += f". Is {near[0]!r} meant to be {name!r}?" if near else ""
        raise ConfigError(message)
    return {name: config[name] for name in known if name in config}
