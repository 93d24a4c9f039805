"""Tests of config files as modules."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from typing import TYPE_CHECKING

import pytest

from engine.config import Config
from engine.config.code_file import module_name, module_path
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], Path]

CODE = "class Net:\n    width = 3\nmodel = dict(type=Net)\n"


@pytest.mark.parametrize("path", ["/a/b.py", "/a b/ü-_2f/c.d.py", "/__x/_.py"])
def test_names_lead_back_to_paths(path: str) -> None:
    """A path can be read from its module's name, whatever is in it."""
    name = module_name(path)
    assert all(part.isidentifier() for part in name.split("."))
    assert module_path(name) == path


@pytest.mark.parametrize(
    "name", ["os.path", "engine.config.files", "engine.config.files.a-"]
)
def test_other_names_are_no_config_files(name: str) -> None:
    """Only names that were made from a path lead to one."""
    assert module_path(name) is None


def test_classes_stay_the_same_while_the_file_does(write: Write) -> None:
    """Reading an unchanged file again defines nothing anew; a changed one does."""
    path = write("a.py", CODE)
    first = Config.fromfile(path).model.type
    assert Config.fromfile(path).model.type is first
    write("a.py", CODE.replace("3", "4"))
    assert Config.fromfile(path).model.type.width == 4


def test_values_of_two_readings_are_apart(write: Write) -> None:
    """Changing what one reading gave does not reach the next."""
    path = write("a.py", CODE)
    Config.fromfile(path).model.width = 7
    assert "width" not in Config.fromfile(path).model


def test_objects_are_made_for_each_reading(write: Write) -> None:
    """A model made in the file is another one each time: two runs share nothing."""
    path = write("a.py", CODE + "net = Net()\n")
    assert Config.fromfile(path).net is not Config.fromfile(path).net


def test_changed_bases_run_the_file_again(write: Write) -> None:
    """A file that reckons with its base is run again when that changes."""
    write("base.yaml", "n: 1")
    path = write("a.py", "_base_ = 'base.yaml'\ndef f(): ...\nm = _base_.n + 1")
    assert Config.fromfile(path).m == 2
    write("base.yaml", "n: 5")
    assert Config.fromfile(path).m == 6


def test_a_file_that_fails_is_no_module(write: Write, tmp_path: Path) -> None:
    """What broke half-way is not left in ``sys.modules``."""
    with pytest.raises(ConfigError):
        Config.fromfile(write("a.py", "class Net: ...\n1 / 0"))
    assert module_name(tmp_path / "a.py") not in sys.modules


def test_classes_can_be_pickled(write: Write) -> None:
    """Instances of a config's classes go through pickle in this process."""
    net = Config.fromfile(write("a.py", CODE)).model.type()
    assert type(pickle.loads(pickle.dumps(net))) is type(net)  # noqa: S301 - ours


@pytest.mark.slow
def test_classes_reach_processes_started_afresh(write: Write) -> None:
    """A spawned worker imports the config by its module's name."""
    net = Config.fromfile(write("a.py", CODE)).model.type()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(getattr, (net, "width")) == 3
