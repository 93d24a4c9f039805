"""Where hook methods belong: which event of which engine calls them, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["POINTS", "Point"]


@frozen
class Point:
    """Where a hook method belongs.

    Args:
        mode: ``train``, ``val`` or ``test``: on that engine; ``run``: on each, since
            any of them may lead.
        event: Name of the event.
        arguments: What the method gets after the runner.
        general: Methods that serve it when it is not overridden itself.
    """

    mode: str
    event: str
    arguments: tuple[str, ...] = ()
    general: tuple[str, ...] = ()


def _points() -> dict[str, Point]:
    points = {
        "before_run": Point("run", "RUN_STARTED"),
        "after_load_checkpoint": Point("run", "CHECKPOINT_LOADED", ("checkpoint",)),
    }
    for mode in ("train", "val", "test"):
        batch = ("batch_idx", "data_batch")
        epoch_end = () if mode == "train" else ("metrics",)
        points[f"before_{mode}"] = Point(mode, "STARTED")
        for when, event, epoch, iteration in (
            ("before", "STARTED", (), batch),
            ("after", "COMPLETED", epoch_end, (*batch, "outputs")),
        ):
            points[f"{when}_{mode}_epoch"] = Point(
                mode, f"EPOCH_{event}", epoch, (f"_{when}_epoch", f"{when}_epoch")
            )
            points[f"{when}_{mode}_iter"] = Point(
                mode, f"ITERATION_{event}", iteration, (f"_{when}_iter", f"{when}_iter")
            )
        points[f"after_{mode}"] = Point(mode, "COMPLETED")
    points |= {
        "before_optimizer_step": Point("train", "OPTIMIZER_STEP_STARTED"),
        "after_optimizer_step": Point("train", "OPTIMIZER_STEP_COMPLETED"),
        "on_safe_point": Point("train", "SAFE_POINT"),
        "before_save_checkpoint": Point("run", "CHECKPOINT_SAVING", ("checkpoint",)),
        "on_interrupt": Point("run", "INTERRUPT", ("signal",)),
        "on_exception": Point("run", "EXCEPTION_RAISED", ("error",)),
        "after_run": Point("run", "RUN_COMPLETED"),
    }
    return points


POINTS: Mapping[str, Point] = _points()
"""Every hook method that an event calls, in the order of a run."""
