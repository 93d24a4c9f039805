"""Random values for tensors that lie over ranks, as one process would draw them.

torch fills each rank's part from that rank's generator: on a CPU all ranks then have
the same numbers in theirs, and on other numbers of ranks the weights are others. Here a
tensor is drawn whole, one at a time, and each rank keeps its part. Ranks whose
generators are equal before stay so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.checkpoint import is_sharded, keep_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["drawn_whole"]


def drawn_whole() -> TorchDispatchMode:
    """While the body runs, in-place random operations draw whole tensors.

    Others, such as ``zero_`` or ``mul_``, do what they always do.
    """
    return _DrawnWhole()  # type: ignore[no-untyped-call]  # torch's


class _DrawnWhole(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Sees each operation before the tensors that lie over ranks do."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, a random one on a whole tensor."""
        arguments = dict(kwargs or {})
        fills = args and is_sharded(args[0]) and _is_random(func)
        if not fills:
            return func(*args, **arguments)
        target: Any = args[0]
        local = target.to_local()
        whole = torch.empty(target.shape, dtype=target.dtype, device=local.device)
        func(whole, *args[1:], **arguments)
        keep_part(target, whole)
        return target


def _is_random(func: Any) -> bool:
    """Whether it fills its first argument with random values."""
    return torch.Tag.nondeterministic_seeded in func.tags and func.__name__.partition(
        "."
    )[0].endswith("_")
