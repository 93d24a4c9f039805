"""``engine env``."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch
import typer

from engine.version import __version__

__all__ = ["run"]

_PACKAGES = ("torch", "pytorch-ignite", "numpy", "attrs", "structlog")


def run() -> None:
    """Print versions and devices, one to a line."""
    rows = [
        ("engine", __version__),
        ("python", sys.version.split()[0]),
        *((name, _version(name)) for name in _PACKAGES),
        ("platform", platform.platform()),
        ("threads", str(torch.get_num_threads())),
        ("cuda", str(torch.version.cuda or "none in this build of torch")),
        ("devices", _devices()),
    ]
    for name, value in rows:
        typer.echo(f"{name:<15} {value}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> str:
    count = torch.cuda.device_count()
    names = [torch.cuda.get_device_name(index) for index in range(count)]
    return ", ".join(names) or "cpu"
