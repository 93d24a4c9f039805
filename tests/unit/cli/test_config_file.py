"""A config is a Python file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from engine.cli.config_file import load_config
from engine.errors import ConfigError, StateError


def config(folder: Path, text: str, name: str = "toy.py") -> Path:
    """A file with that in it."""
    path = folder / name
    path.write_text(text)
    return path


def test_variables_named_like_arguments_are_taken(tmp_path: Path) -> None:
    """Imports, functions, classes and other variables are the file's own business."""
    path = config(
        tmp_path,
        "import math\nfrom pathlib import Path\nepochs = 3\n"
        "class Resume: pass\n"
        "def modell(): pass\n"
        "_model = 5\n"
        "model = {'depth': epochs}\ntrain_cfg = {'max_epochs': epochs}\n",
    )
    cfg = load_config(path)
    assert dict(cfg) == {
        "model": {"depth": 3},
        "train_cfg": {"max_epochs": 3},
        "work_dir": Path("work_dirs/toy"),
    }
    assert cfg.filename == str(path)
    assert str(cfg) == path.read_text()


def test_the_work_dir_is_the_calls_or_the_files(tmp_path: Path) -> None:
    """In this order."""
    path = config(tmp_path, "work_dir = 'mine'\n")
    assert load_config(path)["work_dir"] == "mine"
    assert load_config(path, work_dir=Path("other"))["work_dir"] == Path("other")


def test_classes_of_the_file_can_be_pickled(tmp_path: Path) -> None:
    """As workers that are spawned need it."""
    path = config(tmp_path, "class Data: pass\nmodel = Data()\n", "pickled_toy.py")
    model = load_config(path)["model"]
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert type(again) is type(model)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("work_dirs = 1\n", "'work_dirs' is no argument.* Did you mean 'work_dir'"),
        ("x = 1\ny = 1 / 0\n", r"toy\.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\nmodel = (\n", r"toy\.py:2: .*was never closed"),
        (
            "import no_such_package\n",
            r"toy\.py:1: ModuleNotFoundError: .*no_such_package",
        ),
        ("def f():\n    return 1 / 0\nmodel = f()\n", r"toy\.py:2: ZeroDivisionError"),
    ],
)
def test_a_file_that_does_not_work_is_named_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    """One message, what the file did wrong."""
    with pytest.raises(ConfigError, match=said):
        load_config(config(tmp_path, text))


def test_our_own_errors_pass_through(tmp_path: Path) -> None:
    """They say already what is wrong."""
    path = config(
        tmp_path, "from engine.state import Limits\nLimits(max_epochs=0)\n", "own.py"
    )
    with pytest.raises(StateError, match="max_epochs=0"):
        load_config(path)


def test_no_python_file_is_refused(tmp_path: Path) -> None:
    """One that is missing, one of another kind."""
    with pytest.raises(ConfigError, match=r"no\.py does not exist"):
        load_config(tmp_path / "no.py")
    with pytest.raises(ConfigError, match=r"toy\.yaml is no Python file"):
        load_config(config(tmp_path, "", "toy.yaml"))
