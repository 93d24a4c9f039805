"""Where scalars, pictures and configs of a run are shown."""

from __future__ import annotations

from engine.visualization.backend import BaseVisBackend
from engine.visualization.local import LocalVisBackend
from engine.visualization.tensorboard import TensorboardVisBackend
from engine.visualization.tracker import TrackerBackend
from engine.visualization.visualizer import Visualizer

__all__ = [
    "BaseVisBackend",
    "LocalVisBackend",
    "TensorboardVisBackend",
    "TrackerBackend",
    "Visualizer",
]
