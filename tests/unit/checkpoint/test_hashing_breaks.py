"""What breaks a save off is what is raised, not torch's words for it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.checkpoint import Store
from engine.checkpoint.local_storage import LocalStorage

if TYPE_CHECKING:
    from pathlib import Path


class Broken(io.BytesIO):
    """A file at whose third piece Ctrl-C comes."""

    pieces = 0

    def write(self, data: Any, /) -> int:
        self.pieces += 1
        if self.pieces == 3:
            raise KeyboardInterrupt
        return super().write(data)


def test_ctrl_c_in_a_save_is_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error of the checkpoint: a command exits as a shell expects."""

    def stage(storage: LocalStorage, name: str, fill: Any) -> Any:
        fill(Broken())

    monkeypatch.setattr(LocalStorage, "stage", stage)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).write("a.pth", {"weights": torch.ones(3)})
