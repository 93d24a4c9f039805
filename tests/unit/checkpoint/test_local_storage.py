"""Files that another run deletes while they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.checkpoint.local_storage import LocalStorage

if TYPE_CHECKING:
    import pytest


def test_what_is_deleted_meanwhile_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs in one folder: neither fails because the other one tidies up."""
    # Whoever asks first hears that they are there, and then they are gone.
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    (tmp_path / "listed.json").symlink_to(tmp_path / "gone")
    storage = LocalStorage(tmp_path)
    assert storage.read_text("gone.json") is None
    assert storage.files(".json") == []
