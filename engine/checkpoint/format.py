"""What a checkpoint file holds.

::

    meta               epoch, iter, seed, experiment_name, time, version, cfg, ...
    state_dict         the model's weights and buffers
    optimizer          the optimizer's (wrapper's) state
    param_schedulers   a list of states, or a dict of lists by optimizer
    message_hub        scalars and facts of the run
    engine             ours:
      format             1
      run_state          RunState.state_dict()
      randomness         the global generators
      gradients          what the next backward adds to, or None
      evaluating         names of modules in evaluation mode
      hooks              state of each hook by unique name
      parts              state of everything else that is tracked, by unique name
      data               what the training data needs beside its place, or None
      validation         where a validation is that was left between two of its batches:
                         batches done, what its metrics gathered, its generators; or
                         why it begins again whole; or None
      buckets            in which order each DDP wrapper's gradients become ready
      ranks              of a run on several: what each rank has otherwise than rank 0
      at_safe_point      whether all handlers of the last event had run
      environment        what exact resume depends on: versions, threads

Tensors and plain data only, so ``torch.load(weights_only=True)`` reads it. The upper
five have MMEngine's names and meaning.
"""

from __future__ import annotations

import platform
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import ignite
import numpy as np
import torch

from engine.checkpoint.convert import is_mmengine
from engine.checkpoint.pieces import is_sharded
from engine.errors import CheckpointDamagedError, a_type

__all__ = [
    "FORMAT",
    "NEEDED",
    "check",
    "environment",
    "environment_changes",
    "find_foreign",
]

FORMAT = 1
"""Version of what lies under ``engine``."""


def check(checkpoint: Any, where: str) -> dict[str, Any]:
    """Return ``checkpoint`` if a run can be resumed from it: ours, or MMEngine's.

    Raises:
        CheckpointDamagedError: It is no checkpoint of ours, or of a newer format.
    """
    found = f"{a_type(checkpoint)}"
    if isinstance(checkpoint, Mapping):
        found = f"the keys {sorted(map(str, checkpoint))[:8]}"
        ours = checkpoint.get("engine")
        if is_mmengine(checkpoint):  # restored as far as it goes
            return dict(checkpoint)
        if isinstance(ours, Mapping) and "state_dict" in checkpoint:
            if ours.get("format") == FORMAT:
                return _complete(dict(checkpoint), where)
            found = f"format {ours.get('format')}, this version reads {FORMAT}"
    message = (
        f"{where}: no run can be resumed from this file: expected a checkpoint that "
        f"this engine wrote, found {found}. To take only weights from it, use "
        "load_from (or load_checkpoint) without resume."
    )
    raise CheckpointDamagedError(message)


NEEDED = (
    "format",
    "run_state",
    "randomness",
    "gradients",
    "evaluating",
    "hooks",
    "parts",
    "at_safe_point",
    "environment",
)

# Exact types: a float of NumPy's is a float, and would have to be unpickled.
_LEAVES = (bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device)


def find_foreign(value: Any, where: str = "checkpoint") -> str | None:
    """Where something lies that no reader would unpickle; ``None`` if nowhere.

    Args:
        value: What is to be saved.
        where: What the answer calls it.

    >>> find_foreign({"state_dict": {}, "meta": {"best": [0.5, object()]}})
    "checkpoint['meta']['best'][1] is a builtins.object"
    """
    kind = type(value)
    if is_sharded(value):
        return f"{where} is a tensor that lies over ranks (write_sharded writes those)"
    if value is None or kind in _LEAVES or isinstance(value, torch.Tensor):
        return None
    inside: Any = None
    if kind in (dict, OrderedDict, Counter):
        inside = value.items()
    elif kind in (list, tuple, set):
        inside = enumerate(value)
    if inside is None:
        return f"{where} is a {kind.__module__}.{kind.__qualname__}"
    found = (find_foreign(item, f"{where}[{key!r}]") for key, item in inside)
    return next((one for one in found if one is not None), None)


def _complete(checkpoint: dict[str, Any], where: str) -> dict[str, Any]:
    missing = [name for name in NEEDED if name not in checkpoint["engine"]]
    missing += [name for name in ("meta", "message_hub") if name not in checkpoint]
    if missing:
        message = f"{where}: damaged: its parts {missing} are missing"
        raise CheckpointDamagedError(message)
    return checkpoint


def environment() -> dict[str, Any]:
    """What bit-equality depends on beside the state."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": str(np.__version__),
        "ignite": str(ignite.__version__),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda,
    }


def environment_changes(saved: Mapping[str, Any]) -> list[str]:
    """One remark for each thing that differs from when the checkpoint was saved."""
    return [
        f"{name} was {saved[name]} when this was saved and is {now}: the run goes on, "
        "but bit-equality is only promised where it is the same"
        for name, now in environment().items()
        if name in saved and saved[name] != now
    ]
