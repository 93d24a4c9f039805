"""A config: a Python file whose variables are the Runner's arguments."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.errors import ConfigError, EngineError
from engine.runner import Runner

__all__ = ["FileConfig", "load_config"]

_OWN = ("cfg", "self")  # arguments that a file does not set


class FileConfig(dict[str, Any]):
    """The Runner's arguments as a file gives them; as text it is the file.

    Args:
        values: The arguments.
        filename: The file's path.
        text: The file's contents.
    """

    def __init__(self, values: Mapping[str, Any], filename: Path, text: str) -> None:
        super().__init__(values)
        self.filename = str(filename)
        self.text = text

    def __str__(self) -> str:
        return self.text


def load_config(path: Path, *, work_dir: Path | None = None) -> FileConfig:
    """Read a config by running it as a module.

    Variables named like an argument of the Runner are taken; the file's imports,
    functions, classes, names with an underscore and other variables are its own
    business, unless one is nearly named like an argument.

    Args:
        path: The file.
        work_dir: Takes the place of the file's ``work_dir``.

    Returns:
        The arguments; ``work_dir`` is ``work_dirs/NAME`` if nothing says otherwise.

    Raises:
        ConfigError: There is no such file, it is no Python, running it failed, or a
            name is misspelt.
    """
    if path.suffix != ".py" or not path.is_file():
        found = "is no Python file (*.py)" if path.is_file() else "does not exist"
        message = f"config {path} {found}"
        raise ConfigError(message)
    variables = vars(_run(path))
    known = [name for name in inspect.signature(Runner).parameters if name not in _OWN]
    values = {name: variables[name] for name in known if name in variables}
    _refuse_misspelt(path, variables, known)
    if work_dir is not None:
        values["work_dir"] = work_dir
    values.setdefault("work_dir", Path("work_dirs") / path.stem)
    return FileConfig(values, path, path.read_text(encoding="utf-8"))


def _run(path: Path) -> ModuleType:
    # Under a name of its own, so that loader workers can unpickle its classes.
    name = f"engine_config_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except EngineError:
        raise
    except SyntaxError as error:
        message = f"{error.filename}:{error.lineno}: {error.msg}: {error.text or ''}"
        raise ConfigError(message.rstrip()) from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [one.lineno for one in frames if Path(one.filename) == path.resolve()]
        where = f"{path}:{lines[-1]}" if lines else str(path)
        message = f"{where}: {type(error).__name__}: {error}"
        raise ConfigError(message) from error
    return module


def _refuse_misspelt(path: Path, variables: dict[str, Any], known: list[str]) -> None:
    for name, value in variables.items():
        plain = not (
            name.startswith("_")
            or name in known
            or isinstance(value, ModuleType | type)
            or inspect.isroutine(value)
        )
        near = get_close_matches(name, known, n=1, cutoff=0.85)
        if plain and near:
            message = (
                f"{path}: {name!r} is no argument of the Runner. Did you mean "
                f"{near[0]!r}? If it is a variable of your own, begin it with an "
                "underscore."
            )
            raise ConfigError(message)
