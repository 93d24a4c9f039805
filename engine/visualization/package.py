"""Packages that only some runs need, imported when one does."""

from __future__ import annotations

import importlib
from typing import Any

from engine.errors import ConfigError
from engine.state import fence

__all__ = ["need"]


def need(module: str, *, extra: str, asked_by: str) -> Any:
    """Import a package, or say which extra brings it.

    Some packages draw random numbers while they are imported: training does not see it.

    Args:
        module: What to import, such as ``"mlflow.tracking"``.
        extra: The extra of ours that installs it.
        asked_by: Who needs it, for the message.

    Returns:
        The module.

    Raises:
        ConfigError: The package is not installed, or breaks when it is imported.
    """
    try:
        with fence():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        missing = str(error.name).partition(".")[0]
        why = "is not installed" if missing == package else f"needs {missing!r}"
        message = (
            f"{asked_by}: the package {package!r} {why}. Install it by "
            f"pip install 'ignite-runner[{extra}]', or leave {asked_by} out."
        )
        raise ConfigError(message) from error
    except ImportError as error:
        message = (
            f"{asked_by}: the package {module!r} cannot be imported: {error}. Repair "
            f"it by pip install --upgrade 'ignite-runner[{extra}]', or leave "
            f"{asked_by} out."
        )
        raise ConfigError(message) from error
