"""Buffers that a model keeps out of its ``state_dict``, and changes nevertheless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from engine.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["UnsavedBuffers"]


class UnsavedBuffers:
    """Watches a model's buffers that are registered with ``persistent=False``.

    Most are constants that the model makes anew, a mask or a table of angles, and need
    not be saved. Those that were written since the watch began are memory.

    Args:
        model: The model; anything that is no module has no buffers.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._versions = {name: _version(one) for name, one in self._buffers()}
        self._changed: set[str] = set()

    def state(self) -> dict[str, Tensor]:
        """Those that were written, by name."""
        found = {}
        for name, buffer in self._buffers():
            if self._versions.get(name) != _version(buffer):
                self._changed.add(name)
            if name in self._changed:
                found[name] = buffer
        return found

    def load(self, saved: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` gave.

        Raises:
            CheckpointError: The model has no such buffer, or one of another shape.
        """
        mine = dict(self._buffers())
        for name, value in saved.items():
            if name not in mine or mine[name].shape != value.shape:
                found = tuple(mine[name].shape) if name in mine else "no such buffer"
                message = (
                    f"buffer {name!r}: the checkpoint has shape {tuple(value.shape)}, "
                    f"the model has {found}. Resume with the model it was saved with."
                )
                raise CheckpointError(message)
        for name, value in saved.items():
            mine[name].data.copy_(value)
            self._changed.add(name)

    def _buffers(self) -> Iterator[tuple[str, Tensor]]:
        if not isinstance(self._model, nn.Module):
            return
        for path, module in self._model.named_modules():
            for name in module._non_persistent_buffers_set:  # noqa: SLF001 - torch has no public way
                buffer = module._buffers.get(name)  # noqa: SLF001
                if buffer is not None:
                    yield (f"{path}.{name}" if path else name), buffer


def _version(buffer: Tensor) -> tuple[int, int]:
    return buffer.data_ptr(), buffer._version  # noqa: SLF001 - counts writes in place
