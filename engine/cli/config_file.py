"""The config that a command works on: a file, with what the command line changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config import Config, parse_overrides
from engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["load_config", "read_config"]

_BEFORE = ("_base_", "custom_imports")  # what is done while a config is read


def read_config(path: Path, overrides: Sequence[str]) -> Config:
    """Read a config and lay the command line's values over it.

    Args:
        path: The file.
        overrides: ``key=value`` texts.

    Raises:
        ConfigError: There is no such file, it or an override is broken, or one comes
            too late to have an effect.
    """
    changes = parse_overrides(overrides)
    for key in changes:
        name = key.partition(".")[0]
        if name in _BEFORE:
            message = (
                f"--set {key}: too late, {name} has its effect while the config is "
                f"read. Write it into a config of its own with _base_ = {path.name!r}"
            )
            raise ConfigError(message)
    config = Config.fromfile(path)
    for key in changes:
        _check_known(key, config)
    config.merge_from_dict(changes)
    return config


def _check_known(key: str, config: Config) -> None:
    """Refuse a value for what is neither in the config nor the Runner's.

    Raises:
        ConfigError: It is.
    """
    name = key.partition(".")[0]
    if name in config:
        return
    # These import torch, which showing a config needs not.
    from engine.runner.arguments import READ_FROM_CFG
    from engine.runner.runner import argument_names

    known = [*argument_names(), *READ_FROM_CFG, *config]
    if name not in known:
        message = (
            f"--set {key}: neither the config nor the Runner has {name!r}."
            f"{did_you_mean(name, known)}"
        )
        raise ConfigError(message)


def load_config(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    work_dir: Path | None = None,
    launcher: str | None = None,
    progress: bool = True,
    profile_hooks: bool = False,
) -> Config:
    """Read a config for a run, with a work dir.

    Args:
        path: The file.
        overrides: ``key=value`` texts.
        work_dir: Takes the place of the config's.
        launcher: Likewise.
        progress: Whether progress bars may be shown.
        profile_hooks: Whether to measure where the time goes.

    Returns:
        The config; its ``work_dir`` is ``work_dirs/NAME`` if nothing says otherwise.

    Raises:
        ConfigError: As :func:`read_config`.
    """
    config = read_config(path, overrides)
    if work_dir is not None:
        config["work_dir"] = str(work_dir)
    elif config.get("work_dir") is None:
        config["work_dir"] = str(Path("work_dirs") / path.stem)
    if launcher is not None:
        config["launcher"] = launcher
    hooks = config.get("default_hooks") or {}
    if isinstance(hooks, Mapping):  # else the Runner tells what it is
        changes: dict[str, Any] = {} if progress else {"progress": None}
        if profile_hooks:
            changes["timeline"] = {"type": "TimelineHook"}
        if changes:
            config["default_hooks"] = {**hooks, **changes}
    return config
