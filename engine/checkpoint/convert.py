"""MMEngine's own checkpoints, read without running what is pickled in them.

They hold objects: a buffer for each scalar, NumPy's numbers and arrays, counters. Their
names stand in a closed list here, each with something of ours that only holds data;
any other name in a file is refused, and MMEngine need not be installed.

What such a file lacks, a run that goes on from it cannot have back: random generators,
gradients of an open accumulation window, what hooks remember, samplers' states, and the
place inside a validation. Weights, optimizer, schedules, counters, averages and the
histories of scalars come back.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.serialization import safe_globals

from engine.state import HistoryBuffer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["Record", "as_ours", "is_mmengine", "known_classes"]

# The hub's own facts about a run, which ours knows better.
_OWN_INFO = frozenset(
    [
        "cfg",
        "seed",
        "experiment_name",
        "mmengine_version",
        "loop_stage",
        "epoch",
        "iter",
        "max_epochs",
        "max_iters",
        "eta",
        "keep_ckpt_ids",
        "last_ckpt",
    ]
)


class Record:
    """Stands for an object of a known class: its attributes, and nothing that acts."""

    def __setstate__(self, state: Any) -> None:
        """Keep a mapping of attributes; anything else is not looked at."""
        if isinstance(state, Mapping):
            vars(self).update(state)


class _HistoryBuffer(Record):
    """Stands for MMEngine's buffer of a scalar."""


class _MessageHub(Record):
    """Stands for MMEngine's hub, where one was pickled whole."""


class _ConfigDict(dict[Any, Any]):
    """Stands for MMEngine's mapping with attribute access."""

    def __setstate__(self, state: Any) -> None:
        """Keep the items alone."""


def _member(owner: Any, name: Any) -> str:
    """Stands for ``getattr``, by which MMEngine's buffers name their statistics."""
    if owner is not _HistoryBuffer or not isinstance(name, str):
        message = "getattr of anything but a HistoryBuffer's statistic"
        raise TypeError(message)
    return name


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    """Stands for ``_codecs.encode``, by which pickle 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        message = f"bytes in the encoding {encoding!r}"
        raise TypeError(message)
    return text.encode("latin1")


def _dtypes() -> list[tuple[Any, str]]:
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefdFD"}
    return [(kind, f"numpy.dtypes.{kind.__name__}") for kind in kinds]


def _known() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    # As NumPy's own pickles name them, before and since its version 2.
    makers: list[Any] = [np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]]
    return [
        (_HistoryBuffer, "mmengine.logging.history_buffer.HistoryBuffer"),
        (_HistoryBuffer, "mmengine.logging.HistoryBuffer"),
        (_MessageHub, "mmengine.logging.message_hub.MessageHub"),
        (_ConfigDict, "mmengine.config.config.ConfigDict"),
        (_member, "__builtin__.getattr"),
        (_member, "builtins.getattr"),
        (_latin1, "_codecs.encode"),
        (Counter, "collections.Counter"),
        (OrderedDict, "collections.OrderedDict"),
        (deque, "collections.deque"),
        (defaultdict, "collections.defaultdict"),
        (np.ndarray, "numpy.ndarray"),
        (np.dtype, "numpy.dtype"),
        *(
            (maker, f"numpy.{package}.multiarray.{maker.__name__}")
            for maker in makers
            for package in ("core", "_core")
        ),
        *_dtypes(),
    ]


def known_classes() -> AbstractContextManager[None]:
    """While the body runs, ``torch.load(weights_only=True)`` reads what is listed.

    The list is torch's and the process's; what it holds meanwhile acts on nothing, so
    another thread that reads a file at that time is no less safe.
    """
    context: AbstractContextManager[None] = safe_globals(_known())
    return context


def is_mmengine(checkpoint: Any) -> bool:
    """Whether a mapping is what MMEngine's Runner saved."""
    if not isinstance(checkpoint, Mapping) or "engine" in checkpoint:
        return False
    meta = checkpoint.get("meta")
    counted = isinstance(meta, Mapping) and "epoch" in meta and "iter" in meta
    return counted and "state_dict" in checkpoint


def as_ours(
    checkpoint: Mapping[str, Any],
    template: Mapping[str, Any],
    *,
    by_epoch: bool,
    pass_length: int | None,
) -> tuple[dict[str, Any], list[str]]:
    """An MMEngine checkpoint in our form, as far as it goes.

    Args:
        checkpoint: What MMEngine saved, as :func:`known_classes` lets it be read.
        template: A checkpoint of the run that is to go on, as it is now.
        by_epoch: Whether that run is bounded by epochs.
        pass_length: Batches in a pass over its data; 0: it is endless, or does not tell
            its length; ``None``: the data is not known.

    Returns:
        A checkpoint to restore, and remarks on what it lacks.
    """
    meta, hub = checkpoint["meta"], checkpoint.get("message_hub")
    info, scalars = _of_hub(hub)
    ours = deepcopy(template["engine"])
    ours["run_state"].update(
        phase="training",
        started=True,
        seed=int(meta.get("seed") or ours["run_state"]["seed"]),
    )
    ours["run_state"]["progress"].update(
        _progress(meta, by_epoch=by_epoch, pass_length=pass_length)
    )
    bound = "max_epochs" if by_epoch else "max_iters"
    reached = meta["epoch"] if by_epoch else meta["iter"]
    ours["run_state"]["limits"].update(
        max_epochs=None,
        max_iters=None,
        epoch_length=(pass_length or None) if by_epoch else None,
    )
    ours["run_state"]["limits"][bound] = max(int(info.get(bound, 1)), int(reached), 1)
    ours.update(gradients=None, counts=None, hooks={}, parts={}, environment={})
    converted = {
        **checkpoint,
        "message_hub": {
            "format": 1,
            "scalars": {name: _history(one) for name, one in scalars.items()},
            "info": {k: v for k, v in info.items() if k not in _OWN_INFO},
        },
        "engine": ours,
    }
    lacking = (
        "it is MMEngine's: random generators, what hooks remember and gradients of an "
        "open accumulation window are not in it, so the run is not bit-equal to one "
        "that was not stopped"
    )
    remarks = [lacking]
    if pass_length is None:
        remarks.append(
            "the length of this run's data is not known: it begins at a pass's start"
        )
    return converted, remarks


def _progress(
    meta: Mapping[str, Any], *, by_epoch: bool, pass_length: int | None
) -> dict[str, int]:
    iteration = int(meta["iter"])
    length = pass_length or 0
    progress = {
        "iteration": iteration,
        "optimizer_steps": iteration,
        "epoch": int(meta["epoch"]) if by_epoch else 0,
        "epoch_iteration": 0 if by_epoch else iteration,
        "data_pass": iteration // length if length else 0,
        "pass_batch": iteration % length if length else iteration,
    }
    if pass_length is None:
        progress.update(data_pass=int(meta["epoch"]), pass_batch=0)
    if by_epoch and length:
        inside = iteration - progress["epoch"] * length
        progress["epoch_iteration"] = inside if 0 <= inside <= length else 0
        progress["data_pass"] = progress["epoch"] + inside // length
    return progress


def _of_hub(hub: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plain facts and buffers of a hub, saved as a mapping or pickled whole."""
    if isinstance(hub, _MessageHub):
        hub = {
            "log_scalars": vars(hub).get("_log_scalars"),
            "runtime_info": vars(hub).get("_runtime_info"),
        }
    if not isinstance(hub, Mapping):
        return {}, {}
    info = {
        str(name): value
        for name, value in ((k, _plain(v)) for k, v in _items(hub, "runtime_info"))
        if value is not None
    }
    scalars = {
        str(name): one
        for name, one in _items(hub, "log_scalars")
        if isinstance(one, Record)
    }
    return info, scalars


def _items(hub: Mapping[str, Any], name: str) -> list[tuple[Any, Any]]:
    found = hub.get(name)
    return list(found.items()) if isinstance(found, Mapping) else []


def _plain(value: Any) -> Any:
    """A number, text, or a list or dict of them; ``None`` for anything else."""
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return type(value)(_plain(one) for one in value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return None


def _history(record: Record) -> dict[str, Any]:
    """A buffer's state in our form: totals over all, and the newest values."""
    values = np.asarray(vars(record).get("_log_history", ()), dtype=float).ravel()
    counts = np.asarray(vars(record).get("_count_history", ()), dtype=float).ravel()
    state = HistoryBuffer().state_dict()
    kept = state["max_length"]
    state.update(
        values=torch.tensor(values[-kept:], dtype=torch.float64),
        counts=torch.tensor(counts[-kept:], dtype=torch.float64),
        length=len(values),
    )
    if len(values):
        state.update(
            sum=math.fsum(values),
            count=math.fsum(counts),
            min=float(values.min()),
            max=float(values.max()),
        )
    return state
