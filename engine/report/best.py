"""Which value of a metric is the best one."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError
from engine.hooks.best import GREATER, LESS, rule_by_name
from engine.report.config import find_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["best_index", "rule_of"]

# Whole words of names that leave no doubt, beside those that CheckpointHook knows.
_GREATER_WORDS = frozenset(
    {"f1", "recall", "iou", "dice", "bleu", "map", "psnr", "ssim"}
)
_LESS_WORDS = frozenset(
    {
        "error",
        "err",
        "mse",
        "rmse",
        "mae",
        "perplexity",
        "ppl",
        "bits",
        "distance",
        "nll",
    }
)


def rule_of(settings: Mapping[str, Any], metric: str) -> str | None:
    """``"greater"`` or ``"less"``; ``None`` if neither config nor name tells.

    Args:
        settings: The run's config; see ``read_config``.
        metric: The name.

    >>> rule_of({}, "val/accuracy"), rule_of({}, "mean_error"), rule_of({}, "spread")
    ('greater', 'less', None)
    """
    given = find_rule(settings, metric)
    if given is not None:
        return given
    name = metric.rpartition("/")[2]
    try:
        return rule_by_name(name, GREATER, LESS, asks="engine report")
    except ConfigError:
        words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if words & _LESS_WORDS:
        return "less"
    return "greater" if words & _GREATER_WORDS else None


def best_index(values: Sequence[float], rule: str | None) -> int | None:
    """Where the best value stands, the first of equal ones; ``None``: not to be told.

    Values that are not finite are passed over.

    >>> best_index([0.1, float("nan"), 0.3, 0.3], "greater")
    2
    """
    known = [index for index, value in enumerate(values) if math.isfinite(value)]
    if rule is None or not known:
        return None
    sign = 1 if rule == "greater" else -1
    return max(known, key=lambda index: (sign * values[index], -index))
