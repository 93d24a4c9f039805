"""Which arguments of a Runner belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["GROUPS", "check_groups", "require_group"]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "train": ("train_dataloader", "train_cfg", "optim_wrapper"),
    "val": ("val_dataloader", "val_cfg", "val_evaluator"),
    "test": ("test_dataloader", "test_cfg", "test_evaluator"),
}
"""Arguments that are given all together or not at all."""


def check_groups(
    given: Mapping[str, Any], locate: Callable[[str], str | None] = lambda _: None
) -> None:
    """Check that each group is given in full or not at all.

    Args:
        given: The Runner's arguments by name.
        locate: Tells where in the config one is written, if that is known.

    Raises:
        ConfigError: A group is given in part, or schedules without an optimizer.
    """
    for group in GROUPS.values():
        missing = [name for name in group if given.get(name) is None]
        if missing and len(missing) < len(group):
            present = [name for name in group if name not in missing]
            message = (
                f"{_place(locate, present[0])}{_join(present)} given without "
                f"{_join(missing)}: give {_join(group)} together, or none of them"
            )
            raise ConfigError(message)
    if given.get("param_scheduler") is not None and given.get("optim_wrapper") is None:
        message = (
            f"{_place(locate, 'param_scheduler')}param_scheduler given without "
            "optim_wrapper: it has nothing to act on"
        )
        raise ConfigError(message)


def require_group(mode: str, given: Mapping[str, Any]) -> None:
    """Check that a group is there, before any work for it begins.

    Raises:
        ConfigError: It is not.
    """
    group = GROUPS[mode]
    if given.get(group[0]) is None:
        message = f"{mode}() needs {_join(group)}: this Runner was given none of them"
        raise ConfigError(message)


def _place(locate: Callable[[str], str | None], name: str) -> str:
    where = locate(name)
    return "" if where is None else f"{where}: "


def _join(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names)
