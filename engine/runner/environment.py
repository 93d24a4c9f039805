"""The process that a run is in: settings asked of it, and what it is like."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import multiprocessing

from engine.dist.launch import check_timeout
from engine.errors import ConfigError, check_switch, did_you_mean
from engine.version import __version__

__all__ = [
    "ON_CONSOLE",
    "check_env_cfg",
    "describe_environment",
    "set_up",
    "versions",
]

_PACKAGES = ("torch", "pytorch-ignite", "numpy", "attrs", "structlog")
_THREAD_CAPS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

_KNOWN: Mapping[str, Any] = {
    "cudnn_benchmark": False,
    "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
    "dist_cfg": {"backend": None, "timeout": None},
    "resource_limit": 4096,
    "handle_signals": True,
    "max_seconds": None,
}


def check_env_cfg(env_cfg: Any) -> dict[str, Any]:
    """The settings with their defaults.

    Args:
        env_cfg: ``cudnn_benchmark``, ``mp_cfg`` (``mp_start_method``,
            ``opencv_num_threads``), ``dist_cfg`` (``backend``, ``timeout``),
            ``resource_limit``, ``handle_signals`` and ``max_seconds``; ``None``: the
            defaults.

    Raises:
        ConfigError: A key is unknown, or a value of the wrong kind.

    >>> check_env_cfg({"resource_limit": 512})["resource_limit"]
    512
    """
    whole = _merged("env_cfg", env_cfg, _KNOWN)
    for key in ("mp_cfg", "dist_cfg"):
        whole[key] = _merged(f"env_cfg.{key}", whole[key], _KNOWN[key])
    check_switch("env_cfg: cudnn_benchmark", whole["cudnn_benchmark"])
    method = whole["mp_cfg"]["mp_start_method"]
    allowed = multiprocessing.get_all_start_methods()
    if method is not None and method not in allowed:
        message = (
            f"env_cfg.mp_cfg: mp_start_method={method!r}: this system has "
            f"{', '.join(allowed)}"
        )
        raise ConfigError(message)
    threads = whole["mp_cfg"]["opencv_num_threads"]
    if not _is_count(threads, 0):
        message = (
            f"env_cfg.mp_cfg: opencv_num_threads={threads!r}: give a number of threads"
        )
        raise ConfigError(message)
    limit = whole["resource_limit"]
    if not _is_count(limit, 1):
        message = f"env_cfg: resource_limit={limit!r}: give a number of open files"
        raise ConfigError(message)
    check_timeout(whole["dist_cfg"]["timeout"], "env_cfg.dist_cfg")
    return whole


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _merged(where: str, given: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    if given is None:
        return dict(known)
    if not isinstance(given, Mapping):
        message = f"{where}: expected a mapping, found {given!r}"
        raise ConfigError(message)
    for key in given:
        if key not in known:
            message = (
                f"{where}: unknown key {key!r}.{did_you_mean(str(key), known)} It "
                f"takes {', '.join(known)}."
            )
            raise ConfigError(message)
    return {**known, **given}


def set_up(settings: Mapping[str, Any], *, workers: bool, deterministic: bool) -> None:
    """Make this process as asked.

    These are settings of the process: two runs in it share them.

    Args:
        settings: What :func:`check_env_cfg` returned.
        workers: Whether loaders use worker processes: then each computes with one
            thread, unless the environment says otherwise already.
        deterministic: Rules ``cudnn_benchmark`` out.
    """
    if settings["cudnn_benchmark"] and not deterministic:
        torch.backends.cudnn.benchmark = True
    mp = settings["mp_cfg"]
    method = mp["mp_start_method"]
    if method is not None and multiprocessing.get_start_method(True) != method:
        multiprocessing.set_start_method(method, force=True)
    if "cv2" in sys.modules:  # who does not use it need not wait for it
        sys.modules["cv2"].setNumThreads(mp["opencv_num_threads"])
    if workers:
        for name in _THREAD_CAPS:
            os.environ.setdefault(name, "1")
    _raise_open_files(settings["resource_limit"])


def _raise_open_files(wanted: int) -> None:
    """Let this process open more files, up to what the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


ON_CONSOLE = ("engine", "python", "torch", "pytorch-ignite", "threads", "devices")
"""Of the environment's facts those that people look for; the log's file has all."""


def versions() -> dict[str, str]:
    """Versions that a run uses, by name."""
    return {
        "engine": __version__,
        "python": sys.version.split()[0],
        **{name: _version(name) for name in _PACKAGES},
    }


def describe_environment() -> dict[str, str]:
    """Versions and devices that a run uses, by name."""
    return {
        **versions(),
        "platform": platform.platform(),
        "threads": str(torch.get_num_threads()),
        "cuda": str(torch.version.cuda or "none in this build of torch"),
        "devices": _devices(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> str:
    count = torch.cuda.device_count()
    names = [torch.cuda.get_device_name(index) for index in range(count)]
    return ", ".join(names) or "cpu"
