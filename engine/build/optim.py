"""Schedules from their specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from engine.config import at
from engine.errors import ConfigError, a_type, did_you_mean
from engine.optim import OptimWrapperDict, TorchSchedule, build_optim_wrapper
from engine.registry import PARAM_SCHEDULERS

__all__ = ["build_optim_wrapper", "build_param_schedulers"]


@frozen
class _Run:
    """What a schedule may need to know of the run."""

    max_epochs: int
    max_iters: int
    epoch_length: int | None
    validates: bool


def build_param_schedulers(
    schedules: Any,
    optim_wrapper: Any,
    *,
    max_epochs: int,
    max_iters: int,
    epoch_length: int | None = None,
    validates: bool = True,
) -> Any:
    """Schedules of the optimizer's values.

    Args:
        schedules: A schedule or a spec, or a list of them; ``None``: none. For several
            optimizers a mapping of their names to these; what is no such mapping is
            made for each of them. In a spec ``end`` defaults to the run's length, and
            ``convert_to_iter_based=True`` lets one that is given in epochs step with
            each iteration. torch's schedulers take ``by_epoch`` beside their arguments,
            and those made of others take specs of these as ``schedulers``.
        optim_wrapper: What they act on.
        max_epochs: The run's length in epochs.
        max_iters: The run's length in iterations; 0 if that is not known.
        epoch_length: Batches in a pass over the data, which an epoch is also in a run
            bounded by iterations; ``None``: ``max_iters / max_epochs``, if known.
        validates: Whether the run validates: some schedules wait for that.

    Returns:
        A list; of several optimizers a dict of lists, by name.

    Raises:
        ConfigError: Something is neither a schedule nor a spec, a name is of no
            optimizer, or an epoch's length or a validation is needed and not there.
        ScheduleError: A schedule's settings cannot work.
    """
    if epoch_length is None and max_iters:
        epoch_length = max_iters // max_epochs
    run = _Run(max_epochs, max_iters, epoch_length, validates)
    if not isinstance(optim_wrapper, OptimWrapperDict):
        if isinstance(schedules, Mapping) and "type" not in schedules:
            message = (
                f"needs 'type', found {sorted(schedules)}. By name of optimizer it is "
                "given where there are several; here is one"
            )
            raise ConfigError(message)
        return _build_list(schedules, optim_wrapper, run)
    if not isinstance(schedules, Mapping) or "type" in schedules:
        schedules = dict.fromkeys(optim_wrapper, schedules)
    for name in schedules:
        if name not in optim_wrapper:
            message = (
                f"no optimizer is called {name!r}, there are {sorted(optim_wrapper)}."
                f"{did_you_mean(str(name), optim_wrapper)}"
            )
            raise ConfigError(message)
    built = {}
    for name, some in schedules.items():
        with at(name):
            built[name] = _build_list(some, optim_wrapper[name], run)
    return built


def _build_list(schedules: Any, optimizer: Any, run: _Run) -> list[Any]:
    if schedules is None:
        return []
    if not isinstance(schedules, Sequence):
        schedules = [schedules]
    built = []
    for index, one in enumerate(schedules):
        with at(index):
            schedule = _build(one, optimizer, run)
            if getattr(schedule, "need_val_args", False) and not run.validates:
                message = (
                    f"{a_type(schedule)} waits for a validation's metrics, but this "
                    "run has no validation. Give val_dataloader, val_cfg and "
                    "val_evaluator, or take another schedule"
                )
                raise ConfigError(message)
            built.append(schedule)
    return built


def _build(schedule: Any, optimizer: Any, run: _Run) -> Any:
    if not isinstance(schedule, Mapping):
        if callable(getattr(schedule, "step", None)):
            return schedule
        message = f"expected a schedule or a spec, found {a_type(schedule)}"
        raise ConfigError(message)
    spec = dict(schedule)
    if "type" not in spec:
        message = f"a spec needs 'type', the name of a schedule, found {sorted(spec)}"
        raise ConfigError(message)
    if _is_torchs(spec.get("type")):
        return _build_torchs(spec, optimizer)
    end = run.max_epochs if spec.get("by_epoch", True) else run.max_iters
    if end:
        spec.setdefault("end", end)
    return PARAM_SCHEDULERS.build(
        spec,
        optimizer=optimizer,
        # Only a spec with convert_to_iter_based needs it.
        epoch_length=run.epoch_length,
    )


def _is_torchs(kind: Any) -> bool:
    if isinstance(kind, str):
        kind = PARAM_SCHEDULERS.get(kind)
    return isinstance(kind, type) and issubclass(kind, LRScheduler)


def _build_torchs(spec: dict[str, Any], optimizer: Any) -> TorchSchedule:
    settings = {key: spec.pop(key) for key in ("by_epoch", "monitor") if key in spec}
    inner = getattr(optimizer, "optimizer", optimizer)
    return TorchSchedule(_build_torchs_own(spec, inner), **settings)


def _build_torchs_own(spec: dict[str, Any], optimizer: Any) -> Any:
    """One of torch's schedulers; one made of others (``SequentialLR``) with these."""
    spec = dict(spec)
    parts = spec.get("schedulers")
    if isinstance(parts, Sequence):
        spec["schedulers"] = [
            _build_part(one, optimizer, index) if isinstance(one, Mapping) else one
            for index, one in enumerate(parts)
        ]
    return PARAM_SCHEDULERS.build(spec, optimizer=optimizer)


def _build_part(spec: Mapping[str, Any], optimizer: Any, index: int) -> Any:
    kind = spec.get("type")
    if isinstance(kind, str):  # here LinearLR is torch's: only such can be a part
        kind = getattr(lr_scheduler, kind, kind)
    with at("schedulers", index):
        if not _is_torchs(kind):
            message = f"expected one of torch's schedulers, found {kind!r}"
            raise ConfigError(message)
        return _build_torchs_own({**spec, "type": kind}, optimizer)
