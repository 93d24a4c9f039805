"""Training, validation and test loops from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import ConfigError, a_type, check_switch, did_you_mean
from engine.loops import BaseLoop
from engine.optim.scheduler import check_on_longer
from engine.registry import LOOPS

__all__ = ["bounded_by_iters", "build_eval_loop", "build_train_loop"]


def bounded_by_iters(train_cfg: Any) -> bool:
    """Whether training is bounded by iterations, told before its loop is built.

    >>> bounded_by_iters({"max_iters": 100}), bounded_by_iters({"max_epochs": 2})
    (True, False)
    """
    if isinstance(train_cfg, Mapping):
        return "max_iters" in train_cfg
    plan = getattr(train_cfg, "plan", None)
    return plan is not None and not plan.by_epoch


def build_train_loop(loop: Any, runner: Any, dataloader: Iterable[Any]) -> Any:
    """A training loop.

    Args:
        loop: A finished loop, or settings: ``max_epochs`` (``by_epoch=True``) or
            ``max_iters`` (``by_epoch=False``) and the loop's other arguments, or a spec
            with the ``type`` of a loop. Either may have ``on_longer``.
        runner: The Runner.
        dataloader: The training data.

    Raises:
        ConfigError: The settings contradict each other or lack a bound.
        ScheduleError: ``on_longer`` is no choice.
    """
    if isinstance(loop, BaseLoop):
        return _of_mode(loop, "train")
    _check_mapping("train_cfg", loop)
    spec = dict(loop)
    on_longer = check_on_longer(spec.pop("on_longer", None))
    if "type" in spec and "by_epoch" in spec:
        message = (
            f"train_cfg: give 'type' ({spec['type']!r}) or 'by_epoch' "
            f"({spec['by_epoch']!r}), not both: the type says how it is bounded"
        )
        raise ConfigError(message)
    if "type" not in spec:
        by_epoch = spec.pop("by_epoch", "max_iters" not in spec)
        check_switch("train_cfg: by_epoch", by_epoch)
        bound, other = ("max_epochs", "max_iters")[:: 1 if by_epoch else -1]
        if bound not in spec or other in spec:
            message = (
                f"train_cfg: with by_epoch={by_epoch} give {bound!r} and not "
                f"{other!r}; found {sorted(spec)}"
            )
            message += "".join(did_you_mean(key, [bound]) for key in spec)
            raise ConfigError(message)
        spec["type"] = "EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop"
    built = LOOPS.build(spec, runner=runner, dataloader=dataloader)
    if on_longer is not None:
        built.on_longer = on_longer
    return _of_mode(built, "train")


def build_eval_loop(
    loop: Any,
    runner: Any,
    dataloader: Iterable[Any],
    evaluator: Any,
    *,
    default: str,
    where: str,
) -> Any:
    """A validation or test loop.

    Args:
        loop: A finished loop, or a spec; without ``type`` it is the default's.
        runner: The Runner.
        dataloader: What is evaluated.
        evaluator: The evaluator.
        default: ``ValLoop`` or ``TestLoop``.
        where: What messages call it.

    Raises:
        ConfigError: It is neither a loop nor a mapping.
    """
    mode = "val" if default == "ValLoop" else "test"
    if isinstance(loop, BaseLoop):
        return _of_mode(loop, mode)
    _check_mapping(where, loop)
    spec = {"type": default, **loop}
    built = LOOPS.build(spec, runner=runner, dataloader=dataloader, evaluator=evaluator)
    return _of_mode(built, mode)


def _of_mode(loop: Any, mode: str) -> Any:
    """A loop that knows what it is for, also one of the user's that did not say."""
    if isinstance(loop, BaseLoop) and not loop.mode:
        loop.mode = mode
    return loop


def _check_mapping(where: str, loop: Any) -> None:
    if not isinstance(loop, Mapping):
        message = f"{where}: expected a loop or a mapping, found {a_type(loop)}"
        raise ConfigError(message)
