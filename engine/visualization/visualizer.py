"""The one door to all backends of a run."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError
from engine.registry import VISUALIZERS
from engine.state import fence
from engine.visualization.backend import BaseVisBackend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Visualizer"]


@VISUALIZERS.register_module()
class Visualizer:
    """Hands configs and scalars to each backend, in their order.

    Args:
        name: The run's name.
        vis_backends: One backend, or several of different classes. ``None``: nothing
            is shown.
        save_dir: Folder of the run's pictures and numbers. Backends have theirs.

    Raises:
        ConfigError: Something among ``vis_backends`` is no backend, or two have the
            same class.
    """

    def __init__(
        self,
        name: str = "visualizer",
        *,
        vis_backends: BaseVisBackend | Sequence[BaseVisBackend] | None = None,
        save_dir: str | Path | None = None,
    ) -> None:
        self.name = name
        self.save_dir = None if save_dir is None else Path(save_dir)
        self._backends: dict[str, BaseVisBackend] = {}
        several: Sequence[Any] = (
            vis_backends if isinstance(vis_backends, (list, tuple)) else [vis_backends]
        )
        for index, backend in enumerate([] if vis_backends is None else several):
            self._add(index, backend)

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Show the run's config in each backend.

        Args:
            config: A ``Config``, or anything that ``str`` makes readable.
            kwargs: Handed on to the backends.
        """
        with self._fence():
            for backend in self._backends.values():
                backend.add_config(config, **kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Show one value in each backend.

        Args:
            name: What it is called, such as ``"loss"``.
            value: A number, or a tensor or array with one element.
            step: Iterations or epochs finished.
            kwargs: Handed on to the backends.
        """
        with self._fence():
            for backend in self._backends.values():
                backend.add_scalar(name, value, step, **kwargs)

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Show several values of one step in each backend.

        Args:
            scalar_dict: Values by name, each as for :meth:`add_scalar`. Not changed.
            step: Iterations or epochs finished.
            file_path: A file of their own, for backends that have files.
            kwargs: Handed on to the backends.
        """
        with self._fence():
            for backend in self._backends.values():
                backend.add_scalars(scalar_dict, step, file_path, **kwargs)

    def get_backend(self, name: str) -> BaseVisBackend | None:
        """The backend whose class is called ``name``; ``None`` if there is none.

        Args:
            name: Name of a class, such as ``"LocalVisBackend"``.
        """
        return self._backends.get(name)

    def state_dict(self) -> dict[str, Any]:
        """How far each backend has written, by the name of its class."""
        return {name: one.state_dict() for name, one in self._backends.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Let each backend take back what it wrote after :meth:`state_dict`.

        Args:
            state_dict: What it returned. A backend that is new there begins anew.
        """
        for name, one in self._backends.items():
            if name in state_dict:
                one.load_state_dict(state_dict[name])

    def close(self) -> None:
        """Close each backend, also if one of them fails."""
        with self._fence(), ExitStack() as stack:
            for backend in self._backends.values():
                stack.callback(backend.close)

    def _fence(self) -> AbstractContextManager[Any]:
        """Keeps the random generators in place, where a backend may draw from them."""
        quiet = all(one.draws_nothing for one in self._backends.values())
        return nullcontext() if quiet else fence()

    def _add(self, index: int, backend: BaseVisBackend) -> None:
        kind = type(backend).__name__
        if not isinstance(backend, BaseVisBackend):
            msg = (
                f"Visualizer: vis_backends[{index}] is a {kind}, but finished "
                "BaseVisBackend objects are needed. Build a spec first: "
                "VISBACKENDS.build(spec, save_dir=...)."
            )
            raise ConfigError(msg)
        if kind in self._backends:
            msg = (
                f"Visualizer: vis_backends[{index}] is a second {kind}, but "
                "get_backend finds them by class. Leave one out, or give it a "
                "subclass with a name of its own."
            )
            raise ConfigError(msg)
        self._backends[kind] = backend
