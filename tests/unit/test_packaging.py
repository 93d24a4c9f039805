"""What is installed, with which versions, and that the two commands keep their word."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
NAME = "ignite-runner"

IMPORTED_AS = {
    "attr": "attrs",
    "ignite": "pytorch-ignite",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Import names that differ from the distribution's name."""


def setup_cfg() -> configparser.RawConfigParser:
    """The file as setuptools reads it."""
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def requirements(section: str, key: str) -> list[Requirement]:
    """One list of requirements, without those that name an extra of our own."""
    lines = [line.strip() for line in setup_cfg()[section][key].splitlines()]
    wanted = [Requirement(ln) for ln in lines if ln and not ln.startswith("#")]
    return [item for item in wanted if item.name != NAME]


def declared() -> list[Requirement]:
    """Every requirement of the package and of its extras."""
    extras = setup_cfg()["options.extras_require"]
    return [
        *requirements("options", "install_requires"),
        *(r for name in extras for r in requirements("options.extras_require", name)),
    ]


def pins() -> dict[str, Version]:
    """The exact set: distribution name to version."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    wanted = [Requirement(ln) for ln in text.splitlines() if ln and ln[0] != "#"]
    found: dict[str, Version] = {}
    for item in wanted:
        (pin,) = item.specifier
        assert pin.operator == "==", item
        found[canonicalize_name(item.name)] = Version(pin.version)
    return found


def pyproject() -> dict[str, Any]:
    """The tools' settings."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    content: dict[str, Any] = tomllib.loads(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    return content


def test_metadata_names_the_distribution_and_its_command() -> None:
    """The distribution, its first version and the command are as promised."""
    config = setup_cfg()
    assert config["metadata"]["name"] == NAME
    assert config["metadata"]["license"] == "Apache-2.0"
    scripts = config["options.entry_points"]["console_scripts"].split("\n")
    assert [s for s in scripts if s] == ["engine = engine.cli.app:main"]


def test_command_leads_to_a_function() -> None:
    """What the entry point names is there and can be called."""
    entry = importlib.metadata.EntryPoint(
        "engine", "engine.cli.app:main", "console_scripts"
    )
    assert callable(entry.load())


def test_every_folder_with_modules_is_a_package() -> None:
    """``find:`` skips a folder without ``__init__.py``: users would lack it."""
    folders = {path.parent for path in (ROOT / "engine").rglob("*.py")}
    assert [str(f) for f in folders if not (f / "__init__.py").is_file()] == []


def test_types_ship() -> None:
    """``py.typed`` is there and is package data, so users' type checkers look at us."""
    assert (ROOT / "engine" / "py.typed").is_file()
    assert setup_cfg()["options.package_data"]["engine"].split() == ["py.typed"]


def test_licence_is_whole() -> None:
    """The licence that the metadata names stands in full."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_tools_check_for_the_lowest_python() -> None:
    """Ruff and mypy look for what the lowest Python of ``python_requires`` lacks."""
    lowest = setup_cfg()["options"]["python_requires"].removeprefix(">=")
    tools = pyproject()["tool"]
    assert tools["mypy"]["python_version"] == lowest
    assert tools["ruff"]["target-version"] == "py" + lowest.replace(".", "")


def test_pins_lie_in_the_declared_ranges() -> None:
    """Every requirement has a pin, and the pin is a version that we say works."""
    exact = pins()
    assert [
        str(item)
        for item in declared()
        if not item.specifier.contains(exact[canonicalize_name(item.name)])
    ] == []


def test_torch_is_pinned_without_a_build() -> None:
    """One torch for everybody; CPU or CUDA is the machine's choice."""
    assert pins()["torch"] == Version("2.13.0")


def test_pins_reach_what_the_requirements_need() -> None:
    """No package that ours pull in is left free to change under us."""
    exact = pins()
    free, seen = set(), set()
    todo = [(canonicalize_name(item.name), item.extras) for item in declared()]
    while todo:
        name, extras = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # not an extra of this environment
        for item in map(Requirement, needs):
            marker = item.marker
            wanted = marker is None or any(
                marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            # A build of torch with CUDA pins its libraries itself.
            if wanted and not any(s.operator == "==" for s in item.specifier):
                todo.append((canonicalize_name(item.name), item.extras))
                if todo[-1][0] not in exact:
                    free.add(f"{name} needs {item.name}")
    assert free == set()


def test_engine_imports_only_what_it_requires() -> None:
    """Whatever ``engine`` imports from others, early or late, is installed with it."""
    # Type checkers know this one without it being installed.
    found: set[str] = set()
    for path in (ROOT / "engine").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add((node.module or "").partition(".")[0])
    others = found - set(sys.stdlib_module_names) - {"engine", "typing_extensions"}
    required = {
        canonicalize_name(r.name) for r in requirements("options", "install_requires")
    }
    # What a command draws with is imported late; without it, it names the extra.
    drawing = requirements("options.extras_require", "plot")
    required |= {canonicalize_name(r.name) for r in drawing}
    assert {IMPORTED_AS.get(name, name) for name in others} - required == set()


# ------------------------------------------------------------------- the two commands

FAKE_PYTHON = """\
#!/bin/sh
# Stands in for python: writes down how it was called, and makes a .venv with itself.
echo "$@" >> calls.txt
if [ "$1 $2" = "-m venv" ]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; fi
if [ "$*" = "$FAIL_ON" ]; then exit 3; fi
"""

DIGITS = "docs/examples/digits.py --work-dir work_dirs/digits"
TRAINS = [
    f"-m engine train {DIGITS}",
    f"-m engine test {DIGITS}",
    "-m engine report work_dirs/digits",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space in its name, the build files, and a python that logs."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    place = tmp_path / "a folder"
    (place / ".ci").mkdir(parents=True)
    for name in ("Makefile", "setup.cfg", "constraints.txt", ".ci/run"):
        shutil.copy(ROOT / name, place / name)
    fake = place / "fake-python"
    fake.write_text(FAKE_PYTHON, encoding="utf-8")
    fake.chmod(0o755)
    return place


def call(folder: Path, *command: str, **env: str) -> tuple[int, list[str]]:
    """Run a command in ``folder``; its exit code and the calls of python since."""
    log = folder / "calls.txt"
    log.unlink(missing_ok=True)
    # A make that runs these tests hands its own flags down, such as -n or -B.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env=kept | {"PYTHON": "./fake-python"} | env,
        capture_output=True,
        check=False,
    )
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return done.returncode, [ln for ln in lines if not ln.startswith("-c ")]


def test_demo_installs_once_and_trains_each_time(folder: Path) -> None:
    """The second ``make demo`` neither makes the environment nor installs again."""
    code, calls = call(folder, "make", "demo")
    assert code == 0
    assert calls[0] == "-m venv .venv"
    assert calls[1].startswith("-m pip install")
    assert calls[1].endswith("--constraint constraints.txt --editable .[demo]")
    assert calls[2:] == TRAINS
    assert call(folder, "make", "demo") == (0, TRAINS)


def test_test_runs_every_check(folder: Path) -> None:
    """``make test`` lints, checks types, tests and docs; a second call goes at once."""
    checks = [
        "-m ruff check .",
        "-m ruff format --check .",
        "-m codespell_lib",
        "-m mypy",
        "-m pytest -n auto",
        "-m pytest -q --doctest-modules engine",
    ]
    _, calls = call(folder, "make", "test")
    assert calls[1].endswith("--editable .[dev]")
    assert calls[2:] == checks
    assert call(folder, "make", "test") == (0, checks)


def test_the_two_commands_share_one_environment(folder: Path) -> None:
    """Each adds its extras to ``.venv``, and neither makes the other install again."""
    call(folder, "make", "demo")
    _, calls = call(folder, "make", "lint")
    (install,) = [c for c in calls if "venv" in c or "pip" in c]
    assert install.startswith("-m pip install")
    assert install.endswith("--editable .[dev]")
    assert call(folder, "make", "demo") == (0, TRAINS)


def test_changed_requirements_install_again(folder: Path) -> None:
    """A pin that moves is installed by the next command."""
    call(folder, "make", "demo")
    stamp = (folder / ".venv" / ".demo").stat().st_mtime
    os.utime(folder / "constraints.txt", (stamp + 1, stamp + 1))
    _, calls = call(folder, "make", "demo")
    assert calls[0].startswith("-m pip install")


@pytest.mark.parametrize("broken", ["-m mypy", "-m pytest -n auto", "-m ruff check ."])
def test_a_failed_check_fails_the_command(folder: Path, broken: str) -> None:
    """``make test`` and ``.ci/run`` end with an error when a check does."""
    assert call(folder, "make", "test", FAIL_ON=broken)[0] != 0
    assert call(folder, ".ci/run", FAIL_ON=broken)[0] != 0


def test_ci_runs_make_test_with_more_examples(tmp_path: Path, folder: Path) -> None:
    """``.ci/run``, called from anywhere, runs the checks with the slow profile."""
    fake = folder / "fake-python"
    fake.write_text(
        FAKE_PYTHON + 'echo "$HYPOTHESIS_PROFILE" >> profile.txt\n', encoding="utf-8"
    )
    code, _ = call(folder, "bash", "-c", f"cd '{tmp_path}' && 'a folder/.ci/run'")
    assert code == 0
    assert set((folder / "profile.txt").read_text().split()) == {"slow"}
