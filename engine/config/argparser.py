"""A command's options from a config."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config.config import Config

__all__ = ["parser_for"]


def parser_for(
    read: Callable[[str], Config], description: str | None
) -> tuple[ArgumentParser, Config]:
    """A parser whose options are the values of the config that the command names.

    Args:
        read: Reads a config from a file.
        description: What the help says first.
    """
    first = ArgumentParser(description=description, add_help=False)
    first.add_argument("config", help="config file")
    cfg = read(first.parse_known_args()[0].config)
    parser = ArgumentParser(description=description)
    parser.add_argument("config", help="config file")
    _add_options(parser, cfg.to_dict(), "")
    return parser, cfg


def _add_options(parser: ArgumentParser, values: dict[Any, Any], prefix: str) -> None:
    for key, value in values.items():
        name = f"--{prefix}{key}"
        if isinstance(value, bool):
            parser.add_argument(name, action="store_true")
        elif isinstance(value, int | float | str):
            parser.add_argument(name, type=type(value))
        elif isinstance(value, dict):
            _add_options(parser, value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and value:
            kind = type(value[0])
            if kind in {int, float, str}:
                parser.add_argument(name, type=kind, nargs="+")
