"""Where scalars, pictures and configs of a run are shown.

No client of a service is imported before a backend that needs it is made.
"""

from __future__ import annotations

from engine.visualization.aim import AimVisBackend
from engine.visualization.backend import BaseVisBackend
from engine.visualization.clearml import ClearMLVisBackend
from engine.visualization.dvclive import DVCLiveVisBackend
from engine.visualization.local import LocalVisBackend
from engine.visualization.mlflow import MLflowVisBackend
from engine.visualization.neptune import NeptuneVisBackend
from engine.visualization.tensorboard import TensorboardVisBackend
from engine.visualization.tracker import TrackerBackend
from engine.visualization.visualizer import Visualizer
from engine.visualization.wandb import WandbVisBackend

__all__ = [
    "AimVisBackend",
    "BaseVisBackend",
    "ClearMLVisBackend",
    "DVCLiveVisBackend",
    "LocalVisBackend",
    "MLflowVisBackend",
    "NeptuneVisBackend",
    "TensorboardVisBackend",
    "TrackerBackend",
    "Visualizer",
    "WandbVisBackend",
]
