"""Where checkpoints come from, by the prefix of their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from engine.checkpoint.reading import read
from engine.errors import DuplicateNameError

if TYPE_CHECKING:
    from engine.checkpoint.pieces import Layout

__all__ = ["CheckpointLoader"]

Loader = Callable[..., Any]
_Loader = TypeVar("_Loader", bound=Loader)


class CheckpointLoader:
    """Loads checkpoints; users register what loads those with a prefix of their own.

    A name with none of the registered prefixes is a local path, or a URL that fsspec
    knows.
    """

    _schemes: ClassVar[dict[str, Loader]] = {}

    @overload
    @classmethod
    def register_scheme(
        cls, prefixes: str | Sequence[str], loader: None = None, force: bool = False
    ) -> Callable[[_Loader], _Loader]: ...

    @overload
    @classmethod
    def register_scheme(
        cls, prefixes: str | Sequence[str], loader: _Loader, force: bool = False
    ) -> _Loader: ...

    @classmethod
    def register_scheme(
        cls,
        prefixes: str | Sequence[str],
        loader: Any = None,
        force: bool = False,
    ) -> Any:
        """Register what loads names with a prefix; a decorator without ``loader``.

        Args:
            prefixes: One or several, as ``"zoo://"``. The longest that fits is taken.
            loader: ``loader(filename, map_location) -> checkpoint``.
            force: Whether it may take the place of another.

        Raises:
            DuplicateNameError: A prefix is taken.
        """

        def register(one: _Loader) -> _Loader:
            for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
                if prefix in cls._schemes and not force:
                    message = (
                        f"checkpoints that begin with {prefix!r} have a loader "
                        "already: pass force=True to replace it"
                    )
                    raise DuplicateNameError(message)
                cls._schemes[prefix] = one
            return one

        return register if loader is None else register(loader)

    @classmethod
    def load_checkpoint(
        cls,
        filename: str | os.PathLike[str],
        map_location: Any = None,
        logger: Any = None,
        *,
        layout: Layout | None = None,
    ) -> Any:
        """Load what a file holds.

        Args:
            filename: A path, a URL, or a name with a registered prefix.
            map_location: Where tensors are put, as for ``torch.load``.
            logger: Told which file, by ``info(event, **keys)``; ``None``: nobody is.
            layout: As for :func:`read`.

        Raises:
            CheckpointNotFoundError: There is no such file.
            CheckpointDamagedError: It cannot be read.
        """
        if logger is not None and not isinstance(logger, str):
            logger.info("checkpoint_loads", path=os.fspath(filename))
        name = os.fspath(filename)
        fits = [prefix for prefix in cls._schemes if name.startswith(prefix)]
        if fits:
            return cls._schemes[max(fits, key=len)](name, map_location=map_location)
        return read(filename, map_location=map_location, layout=layout)
