"""Run what one documentation page shows: ``python run_page.py PAGE``.

The blocks run in order, in the current folder:

- ``python``: all in one namespace, with the page's own line numbers in tracebacks; one
  that begins with ``>>>`` as a doctest
- any language with ``file=NAME``: is written to that file
- ``sh run``: by the shell; ``engine`` and ``python`` are those of this interpreter. A
  first line ``# exit N`` says with what it ends if not with 0
- ``text out``: its lines stand in this order in what the command before printed;
  ``...`` stands for anything

Other blocks are left alone.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tests import forked

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["all_blocks", "blocks", "missing_lines"]


def all_blocks(text: str) -> Iterator[tuple[str, int, str]]:
    """Fenced blocks as (what follows the fence, line before the first one, code)."""
    begin: int | None = None
    info = ""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.startswith("```"):
            continue
        if begin is None:
            begin, info = number, line[3:].strip()
        else:
            yield info, begin, "\n".join(lines[begin : number - 1]) + "\n"
            begin = None


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """Blocks with just this after the fence, as (line before the first one, code)."""
    return [(begin, code) for info, begin, code in all_blocks(text) if info == language]


def missing_lines(promised: str, printed: str) -> list[str]:
    r"""Promised lines that are not among the printed ones, in order.

    >>> missing_lines("a: ...\nb\n", "x\na: 0.5 s\n  b  \n")
    []
    >>> missing_lines("b\na: ...\n", "x\na: 0.5 s\nb\n")
    ['a: ...']
    """
    found = iter([_squeeze(line) for line in printed.splitlines()])
    missing = []
    for line in filter(None, map(_squeeze, promised.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        if not any(pattern.fullmatch(one) for one in found):
            missing.append(line)
    return missing


def _squeeze(line: str) -> str:
    return " ".join(line.split())


def run(page: Path) -> int:
    """Run the page; how many doctests failed. Any other failure is raised."""
    # A module of its own, so that what the page defines can be pickled by name.
    module = ModuleType("__main__")
    module.__file__ = str(page)
    sys.modules["__main__"] = module
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    printed = ""
    for info, before, code in all_blocks(page.read_text(encoding="utf-8")):
        name = re.search(r" file=(\S+)$", info)
        if name is not None:
            file = Path(name[1])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code, encoding="utf-8")
        elif info == "sh run":
            printed = _run_shell(code, f"{page}:{before}")
        elif info == "text out":
            missing = missing_lines(code, printed)
            if missing:
                message = f"{page}:{before}: not printed: {missing}\n{printed}"
                raise AssertionError(message)
        elif info == "python" and code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(
                code, vars(module), page.name, str(page), before
            )
            runner.run(test, clear_globs=False)
            vars(module).update(test.globs)
        elif info == "python":
            padded = "\n" * before + code
            exec(compile(padded, str(page), "exec"), vars(module))  # noqa: S102  # the point
    return runner.summarize(verbose=False).failed


def _run_shell(code: str, where: str) -> str:
    """What commands print, standard output first; they must end as they say."""
    expected = re.match(r"# exit (\d+)\n", code)
    python = f'"{sys.executable}"'
    if forked.ADDRESS in os.environ:  # a test's: begin with everything imported
        python += f' -S "{forked.__file__}"'
    with tempfile.TemporaryDirectory() as folder:
        for name, module in (("engine", " -m engine"), ("python", "")):
            script = Path(folder) / name
            script.write_text(f'#!/bin/sh\nexec {python}{module} "$@"\n')
            script.chmod(0o755)
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", code],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != int(expected[1] if expected else 0):
        message = f"{where}: ended with {done.returncode}\n{done.stdout}{done.stderr}"
        raise AssertionError(message)
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
