"""The log processor and the visualizer from their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, a_type
from engine.loops import LogProcessor
from engine.registry import LOG_PROCESSORS, VISBACKENDS, VISUALIZERS
from engine.state import fence
from engine.visualization import Visualizer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_log_processor", "build_visualizer"]


def build_log_processor(log_processor: Any, *, by_epoch: bool) -> Any:
    """A log processor; ``None`` gives one that counts as the run does.

    Raises:
        ConfigError: It is neither a log processor nor a spec of one.
    """
    if log_processor is None:
        return LogProcessor(by_epoch=by_epoch)
    if isinstance(log_processor, Mapping):
        return LOG_PROCESSORS.build({"type": "LogProcessor", **log_processor})
    return _checked(log_processor, "get_log_after_iter", "log processor")


def build_visualizer(
    visualizer: Any, *, save_dir: Path, name: str = "visualizer"
) -> Any:
    """A visualizer; ``None`` gives one with the local backend.

    Args:
        visualizer: A visualizer, a spec with ``vis_backends`` (specs or objects), or
            ``None``.
        save_dir: Folder for backends whose spec names none.
        name: Its name, if its spec gives none.

    Raises:
        ConfigError: It is none of these.
    """
    if visualizer is None:
        visualizer = {"vis_backends": [{"type": "LocalVisBackend"}]}
    if not isinstance(visualizer, Mapping):
        return _checked(visualizer, "add_scalars", "visualizer")
    spec = {"type": Visualizer, "name": name, **visualizer}
    folder = str(spec.pop("save_dir", save_dir / "vis_data"))
    backends = spec.pop("vis_backends", None) or []
    if not isinstance(backends, Sequence):
        backends = [backends]
    with fence():  # the model, built next, begins alike whoever watches
        built = [
            VISBACKENDS.build({"save_dir": folder, **one})
            if isinstance(one, Mapping)
            else one
            for one in backends
        ]
        return VISUALIZERS.build(spec, vis_backends=built, save_dir=folder)


def _checked(part: Any, method: str, kind: str) -> Any:
    if callable(getattr(part, method, None)):
        return part
    message = f"expected a {kind} or a spec of one, found {a_type(part)}"
    raise ConfigError(message)
