"""What of a run's settings is another than when it was saved, and what that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from attrs import frozen

from engine.state import Exactness, PartReport

__all__ = ["Change", "Effect", "changes", "flatten"]

_LONGEST = 200  # characters of a value that are kept; of longer ones a digest


class Effect(Enum):
    """What a changed setting does to a run that goes on."""

    HARMLESS = "harmless"
    """Training goes on as it would have."""
    ORDER = "changes the data or its order"
    LENGTH = "changes the run's length"
    SCHEDULE = "a saved schedule goes on as it was; a new one has no effect"
    IGNORED = "no effect: the saved optimizer goes on with what it was saved with"
    """To train on with another value, begin a new run with ``load_from``."""
    STATE = "takes effect from here, on state that was made without it"


# The first that fits a setting's path decides; a path fits what begins with it.
_EFFECTS: tuple[tuple[str, Effect], ...] = (
    *(
        (f"train_dataloader.{name}", Effect.HARMLESS)
        for name in (
            "num_workers",
            "persistent_workers",
            "pin_memory",
            "pin_memory_device",
            "prefetch_factor",
            "timeout",
            "multiprocessing_context",
        )
    ),
    ("train_dataloader", Effect.ORDER),
    ("randomness.diff_rank_seed", Effect.ORDER),
    ("randomness.deterministic", Effect.STATE),
    ("randomness", Effect.HARMLESS),  # the checkpoint's seed counts, and is told of
    ("train_cfg.max_epochs", Effect.LENGTH),
    ("train_cfg.max_iters", Effect.LENGTH),
    ("train_cfg.on_longer", Effect.HARMLESS),
    ("train_cfg.val", Effect.HARMLESS),
    ("train_cfg.dynamic_intervals", Effect.HARMLESS),
    ("param_scheduler", Effect.SCHEDULE),
    ("auto_scale_lr", Effect.SCHEDULE),
    ("default_hooks.logger", Effect.HARMLESS),
    ("default_hooks.timer", Effect.HARMLESS),
    ("default_hooks.checkpoint", Effect.HARMLESS),
    ("model", Effect.STATE),
    ("data_preprocessor", Effect.STATE),
    ("optim_wrapper.optimizer.type", Effect.STATE),
    ("optim_wrapper.optimizer", Effect.IGNORED),
    ("optim_wrapper.paramwise_cfg", Effect.IGNORED),
    ("optim_wrapper", Effect.STATE),
    ("train_cfg", Effect.STATE),
    ("default_hooks", Effect.STATE),
    ("custom_hooks", Effect.STATE),
)


_COMES_BACK = (Effect.HARMLESS, Effect.LENGTH, Effect.SCHEDULE, Effect.IGNORED)


@frozen
class Change:
    """One setting that differs.

    Args:
        path: Where it stands, as ``"train_dataloader.batch_size"``.
        before: What it was when the run was saved; ``None``: it was not there.
        after: What it is now.
        effect: What that does.
    """

    path: str
    before: str | None
    after: str | None
    effect: Effect

    def report(self) -> PartReport | None:
        """What a resume says of it; ``None`` if state comes back nevertheless.

        A schedule's own state comes back, and for a changed length a choice is asked;
        an optimizer's does too, its rates among it.
        """
        if self.effect in _COMES_BACK:
            return None
        level = Exactness.BEST_EFFORT
        return PartReport(f"setting {self.path}", level, self.describe())

    def describe(self) -> str:
        """It in words."""
        before, after = self.before or "not there", self.after or "not there"
        return f"was {before} and is {after}: {self.effect.value}"


def flatten(settings: Mapping[str, Any]) -> dict[str, str]:
    """Each setting's value as text, by its path.

    Objects are named by their class alone: what they hold cannot be compared.

    >>> flatten({"model": {"type": "Net", "widths": [1, 2]}, "seed": None})
    {'model.type': "'Net'", 'model.widths[0]': '1', 'model.widths[1]': '2'}
    """
    found: dict[str, str] = {}
    for name, value in settings.items():
        if value is not None:
            _flatten(str(name), value, found)
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """The settings that differ, in the order of their paths."""
    return [
        Change(path, before.get(path), after.get(path), _effect(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def _effect(path: str) -> Effect:
    for begin, effect in _EFFECTS:
        if path.startswith(begin):
            return effect
    return Effect.HARMLESS  # validation, test, logs, environment


def _flatten(path: str, value: Any, found: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        if not value:
            found[path] = "{}"
        for name, one in value.items():
            _flatten(f"{path}.{name}", one, found)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not value:
            found[path] = "[]"
        for index, one in enumerate(value):
            _flatten(f"{path}[{index}]", one, found)
    else:
        found[path] = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        text = repr(value)
        if len(text) > _LONGEST:
            digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            return f"{text[:40]}... ({digest})"
        return text
    return f"a {type(value).__module__}.{type(value).__qualname__}"
