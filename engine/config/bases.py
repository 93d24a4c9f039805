"""Where the files that a config starts from lie."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from engine.config.formats import SUFFIXES
from engine.errors import ConfigError

__all__ = ["base_path", "imported_base", "package_file"]

_FOLDERS = ("", ".mim", "configs", ".mim/configs")
"""Where in an installed package configs lie; ``.mim`` is MIM's."""


def base_path(name: str, file: Path, where: str) -> tuple[Path, str | None]:
    """The file that an entry of ``_base_`` names.

    Args:
        name: A path, relative to the config's folder; or ``scope::path``.
        file: The config.
        where: ``file:line`` of the entry, for messages.

    Returns:
        The file, and the scope if there is one.

    Raises:
        ConfigError: There is no such file.
    """
    if "::" in name:
        scope, _, inside = name.partition("::")
        return package_file(scope, inside, where), scope
    path = Path(os.path.normpath(file.parent / Path(name).expanduser()))
    if not path.is_file():
        message = f"{where}: there is no base {name!r} ({path}).{_nearest(path)}"
        raise ConfigError(message)
    return path, None


def package_file(scope: str, inside: str, where: str) -> Path:
    """A file of an installed package, which is not imported.

    Raises:
        ConfigError: There is no such package, or no such file in it.
    """
    folders = _package_folders(scope)
    if not folders:
        message = f"{where}: no package {scope!r} is installed, for {scope}::{inside}"
        raise ConfigError(message)
    looked = [root / folder / inside for root in folders for folder in _FOLDERS]
    for path in looked:
        if path.is_file():
            return path
    tried = ", ".join(str(path) for path in looked)
    message = f"{where}: there is no {scope}::{inside}; looked for {tried}"
    raise ConfigError(message)


def imported_base(module: str, level: int, file: Path, where: str) -> Path:
    """The file that ``from ..module import x`` names under ``read_base()``.

    Args:
        module: Dotted; may be empty.
        level: Dots before it; 0 is a module of an installed package.
        file: The config.
        where: ``file:line`` of the statement, for messages.

    Raises:
        ConfigError: There is no such file.
    """
    parts = module.split(".") if module else []
    if level:
        folder = file.parent
        for _ in range(level - 1):
            folder = folder / ".."
        stems = [Path(os.path.normpath(folder.joinpath(*parts)))]
    else:
        roots = _package_folders(parts[0])
        stems = [
            (root / inside).joinpath(*parts[1:])
            for root in roots
            for inside in ("", ".mim")
        ]
        if not roots:
            stems = _on_path(parts)
    candidates = [
        path
        for stem in stems
        for path in (
            *(stem.with_name(stem.name + suffix) for suffix in SUFFIXES),
            stem / "__init__.py",
        )
    ]
    for path in candidates:
        if path.is_file():
            return path
    name = "." * level + module
    looked = f" (looked for {candidates[0]})" if candidates else ""
    near = _nearest(candidates[0]) if candidates else ""
    message = f"{where}: there is no base {name!r}{looked}.{near}"
    raise ConfigError(message)


def _package_folders(name: str) -> list[Path]:
    if not name.isidentifier():
        return []
    try:
        spec = find_spec(name)  # a top-level package is found without importing it
    except (ImportError, ValueError):
        return []
    places = spec.submodule_search_locations if spec is not None else None
    return [Path(place) for place in places or ()]


def _on_path(parts: list[str]) -> list[Path]:
    if len(parts) != 1 or not parts[0].isidentifier():
        return []
    try:
        spec = find_spec(parts[0])
    except (ImportError, ValueError):
        return []
    origin = spec.origin if spec is not None else None
    return [Path(origin).with_suffix("")] if origin else []


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" There is no folder {str(folder)!r} either."
    names = [one.name for one in folder.iterdir() if one.suffix in SUFFIXES]
    near = get_close_matches(path.name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
