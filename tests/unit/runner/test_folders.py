"""The folders of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ConfigError
from engine.runner.folders import log_folder, make_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    """Proving that it can be written leaves nothing behind."""
    folder = make_folder(tmp_path / "deep" / "er")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert make_folder(folder) == folder


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    """The message names the path and the reason."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"file.*cannot be written.*may write"):
            make_folder(path)


def test_log_folders_of_one_second_are_numbered(tmp_path: Path) -> None:
    """The first one is not."""
    names = [log_folder(tmp_path, "20260101_120000").name for _ in range(3)]
    assert names == ["20260101_120000", "20260101_120000_2", "20260101_120000_3"]
