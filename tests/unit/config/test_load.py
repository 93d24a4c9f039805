"""Tests of reading configs: bases, variables, custom imports, mistakes."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from engine.config import Config
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str, str], Path]

BASES = {
    "base.py": "model = dict(type='Net', width=4)\nlr = 0.1\nhooks = [dict(n=1)]\n",
    "base.yaml": "model: {type: Net, width: 4}\nlr: 0.1\nhooks: [{n: 1}]\n",
    "base.json": (
        '{"model": {"type": "Net", "width": 4}, "lr": 0.1, "hooks": [{"n": 1}]}'
    ),
    "base.toml": 'lr = 0.1\nhooks = [{n = 1}]\n[model]\ntype = "Net"\nwidth = 4\n',
}
CHILDREN = {
    "child.py": """_base_ = "{base}"
model = dict(width=8)
rate = {{{{_base_.lr}}}}
name = "w{{{{ _base_.model.width }}}}"
first = {{{{_base_.hooks.0}}}}
""",
    "child.yaml": """_base_: {base}
model: {{width: 8}}
rate: "{{{{_base_.lr}}}}"
name: w{{{{ _base_.model.width }}}}
first: {{{{_base_.hooks.0}}}}
""",
    "child.json": """{{"_base_": ["{base}"], "model": {{"width": 8}},
 "rate": {{{{_base_.lr}}}}, "name": "w{{{{ _base_.model.width }}}}",
 "first": "{{{{_base_.hooks.0}}}}"}}
""",
    "child.toml": """_base_ = "{base}"
rate = {{{{_base_.lr}}}}
name = "w{{{{ _base_.model.width }}}}"
first = "{{{{_base_.hooks.0}}}}"
model.width = 8
""",
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("child", CHILDREN)
def test_bases_work_across_formats(base: str, child: str, write: Write) -> None:
    """Any format may start from any other, and refer to its values with their types."""
    write(base, BASES[base])
    cfg = Config.fromfile(write(child, CHILDREN[child].format(base=base)))
    assert cfg == {
        "model": {"type": "Net", "width": 8},
        "lr": 0.1,
        "hooks": [{"n": 1}],
        "rate": 0.1,
        "name": "w4",
        "first": {"n": 1},
    }


def test_bases_lie_relative_to_the_file_that_names_them(write: Write) -> None:
    """Bases of bases in other folders are found, wherever we are."""
    write("a/b/deep.py", "x = 1")
    write("a/mid.yaml", "_base_: b/deep.py\ny: 2")
    write("c/other.json", '{"z": 3}')
    path = write("c/top.py", "_base_ = ['../a/mid.yaml', 'other.json']\nx = 5")
    assert Config.fromfile(path) == {"x": 5, "y": 2, "z": 3}


def test_values_of_a_base_can_be_reckoned_with(write: Write) -> None:
    """``_base_.x`` is a value in Python."""
    write("base.py", "lr = 0.5\nsteps = [1]")
    path = write("a.py", "_base_ = 'base.py'\nlr = _base_.lr * 2\nn = _base_.steps+[2]")
    assert Config.fromfile(path) == {"lr": 1.0, "steps": [1], "n": [1, 2]}


def test_values_of_a_base_can_be_changed(write: Write) -> None:
    """``_base_.x.y = z`` is heeded, told where it stands, and leaves the base alone."""
    base = write("base.py", "model = dict(width=8, deep=[dict(n=1)])\nlr = 1")
    text = "_base_ = 'base.py'\n_base_.model.deep[0].n = 2\nmodel = dict(bias=True)\n"
    for more in ("", "def f(): ...\n"):  # data, and code
        path = write("a.py", text + more)
        for _ in range(2):
            cfg = Config.fromfile(path)
            assert cfg.model == {"width": 8, "deep": [{"n": 2}], "bias": True}
            assert cfg.lr == 1
            assert cfg.locate("model", "deep", 0, "n") == "a.py:2"
    assert Config.fromfile(base).model.deep[0].n == 1


@pytest.mark.parametrize(
    "place", ["toy_pack/toy.py", "toy_pack/.mim/configs/toy.py", "toy_pack/.mim/toy.py"]
)
def test_bases_of_installed_packages(place: str, write: Write) -> None:
    """``scope::path`` is found in the package, which is not imported; specs know it."""
    write("toy_pack/__init__.py", "raise RuntimeError('imported')")
    write(place, "model = dict(type='Net', head=[dict(type='Head')])\nn = dict(a=1)")
    cfg = Config.fromfile(write("a.py", "_base_ = 'toy_pack::toy.py'"))
    assert cfg.model == {
        "type": "Net",
        "head": [{"type": "Head", "_scope_": "toy_pack"}],
        "_scope_": "toy_pack",
    }
    assert cfg.n == {"a": 1}
    assert "toy_pack" not in sys.modules


def test_variables_of_the_file(write: Write, tmp_path: Path) -> None:
    """The file's folder, name, stem and suffix can be used, in quotes or bare."""
    text = "a = '{{ fileDirname }}'\nb = {{fileBasename}}\nc = '{{ fileExtname }}x'\n"
    cfg = Config.fromfile(write("d/a.py", text + "d = '{{fileBasenameNoExtension}}'"))
    assert cfg == {"a": f"{tmp_path}/d", "b": "a.py", "c": ".pyx", "d": "a"}


def test_variables_can_be_left(write: Write) -> None:
    """Without the two switches the text stays as it is."""
    path = write("a.py", "a = '{{ fileDirname }}'\nb = '{{$TOY:1}}'")
    cfg = Config.fromfile(
        path, use_predefined_variables=False, use_environment_variables=False
    )
    assert cfg == {"a": "{{ fileDirname }}", "b": "{{$TOY:1}}"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "n = {{$TOY_N:1}}\ns = '{{$TOY_N:1}}'\nw = {{$TOY_W:word}}\n"),
        ("a.yaml", "n: {{$TOY_N:1}}\ns: '{{$TOY_N:1}}'\nw: {{$TOY_W:word}}\n"),
        ("a.json", '{"n": {{$TOY_N:1}}, "s": "{{$TOY_N:1}}", "w": {{$TOY_W:word}}}'),
        ("a.toml", "n = {{$TOY_N:1}}\ns = '{{$TOY_N:1}}'\nw = {{$TOY_W:word}}\n"),
    ],
)
def test_variables_of_the_environment(
    name: str, text: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are typed outside of quotes, text within, and kept with the config."""
    monkeypatch.setenv("TOY_N", "7")
    cfg = Config.fromfile(write(name, text))
    assert cfg == {"n": 7, "s": "7", "w": "word"}
    assert cfg.env_variables == {"TOY_N": "7", "TOY_W": "word"}


def test_environment_values_are_escaped(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quote or backslash in a variable does not end the text that it is put into."""
    monkeypatch.setenv("TOY", 'a"b\\c')
    assert Config.fromfile(write("a.py", 'x = "{{$TOY}}"')).x == 'a"b\\c'
    assert Config.fromfile(write("a.json", '{"x": "{{$TOY}}"}')).x == 'a"b\\c'


def test_custom_imports_are_imported(write: Write) -> None:
    """Modules and files are imported; a file lies relative to the config."""
    write("toy_custom.py", "DONE = True")
    write("d/parts.py", "class Part: ...")
    text = "custom_imports = dict(imports=['toy_custom', 'parts.py'])"
    cfg = Config.fromfile(write("d/a.py", text))
    assert sys.modules["toy_custom"].DONE
    assert cfg.custom_imports.imports[1].endswith("/d/parts.py")
    assert any(name.endswith("parts") for name in sys.modules)


def test_custom_imports_can_be_left(write: Write) -> None:
    """``import_custom_modules=False`` imports nothing."""
    text = "custom_imports = dict(imports=['nowhere_at_all'])"
    cfg = Config.fromfile(write("a.py", text), import_custom_modules=False)
    assert cfg.custom_imports.imports == ["nowhere_at_all"]


def test_custom_imports_may_fail_if_allowed(write: Write) -> None:
    """With ``allow_failed_imports`` a failure is a warning."""
    text = (
        "custom_imports = dict(imports=['nowhere_at_all'], allow_failed_imports=True)"
    )
    path = write("a.py", text)
    with pytest.warns(UserWarning, match="cannot import 'nowhere_at_all'"):
        Config.fromfile(path)


def test_deprecated_bases_are_told(write: Write) -> None:
    """The warning names the config, the base, what to use and where to read."""
    write("old.py", "_deprecation_ = dict(expected='new.py', reference='#7')\nx = 1")
    path = write("a.py", "_base_ = 'old.py'")
    text = r"a\.py starts from old\.py, which is deprecated; use new\.py \(see #7\)"
    with pytest.warns(DeprecationWarning, match=text):
        assert Config.fromfile(path) == {"x": 1}


def test_a_base_is_not_deprecated_by_itself(write: Write) -> None:
    """No warning without ``_deprecation_``."""
    write("base.py", "x = 1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config.fromfile(write("a.py", "_base_ = 'base.py'"))


def test_text_has_all_files(write: Write) -> None:
    """``text`` is what stands in the files, bases first, each under its name."""
    write("base.py", "x = 1")
    cfg = Config.fromfile(write("a.py", "_base_ = 'base.py'"))
    assert cfg.text == "base.py\nx = 1\na.py\n_base_ = 'base.py'\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": ""}, r"config a\.txt: '\.txt' is none of the formats \.py, \.yaml"),
        ({"a": ""}, r"config a: 'no suffix' is none of the formats"),
        ({"a.py": "x = (1,\ny = 2"}, r"^a\.py:1: '\(' was never closed: x = \(1,"),
        ({"a.py": "\nx = 1 1"}, r"^a\.py:2: invalid syntax.*: x = 1 1"),
        ({"a.yaml": "x: 1\ny: [1"}, r"^a\.yaml:2: this is no YAML: "),
        ({"a.yaml": "- 1\n- 2"}, r"a\.yaml: a config is a mapping .*found a list"),
        ({"a.json": '{"x": 1,\n}'}, r"^a\.json:2: this is no JSON: "),
        ({"a.toml": "x = 1\ny = ="}, r"^a\.toml:2: this is no TOML: Invalid value"),
        (
            {"a.py": "x = 1\ny = 1 / 0"},
            r"^a\.py:2: ZeroDivisionError: division by zero",
        ),
        ({"a.py": "x = y"}, r"^a\.py:1: NameError: name 'y' is not defined"),
        (
            {"a.py": "\n_base_ = 'bse.py'", "base.py": ""},
            r"^a\.py:2: there is no base 'bse\.py' \(bse\.py\)\. Did you mean",
        ),
        (
            {"a.yaml": "x: 1\n_base_: {b: 1}"},
            r"a\.yaml:2: _base_ must be a path or a li",
        ),
        ({"a.py": "_base_ = f()"}, r"a\.py:1: _base_ must be a path.*found f\(\)"),
        (
            {"a.py": "_base_ = 'no_pack::x.py'"},
            r"a\.py:1: no package 'no_pack' is inst",
        ),
        (
            {"a.py": "_base_ = 'yaml::x.py'"},
            r"a\.py:1: there is no yaml::x\.py; looked",
        ),
        (
            {
                "a.py": "_base_ = 'b.py'",
                "b.py": "_base_ = 'c.yaml'",
                "c.yaml": "_base_: a.py",
            },
            r"c\.yaml: the bases go in a circle: a\.py -> b\.py -> c\.yaml -> a\.py",
        ),
        (
            {"a.py": "\n_base_ = ['b.py', 'c.py']", "b.py": "x = 1", "c.py": "x = 2"},
            r"^a\.py:2: b\.py and c\.py both set 'x'\. Bases of one config must not",
        ),
        (
            {"a.py": "_base_ = 'b.py'\n\nx = {{_base_.mdel.w}}", "b.py": "model = 1"},
            r"^a\.py:3: \{\{_base_\.mdel\.w\}\} names nothing: .*Did you mean 'model'",
        ),
        (
            {"a.yaml": "_base_: b.py\ny: 1\nx: '{{_base_.l.7}}'", "b.py": "l = [1]"},
            r"^a\.yaml:3: \{\{_base_\.l\.7\}\} names nothing: list index out of range",
        ),
        (
            {"a.py": "_base_ = 'b.py'\nx = _base_.modl", "b.py": "model = 1"},
            r"^a\.py:2: no key 'modl'.*Did you mean 'model'",
        ),
        (
            {"a.py": "x = 1\ny = '{{$TOY_UNSET}}'"},
            r"^a\.py:2: the environment variable TOY_UNSET is not set, and",
        ),
        (
            {"a.py": "x = 1\ncustom_imports = dict(imports=['nowhere_at_all'])"},
            r"^a\.py:2: custom_imports: cannot import 'nowhere_at_all': ModuleNotFound",
        ),
        (
            {"a.py": "custom_imports = ['x']"},
            r"^a\.py:1: custom_imports must be a mapping with 'imports'",
        ),
        (
            {
                "a.py": "custom_imports = dict(imports=['bad.py'])",
                "bad.py": "def f(): ...\n1/0",
            },
            r"custom_imports: cannot import '.*bad\.py': .*bad\.py:2: ZeroDiv",
        ),
        (
            {"a.py": "_base_ = 'b.py'\nlr = dict(x=1)", "b.py": "lr = 0.1"},
            r"^a\.py:2: cannot merge a mapping with 'x' into lr, which is a float",
        ),
    ],
)
def test_mistakes(files: dict[str, str], message: str, write: Write) -> None:
    """Each mistake is one message, with the file and the line where there is one."""
    path, *_ = [write(name, text) for name, text in files.items()]
    with pytest.raises(ConfigError, match=message):
        Config.fromfile(path)


def test_missing_files(write: Write, tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are no text are told apart."""
    write("d/a.py", "")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"config no\.py does not exist"):
        Config.fromfile("no.py")
    with pytest.raises(ConfigError, match="config d is a folder"):
        Config.fromfile("d")
    with pytest.raises(ConfigError, match=r"bytes\.py: it is not text in UTF-8"):
        Config.fromfile("bytes.py")


def test_yaml_floats_are_those_of_yaml_1_2(write: Write) -> None:
    """``1e-3`` is a number: nobody means the text."""
    cfg = Config.fromfile(
        write("a.yaml", "a: 1e-3\nb: -2E5\nc: 1.5e3\nd: e3\ne: '1e3'")
    )
    assert cfg == {"a": 0.001, "b": -200000.0, "c": 1500.0, "d": "e3", "e": "1e3"}


def test_empty_files_are_empty_configs(write: Write) -> None:
    """Each format has an empty config."""
    for suffix in ("py", "yaml", "json", "toml"):
        assert Config.fromfile(write(f"a.{suffix}", "")) == {}


@pytest.mark.parametrize(
    ("text", "file_format"),
    [("x = 1", ".py"), ("x: 1", ".yaml"), ('{"x": 1}', ".json"), ("x = 1", ".toml")],
)
def test_text_can_be_read(text: str, file_format: str) -> None:
    """``fromstring`` reads each format."""
    assert Config.fromstring(text, file_format) == {"x": 1}


def test_text_has_mistakes_too() -> None:
    """Messages call it by a name of its own."""
    with pytest.raises(ConfigError, match=r"^config text:2: ZeroDivisionError"):
        Config.fromstring("x = 1\ny = 1 / 0", ".py")
    with pytest.raises(ConfigError, match=r"'\.ini' is none of the formats"):
        Config.fromstring("", ".ini")
