"""From a file and its bases to the values of a config."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from engine.config.bases import base_path, imported_base
from engine.config.code_file import module_name, run_as_module
from engine.config.config_dict import ConfigDict, copied, owned
from engine.config.formats import SUFFIXES, parse
from engine.config.locate import locate
from engine.config.merge import merge
from engine.config.python_file import fill_in, run_program
from engine.config.python_syntax import read_program
from engine.config.variables import (
    BASE_REFERENCE,
    quoted_references,
    with_environment,
    with_file_names,
)
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Loaded", "Reader", "import_custom", "with_code_files"]

_CUSTOM = "custom_imports"


@frozen
class Loaded:
    """A config file with its bases.

    Args:
        values: The config.
        names: All that another config may import from it.
        text: The texts of its bases and its own, each under its file's name.
        env_variables: Variables of the environment that were used.
        code_files: Files among them that define classes or functions.
        imported: Dotted paths of what the file imports lazily, by name.
    """

    values: ConfigDict
    names: dict[str, Any]
    text: str
    env_variables: dict[str, str]
    code_files: tuple[str, ...]
    imported: dict[str, str]


@define
class Reader:
    """Reads config files.

    Args:
        use_file_names: Put in ``{{ fileDirname }}`` and the like.
        use_environment: Put in ``{{$NAME:default}}``.
        lazy: Whether imports in Python files are lazy; ``None``: they are in files that
            hold only data.
    """

    use_file_names: bool = True
    use_environment: bool = True
    lazy: bool | None = None
    _chain: list[Path] = field(factory=list, init=False)  # from the first to this one
    _code: list[str] = field(factory=list, init=False)
    _environment: dict[str, str] = field(factory=dict, init=False)

    def read(self, path: Path) -> Loaded:
        """Read a file and its bases.

        Raises:
            ConfigError: A file is missing, is not of its format, or fails; or its bases
                go in a circle or clash.
        """
        suffix = path.suffix
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            message = f"config {path} {what}"
            raise ConfigError(message)
        if suffix not in SUFFIXES:
            message = (
                f"config {path}: {suffix or 'no suffix'!r} is none of the formats "
                f"{', '.join(SUFFIXES)}"
            )
            raise ConfigError(message)
        real = path.resolve()
        if real in [one.resolve() for one in self._chain]:
            chain = " -> ".join(str(one) for one in (*self._chain, path))
            message = f"{self._chain[-1]}: the bases go in a circle: {chain}"
            raise ConfigError(message)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"config {path}: it is not text in UTF-8: {error}"
            raise ConfigError(message) from error
        self._chain.append(path)
        try:
            return self.read_text(text, suffix, path)
        finally:
            self._chain.pop()

    def read_text(self, text: str, suffix: str, path: Path, name: str = "") -> Loaded:
        """Read a text as if it were the file ``path``.

        Args:
            text: Of the config.
            suffix: Its format.
            path: Where its bases are looked for; the file, if ``name`` is empty.
            name: What messages call a text that is no file.
        """
        shown = name or str(path)
        source = text
        if self.use_file_names:
            text = with_file_names(text, path)
        if self.use_environment:
            text, used = with_environment(text, shown, suffix)
            self._environment.update(used)
        if suffix == ".py":
            values, names, inner, imported = self._python(text, path, name)
        else:
            values, inner = self._data(text, suffix, path, shown)
            names, imported = values, {}
        deprecation = dict.pop(values, "_deprecation_", None)
        if isinstance(deprecation, Mapping):
            self._warn(shown, deprecation)
        return Loaded(
            values=values,
            names=dict(dict.items(names)),
            text="".join([*(one.text for one in inner), f"{shown}\n{source}\n"]),
            env_variables=dict(self._environment),
            code_files=tuple(self._code),
            imported=imported,
        )

    # ------------------------------------------------------------------ the formats

    def _data(
        self, text: str, suffix: str, path: Path, shown: str
    ) -> tuple[ConfigDict, list[Loaded]]:
        found = parse(quoted_references(text), suffix, shown)
        entries = found.pop("_base_", [])
        entries = [entries] if isinstance(entries, str) else entries
        line = _line_of(text, "_base_")
        where = f"{shown}:{line}"
        if not isinstance(entries, list) or not all(
            isinstance(entry, str) for entry in entries
        ):
            message = (
                f"{where}: _base_ must be a path or a list of paths, found {entries!r}"
            )
            raise ConfigError(message)
        base, loaded = self._bases(entries, path, where)
        if entries:
            found = _filled(found, base, text, shown)
        values = ConfigDict(found)
        _place_custom_imports(values, path)
        return merge(base, values, place=_placer(path, shown)), loaded

    def _python(
        self, text: str, path: Path, name: str
    ) -> tuple[ConfigDict, dict[str, Any], list[Loaded], dict[str, str]]:
        shown = name or str(path)
        filename = f"<{name}>" if name else os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
        program = read_program(text, shown, filename)
        where = f"{shown}:{program.bases_line}"
        base, loaded = self._bases(list(program.bases), path, where)
        bound: list[tuple[dict[str, Any], set[str]]] = []
        origin: dict[str, Path] = {}
        for one in program.imports:
            place = f"{shown}:{one.line}"
            file = imported_base(one.module, one.level, path, place)
            inner = self.read(file)
            loaded.append(inner)
            names = _bound_names(inner, one.names, file, place)
            values = {here for here in names if names[here][1]}
            for here in sorted(values):
                if here in origin:
                    raise _clash([here], origin[here], file, place)
                origin[here] = file
            bound.append(({here: names[here][0] for here in names}, values))
        lazy = self.lazy if self.lazy is not None else not program.is_code

        def run(namespace: dict[str, Any]) -> Any:
            return run_program(
                program,
                namespace,
                lazy=lazy,
                base=base if program.bases else None,
                bound=bound,
            )

        if program.is_code:
            digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            module = f"engine_config_text_{digest}" if name else module_name(filename)
            given = (base, [names for names, _ in bound], lazy)
            variables = run_as_module(module, filename, text, given, run)
            if not name and filename not in self._code:
                self._code.append(filename)
        else:
            variables = run({"__name__": Path(filename).stem})
        own = ConfigDict(
            {key: copied(owned(item)) for key, item in variables.values.items()}
        )
        _place_custom_imports(own, path)
        base = copied(variables.base)
        values_ = merge(base, own, place=_placer(path, shown))
        imported = {
            key: dotted for one in loaded for key, dotted in one.imported.items()
        } | variables.imported
        names_ = {**dict(dict.items(base)), **variables.names}
        names_.update(dict.items(values_))
        return values_, names_, loaded, imported

    # -------------------------------------------------------------------- the bases

    def _bases(
        self, entries: list[str], path: Path, where: str
    ) -> tuple[ConfigDict, list[Loaded]]:
        """The values of the bases together; they may not share a key."""
        merged, loaded = ConfigDict(), []
        origin: dict[Any, Path] = {}
        for entry in entries:
            file, scope = base_path(entry, path, where)
            inner = self.read(file)
            loaded.append(inner)
            both = [key for key in inner.values if key in merged]
            if both:
                raise _clash(both, origin[both[0]], file, where)
            values = copied(inner.values)
            if scope is not None:
                _set_scope(values, scope)
            for key, value in dict.items(values):
                dict.__setitem__(merged, key, value)
                origin[key] = file
        return merged, loaded

    def _warn(self, shown: str, deprecation: Mapping[str, Any]) -> None:
        expected = deprecation.get("expected")
        reference = deprecation.get("reference")
        above = self._chain[:-1]
        message = f"the config {shown} is deprecated"
        if above:
            message = f"{above[-1]} starts from {shown}, which is deprecated"
        if expected:
            message += f"; use {expected}"
        if reference:
            message += f" (see {reference})"
        warnings.warn(message, DeprecationWarning, stacklevel=2)


def _bound_names(
    inner: Loaded, wanted: tuple[tuple[str, str], ...], file: Path, where: str
) -> dict[str, tuple[Any, bool]]:
    """What an import of a base binds: values, and whether they are the config's."""
    bound: dict[str, tuple[Any, bool]] = {}
    for name, here in wanted:
        if name == "*":
            for key, value in inner.names.items():
                if isinstance(key, str) and not key.startswith("_"):
                    bound[key] = (value, key in inner.values)
        elif name in inner.names:
            bound[here] = (inner.names[name], name in inner.values)
        else:
            known = ", ".join(repr(key) for key in inner.values)
            message = f"{where}: {file} has no {name!r}; it has {known or 'nothing'}"
            raise ConfigError(message)
    return bound


def _placer(path: Path, shown: str) -> Callable[[tuple[Any, ...]], str]:
    """What a message about a key of a file begins with."""
    return lambda keys: f"{locate(path, keys) or shown}: "


def _clash(keys: list[Any], first: Path, second: Path, where: str) -> ConfigError:
    named = ", ".join(repr(key) for key in keys)
    return ConfigError(
        f"{where}: {first} and {second} both set {named}. Bases of one config must not "
        "share a key: drop it from one, or let one be the base of the other."
    )


def _set_scope(value: Any, scope: str) -> None:
    """Let the specs of another package's config be built in its scope."""
    if isinstance(value, dict):
        for item in dict.values(value):
            _set_scope(item, scope)
        if isinstance(dict.get(value, "type"), str):
            dict.setdefault(value, "_scope_", scope)
    elif isinstance(value, list | tuple):
        for item in value:
            _set_scope(item, scope)


def _filled(value: Any, base: ConfigDict, text: str, shown: str) -> Any:
    """Parsed values with the references to bases put in."""
    if isinstance(value, str):
        found = BASE_REFERENCE.search(value)
        if found is None:
            return value
        return fill_in(value, base, f"{shown}:{_line_of(text, found[0])}")
    if isinstance(value, dict):
        return {key: _filled(one, base, text, shown) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_filled(one, base, text, shown) for one in value)
    return value


def _line_of(text: str, what: str) -> int:
    place = text.find(what)
    return text.count("\n", 0, place) + 1 if place >= 0 else 1


# ---------------------------------------------------------------------- custom imports


def _place_custom_imports(values: ConfigDict, path: Path) -> None:
    """Make paths among a file's custom imports absolute: bases lie elsewhere."""
    custom = dict.get(values, _CUSTOM)
    if not isinstance(custom, dict):
        return
    imports = custom.get("imports")
    listed = [imports] if isinstance(imports, str) else imports
    if not isinstance(listed, list | tuple):
        return
    custom["imports"] = [
        os.path.abspath(path.parent / one)  # noqa: PTH100 - resolve() would follow links
        if isinstance(one, str) and one.endswith(".py")
        else one
        for one in listed
    ]


def import_custom(values: ConfigDict, where: Callable[[], str], reader: Reader) -> None:
    """Import the modules and files that ``custom_imports`` names.

    Args:
        values: The config.
        where: Gives its file and line, for messages.
        reader: Reads the files.

    Raises:
        ConfigError: One cannot be imported and ``allow_failed_imports`` is not set; or
            ``custom_imports`` is no such mapping.
    """
    custom = dict.get(values, _CUSTOM)
    if custom is None:
        return
    imports = custom.get("imports") if isinstance(custom, dict) else None
    imports = [imports] if isinstance(imports, str) else imports
    known = {"imports", "allow_failed_imports"}
    if (
        not isinstance(imports, list | tuple)
        or not all(isinstance(one, str) for one in imports)
        or not known.issuperset(custom)
    ):
        message = (
            f"{where()}: {_CUSTOM} must be a mapping with 'imports', a list of "
            f"modules, and perhaps 'allow_failed_imports'; found {custom!r}"
        )
        raise ConfigError(message)
    for name in imports:
        try:
            if name.endswith(".py"):
                reader.read(Path(name))
            else:
                import_module(name)
        except Exception as error:
            what = str(error)
            if not isinstance(error, ConfigError):
                what = f"{type(error).__name__}: {what}"
            message = f"{where()}: {_CUSTOM}: cannot import {name!r}: {what}"
            if not custom.get("allow_failed_imports"):
                raise ConfigError(message) from error
            warnings.warn(message, UserWarning, stacklevel=3)


def with_code_files(values: ConfigDict, code_files: tuple[str, ...]) -> None:
    """Note the files that define classes, so that a written config finds them again."""
    if not code_files:
        return
    custom = dict.get(values, _CUSTOM)
    if custom is None:
        values[_CUSTOM] = {"imports": list(code_files)}
    elif isinstance(custom, dict):
        listed = custom.get("imports", [])
        listed = [listed] if isinstance(listed, str) else list(listed)
        custom["imports"] = listed + [one for one in code_files if one not in listed]
