"""What is registered, counted over whole trees of registries."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.registry.roots import ROOTS
from engine.registry.tree import walk

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from engine.registry.registry import Registry

__all__ = ["count_registered_modules", "traverse_registry_tree"]

FILE = "modules_statistic_results.json"
"""Name of the file in the folder that :func:`count_registered_modules` is given."""


def traverse_registry_tree(
    registry: Registry, verbose: bool = True
) -> list[dict[str, Any]]:
    """Count what each registry of a tree holds.

    Locations are imported first, so names that nobody has asked for yet count too.

    Args:
        registry: Any registry of the tree.
        verbose: Whether each registry is logged.

    Returns:
        One mapping for each registry, the root first: ``name``, ``scope``,
        ``num_modules`` (names in it), and ``modules``, which maps each Python module
        to the sorted names that come from it.

    >>> from engine.registry import Registry
    >>> PARTS = Registry("part", scope="demo")
    >>> _ = PARTS.register_module("counter", module=dict)
    >>> traverse_registry_tree(PARTS, verbose=False)[0]["modules"]
    {'builtins': ['counter']}
    """
    found = []
    for each in walk(registry.root):
        each.import_from_location()
        found.append(
            {
                "name": each.name,
                "scope": each.scope,
                "num_modules": len(each),
                "modules": _by_home(each.module_dict),
            }
        )
    if verbose:
        # Not at the top: the registries load nothing but the standard library.
        import structlog

        for one in found:
            facts = {key: one[key] for key in ("name", "scope", "num_modules")}
            structlog.get_logger().info("registry_counted", **facts)
    return found


def count_registered_modules(
    save_path: str | os.PathLike[str] | None = None, verbose: bool = True
) -> dict[str, Any]:
    """Count what the engine's registries and their children hold.

    Args:
        save_path: A folder, made if it is not there, to write the answer to as
            ``modules_statistic_results.json``; or a file that ends in ``.json``.
        verbose: Whether each registry is logged.

    Returns:
        ``scan_date`` (UTC, ISO 8601), and ``registries``: for each root by its name in
        :mod:`engine.registry` what :func:`traverse_registry_tree` gives.
    """
    counted: dict[str, Any] = {
        "scan_date": datetime.now(UTC).isoformat(timespec="seconds"),
        "registries": {
            label: traverse_registry_tree(root, verbose=verbose)
            for label, root in ROOTS.items()
        },
    }
    if save_path is not None:
        path = Path(save_path)
        path = path if path.suffix == ".json" else path / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    return counted


def _by_home(modules: Mapping[str, Any]) -> dict[str, list[str]]:
    homes: dict[str, list[str]] = {}
    for name in sorted(modules):
        home = str(getattr(modules[name], "__module__", None))
        homes.setdefault(home, []).append(name)
    return dict(sorted(homes.items()))
