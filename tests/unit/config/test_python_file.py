"""Tests of configs in Python: lazy imports, code, ``read_base``."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest

from engine.config import Config, LazyObject
from engine.errors import ConfigError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], Path]

TRAP = "raise RuntimeError('imported')"


def test_a_config_of_data_imports_nothing(write: Write) -> None:
    """Reading, copying, comparing and writing it leave the modules it names alone."""
    write("trap_pack/__init__.py", TRAP)
    write("trap_pack/nets.py", TRAP)
    path = write(
        "a.py",
        "import trap_pack.nets\nimport trap_pack as tp\n"
        "from trap_pack.nets import Net as N, Head\n"
        "model = dict(type=N, heads=[Head, (tp.x.Y,)], f=trap_pack.nets.f)\n",
    )
    cfg = Config.fromfile(path)
    again = Config.fromstring(str(cfg.dump()), ".py")
    assert again == cfg.copy() == cfg
    assert not Config.diff(again, cfg)
    assert "trap_pack" not in sys.modules
    assert cfg.to_dict()["model"] == {
        "type": "trap_pack.nets.Net",
        "heads": ["trap_pack.nets.Head", ("trap_pack.x.Y",)],
        "f": "trap_pack.nets.f",
    }
    with pytest.raises(ConfigError, match=r"^a\.py:3: cannot import trap_pack"):
        cfg.model.type  # noqa: B018 - the look-up is the test


def test_the_package_needs_neither_torch_nor_yaml() -> None:
    """``import engine.config`` and a Python config load neither."""
    program = (
        "import sys; from engine.config import Config; "
        "Config.fromstring('from torch import nn\\nx = dict(type=nn.Linear)', '.py')\n"
        "sys.exit(bool({'torch', 'yaml', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_standard_library_is_imported(write: Write) -> None:
    """What comes with Python is real at once."""
    text = (
        "import os.path as osp\nfrom math import *\n"
        "from collections import OrderedDict\n"
        "a = osp.join('x', 'y')\nb = floor(2.5)\nc = OrderedDict\n"
    )
    cfg = Config.fromfile(write("a.py", text))
    assert cfg == {"a": "x/y", "b": 2, "c": OrderedDict}


def test_which_names_are_values(write: Write) -> None:
    """What is assigned is; imports, loop variables and names with an underscore not."""
    text = """
import torch.nn as nn
from os import path
_private = 1
public: int = 2
unset: int
for i in range(3):
    total = i
with open(__file__) as stream:
    pass
first, (second, *rest) = 1, (2, 3, 4)
layer = nn.Linear
gone = 1
del gone
if (walrus := 3) > 2:
    public += walrus
"""
    assert Config.fromfile(write("a.py", text)) == {
        "public": 5,
        "total": 2,
        "first": 1,
        "second": 2,
        "rest": [3, 4],
        "layer": LazyObject("torch.nn.Linear"),
        "walrus": 3,
    }


def test_calls_of_references_are_made(write: Write) -> None:
    """A function that a data config imports and calls is imported then."""
    write("maker_pack.py", "SIZE = 3\ndef make(n): return [0] * n")
    text = "from maker_pack import make, SIZE\nx = make(2)\ny = SIZE * 2\n"
    assert Config.fromfile(write("a.py", text)) == {"x": [0, 0], "y": 6}


def test_code_is_run_with_its_imports(write: Write) -> None:
    """A file that defines something imports for real and is a custom import."""
    write("real_pack.py", "class Base: ...")
    text = "from real_pack import Base\nclass Net(Base): ...\nmodel = dict(type=Net)"
    cfg = Config.fromfile(write("a.py", text))
    assert cfg.model.type.__mro__[1].__name__ == "Base"
    assert [one.endswith("/a.py") for one in cfg.custom_imports.imports] == [True]
    assert set(cfg) == {"model", "custom_imports"}


def test_code_in_a_base_is_kept_by_the_dump(write: Write, tmp_path: Path) -> None:
    """The dump of a config over a code file finds the file's classes again."""
    write("b/code.py", "class Net: ...\nmodel = dict(type=Net)")
    write("c/parts.py", "class Part: ...")
    text = "_base_ = 'b/code.py'\ncustom_imports = dict(imports=['c/parts.py'])"
    cfg = Config.fromfile(write("a.py", text))
    cfg.dump("elsewhere.py")
    again = Config.fromfile("elsewhere.py")
    assert again == cfg
    assert again.model.type is cfg.model.type
    assert again.custom_imports.imports == [
        str(tmp_path / "c/parts.py"),
        str(tmp_path / "b/code.py"),
    ]


def test_imports_can_be_forced_to_be_real(write: Write) -> None:
    """``lazy_import=False`` imports at once, ``True`` never."""
    write("forced_pack.py", "class Net: ...")
    path = write("a.py", "from forced_pack import *\nx = Net")
    assert Config.fromfile(path, lazy_import=False).to_dict()["x"].__name__ == "Net"
    path = write("b.py", "from nowhere_pack import Net\ndef f(): ...\nx = Net")
    assert Config.fromfile(path, lazy_import=True).to_dict()["x"] == "nowhere_pack.Net"


def test_read_base_gives_real_names(write: Write) -> None:
    """Names of bases can be changed, merged into and deleted like any others."""
    write(
        "d/deep.py", "from nowhere.nets import Net\nmodel = dict(type=Net, n=dict(a=1))"
    )
    write("d/mid.py", "x = 1\ny = [2]\n_hidden = 5")
    write("d/more.yaml", "z: 3")
    text = """
from engine.config import read_base

with read_base():
    from .deep import *
    from .mid import x as renamed, y, _hidden
    from .more import z

model.update(dict(w=2))
model.merge(dict(n=dict(b=2)))
model.n.c = z
y.append(_hidden)
head = Net.head
del z
"""
    assert Config.fromfile(write("d/a.py", text)) == {
        "model": {
            "type": LazyObject("nowhere.nets.Net"),
            "n": {"a": 1, "b": 2, "c": 3},
            "w": 2,
        },
        "renamed": 1,
        "y": [2, 5],
        "head": LazyObject("nowhere.nets.Net.head"),
    }


def test_read_base_finds_other_folders_and_packages(write: Write) -> None:
    """Dots lead up, names into packages that are installed and not imported."""
    write("base_pack/__init__.py", TRAP)
    write("base_pack/configs/toy.py", "p = 1")
    write("up.py", "u = 2")
    text = (
        "with read_base():\n"
        "    from ..up import *\n    from base_pack.configs.toy import p\n"
    )
    assert Config.fromfile(write("d/a.py", text)) == {"p": 1, "u": 2}
    assert "base_pack" not in sys.modules


def test_code_may_read_bases(write: Write) -> None:
    """A file with classes may have bases of both kinds."""
    write("one.py", "x = 1")
    write("two.yaml", "model: {n: 1}")
    text = (
        "_base_ = 'two.yaml'\nwith read_base():\n    from .one import *\n"
        "class Net: n = _base_.model.n + x\nmodel = dict(type=Net)\n"
    )
    cfg = Config.fromfile(write("a.py", text))
    assert cfg.model.type.n == 2
    assert (cfg.x, cfg.model.n) == (1, 1)


def test_changed_bases_do_not_reach_each_other(write: Write) -> None:
    """Two names of one mapping are two mappings once the config is read."""
    cfg = Config.fromfile(write("a.py", "x = dict(n=[1])\ny = x\nz = [x, x]"))
    cfg.x.n.append(2)
    cfg.z[0].n.append(3)
    assert (cfg.y.n, cfg.z[1].n) == ([1], [1])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "a.py": "with read_base():\n    from .b import *\n    from .c import x",
                "b.py": "x = 1",
                "c.py": "x = 1",
            },
            r"^a\.py:3: b\.py and c\.py both set 'x'",
        ),
        (
            {"a.py": "with read_base():\n    from .bse import *", "base.py": ""},
            r"^a\.py:2: there is no base '\.bse' .*Did you mean 'base\.py'",
        ),
        (
            {"a.py": "with read_base():\n    from .b import y", "b.py": "x = 1"},
            r"^a\.py:2: b\.py has no 'y'; it has 'x'",
        ),
        (
            {"a.py": "with read_base():\n    from no_pack.x import y"},
            r"^a\.py:2: there is no base 'no_pack\.x'",
        ),
        (
            {"a.py": "with read_base():\n    import b", "b.py": ""},
            r"^a\.py:2: under read_base\(\) stand only imports of bases.*import b",
        ),
        (
            {"a.py": "with read_base():\n    from .a import *"},
            r"a\.py: the bases go in a circle: a\.py -> a\.py",
        ),
        (
            {"a.py": "x = 1\nfrom .b import y", "b.py": "y = 1"},
            r"^a\.py:2: 'from \.b import y' imports from a neighbour",
        ),
        (
            {"a.py": "from some_pack import *"},
            r"^a\.py:1: 'from some_pack import \*' would import the module",
        ),
        ({"a.py": "def f():\n    1 / 0\nx = f()"}, r"^a\.py:2: ZeroDivisionError"),
    ],
)
def test_mistakes(files: dict[str, str], message: str, write: Write) -> None:
    """Each mistake is one message, with the file and the line where there is one."""
    path, *_ = [write(name, text) for name, text in files.items()]
    with pytest.raises(ConfigError, match=message):
        Config.fromfile(path)


def test_other_errors_of_ours_stay_what_they_are(write: Write) -> None:
    """An error of another kind that a file raises gains a note of the line."""
    text = "from engine.errors import StateError\ndef f(): ...\nraise StateError('no')"
    path = write("a.py", text)
    with pytest.raises(StateError, match="no") as caught:
        Config.fromfile(path)
    assert caught.value.__notes__ == ["in a.py:3"]
