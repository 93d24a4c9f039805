"""A run's state to a checkpoint, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from engine.checkpoint.format import FORMAT, environment, environment_changes
from engine.checkpoint.weights import load_state_dict
from engine.errors import CheckpointError
from engine.state import (
    Exactness,
    PartReport,
    RunState,
    capture_randomness,
    examine_randomness,
    restore_randomness,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.checkpoint.parts import Parts
    from engine.typing import Plain

__all__ = ["HookStates", "capture", "examine", "restore"]


class HookStates(Protocol):
    """The hooks of a run, as far as saving goes."""

    def state_dict(self) -> dict[str, Any]:
        """State of each hook that remembers."""

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Put states back."""

    def forgetful(self) -> dict[str, list[str]]:
        """Attributes that changed of hooks that have no state, by hook."""

    def claims(self, key: str) -> bool:
        """Whether a hook takes that key out of a checkpoint."""

    def examine(self, checkpoint: Mapping[str, Any]) -> list[PartReport]:
        """What of each hook's memory a checkpoint brings back."""


def capture(
    state: RunState,
    parts: Parts,
    hooks: HookStates,
    *,
    meta: Mapping[str, Plain] | None = None,
    save_optimizer: bool = True,
    save_param_scheduler: bool = True,
    at_safe_point: bool = True,
    randomness: Plain = None,
    data: Plain = None,
    validation: Plain = None,
    buckets: Plain = None,
) -> dict[str, Any]:
    """Put a run's state together.

    Args:
        state: Where the run is.
        parts: What it is made of.
        hooks: Their memory goes in too.
        meta: Facts to add to ``meta``.
        save_optimizer: Without it no run can go on from the file exactly.
        save_param_scheduler: Likewise.
        at_safe_point: Whether all handlers of the last event had run.
        randomness: Training's random generators; ``None``: as they are now.
        data: What the training data needs, beside its place in ``state``.
        validation: Where a validation is that is left between two of its batches.
        buckets: In which order the gradients of DDP wrappers become ready.

    Returns:
        A checkpoint (see ``checkpoint/format.py``); its tensors are the run's own.
    """
    checkpoint: dict[str, Any] = {
        "meta": {
            "epoch": state.epoch,
            "iter": state.iteration,
            "seed": state.seed,
            "time": datetime.now(tz=UTC).strftime("%Y%m%d_%H%M%S"),
            **(meta or {}),
        },
        "state_dict": {} if parts.model is None else parts.model.state_dict(),
        "message_hub": state.hub.state_dict(),
    }
    if save_optimizer and parts.optimizer is not None:
        checkpoint["optimizer"] = parts.optimizer.state_dict()
    if save_param_scheduler and parts.param_schedulers:
        checkpoint["param_schedulers"] = parts.schedulers_state()
    checkpoint["engine"] = {
        "format": FORMAT,
        "run_state": state.state_dict(),
        "randomness": capture_randomness() if randomness is None else randomness,
        "gradients": parts.gradients(state.iteration),
        "counts": parts.counts(),
        "optimizers": _kinds(parts),
        "evaluating": parts.evaluating(),
        "hooks": hooks.state_dict(),
        "forgets": hooks.forgetful(),
        "left_out": state.hub.unsaved(),
        "buffers": parts.unsaved_buffers(),
        "parts": {name: part.state_dict() for name, part in parts.others.items()},
        "data": data,
        "validation": validation,
        "buckets": buckets,
        "at_safe_point": at_safe_point,
        "environment": environment(),
    }
    return checkpoint


def examine(
    checkpoint: Mapping[str, Any],
    parts: Parts,
    hooks: HookStates,
    *,
    resume_optimizer: bool = True,
    resume_param_scheduler: bool = True,
) -> list[PartReport]:
    """How exactly :func:`restore` would put each part back; changes nothing.

    Args:
        checkpoint: As :func:`capture` made it, checked by ``format.check``.
        parts: The run's.
        hooks: The run's.
        resume_optimizer: Whether the optimizer's state is put back.
        resume_param_scheduler: Whether the schedules' is.
    """
    ours = checkpoint["engine"]
    exact, best, lost = Exactness.EXACT, Exactness.BEST_EFFORT, Exactness.LOST
    found = [PartReport("progress", exact), PartReport("message hub", exact)]
    found += [
        PartReport(f"fact {key!r} of the message hub", lost, "it is no plain data")
        for key in ours.get("left_out", ())
    ]
    if "ema_state_dict" in checkpoint and not hooks.claims("ema_state_dict"):
        why = (
            "they are averages and no EMAHook is there to put the trained ones back: "
            "the run goes on from the averages"
        )
        found.append(PartReport("weights", best, why))
    elif parts.model is not None:
        found.append(PartReport("weights", exact))
    for name, there, wanted, argument in (
        ("optimizer", parts.optimizer is not None, resume_optimizer, "optimizer"),
        (
            "schedules",
            bool(parts.param_schedulers),
            resume_param_scheduler,
            "param_scheduler",
        ),
    ):
        if there and wanted:
            found.append(PartReport(name, exact))
        elif there:
            found.append(PartReport(name, lost, f"resume_{argument} is False"))
    found += [
        PartReport("environment", best, change)
        for change in environment_changes(ours["environment"])
    ]
    found.append(examine_randomness(ours["randomness"]))
    if not ours["at_safe_point"]:
        why = (
            "it was saved from inside a handler or a validation, before the other "
            "handlers of that event had run: what those do then is missing"
        )
        found.append(PartReport("place", best, why))
    found += hooks.examine(checkpoint)
    saved = ours["parts"]
    for name in parts.others:
        if name in saved:
            found.append(PartReport(repr(name), exact))
        else:
            why = "it is new: it starts without memory"
            found.append(PartReport(repr(name), lost, why))
    found += [
        PartReport(repr(name), lost, "it is gone: its state is dropped")
        for name in saved
        if name not in parts.others
    ]
    return found


def restore(
    checkpoint: Mapping[str, Any],
    state: RunState,
    parts: Parts,
    hooks: HookStates,
    *,
    resume_optimizer: bool = True,
    resume_param_scheduler: bool = True,
) -> None:
    """Put a run's state back; :func:`examine` says how exactly that can be done.

    Args:
        checkpoint: As :func:`capture` made it, checked by ``format.check``.
        state: Becomes the saved one, at rest.
        parts: Become the saved ones.
        hooks: Get their memory back.
        resume_optimizer: Also the optimizer's.
        resume_param_scheduler: Also the schedules'.

    Raises:
        CheckpointError: A part that is to be resumed is missing or does not fit.
        SerializationError: Saved state is of another form.
    """
    ours = checkpoint["engine"]
    if resume_optimizer:
        _check_optimizers(ours.get("optimizers"), _kinds(parts))
    if parts.model is not None:
        load_state_dict(parts.model, checkpoint["state_dict"], strict=True)
        parts.load_unsaved_buffers(ours.get("buffers", {}))
        parts.set_evaluating(ours["evaluating"])
    if parts.optimizer is not None and resume_optimizer:
        saved = _part(checkpoint, "optimizer")
        try:
            parts.optimizer.load_state_dict(saved)
        except (ValueError, KeyError, TypeError) as error:  # torch's ways to say no
            message = (
                f"the checkpoint's optimizer does not fit this run's: {error}. Resume "
                "with the parameter groups it was saved with, or pass "
                "resume_optimizer=False."
            )
            raise CheckpointError(message) from error
    if parts.param_schedulers and resume_param_scheduler:
        parts.load_schedulers(_part(checkpoint, "param_schedulers"))
    state.hub.load_state_dict(checkpoint["message_hub"])
    state.load_state_dict(ours["run_state"])
    if parts.optimizer is not None and resume_optimizer:
        parts.load_gradients(ours["gradients"])
        parts.load_counts(ours.get("counts"), state.iteration)
    hooks.load_state_dict(ours["hooks"])
    for name, part in parts.others.items():
        if name in ours["parts"]:
            part.load_state_dict(ours["parts"][name])
    restore_randomness(ours["randomness"])  # last: nothing may draw after it


def _kinds(parts: Parts) -> list[str]:
    """Which optimizers there are."""
    return [
        f"{type(one).__module__}.{type(one).__qualname__}" for one in parts.optimizers()
    ]


def _check_optimizers(saved: list[str] | None, mine: list[str]) -> None:
    """Refuse another optimizer's state: torch takes it, and fails in the first step.

    Raises:
        CheckpointError: It is another one's.
    """
    if saved is not None and mine and saved != mine:
        message = (
            f"the checkpoint's optimizer is {', '.join(saved)}, and this run's "
            f"{', '.join(mine)}, which cannot go on from its state. Resume with the "
            "one it was saved with, or pass resume_optimizer=False to runner.resume()."
        )
        raise CheckpointError(message)


def _part(checkpoint: Mapping[str, Any], name: str) -> Any:
    if name not in checkpoint:
        argument = {
            "optimizer": "resume_optimizer",
            "param_schedulers": "resume_param_scheduler",
        }[name]
        message = (
            f"the checkpoint has no {name!r}: it was saved without. Resume from one "
            f"that has it, or pass {argument}=False and accept that the run differs."
        )
        raise CheckpointError(message)
    return checkpoint[name]
