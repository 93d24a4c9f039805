"""Which of two scores is better, told by a metric's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GREATER", "LESS", "find_rules", "is_better", "rule_by_name"]

GREATER = (
    "acc",
    "top",
    "AR@",
    "auc",
    "precision",
    "mAP",
    "mDice",
    "mIoU",
    "mAcc",
    "aAcc",
)
"""Parts of names of metrics of which more is better, as MMEngine has them."""

LESS = ("loss",)
"""Parts of names of metrics of which less is better."""


def find_rules(
    names: Sequence[str],
    rule: str | Sequence[str] | None,
    greater: Sequence[str],
    less: Sequence[str],
) -> dict[str, str]:
    """``"greater"`` or ``"less"`` for each metric.

    Args:
        names: The metrics; ``"auto"`` stands for the first one of a validation.
        rule: What was given, one for each; ``None``: by the names, but for ``"auto"``.
        greater: Parts of names for which greater is better.
        less: Parts of names for which less is better.

    Raises:
        ConfigError: They do not fit each other, or a name does not tell.

    >>> find_rules(["acc", "val_loss"], None, GREATER, LESS)
    {'acc': 'greater', 'val_loss': 'less'}
    """
    if "auto" in names and len(names) > 1:
        message = f"CheckpointHook: save_best={[*names]}: 'auto' stands alone"
        raise ConfigError(message)
    given = [rule] if isinstance(rule, str) else rule
    if given is None:
        return {
            name: rule_by_name(name, greater, less, asks="CheckpointHook")
            for name in names
            if name != "auto"
        }
    if len(given) != len(names) or not {*given} <= {"greater", "less"}:
        message = (
            f"CheckpointHook: rule={rule!r}: give 'greater' or 'less' for each of "
            f"save_best={[*names]}"
        )
        raise ConfigError(message)
    return dict(zip(names, given, strict=True))


def rule_by_name(
    name: str, greater: Sequence[str], less: Sequence[str], *, asks: str
) -> str:
    """``"greater"`` or ``"less"``, by a part of the metric's name.

    Args:
        name: The metric.
        greater: Parts of names for which greater is better; looked for first.
        less: Parts of names for which less is better.
        asks: Who wants to know, for the message.

    Raises:
        ConfigError: No part of it is known.
    """
    lowered = name.lower()
    for keys, rule in ((greater, "greater"), (less, "less")):
        if any(key.lower() in lowered for key in keys):
            return rule
    message = (
        f"{asks}: whether a greater {name!r} is better cannot be told from "
        "its name; give rule='greater' or rule='less'"
    )
    raise ConfigError(message)


def is_better(score: float, best: float | None, rule: str) -> bool:
    """Whether a score beats the best so far; an equal one does not.

    >>> is_better(0.5, 0.5, "greater"), is_better(0.4, 0.5, "less")
    (False, True)
    """
    if best is None:
        return True
    return score > best if rule == "greater" else score < best
