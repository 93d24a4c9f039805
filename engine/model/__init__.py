"""What a loop calls on a model, and how a plain module comes to have it."""

from __future__ import annotations

from engine.model.step_model import StepModel
from engine.model.steps import require_step

__all__ = ["StepModel", "require_step"]
