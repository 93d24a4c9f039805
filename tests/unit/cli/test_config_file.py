"""The config that a command works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.cli.config_file import load_config
from engine.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def config(folder: Path, text: str, name: str = "toy.py") -> Path:
    """A file with that in it."""
    path = folder / name
    path.write_text(text)
    return path


def test_the_work_dir_is_the_calls_or_the_files_or_named_by_it(tmp_path: Path) -> None:
    """In this order."""
    path = config(tmp_path, "work_dir = 'mine'\n")
    assert load_config(path).work_dir == "mine"
    assert load_config(path, work_dir=tmp_path).work_dir == str(tmp_path)
    assert load_config(config(tmp_path, "x = 1\n")).work_dir == "work_dirs/toy"


def test_the_command_line_changes_entries(tmp_path: Path) -> None:
    """Nested ones, items of lists, and new ones."""
    path = config(tmp_path, "model: {depth: 1, layers: [{width: 2}]}\n", "toy.yaml")
    changes = ["model.depth=3", "model.layers.0.width=[1, 2]", "launcher=None"]
    cfg = load_config(path, overrides=changes)
    assert cfg.model.to_dict() == {"depth": 3, "layers": [{"width": [1, 2]}]}
    assert cfg.launcher is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.layers.3=1", "3"),
        ("model", "model"),
        ("=3", "=3"),
        ("model.depth=[1", r"\[1"),
        ("modle.depth=1", "has 'modle'. Did you mean 'model'"),
        ("lr=1", "neither the config nor the Runner has 'lr'"),
    ],
)
def test_bad_changes(change: str, said: str, tmp_path: Path) -> None:
    """Each is named."""
    path = config(tmp_path, "model: {depth: 1, layers: [2]}\n", "toy.yaml")
    with pytest.raises(ConfigError, match=said):
        load_config(path, overrides=[change])
