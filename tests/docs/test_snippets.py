"""What the documentation shows works: its Python runs, its commands exist."""

from __future__ import annotations

import importlib
import re
import shlex
import textwrap
from pathlib import Path

import pytest
from typer.main import get_command

from engine.cli.app import app
from tests import forked
from tests.docs.run_page import all_blocks, blocks, missing_lines

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
RUNNABLE = [
    name
    for name, text in PAGES.items()
    if any(info in ("python", "sh run") for info, _, _ in all_blocks(text))
]
COMMANDS = [
    (name, line.strip())
    for name, text in PAGES.items()
    for _, code in blocks(text, "sh")
    for line in code.replace("\\\n", " ").splitlines()
    if line.startswith(("engine ", "make "))
]


def run(name: str, folder: Path) -> str:
    """What the blocks of a page print, run in order in a process of their own."""
    done = forked.run(ROOT / "tests/docs/run_page.py", ROOT / name, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [name for name in RUNNABLE if "docs/" in name])
def test_what_a_page_shows_runs(name: str, tmp_path: Path) -> None:
    """Python, files and commands of a page, in order, in an empty folder."""
    run(name, tmp_path)


def test_the_readme_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    """The README's example runs, and the text block after it is what it prints."""
    text = PAGES["README.md"]
    ((before, code),) = blocks(text, "python")
    after = before + len(code.splitlines()) + 1
    promised = next(said for place, said in blocks(text, "text") if place > after)
    # The numbers may differ in another version of torch; what is printed may not.
    assert _without_values(run("README.md", tmp_path)) == _without_values(promised)


def _without_values(text: str) -> str:
    return re.sub(r"\d\.\d+", "N", text)


@pytest.mark.parametrize(("name", "line"), COMMANDS)
def test_a_command_exists(name: str, line: str) -> None:
    """``make`` names a target of the Makefile, ``engine`` a command and its options."""
    words = shlex.split(line.rstrip("& "), comments=True)
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE)
        return
    command = get_command(app)
    words = words[1:]
    while (inner := getattr(command, "commands", None)) is not None and words:
        assert words[0] in inner, line
        command, words = inner[words[0]], words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word in options
        elif word.startswith("docs/"):
            assert (ROOT / word).is_file()


def test_the_config_in_the_readme_is_the_example() -> None:
    """Each statement of the README's config stands in docs/examples/digits.py."""
    example = (ROOT / "docs" / "examples" / "digits.py").read_text(encoding="utf-8")
    texts = [code for _, code in blocks(PAGES["README.md"], "text")]
    config = next(code for code in texts if code.startswith("model = dict("))
    statements = re.split(r"\n(?=\w)", config.strip())
    assert [one for one in statements if one not in example] == []


def test_blocks_are_found_by_language_and_place() -> None:
    """The reader tells languages apart and gives the line before the code."""
    page = "a\n```sh\nmake x\n```\n\n```python\nb = 1\n```\n```text\nc\n```\n"
    assert blocks(page, "python") == [(6, "b = 1\n")]
    assert blocks(page, "sh") == [(2, "make x\n")]


def test_promised_lines_are_looked_for_in_order() -> None:
    """``...`` stands for anything, blanks do not count, the order does."""
    printed = "first\naccuracy   0.5  in 3 s\nlast\n"
    assert missing_lines("accuracy ... s\nlast\n", printed) == []
    assert missing_lines("last\nfirst\n", printed) == ["first"]
    assert missing_lines("accuracy 0.6 ...\n", printed) == ["accuracy 0.6 ..."]


def test_the_drawing_of_the_loop_is_that_of_the_code() -> None:
    """``explanation/loop.md`` draws the loop as ``events/event.py`` does."""
    (_, drawing), *_ = blocks(PAGES["docs/explanation/loop.md"], "text")
    docstring = importlib.import_module("engine.events.event").__doc__ or ""
    assert textwrap.indent(drawing.strip(), "    ") in docstring
