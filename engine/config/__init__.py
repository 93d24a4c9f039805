"""Configs: text files to checked values, with bases, overrides and lazy imports."""

from engine.config.config import Config
from engine.config.config_dict import ConfigDict
from engine.config.lazy import LazyObject
from engine.config.locate import locate
from engine.config.overrides import DictAction, parse_overrides
from engine.config.read_base import read_base
from engine.config.where import at, located, path_text

__all__ = [
    "Config",
    "ConfigDict",
    "DictAction",
    "LazyObject",
    "at",
    "locate",
    "located",
    "parse_overrides",
    "path_text",
    "read_base",
]
