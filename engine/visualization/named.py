"""Visualizers by name, for code that is handed none; the engine looks none up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import StateError, a_type
from engine.registry import VISBACKENDS
from engine.state import Instances, running_run

if TYPE_CHECKING:
    from typing import Self

__all__ = ["NamedVisualizer"]


class NamedVisualizer:
    """What finds a visualizer again: by its name, or as the running run's.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> Self:
        """The running run's visualizer if it has that name, else one of this context's.

        Args:
            name: Its name.
            kwargs: Arguments for one that has to be made; specs among ``vis_backends``
                are built.
        """
        run = _of_the_run()
        if isinstance(run, cls) and run.name == name:
            return run
        made: Any = _NAMED.get(_key(cls, name), lambda: _make(cls, name, kwargs))
        found: Self = made
        return found

    @classmethod
    def get_current_instance(cls) -> Self:
        """The running run's visualizer.

        While none runs: the one that :meth:`get_instance` made last in this context. A
        thread that is started inside a run sees that run only if it is started with a
        copy of the context.

        Raises:
            StateError: There is none of this class.
        """
        run = _of_the_run()
        found = _NAMED.newest() if run is None else run
        if isinstance(found, cls):
            return found
        if found is None:
            message = (
                f"{cls.__name__}: no run is running in this context, and none was "
                f"made in it. Call {cls.__name__}.get_instance(name, "
                "vis_backends=...) first."
            )
            raise StateError(message)
        whose = "newest visualizer" if run is None else "running run's visualizer"
        message = (
            f"{cls.__name__}: the {whose} is {a_type(found)}. Ask its own class, "
            "or use runner.visualizer."
        )
        raise StateError(message)

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether :meth:`get_instance` would find one of that name."""
        run = _of_the_run()
        return _key(cls, name) in _NAMED or (isinstance(run, cls) and run.name == name)

    @property
    def instance_name(self) -> str:
        """Its name."""
        return self.name


def _of_the_run() -> Any:
    """The running run's visualizer, whatever it is; ``None``: no run, or not yet."""
    return getattr(running_run(), "visualizer", None)


def _key(kind: type, name: str) -> str:
    """Each class has names of its own."""
    return f"{kind.__module__}.{kind.__qualname__}: {name}"


def _make(kind: Any, name: str, given: Mapping[str, Any]) -> Any:
    arguments = dict(given)
    backends = arguments.get("vis_backends")
    if isinstance(backends, (list, tuple)):
        folder = {"save_dir": arguments.get("save_dir") or "."}
        arguments["vis_backends"] = [
            VISBACKENDS.build({**folder, **one}) if isinstance(one, Mapping) else one
            for one in backends
        ]
    return kind(name=name, **arguments)


_NAMED: Instances[NamedVisualizer] = Instances("visualizers")
