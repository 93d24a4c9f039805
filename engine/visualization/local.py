"""Scalars, pictures and config as files in the run's own folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from torch import Tensor

from engine.errors import ConfigError, SerializationError, a_type
from engine.registry import VISBACKENDS
from engine.visualization.backend import BaseVisBackend
from engine.visualization.package import need
from engine.visualization.values import picture

__all__ = ["LocalVisBackend"]

_NUMBERS = (float, int)  # what nearly all scalars are, and JSON has as it is
# A record is made here and holds no circle; json.dumps would make an encoder per line.
_encode = json.JSONEncoder(check_circular=False).encode


@VISBACKENDS.register_module()
class LocalVisBackend(BaseVisBackend):
    r"""Appends scalars to a file, one JSON object a line, and writes the config.

    A line holds the scalars, then the step: ``{"loss": 0.1, "lr": 0.01, "step": 10}``.
    Floats are written so that reading gives the very same ones; those that are not
    finite as ``NaN`` and ``Infinity``, which :func:`json.loads` reads but strict JSON
    lacks. Each line is handed to the operating system as a whole before the call
    returns. Files are opened, and the folder is made, when first needed; a file that
    is already there is gone on with.

    Args:
        save_dir: Folder of the files.
        img_save_dir: Folder in it for pictures.
        config_save_file: File of the config, ``*.py``.
        scalar_save_file: File of the scalars, ``*.json``.

    Raises:
        ConfigError: A file has another ending.
    """

    draws_nothing: ClassVar[bool] = True

    def __init__(
        self,
        save_dir: str | Path,
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        super().__init__(save_dir)
        _check_ending("config_save_file", config_save_file, ".py")
        _check_ending("scalar_save_file", scalar_save_file, ".json")
        self._img_save_dir = img_save_dir
        self._config_save_file = config_save_file
        self._scalar_save_file = scalar_save_file
        self._files: dict[str, BinaryIO] = {}

    @property
    def experiment(self) -> LocalVisBackend:
        """The backend itself."""
        return self

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Write the config, in place of one written before.

        Args:
            config: Its ``pretty_text`` is written if it has one, else its ``str``.
            kwargs: Not used.

        Raises:
            ConfigError: The file cannot be written.
        """
        text = str(getattr(config, "pretty_text", config))
        path = self.save_dir / self._config_save_file
        try:
            self.save_dir.mkdir(parents=True, exist_ok=True)
            path.write_text(text if text.endswith("\n") else f"{text}\n", "utf-8")
        except OSError as error:
            raise ConfigError(_unwritable(path, error)) from error

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Write a picture to ``NAME_STEP.png``, in place of one written before.

        A run that is resumed writes those after its checkpoint again.

        Args:
            name: What it is called; a ``/`` in it makes a folder.
            image: See :func:`~engine.visualization.values.picture`.
            step: Iterations, epochs or samples finished.
            kwargs: Not used.

        Raises:
            ConfigError: The file cannot be written, its name leads out of the folder,
                or Pillow is not installed.
            SerializationError: It is no picture.
        """
        array = picture(name, image)
        pillow = need("PIL.Image", extra="image", asked_by="LocalVisBackend.add_image")
        folder = self.save_dir / self._img_save_dir
        path = folder / f"{name}_{step}.png"
        if not path.resolve().is_relative_to(folder.resolve()):
            msg = (
                f"LocalVisBackend: the image's name is {name!r}, which leads out of "
                f"{folder}. Leave out '..' and a '/' in front."
            )
            raise ConfigError(msg)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            pillow.fromarray(array).save(path)
        except OSError as error:
            raise ConfigError(_unwritable(path, error)) from error

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Append several values of one step as one line.

        Args:
            scalar_dict: Values by name: numbers, or tensors or arrays with one element.
                Text, ``None``, lists and mappings are written as they are, larger
                tensors and arrays as lists. A ``"step"`` in it wins over ``step``.
            step: Iterations or epochs finished.
            file_path: Another ``*.json`` right in the folder, which gets the line too.
            kwargs: Not used.

        Raises:
            ConfigError: A file cannot be written, or ``file_path`` is none or is the
                file that gets the line anyway.
            SerializationError: A value has no place in JSON; nothing was written.
        """
        if file_path is not None:
            _check_ending("file_path", file_path, ".json")
            if file_path == self._scalar_save_file:
                msg = (
                    f"LocalVisBackend.add_scalars: file_path is {file_path!r}, which "
                    "gets the line anyway. Name another file, or leave it out."
                )
                raise ConfigError(msg)
            if Path(file_path).name != file_path:
                msg = (
                    f"LocalVisBackend.add_scalars: file_path is {file_path!r}, but a "
                    "resumed run cuts back only what lies right in the folder. Give a "
                    "name without '/'."
                )
                raise ConfigError(msg)
        record = {
            key: value if type(value) in _NUMBERS else _plain(key, value)
            for key, value in scalar_dict.items()
        }
        record.setdefault("step", step if type(step) is int else _plain("step", step))
        line = f"{_encode(record)}\n".encode("ascii")
        self._append(self._scalar_save_file, line)
        if file_path is not None:
            self._append(file_path, line)

    def state_dict(self) -> dict[str, Any]:
        """How many bytes each file of scalars has."""
        sizes = {}
        for path in sorted(self.save_dir.glob("*.json")):
            sizes[path.name] = path.stat().st_size
        return {"sizes": sizes}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Cut the files back to the sizes they had, so that no step is there twice.

        A file that is shorter, or gone, stays as it is: it is not the one that the
        run wrote, or its end was lost. One that is new goes.

        Raises:
            ConfigError: A file cannot be written.
        """
        self.close()
        sizes = state_dict["sizes"]
        for path in self.save_dir.glob("*.json"):
            size = sizes.get(path.name, 0)
            if path.stat().st_size > size:
                try:
                    os.truncate(path, size)
                except OSError as error:
                    raise ConfigError(_unwritable(path, error)) from error

    def close(self) -> None:
        """Close the files; a line that comes later opens them again."""
        while self._files:
            name, file = self._files.popitem()
            try:
                file.close()
            except OSError as error:
                raise ConfigError(_unwritable(self.save_dir / name, error)) from error

    def _append(self, name: str, line: bytes) -> None:
        try:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = _open(self.save_dir / name)
            file.write(line)
            file.flush()
        except OSError as error:
            raise ConfigError(_unwritable(self.save_dir / name, error)) from error


def _plain(key: str, value: Any) -> Any:
    """``value`` as JSON has it, or SerializationError that names ``key``."""
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, Tensor):
        # item() waits for the device, but whoever writes a line wants the number.
        return _plain(key, value.item() if value.numel() == 1 else value.tolist())
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(key, value.item() if value.size == 1 else value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(key, each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(key, each) for name, each in value.items()}
    msg = (
        f"LocalVisBackend: {key!r} is {a_type(value)}, but a scalar is a "
        "number, or a tensor or array with one element. Convert it with float(...)."
    )
    raise SerializationError(msg)


def _open(path: Path) -> BinaryIO:
    """Open ``path`` to append lines to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    if file.tell() > 0:
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            # A run that was killed may have left half a line.
            if written.read(1) != b"\n":
                file.write(b"\n")
    return file


def _check_ending(argument: str, name: str, ending: str) -> None:
    if not name.endswith(ending):
        msg = (
            f"LocalVisBackend: {argument} is {name!r}, but the name of a *{ending} "
            f"file is needed, such as 'other{ending}'."
        )
        raise ConfigError(msg)


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"LocalVisBackend: cannot write {path}: {error.strerror or error}. Make room "
        "there and let this user write, or choose another save_dir."
    )
