"""The config that a command works on: a file, with what the command line changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import Config, parse_overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["load_config"]


def load_config(
    path: Path, *, overrides: Sequence[str] = (), work_dir: Path | None = None
) -> Config:
    """Read a config and lay the command line's values over it.

    Args:
        path: The file.
        overrides: ``key=value`` texts.
        work_dir: Takes the place of the config's.

    Returns:
        The config; its ``work_dir`` is ``work_dirs/NAME`` if nothing says otherwise.

    Raises:
        ConfigError: There is no such file, or it or an override is broken.
    """
    config = Config.fromfile(path)
    if overrides:
        config.merge_from_dict(parse_overrides(overrides))
    if work_dir is not None:
        config["work_dir"] = str(work_dir)
    elif config.get("work_dir") is None:
        config["work_dir"] = str(Path("work_dirs") / path.stem)
    return config
