"""Hooks: objects with methods for events, and those that come with the engine."""

from engine.hooks.audit import AuditHook
from engine.hooks.checkpoint import CheckpointHook
from engine.hooks.early_stopping import EarlyStoppingHook
from engine.hooks.ema import EMAHook
from engine.hooks.empty_cache import EmptyCacheHook
from engine.hooks.hook import Hook
from engine.hooks.hook_set import HookRecord, HookSet
from engine.hooks.iter_timer import IterTimerHook
from engine.hooks.ledger import LedgerHook
from engine.hooks.logger import LoggerHook
from engine.hooks.naive_visualization import NaiveVisualizationHook
from engine.hooks.nan_guard import NanGuardHook
from engine.hooks.param_scheduler import ParamSchedulerHook
from engine.hooks.points import POINTS, Point
from engine.hooks.prepare_tta import PrepareTTAHook
from engine.hooks.profiler import ProfilerHook
from engine.hooks.progress_bar import ProgressBarHook
from engine.hooks.runtime_info import RuntimeInfoHook
from engine.hooks.sampler_seed import DistSamplerSeedHook
from engine.hooks.sync_buffers import SyncBuffersHook
from engine.hooks.timeline import TimelineHook
from engine.hooks.translate import HookNameWarning

__all__ = [
    "POINTS",
    "AuditHook",
    "CheckpointHook",
    "DistSamplerSeedHook",
    "EMAHook",
    "EarlyStoppingHook",
    "EmptyCacheHook",
    "Hook",
    "HookNameWarning",
    "HookRecord",
    "HookSet",
    "IterTimerHook",
    "LedgerHook",
    "LoggerHook",
    "NaiveVisualizationHook",
    "NanGuardHook",
    "ParamSchedulerHook",
    "Point",
    "PrepareTTAHook",
    "ProfilerHook",
    "ProgressBarHook",
    "RuntimeInfoHook",
    "SyncBuffersHook",
    "TimelineHook",
]
