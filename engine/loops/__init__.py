"""The trainer, the validator and the tester, and what counts and paces them."""

from engine.loops.base_loop import BaseLoop
from engine.loops.clock import Clock
from engine.loops.context import EngineContext
from engine.loops.eval_loop import TestLoop, ValLoop
from engine.loops.evaluate import EvalEngine
from engine.loops.evaluation_mode import evaluation_mode
from engine.loops.interval import ValidationPlan
from engine.loops.log_processor import LogProcessor
from engine.loops.loop import EventEngine
from engine.loops.stops import Stops
from engine.loops.train import TrainEngine
from engine.loops.train_loop import EpochBasedTrainLoop, IterBasedTrainLoop

__all__ = [
    "BaseLoop",
    "Clock",
    "EngineContext",
    "EpochBasedTrainLoop",
    "EvalEngine",
    "EventEngine",
    "IterBasedTrainLoop",
    "LogProcessor",
    "Stops",
    "TestLoop",
    "TrainEngine",
    "ValLoop",
    "ValidationPlan",
    "evaluation_mode",
]
