"""Run the Python of one documentation page: ``python run_page.py PAGE``.

The blocks run in order in one namespace, with the page's own line numbers in
tracebacks. A block that begins with ``>>>`` runs as a doctest.
"""

from __future__ import annotations

import doctest
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["blocks"]


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """Fenced blocks of a language as (line before the first one, code)."""
    found: list[tuple[int, str]] = []
    begin: int | None = None
    wanted = False
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.startswith("```"):
            continue
        if begin is None:
            begin, wanted = number, line[3:].strip() == language
        else:
            if wanted:
                found.append((begin, "\n".join(lines[begin : number - 1]) + "\n"))
            begin = None
    return found


def run(page: Path) -> int:
    """Run the page; how many doctests failed. An error in a block is raised."""
    # A module of its own, so that what the page defines can be pickled by name.
    module = ModuleType("__main__")
    module.__file__ = str(page)
    sys.modules["__main__"] = module
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for before, code in blocks(page.read_text(encoding="utf-8"), "python"):
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(
                code, vars(module), page.name, str(page), before
            )
            runner.run(test, clear_globs=False)
            vars(module).update(test.globs)
        else:
            padded = "\n" * before + code
            exec(compile(padded, str(page), "exec"), vars(module))  # noqa: S102  # the point
    return runner.summarize(verbose=False).failed


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
