"""Which modules of a model are cut over ranks on their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import nn

from engine.errors import ModelError, did_you_mean
from engine.model import StepModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch.nn import Module

__all__ = ["choose_modules", "roots"]

_SHOWN = 8  # names in a message


def choose_modules(
    model: Module,
    *,
    classes: Sequence[str] = (),
    patterns: Sequence[str] = (),
    min_params: int | None = None,
) -> dict[str, Module]:
    """The modules to cut on their own, inner ones first.

    Args:
        model: Itself is never among them, nor is a list or mapping of modules, which is
            not called.
        classes: Names of classes, with or without their module's.
        patterns: Of the modules' names; a ``*`` stands for anything without a dot.
        min_params: Modules with so many parameters that no other chosen one has.

    Raises:
        ModelError: A name or pattern fits nothing, or two chosen modules share a
            parameter.
    """
    parts = {
        name: one
        for name, one in _inner_first(model)
        if one not in roots(model) and one is not model
    }
    callable_ = {
        name: one
        for name, one in parts.items()
        if not isinstance(one, nn.ModuleList | nn.ModuleDict) and _owns_any(one)
    }
    chosen: set[str] = set()
    for wanted in classes:
        found = {name for name, one in callable_.items() if wanted in _classes(one)}
        if not found:
            kinds = sorted({type(one).__name__ for one in callable_.values()})
            raise ModelError(_no_such(model, "class", wanted, kinds))
        chosen |= found
    for pattern in patterns:
        fits = _compiled(pattern)
        found = {name for name in callable_ if fits.fullmatch(name)}
        if not found:
            raise ModelError(_no_such(model, "name", pattern, list(callable_)))
        chosen |= found
    if min_params is not None:
        chosen |= _large(callable_, chosen, min_params)
    picked = {name: one for name, one in callable_.items() if name in chosen}
    _check_unshared(model, picked)
    return picked


def roots(model: Module) -> list[Module]:
    """The modules that a step calls from outside: the model, or what lies in it.

    A ``StepModel`` is not called in its own steps; its module is, and its loss.
    """
    if not isinstance(model, StepModel):
        return [model]
    return [one for one in model.children() if _owns_any(one)]


def _inner_first(model: Module, name: str = "") -> Iterator[tuple[str, Module]]:
    """Each module once, after those that it consists of, by the names of weights."""
    names = {id(one): found for found, one in reversed(list(model.named_modules()))}
    seen: set[int] = set()

    def walk(module: Module) -> Iterator[tuple[str, Module]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        for child in module.children():
            yield from walk(child)
        yield names.get(id(module), name), module

    yield from walk(model)


def _owns_any(module: Module) -> bool:
    return next(module.parameters(), None) is not None


def _classes(module: Module) -> set[str]:
    kind = type(module)
    return {kind.__name__, f"{kind.__module__}.{kind.__qualname__}"}


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", "[^.]*"))


def _large(parts: dict[str, Module], taken: set[str], least: int) -> set[str]:
    """Names of the modules that are large enough, inner ones first."""
    found: set[str] = set()
    counted: set[int] = {
        id(weight) for name in taken for weight in parts[name].parameters()
    }
    for name, module in parts.items():
        if name in taken:
            continue
        own = [one for one in module.parameters() if id(one) not in counted]
        if sum(one.numel() for one in own) >= least:
            found.add(name)
            counted |= set(map(id, own))
    return found


def _check_unshared(model: Module, chosen: dict[str, Module]) -> None:
    """Raise ModelError if a parameter would be gathered with two modules.

    torch cuts it with the first one, and the second one fails or reads nothing.
    """
    owner: dict[int, str] = {}
    places: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(weight), []).append(name)
    for name, weights in ((n, list(m.parameters())) for n, m in chosen.items()):
        inner = [other for other in chosen if other.startswith(f"{name}.")]
        taken = {id(one) for other in inner for one in chosen[other].parameters()}
        for weight in weights:
            if id(weight) not in taken:
                owner.setdefault(id(weight), name)
    for key, names in places.items():
        if len(names) > 1 and key in owner:
            outside = [one for one in names if not one.startswith(f"{owner[key]}.")]
            if outside:
                message = (
                    f"FSDP2Strategy: {names[0]!r} and {outside[-1]!r} are one "
                    f"parameter of {type(model).__name__}, but {owner[key]!r} is cut "
                    "on its own: it would be gathered there alone. Choose a module "
                    "that holds both places, or none that holds one."
                )
                raise ModelError(message)


def _no_such(model: Module, what: str, wanted: str, there: Sequence[str]) -> str:
    shown = ", ".join(there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
    return (
        f"FSDP2Strategy: {type(model).__name__} has no module with parameters of the "
        f"{what} {wanted!r}.{did_you_mean(wanted, there)} It has {shown or 'none'}."
    )
