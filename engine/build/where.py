"""Where in a config an error belongs: its path, and the file and line if known."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["at", "located", "path_text"]


def path_text(path: tuple[str | int, ...]) -> str:
    """A path in a config as people write it.

    >>> path_text(("train_dataloader", "dataset", "transforms", 0))
    'train_dataloader.dataset.transforms[0]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


@contextmanager
def at(*path: str | int) -> Iterator[None]:
    """Let errors of the body say where in the config they belong; these nest.

    >>> with at("train_dataloader"), at("dataset"):
    ...     raise EngineError("it is empty")
    Traceback (most recent call last):
    engine.errors.EngineError: train_dataloader.dataset: it is empty
    """
    try:
        yield
    except EngineError as error:
        inner: tuple[tuple[str | int, ...], str] | None = getattr(error, "_at", None)
        below, plain = inner or ((), str(error))
        whole = (*path, *below)
        error._at = (whole, plain)  # type: ignore[attr-defined]  # noqa: SLF001 - ours, on its way up
        text = path_text(whole)
        known = plain.startswith((f"{text}:", f"{text}[", f"{text}."))
        error.args = (plain if known else f"{text}: {plain}",)
        raise


@contextmanager
def located(cfg: Any) -> Iterator[None]:
    """Let errors that :func:`at` placed begin with the config's file and line.

    Args:
        cfg: The config; without a ``locate`` method it knows no lines.
    """
    try:
        yield
    except EngineError as error:
        placed = getattr(error, "_at", None)
        locate = getattr(cfg, "locate", None)
        line = locate(*placed[0]) if placed is not None and callable(locate) else None
        if line is not None and not getattr(error, "_located", False):
            error.args = (f"{line}: {error}",)
            error._located = True  # type: ignore[attr-defined]  # noqa: SLF001 - ours, on its way up
        raise
