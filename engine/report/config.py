"""A config's text as a tree, and where the trees of several runs differ.

The text is read, never run: a report must not execute what lies in a work dir.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

__all__ = [
    "Code",
    "Difference",
    "comparable",
    "differences",
    "find_rule",
    "flatten",
    "read_config",
]

# Where a run lies, and that it was resumed, says nothing of what it is.
_OF_A_PLACE = ("work_dir", "custom_imports", "resume")
_LISTS = ("param_scheduler", "val_evaluator", "test_evaluator", "custom_hooks")


@frozen
class Code:
    """An entry that is no plain value, such as ``torch.nn.Linear``."""

    text: str

    def __str__(self) -> str:
        """The code."""
        return self.text


def read_config(text: str) -> dict[str, Any]:
    r"""The entries of a config written as Python: mappings, lists, values, code.

    Empty if the text is no Python, and without what is no assignment.

    >>> read_config("import torch\nact = torch.relu\ncfg = dict(a=[1, dict(b=-2)])")
    {'act': Code(text='torch.relu'), 'cfg': {'a': [1, {'b': -2}]}}
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _value(node.value)
    return found


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and not node.args and _is_dict(node):
        return {one.arg or "**": _value(one.value) for one in node.keywords}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {
            _key(key): _value(value)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one) for one in node.elts]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Code(ast.unparse(node))


def _is_dict(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "dict"


def _key(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def flatten(tree: Any, key: str = "") -> dict[str, str]:
    """The leaves of a tree by dotted key, as text.

    >>> flatten({"a": [1, {"b": "x"}], "c": {}})
    {'a.0': '1', 'a.1.b': "'x'", 'c': '{}'}
    """
    entries: Sequence[tuple[Any, Any]] = ()
    if isinstance(tree, Mapping):
        entries = list(tree.items())
    elif isinstance(tree, list):
        entries = list(enumerate(tree))
    if not entries:
        return {key: str(tree) if isinstance(tree, Code) else repr(tree)}
    found = {}
    for name, value in entries:
        found.update(flatten(value, f"{key}.{name}" if key else str(name)))
    return found


def comparable(settings: Mapping[str, Any]) -> dict[str, str]:
    """The entries of a config, so that two that mean the same are the same.

    >>> comparable({"param_scheduler": {"type": "LinearLR"}, "resume": True})
    {'param_scheduler.0.type': "'LinearLR'"}
    """
    found = {}
    for name, value in settings.items():
        if name in _OF_A_PLACE:
            continue
        # One part may be given without a list around it.
        alone = isinstance(value, Mapping) and "type" in value and name in _LISTS
        found.update(flatten([value] if alone else value, name))
    return found


@frozen
class Difference:
    """An entry that is not the same in all runs.

    Args:
        key: Dotted.
        values: Of each run, in their order; ``None`` where it is not there.
    """

    key: str
    values: tuple[str | None, ...]


def differences(flats: Sequence[Mapping[str, str]]) -> Sequence[Difference]:
    """The entries that differ, in the order in which they first appear.

    Args:
        flats: Of each run, what :func:`comparable` returns, or another plain mapping.

    >>> differences([{"lr": "0.1", "seed": "0"}, {"lr": "0.2", "seed": "0"}])
    [Difference(key='lr', values=('0.1', '0.2'))]
    """
    keys = dict.fromkeys(key for flat in flats for key in flat)
    found = []
    for key in keys:
        values = [flat.get(key) for flat in flats]
        if len(set(values)) > 1:
            found.append(Difference(key, tuple(values)))
    return found


def checkpoint_hooks(settings: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The settings of each hook that saves."""
    default = settings.get("default_hooks")
    found = [default.get("checkpoint")] if isinstance(default, Mapping) else []
    custom = settings.get("custom_hooks")
    for hook in custom if isinstance(custom, list) else []:
        kind = hook.get("type") if isinstance(hook, Mapping) else None
        if str(kind).rpartition(".")[2] == "CheckpointHook":
            found.append(hook)
    return [one for one in found if isinstance(one, Mapping)]


def find_rule(settings: Mapping[str, Any], metric: str) -> str | None:
    """What a config says of a metric: ``"greater"`` or ``"less"`` is better, or None.

    >>> hooks = {
    ...     "checkpoint": {"save_best": ["acc", "ece"], "rule": ["greater", "less"]}
    ... }
    >>> find_rule({"default_hooks": hooks}, "ece")
    'less'
    """
    for hook in checkpoint_hooks(settings):
        names, rules = _list(hook.get("save_best")), _list(hook.get("rule"))
        for name, rule in zip(names, rules, strict=False):
            if name in (metric, metric.rpartition("/")[2]) and rule in (
                "greater",
                "less",
            ):
                return str(rule)
        for rule, key in (("greater", "greater_keys"), ("less", "less_keys")):
            if any(str(part) in metric for part in _list(hook.get(key))):
                return rule
    return None


def _list(value: Any) -> Sequence[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
