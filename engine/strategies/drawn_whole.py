"""First values for tensors that lie over ranks, as one process would compute them.

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

_MAKERS = ("new_", "empty_like", "zeros_like", "ones_like", "full_like", "rand")


def drawn_whole() -> TorchDispatchMode:
    """While the body runs, what fills tensors in place fills them as one process would.

    Random operations draw whole tensors, and what follows, in place or not, is computed
    from these. Tensors that are made in the likeness of one are whole, and whole ones
    can be copied into those that are cut.
    """
    return _DrawnWhole()


class _DrawnWhole(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Sees each operation before the tensors that lie over ranks do."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        # What was drawn last, and whole: no more than one at a time.
        self._target: Any = None
        self._whole: Any = None

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, on whole tensors where a part would not do."""
        arguments = dict(kwargs or {})
        name = func.__name__.partition(".")[0]
        if not any(map(is_sharded, args)) or func.is_view:
            return func(*args, **arguments)
        if not is_sharded(args[0]) or not name.endswith("_"):
            return self._made(func, name, args, arguments)
        return self._filled(func, name, args, arguments)

    def _made(
        self, func: Any, name: str, args: Sequence[Any], arguments: dict[str, Any]
    ) -> Any:
        """Something new from tensors."""
        if name.startswith(_MAKERS) and is_sharded(args[0]):
            return func(_room(args[0]), *args[1:], **arguments)
        if any(one is self._target for one in args) or any(map(_is_whole, args)):
            return func(*map(self._whole_of, args), **arguments)
        return func(*args, **arguments)

    def _filled(
        self, func: Any, name: str, args: Sequence[Any], arguments: dict[str, Any]
    ) -> Any:
        """A tensor that lies over ranks, filled in place."""
        target, *others = args
        if torch.Tag.nondeterministic_seeded in func.tags:
            whole = _room(target)
        elif target is self._target or any(map(_is_whole, others)):
            whole = self._whole_of(target)
        else:
            if any(one is self._target for one in args):
                self._target = self._whole = None
            return func(*args, **arguments)
        func(whole, *map(self._whole_of, others), **arguments)
        self._target, self._whole = target, whole
        keep_part(target, whole)
        return target

    def _whole_of(self, value: Any) -> Any:
        if value is self._target:
            return self._whole
        return value.full_tensor() if is_sharded(value) else value


def _room(like: Any) -> torch.Tensor:
    """A whole tensor of its shape, with any numbers."""
    return torch.empty(like.shape, dtype=like.dtype, device=like.to_local().device)


def _is_whole(value: Any) -> bool:
    """Whether it is a tensor of some length that does not lie over ranks."""
    return isinstance(value, torch.Tensor) and value.dim() > 0 and not is_sharded(value)
