"""Records what torch does in the first epochs or iterations."""

from __future__ import annotations

import glob
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import profiler

from engine.errors import ConfigError, check_switch
from engine.events import Priority
from engine.hooks.hook import Hook
from engine.registry import HOOKS

if TYPE_CHECKING:
    from engine.state import RunContext
    from engine.typing import Batch

__all__ = ["ProfilerHook"]

_HANDLERS = ("log_trace", "tb_trace")


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Records by ``torch.profiler`` what torch does at the beginning of training.

    Profiling slows training down; it stops by itself after ``profile_times``, and when
    training ends before. Counted in each process: a resumed run is profiled too.

    Args:
        by_epoch: Whether ``profile_times`` counts epochs, or iterations.
        profile_times: How many, at least 1.
        activity_with_cpu: Whether to record the host's work.
        activity_with_cuda: Whether to record CUDA kernels.
        schedule: Arguments of ``torch.profiler.schedule``, in iterations: ``wait``,
            ``warmup``, ``active``, ``repeat``, ``skip_first``. ``None``: everything is
            recorded.
        on_trace_ready: Gets the profiler when a record is whole: a callable;
            ``{"type": "log_trace", ...}``, a table in the log, with arguments of
            ``key_averages().table()``; ``{"type": "tb_trace", "dir_name": ...,
            "worker_name": ...}``, a file that TensorBoard's profiler plugin reads, in
            ``tf_tracing_logs`` in the log folder unless ``dir_name`` says otherwise.
        record_shapes: Whether to record the shapes of inputs.
        profile_memory: Whether to record what is allocated.
        with_stack: Whether to record source lines.
        with_flops: Whether to estimate floating point operations.
        json_trace_path: Gets the newest record for ``chrome://tracing``; on rank 1 its
            name ends with ``.1`` before the suffix, and so on.

    Raises:
        ConfigError: An argument is out of range, or CUDA is asked for and not there.
    """

    priority: ClassVar[Priority] = Priority.VERY_LOW
    transient: ClassVar[frozenset[str]] = frozenset({"_profiler", "_left", "_recorded"})

    def __init__(
        self,
        *,
        by_epoch: bool = True,
        profile_times: int = 1,
        activity_with_cpu: bool = True,
        activity_with_cuda: bool = False,
        schedule: Mapping[str, int] | None = None,
        on_trace_ready: Callable[..., Any] | Mapping[str, Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | Path | None = None,
    ) -> None:
        check_switch("ProfilerHook: by_epoch", by_epoch)
        if (
            not isinstance(profile_times, int)
            or isinstance(profile_times, bool)
            or profile_times < 1
        ):
            message = (
                f"ProfilerHook: profile_times={profile_times!r}: give a whole number "
                "of at least 1"
            )
            raise ConfigError(message)
        self.by_epoch = by_epoch
        self.profile_times = profile_times
        self.json_trace_path = (
            None if json_trace_path is None else Path(json_trace_path)
        )
        self._on_trace_ready = _check_handler(on_trace_ready)
        self._options: dict[str, Any] = {
            "activities": _activities(cpu=activity_with_cpu, cuda=activity_with_cuda),
            "schedule": None if schedule is None else _schedule(schedule),
            "record_shapes": record_shapes,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "with_flops": with_flops,
        }
        self._profiler: profiler.profile | None = None
        self._left = 0
        self._recorded = False

    def before_train(self, runner: RunContext) -> None:
        """Begin to record."""
        if self._profiler is not None:
            return
        self._left, self._recorded = self.profile_times, False
        self._profiler = profiler.profile(
            on_trace_ready=lambda one: self._ready(runner, one), **self._options
        )
        self._profiler.start()

    def after_train_iter(
        self,
        runner: RunContext,
        batch_idx: int,
        data_batch: Batch = None,
        outputs: Any = None,
    ) -> None:
        """Begin the record of the next iteration, or end."""
        if self._profiler is None:
            return
        self._profiler.step()
        if not self.by_epoch:
            self._count(runner)

    def after_train_epoch(self, runner: RunContext) -> None:
        """End, after the last epoch that is recorded."""
        if self._profiler is not None and self.by_epoch:
            self._count(runner)

    def after_train(self, runner: RunContext) -> None:
        """End, if training is shorter."""
        self._stop(runner)

    def on_exception(self, runner: RunContext, error: BaseException) -> None:
        """End: what was recorded up to an error is of use."""
        self._stop(runner)

    def on_interrupt(self, runner: RunContext, signal: int | None) -> None:
        """End with the process's work."""
        self._stop(runner)

    def _count(self, runner: RunContext) -> None:
        self._left -= 1
        if self._left == 0:
            self._stop(runner)

    def _stop(self, runner: RunContext) -> None:
        one, self._profiler = self._profiler, None
        if one is None:
            return
        one.stop()
        if not self._recorded:
            runner.logger.warning(
                "nothing_profiled",
                line="ProfilerHook recorded nothing: it ended before its schedule's "
                "first active iteration. Shorten the schedule, or raise profile_times.",
            )

    def _ready(self, runner: RunContext, one: profiler.profile) -> None:
        self._recorded = True
        trace: Path | None = None
        handler = self._on_trace_ready
        if isinstance(handler, Mapping):
            arguments = dict(handler)
            if arguments.pop("type") == "log_trace":
                arguments.setdefault("sort_by", "self_cpu_time_total")
                table = one.key_averages().table(**arguments)
                runner.logger.info("profile", line=f"Profile:\n{table}", table=table)
            else:
                trace = _write_for_tensorboard(runner, one, **arguments)
                runner.logger.info("profile", line=f"Profile: {trace}", path=str(trace))
        elif handler is not None:
            handler(one)
        path = self.json_trace_path
        if path is not None:
            if runner.rank:
                path = path.with_name(f"{path.stem}.{runner.rank}{path.suffix}")
            path.parent.mkdir(parents=True, exist_ok=True)
            if trace is None:
                one.export_chrome_trace(str(path))
            else:  # torch writes a record once only
                shutil.copyfile(trace, path)


def _write_for_tensorboard(
    runner: RunContext,
    one: profiler.profile,
    dir_name: str | Path = "tf_tracing_logs",
    worker_name: str | None = None,
) -> Path:
    folder = Path(runner.log_dir) / dir_name
    if worker_name is None:
        worker_name = f"{socket.gethostname()}_{os.getpid()}"  # as torch's
    elif runner.rank:
        worker_name = f"{worker_name}.{runner.rank}"
    ours = f"{glob.escape(worker_name)}.*.pt.trace.json*"  # others write there too
    there = set(folder.glob(ours)) if folder.is_dir() else set()
    profiler.tensorboard_trace_handler(str(folder), worker_name)(one)
    return next(path for path in folder.glob(ours) if path not in there)


def _activities(*, cpu: bool, cuda: bool) -> list[profiler.ProfilerActivity]:
    check_switch("ProfilerHook: activity_with_cpu", cpu)
    check_switch("ProfilerHook: activity_with_cuda", cuda)
    if not cpu and not cuda:
        message = (
            "ProfilerHook: activity_with_cpu and activity_with_cuda are both off: "
            "there is nothing to record"
        )
        raise ConfigError(message)
    if cuda and not torch.cuda.is_available():
        message = (
            "ProfilerHook: activity_with_cuda=True, but torch finds no CUDA device "
            "here. Leave it out."
        )
        raise ConfigError(message)
    wanted = (
        (cpu, profiler.ProfilerActivity.CPU),
        (cuda, profiler.ProfilerActivity.CUDA),
    )
    return [activity for on, activity in wanted if on]


def _schedule(schedule: Mapping[str, int]) -> Callable[[int], Any]:
    try:
        made: Callable[[int], Any] = profiler.schedule(**schedule)
    except (AssertionError, TypeError) as error:  # torch's ways to refuse
        message = f"ProfilerHook: schedule={dict(schedule)!r}: {error}"
        raise ConfigError(message) from error
    return made


def _check_handler(handler: Any) -> Callable[..., Any] | Mapping[str, Any] | None:
    if handler is None or callable(handler):
        return handler  # type: ignore[no-any-return]  # asked just now
    if not isinstance(handler, Mapping) or handler.get("type") not in _HANDLERS:
        message = (
            f"ProfilerHook: on_trace_ready={handler!r}: give a callable, or a mapping "
            f"whose type is {' or '.join(map(repr, _HANDLERS))}"
        )
        raise ConfigError(message)
    return handler
