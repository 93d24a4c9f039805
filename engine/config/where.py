"""Where in a config an error belongs: its path, and the file and line if known."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, EngineError

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
        below, plain = _placed(error) or ((), str(error))
        whole = (*path, *below)
        _place(error, whole, plain)
        text = path_text(whole)
        known = plain.startswith((f"{text}:", f"{text}[", f"{text}."))
        error.args = (plain if known else f"{text}: {plain}",)
        raise
    except Exception as error:
        below, plain = _placed(error) or ((), str(error))
        _place(error, (*path, *below), plain)
        raise


@contextmanager
def located(cfg: Any) -> Iterator[None]:
    """Let errors that :func:`at` placed begin with the config's file and line.

    What a class of the config raised when it was made becomes a ConfigError too, with
    that error as its cause: to who wrote the config it is one.

    Args:
        cfg: The config; without a ``locate`` method it knows no lines.
    """
    try:
        yield
    except EngineError as error:
        line = _line(error, cfg)
        if line is not None and not getattr(error, "_located", False):
            error.args = (f"{line}: {error}",)
            error._located = True  # type: ignore[attr-defined]  # noqa: SLF001 - ours, on its way up
        raise
    except Exception as error:
        placed = _placed(error)
        if placed is None:
            raise
        line = _line(error, cfg)
        start = f"{path_text(placed[0])}: {type(error).__name__}: {placed[1]}"
        told = ConfigError(start if line is None else f"{line}: {start}")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        told.add_note(f"raised in {_innermost(error)}")
        raise told from error


def _placed(error: Exception) -> tuple[tuple[str | int, ...], str] | None:
    """Where :func:`at` placed an error, and its text without the place."""
    found: tuple[tuple[str | int, ...], str] | None = getattr(error, "_at", None)
    return found


def _place(error: Exception, path: tuple[str | int, ...], plain: str) -> None:
    error._at = (path, plain)  # type: ignore[attr-defined]  # noqa: SLF001 - ours, on its way up


def _line(error: Exception, cfg: Any) -> str | None:
    """File and line of the entry that an error belongs to, if they are known."""
    placed = _placed(error)
    locate = getattr(cfg, "locate", None)
    if placed is None or not callable(locate):
        return None
    found: str | None = locate(*placed[0])
    return found


def _innermost(error: Exception) -> str:
    """File and line that raised an error."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{last.filename}:{last.lineno}"
