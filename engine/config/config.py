"""A config: what a file and its bases say, as a mapping."""

from __future__ import annotations

import difflib
import os
from collections.abc import (
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.config_dict import (
    ConfigDict,
    copied,
    missing_key,
    owned_mapping,
    plain,
)
from engine.config.formats import SUFFIXES, write
from engine.config.load import Reader, import_custom, with_code_files
from engine.config.locate import locate, shown_name
from engine.config.merge import merge, nested
from engine.config.python_text import python_text
from engine.errors import ConfigError, ConfigKeyError

if TYPE_CHECKING:
    from argparse import ArgumentParser

__all__ = ["Config"]


class Config(MutableMapping[Any, Any]):
    """A config: a mapping whose keys are attributes too, with the file it is from.

    Nested mappings are :class:`ConfigDict`. The names of this class's own attributes
    and methods (``filename``, ``text``, ``dump`` ...) can be keys too, by
    ``cfg["text"]``.

    Args:
        cfg_dict: The values. Not changed; lists without mappings in them are shared.
        cfg_text: The text they are from. ``None``: that of the file, if there is one.
        filename: The file they are from.
        env_variables: Variables of the environment that were read, by name.
        format_python_code: Break long lines of Python text.

    Raises:
        ConfigError: ``cfg_dict`` is no mapping.

    >>> cfg = Config({"model": {"type": "Net", "sizes": [8, 4]}})
    >>> cfg.model.sizes[0], cfg["model"]["type"]
    (8, 'Net')
    >>> print(cfg.pretty_text, end="")
    model = dict(type="Net", sizes=[8, 4])
    """

    _cfg_dict: ConfigDict
    _state: dict[str, Any]

    def __init__(
        self,
        cfg_dict: Mapping[Any, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | os.PathLike[str] | None = None,
        env_variables: Mapping[str, str] | None = None,
        format_python_code: bool = True,
    ) -> None:
        if cfg_dict is None:
            cfg_dict = {}
        if not isinstance(cfg_dict, Mapping):
            message = f"a config is made from a mapping, found {cfg_dict!r}"
            raise ConfigError(message)
        if cfg_text is None and filename is not None and Path(filename).is_file():
            cfg_text = Path(filename).read_text(encoding="utf-8")
        state = {
            "filename": None if filename is None else str(filename),
            "shown": None if filename is None else str(filename),
            "text": cfg_text or "",
            "env_variables": dict(env_variables or {}),
            "format": format_python_code,
            "imported": {},
        }
        object.__setattr__(self, "_cfg_dict", ConfigDict(cfg_dict))
        object.__setattr__(self, "_state", state)

    # ---------------------------------------------------------------------- reading

    @staticmethod
    def fromfile(
        filename: str | os.PathLike[str],
        use_predefined_variables: bool = True,
        import_custom_modules: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
    ) -> Config:
        """Read a config from a ``.py``, ``.yaml``, ``.json`` or ``.toml`` file.

        Args:
            filename: The file.
            use_predefined_variables: Put in ``{{ fileDirname }}``,
                ``{{ fileBasename }}``, ``{{ fileBasenameNoExtension }}`` and
                ``{{ fileExtname }}``.
            import_custom_modules: Import what ``custom_imports`` names.
            use_environment_variables: Put in ``{{$NAME:default}}``.
            lazy_import: Whether imports of a Python file are references, imported when
                they are used. ``None``: they are in a file that holds only data; one
                that defines classes or functions is run as it is.
            format_python_code: Break long lines of Python text.

        Raises:
            ConfigError: A file is missing or of no known format, has a mistake in it
                (the message has the line), clashes with another or is its own base.
        """
        path = Path(filename).expanduser()
        reader = Reader(
            use_file_names=use_predefined_variables,
            use_environment=use_environment_variables,
            lazy=lazy_import,
        )
        loaded = reader.read(path)
        values = loaded.values
        with_code_files(values, loaded.code_files)
        if import_custom_modules:

            def where() -> str:
                return locate(path, ("custom_imports",)) or str(path)

            import_custom(values, where, reader)
        made = Config(
            cfg_text=loaded.text,
            filename=os.path.abspath(path),  # noqa: PTH100 - resolve() would follow links
            env_variables=loaded.env_variables,
            format_python_code=format_python_code,
        )
        object.__setattr__(made, "_cfg_dict", values)
        made._state.update(shown=str(path), imported=loaded.imported)
        return made

    @staticmethod
    def fromstring(cfg_str: str, file_format: str) -> Config:
        """Read a config from text; bases are looked for in the current folder.

        Args:
            cfg_str: The text.
            file_format: ``".py"``, ``".yaml"``, ``".yml"``, ``".json"`` or ``".toml"``.

        Raises:
            ConfigError: As :meth:`fromfile`.

        >>> Config.fromstring("lr: 1e-3", ".yaml").lr
        0.001
        """
        if file_format not in SUFFIXES:
            message = f"{file_format!r} is none of the formats {', '.join(SUFFIXES)}"
            raise ConfigError(message)
        reader = Reader()
        path = Path.cwd() / f"config{file_format}"
        loaded = reader.read_text(cfg_str, file_format, path, name="config text")
        with_code_files(loaded.values, loaded.code_files)
        import_custom(loaded.values, lambda: "config text", reader)
        made = Config(cfg_text=cfg_str, env_variables=loaded.env_variables)
        object.__setattr__(made, "_cfg_dict", loaded.values)
        made._state["imported"] = loaded.imported
        return made

    @staticmethod
    def auto_argparser(description: str | None = None) -> tuple[ArgumentParser, Config]:
        """A parser with an option for each value of the config that the command names.

        The command's first argument is the config's file; ``--model.width`` is then an
        option of the type that the config's value has.

        Args:
            description: What the parser's help says first.

        Returns:
            The parser, and the config.
        """
        from engine.config.argparser import parser_for

        return parser_for(Config.fromfile, description)

    # ------------------------------------------------------------- where it is from

    @property
    def filename(self) -> str | None:
        """The file's absolute path, if the config was read from one."""
        name: str | None = self._state["filename"]
        return name

    @property
    def text(self) -> str:
        """The texts of the files, bases first, each under its name."""
        text: str = self._state["text"]
        return text

    @property
    def env_variables(self) -> dict[str, str]:
        """Variables of the environment that the files used."""
        variables: dict[str, str] = self._state["env_variables"]
        return variables

    @property
    def pretty_text(self) -> str:
        """The whole config as Python text.

        It reads back to the same config; only what has no text (an object that was made
        in a Python file) is shown as text such as ``"<module.Net object>"``, where
        :meth:`dump` raises.
        """
        return self._python_text(strict=False)

    def _python_text(self, *, strict: bool) -> str:
        if self._state["format"]:
            return python_text(self._cfg_dict, strict=strict)
        return python_text(self._cfg_dict, strict=strict, width=None)

    def locate(self, *path: str | int) -> str | None:
        """Where a key is written, as ``file:line``.

        Args:
            path: The key's path, as in ``cfg.locate("train_dataloader", "dataset")``.

        Returns:
            The place of the longest part of the path that some file has, or ``None``.
        """
        return locate(self, path)

    # ---------------------------------------------------------------------- writing

    def dump(self, file: str | os.PathLike[str] | None = None) -> str | None:
        """Write the config, bases merged, so that it reads back to the same config.

        Args:
            file: Where to; the end of its name decides the format. ``None``: nowhere,
                the Python text is returned.

        Returns:
            The text if ``file`` is ``None``.

        Raises:
            ConfigError: The format is not known, or cannot hold a value; the message
                has its path. JSON and TOML turn tuples into lists.
        """
        if file is None:
            return self._python_text(strict=True)
        path = Path(file)
        if path.suffix not in SUFFIXES:
            message = (
                f"cannot write {path}: {path.suffix or 'no suffix'!r} is none of the "
                f"formats {', '.join(SUFFIXES)}"
            )
            raise ConfigError(message)
        if path.suffix == ".py":
            text = self._python_text(strict=True)
        else:
            text = write(self._cfg_dict, path.suffix)
        with path.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        return None

    def to_dict(self, keep_imported: bool = False) -> dict[Any, Any]:
        """Plain dicts, lists and tuples; references as text, such as ``"a.b.C"``.

        Args:
            keep_imported: Also the names that the file imports lazily, as text.
        """
        converted: dict[Any, Any] = plain(self._cfg_dict)
        return {**self._state["imported"], **converted} if keep_imported else converted

    @staticmethod
    def diff(
        cfg1: Config | str | os.PathLike[str], cfg2: Config | str | os.PathLike[str]
    ) -> str:
        """What differs between two configs, as a unified diff of their Python text.

        Args:
            cfg1: A config or its file.
            cfg2: Another.

        Returns:
            The diff; empty if they are equal.

        >>> print(Config.diff(Config({"lr": 1}), Config({"lr": 2})))
        --- cfg1
        +++ cfg2
        @@ -1 +1 @@
        -lr = 1
        +lr = 2
        """
        one = cfg1 if isinstance(cfg1, Config) else Config.fromfile(cfg1)
        two = cfg2 if isinstance(cfg2, Config) else Config.fromfile(cfg2)
        lines = difflib.unified_diff(
            one.pretty_text.splitlines(),
            two.pretty_text.splitlines(),
            shown_name(one) or "cfg1",
            shown_name(two) or "cfg2",
            lineterm="",
        )
        return "\n".join(lines)

    # --------------------------------------------------------------------- changing

    def merge_from_dict(
        self, options: Mapping[str, Any], allow_list_keys: bool = True
    ) -> None:
        """Set values by their paths.

        Args:
            options: Values by path, such as ``{"model.width": 8, "hooks.0.interval":
                5}``. A mapping is merged into what is there.
            allow_list_keys: Numbers in a path are places in lists.

        Raises:
            ConfigError: A list has no such place, or the path goes through a value that
                is no container. Nothing is changed then.

        >>> cfg = Config({"hooks": [{"interval": 1}]})
        >>> cfg.merge_from_dict({"hooks.0.interval": 5})
        >>> cfg.hooks
        [{'interval': 5}]
        """
        changes = copied(ConfigDict(nested(options)))
        merged = merge(self._cfg_dict, changes, allow_list_keys=allow_list_keys)
        object.__setattr__(self, "_cfg_dict", merged)

    # ---------------------------------------------------------------- as a mapping

    def __getitem__(self, key: Any) -> Any:
        if key not in self._cfg_dict:
            raise self._missing(key)
        return self._cfg_dict[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in {"_cfg_dict", "_state"}:
            raise AttributeError(name)  # protocols probe, also before there is a state
        return self[name]

    def _missing(self, key: Any) -> ConfigKeyError:
        return missing_key(key, self._cfg_dict, self._state["shown"] or "")

    def __setitem__(self, key: Any, value: Any) -> None:
        self._cfg_dict[key] = value

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            message = (
                f"{name!r} belongs to the config itself; "
                f"write cfg[{name!r}] = ... for the key"
            )
            raise ConfigKeyError(message)
        self._cfg_dict[name] = value

    def __delitem__(self, key: Any) -> None:
        if key not in self._cfg_dict:
            raise self._missing(key)
        del self._cfg_dict[key]

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cfg_dict)

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __contains__(self, key: object) -> bool:
        return key in self._cfg_dict

    def keys(self) -> KeysView[Any]:
        """The keys, a view."""
        return self._cfg_dict.keys()

    def items(self) -> ItemsView[Any, Any]:
        """Keys and values, a view."""
        return self._cfg_dict.items()

    def values(self) -> ValuesView[Any]:
        """The values, a view."""
        return self._cfg_dict.values()

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        return self._cfg_dict.get(key, default)

    def pop(self, key: Any, default: Any = None) -> Any:
        """Take ``key`` out; ``default`` if it is not there."""
        return self._cfg_dict.pop(key, default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of ``key``, which becomes ``default`` if there is none."""
        return self._cfg_dict.setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set many keys, as ``dict.update`` does."""
        self._cfg_dict.update(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Config):
            return self._cfg_dict == other._cfg_dict
        if isinstance(other, Mapping):
            return self._cfg_dict == owned_mapping(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        where = f" (path: {self.filename})" if self.filename else ""
        return f"Config{where}: {self._cfg_dict!r}"

    # ---------------------------------------------------------------------- copying

    def copy(self) -> Config:
        """A config of its own: containers are copied, other objects are the same."""
        return self._twin(copied(self._cfg_dict))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        from copy import deepcopy

        return self._twin(deepcopy(self._cfg_dict, memo))

    def _twin(self, values: ConfigDict) -> Config:
        new = Config.__new__(type(self))
        object.__setattr__(new, "_cfg_dict", values)
        state = {**self._state, "env_variables": dict(self.env_variables)}
        object.__setattr__(new, "_state", state)
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._cfg_dict, self._state)


def _restored(kind: type[Config], values: ConfigDict, state: dict[str, Any]) -> Config:
    new = kind.__new__(kind)
    object.__setattr__(new, "_cfg_dict", values)
    object.__setattr__(new, "_state", state)
    return new
