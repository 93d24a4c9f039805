"""The package that config files with classes in them are modules of.

It has no files of its own. Importing ``engine.config.files._2fhome_2fme_2ftoy`` reads
the config ``/home/me/toy.py``: so a loader's worker, started afresh, finds the classes
of the dataset that it is sent.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.code_file import module_path
from engine.config.load import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["ConfigFileFinder"]

__path__: list[str] = []  # makes this module a package


class ConfigFileFinder(MetaPathFinder, Loader):
    """Finds and loads config files by their names as modules."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The module of a config file, if the name is one's and the file is there."""
        file = module_path(fullname)
        if file is None or not Path(file).is_file():
            return None
        return spec_from_loader(fullname, self, origin=file)

    def exec_module(self, module: ModuleType) -> None:
        """Read the config, which puts its own module in the place of this one."""
        assert module.__spec__ is not None
        assert module.__spec__.origin is not None
        Reader(lazy=None).read(Path(module.__spec__.origin))


# The one thing that importing this does: its modules can be imported then.
sys.meta_path.append(ConfigFileFinder())
