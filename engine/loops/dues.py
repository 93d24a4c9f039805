"""Pays what is owed at a safe point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.loops.validation import VALIDATION, Validations
from engine.state import DueKind

if TYPE_CHECKING:
    from engine.state import Due, RunState

__all__ = ["pay"]


def pay(due: Due, state: RunState, validations: Validations, context: Any) -> None:
    """Do what is owed, and strike it off.

    A save is struck off before it is done: the file does not owe itself. A validation
    is struck off after it, so that one that was cut off is begun anew by a resume.

    Args:
        due: What is owed.
        state: Where it is noted.
        validations: Pays validations.
        context: The run; its hooks pay the rest by ``pay(runner, due)``.
    """
    hook = context.hook_set.find(due.owner)
    if due.kind is DueKind.VALIDATION:
        if due.owner == VALIDATION and validations.run is not None:
            validations.run()
            state.due.remove(due)
            return
    elif hasattr(hook, "pay"):
        state.due.remove(due)
        hook.pay(context, due)
        return
    state.due.remove(due)
    context.logger.warning(
        "due_dropped",
        line=f"{due.kind.name.lower()} {due.name} was owed by {due.owner!r}, which "
        "this run does not have: it is left out",
        owner=due.owner,
        kind=due.kind.name,
        name=due.name,
    )
