"""Links and images of the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
]


def links(text: str) -> list[str]:
    """Targets of links and images, code left out, addresses of the web left out."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "code", text)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [one for one in found if not one.startswith(("http://", "https://"))]


def anchors(text: str) -> set[str]:
    """The names that a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("name", PAGES)
def test_relative_links_resolve(name: str) -> None:
    """Each relative link names a file that is there, and a heading of it."""
    page = ROOT / name
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        there = target.exists()
        if there and anchor:
            there = anchor in anchors(target.read_text(encoding="utf-8"))
        if not there:
            broken.append(link)
    assert broken == []


def test_every_page_is_linked() -> None:
    """Each page but change notes is linked from another one."""
    linked = {
        str((ROOT / name).parent.joinpath(link.partition("#")[0]).resolve())
        for name in PAGES
        for link in links((ROOT / name).read_text(encoding="utf-8"))
    }
    alone = [
        name
        for name in PAGES
        if not name.startswith("docs/changes/")
        and name not in ("README.md", "docs/index.md")
        and str(ROOT / name) not in linked
    ]
    assert alone == []


def test_reader_of_links() -> None:
    """Code and web addresses are left out, anchors come as GitHub makes them."""
    page = "[a](b.md#c) ![d](e.png) `[f](g)` [h](https://x.y)\n```\n[i](j)\n```\n"
    assert links(page) == ["b.md#c", "e.png"]
    assert anchors("# `engine.state`\n## How it works\n") == {
        "enginestate",
        "how-it-works",
    }
