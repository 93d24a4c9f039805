"""Tests of the config as a whole."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from engine.config import Config, ConfigDict, LazyObject
from engine.errors import ConfigError, ConfigKeyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], Path]

NOWHERE = LazyObject("nowhere.at.all.Net", ("nowhere.at.all",))


def test_it_is_a_mapping() -> None:
    """Everything that a dict can do at its top, a config can."""
    cfg = Config({"a": 1, "b": {"c": 2}})
    assert isinstance(cfg, MutableMapping)
    assert (list(cfg), len(cfg), "a" in cfg, "x" in cfg) == (["a", "b"], 2, True, False)
    assert (cfg.get("x", 3), cfg.get("a"), cfg.pop("x"), cfg.pop("x", 4)) == (
        3,
        1,
        None,
        4,
    )
    assert list(cfg.keys()) == ["a", "b"]
    assert list(cfg.values()) == [1, {"c": 2}]
    assert dict(cfg) == {**cfg} == dict(cfg.items()) == {"a": 1, "b": {"c": 2}}
    cfg.update({"d": 4}, e=5)
    assert cfg.setdefault("f", {"g": 6}).g == 6
    cfg.h = {"i": 7}
    assert cfg.h.i == 7
    del cfg.a, cfg["b"]
    assert set(cfg) == {"d", "e", "f", "h"}


def test_its_own_names_are_keys_by_item_only() -> None:
    """A key ``text`` is allowed, and the attribute stays the config's own."""
    cfg = Config({"text": "mine"})
    assert (cfg["text"], cfg.text) == ("mine", "")
    with pytest.raises(ConfigKeyError, match="'filename' belongs to the config itself"):
        cfg.filename = "x"  # type: ignore[misc]  # the mistake


def test_missing_keys_name_the_file(write: Write) -> None:
    """The error has the file, the nearest key, and is what Python expects."""
    cfg = Config.fromfile(write("a.py", "model = 1"))
    with pytest.raises(
        AttributeError, match=r"^a\.py: no key 'modle'.*Did you mean 'mo"
    ):
        cfg.modle  # noqa: B018 - the look-up is the test
    with pytest.raises(KeyError):
        cfg["modle"]
    with pytest.raises(KeyError):
        del cfg["modle"]
    assert not hasattr(cfg, "modle")


def test_it_is_made_from_mappings_only() -> None:
    """A list is none."""
    with pytest.raises(ConfigError, match=r"is made from a mapping, found \[1\]"):
        Config([1])  # type: ignore[arg-type]  # the mistake


def test_what_it_is_made_from_is_not_changed() -> None:
    """Changes stay in the config."""
    given: dict[str, Any] = {"a": {"b": 1}, "c": [{"d": 1}]}
    cfg = Config(given)
    cfg.a.b = 2
    cfg.c[0].d = 2
    cfg.merge_from_dict({"a.e": 3, "c.0.f": 4})
    assert given == {"a": {"b": 1}, "c": [{"d": 1}]}


def test_it_knows_where_it_is_from(write: Write, tmp_path: Path) -> None:
    """The file's path is absolute; the representation has it and the values."""
    cfg = Config.fromfile(write("a.py", "x = 1"))
    assert cfg.filename == str(tmp_path / "a.py")
    assert repr(cfg) == f"Config (path: {tmp_path}/a.py): {{'x': 1}}"
    assert repr(Config({"x": 1})) == "Config: {'x': 1}"
    assert Config({}, filename="a.py").text == "x = 1"


@pytest.mark.parametrize(
    "action",
    [
        copy.copy,
        copy.deepcopy,
        lambda cfg: cfg.copy(),
        lambda cfg: pickle.loads(pickle.dumps(cfg)),  # noqa: S301 - ours
    ],
)
def test_copies(action: Any, write: Write) -> None:
    """A copy is equal, knows its file, imports nothing, and is changed alone."""
    text = "from nowhere.at import Net\nm = dict(t=Net, n=[dict(k=[1])])\ne='{{$E_:1}}'"
    cfg = Config.fromfile(write("a.py", text))
    other = action(cfg)
    assert other == cfg
    assert (other.filename, other.text) == (cfg.filename, cfg.text)
    assert other.env_variables == {"E_": "1"}
    other.m.n[0].k.append(2)
    other.z = 1
    assert cfg.m.n == [{"k": [1]}]
    assert "z" not in cfg
    assert "nowhere" not in sys.modules


def test_copies_share_objects() -> None:
    """``copy`` shares what is no container; ``deepcopy`` does not."""

    class Thing:
        pass

    cfg = Config({"x": Thing()})
    assert cfg.copy().x is cfg.x
    assert copy.deepcopy(cfg).x is not cfg.x


def test_copies_in_threads() -> None:
    """Many threads may copy one config at a time."""
    cfg = Config({str(n): {"a": [n, {"b": (NOWHERE,)}]} for n in range(50)})
    with ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(lambda n: copy.deepcopy(cfg).copy(), range(64)))
    assert all(one == cfg for one in copies)


def test_equality_is_that_of_values() -> None:
    """Configs equal mappings with the same values; nothing is imported."""
    assert Config({"a": NOWHERE}) == {"a": NOWHERE}
    assert Config({"a": 1}) != {"a": 2}
    assert Config({}) != 3


def test_imported_names_can_be_kept(write: Write) -> None:
    """``to_dict(keep_imported=True)`` has the names that the file imports too."""
    cfg = Config.fromfile(write("a.py", "from nowhere.at import Net\nx = dict(t=Net)"))
    assert cfg.to_dict() == {"x": {"t": "nowhere.at.Net"}}
    assert cfg.to_dict(keep_imported=True) == {
        "Net": "nowhere.at.Net",
        "x": {"t": "nowhere.at.Net"},
    }


def test_dump_knows_formats_by_suffix(write: Write, tmp_path: Path) -> None:
    """Each suffix gives its format; without a file the Python text is returned."""
    cfg = Config({"x": 1, "m": {"y": [1.5, "a"]}})
    for suffix in ("py", "yaml", "yml", "json", "toml"):
        assert cfg.dump(tmp_path / f"a.{suffix}") is None
        assert Config.fromfile(tmp_path / f"a.{suffix}") == cfg
    assert cfg.dump() == 'x = 1\nm = dict(y=[1.5, "a"])\n'
    with pytest.raises(ConfigError, match=r"cannot write a\.ini: '\.ini' is none of"):
        cfg.dump("a.ini")


@pytest.mark.parametrize(
    ("value", "suffix", "message"),
    [
        (object(), ".py", r"^m\.k\[1\]: <object object.* \(object\) cannot be written"),
        (lambda: 0, ".py", r"^m\.k\[1\]: <function.*cannot be written as text"),
        (
            object(),
            ".yaml",
            r"^m\.k\[1\]: YAML cannot hold <object.*\(\.py\) holds more",
        ),
        (int, ".json", r"^m\.k\[1\]: JSON cannot hold .*can stand under 'type' only"),
        (1j, ".yaml", r"^m\.k\[1\]: YAML cannot hold 1j \(complex\)"),
        (b"x", ".json", r"^m\.k\[1\]: JSON cannot hold b'x' \(bytes\)"),
        (None, ".toml", r"^m\.k\[1\]: TOML cannot hold None .*leave the key out"),
        ({1: 2}, ".json", r"^m\.k\[1\]\[1\]: JSON cannot hold 1 .*a key must be text"),
    ],
)
def test_what_cannot_be_written(
    value: Any, suffix: str, message: str, tmp_path: Path
) -> None:
    """The error has the path of the value, and no file is left."""
    cfg = Config({"m": {"k": [0, value]}})
    with pytest.raises(ConfigError, match=message):
        cfg.dump(tmp_path / f"a{suffix}")
    assert not (tmp_path / f"a{suffix}").exists()


def test_pretty_text_shows_what_cannot_be_written() -> None:
    """A log of the config never fails."""
    cfg = Config({"model": object()})
    assert cfg.pretty_text == 'model = "<builtins.object object>"\n'


def test_lines_may_stay_long() -> None:
    """``format_python_code=False`` writes each variable on one line."""
    values = {"x": list(range(100))}
    assert len(Config(values, format_python_code=False).pretty_text.splitlines()) == 1
    assert len(Config(values).pretty_text.splitlines()) == 102


@pytest.mark.parametrize("suffix", [".yaml", ".json", ".toml"])
def test_classes_become_names_under_type(suffix: str, tmp_path: Path) -> None:
    """Data formats hold a class as the path that a registry finds it by."""
    cfg = Config({"model": {"type": NOWHERE}, "optim": {"type": ConfigDict}})
    cfg.dump(tmp_path / f"a{suffix}")
    assert Config.fromfile(tmp_path / f"a{suffix}").to_dict() == {
        "model": {"type": "nowhere.at.all.Net"},
        "optim": {"type": "engine.config.config_dict.ConfigDict"},
    }


def test_diff_names_the_files(write: Write) -> None:
    """A diff has the files' names and the lines that differ; equal ones give none."""
    one, two = write("a.py", "x = 1\ny = 2"), write("b.yaml", "x: 1\ny: 3")
    text = Config.diff(one, Config.fromfile(two))
    assert text.splitlines()[:2] == ["--- a.py", "+++ b.yaml"]
    assert "-y = 2\n+y = 3" in text
    assert not Config.diff(one, one)


def test_merging_follows_documented_forms() -> None:
    """Values, items of lists and mappings are set by their paths."""
    cfg = Config({"model": {"depth": 50}, "hooks": [{"n": 1}, {"n": 2}]})
    cfg.merge_from_dict({"model.depth": 18, "hooks.1.n": 3, "hooks[0]": {"m": 4}})
    assert cfg == {"model": {"depth": 18}, "hooks": [{"n": 1, "m": 4}, {"n": 3}]}


def test_merged_references_stay(write: Write) -> None:
    """An override beside a reference imports nothing."""
    text = "from nowhere.at import Net\nm = [dict(t=Net), Net]"
    cfg = Config.fromfile(write("a.py", text))
    cfg.merge_from_dict({"m.0.n": 1})
    assert cfg.to_dict() == {"m": [{"t": "nowhere.at.Net", "n": 1}, "nowhere.at.Net"]}


def test_argparser_has_the_configs_values(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value of the config is an option of its type."""
    path = write("a.py", "lr = 0.1\non = False\nm = dict(n=1, s=[1, 2], t=())")
    argv = ["train", str(path), "--lr", "0.5", "--m.n", "3", "--m.s", "4", "--on"]
    monkeypatch.setattr(sys, "argv", argv)
    parser, cfg = Config.auto_argparser("Train.")
    options = vars(parser.parse_args())
    assert cfg.lr == 0.1
    assert (options["lr"], options["on"]) == (0.5, True)
    assert (options["m.n"], options["m.s"]) == (3, [4])
