"""From specs to objects: the usual way, and those of models, schedules and runners.

Each function here is a registry's ``build_func``. It takes a spec, the registry that
was asked, ``default_args`` (a mapping that the spec overrides), and by name what only
the caller knows, which the spec may not repeat.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, a_type
from engine.registry.names import SCOPE, address, label_of
from engine.registry.spec import SCOPE_KEY, check_arguments, check_spec, unshared

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.registry.registry import Registry
    from engine.typing import Spec

__all__ = [
    "BUILD_FUNCS",
    "build_from_cfg",
    "build_model_from_cfg",
    "build_runner_from_cfg",
    "build_scheduler_from_cfg",
]


def build_from_cfg(
    cfg: Spec,
    registry: Registry,
    default_args: Mapping[str, Any] | None = None,
    **given: Any,
) -> Any:
    """Make the object that a spec describes.

    Args:
        cfg: A mapping with ``type`` (a name, a class, any callable, or a dotted path)
            and the arguments for it; ``_scope_`` names the scope to look names up in,
            here and in whatever is built meanwhile. It is not changed, nor are the
            specs inside it, whatever is done with the arguments.
        registry: Where names are looked up.
        default_args: Arguments, ``type`` among them, that ``cfg`` overrides.
        **given: Arguments that only the caller knows; ``cfg`` may not have them.

    Returns:
        What ``type`` returns when it is called.

    Raises:
        ConfigError: ``cfg`` is no mapping or has no ``type``, ``given`` repeats one of
            its keys, or an argument is unknown or missing.
        UnknownNameError: ``type`` names nothing.

    >>> from engine.registry import Registry
    >>> PARTS = Registry("part", scope="demo")
    >>> build_from_cfg({"type": "fractions.Fraction"}, PARTS, {"numerator": 3})
    Fraction(3, 1)
    """
    kind = _name_of(registry)
    spec = _merged(cfg, default_args, kind=kind)
    check_spec(spec, given, kind=kind)
    built = spec.pop("type")
    with registry.switch_scope_and_registry(spec.pop(SCOPE_KEY, None)):
        buildable = registry.get(built) if isinstance(built, str) else built
        label = built if isinstance(built, str) else label_of(built)
        check_arguments(buildable, {**spec, **given}, where=f"{kind}: {label}")
        arguments = {key: unshared(value) for key, value in spec.items()}
        try:
            return buildable(**arguments, **given)
        except Exception as error:
            error.add_note(
                f"while building {kind} {label!r} ({address(buildable)}) "
                f"from {_shown(spec)}"
            )
            raise


def build_model_from_cfg(
    cfg: Spec | Sequence[Spec],
    registry: Registry,
    default_args: Mapping[str, Any] | None = None,
    **given: Any,
) -> Any:
    """Make a model from its spec, or models in a row from a list of them.

    Args:
        cfg: A spec, or a list or tuple of specs.
        registry: Where names are looked up.
        default_args: Arguments that each spec overrides.
        **given: Arguments for each that no spec may have.

    Returns:
        The model; of a list, a ``Sequential``: the engine's own where ``registry``
        knows one, else torch's.

    Raises:
        ConfigError: As :func:`build_from_cfg`.
        UnknownNameError: A ``type`` names nothing.
    """
    if not isinstance(cfg, Sequence) or isinstance(cfg, str):
        return build_from_cfg(cfg, registry, default_args, **given)
    models = [build_from_cfg(each, registry, default_args, **given) for each in cfg]
    sequential = registry.find(f"{SCOPE}.Sequential")
    if sequential is None:
        # Not at the top: the registries load nothing but the standard library.
        from torch import nn

        sequential = nn.Sequential
    return sequential(*models)


def build_scheduler_from_cfg(
    cfg: Spec,
    registry: Registry,
    default_args: Mapping[str, Any] | None = None,
    **given: Any,
) -> Any:
    """Make a schedule; ``convert_to_iter_based=True`` turns epochs into iterations.

    Args:
        cfg: Its spec. A spec to convert is given in epochs, and its class makes the
            schedule by ``build_iter_from_epoch``.
        registry: Where names are looked up.
        default_args: Arguments that ``cfg`` overrides; ``epoch_length``, the number of
            iterations in an epoch, is needed to convert and else ignored.
        **given: Arguments that ``cfg`` may not have, such as ``optimizer``;
            ``epoch_length`` may stand here too.

    Raises:
        ConfigError: As :func:`build_from_cfg`; or a spec to convert is not given in
            epochs, ``epoch_length`` is missing, or the class cannot convert.
        UnknownNameError: ``type`` names nothing.
    """
    kind = _name_of(registry)
    spec = _merged(cfg, default_args, kind=kind)
    convert = spec.pop("convert_to_iter_based", False)
    lengths = [each.pop("epoch_length", None) for each in (given, spec)]
    if not convert:
        return build_from_cfg(spec, registry, **given)
    check_spec(spec, given, kind=kind)
    if not spec.get("by_epoch", True):
        message = (
            f"{kind}: convert_to_iter_based=True turns epochs into iterations, found "
            f"by_epoch={spec['by_epoch']!r}. Remove one of the two."
        )
        raise ConfigError(message)
    length = next((each for each in lengths if each is not None), None)
    if length is None:
        message = (
            f"{kind}: convert_to_iter_based=True needs epoch_length, the number of "
            "iterations in an epoch, and a run bounded by iterations does not tell it. "
            "Give epoch_length=... in the schedule's spec, or give the schedule in "
            "iterations (by_epoch=False)."
        )
        raise ConfigError(message)
    with registry.switch_scope_and_registry(spec.get(SCOPE_KEY)):
        built = spec["type"]
        cls = registry.get(built) if isinstance(built, str) else built
    make = getattr(cls, "build_iter_from_epoch", None)
    if not callable(make):
        message = (
            f"{kind}: {address(cls)} has no build_iter_from_epoch, so "
            "convert_to_iter_based=True cannot be done. Give it in iterations."
        )
        raise ConfigError(message)
    arguments = {each: spec[each] for each in spec if each not in {"type", SCOPE_KEY}}
    check_arguments(cls, {**arguments, **given}, where=f"{kind}: {label_of(cls)}")
    spec |= {"type": make, "epoch_length": length}
    return build_from_cfg(spec, registry, **given)


def build_runner_from_cfg(cfg: Any, registry: Registry) -> Any:
    """Make a runner from a whole config, by its class's ``from_cfg``.

    Args:
        cfg: The config: a mapping of the runner's arguments, or a ``Config``.
            ``runner_type`` names the class (a name, a class, or a dotted path;
            ``"Runner"`` without), ``_scope_`` the scope. ``from_cfg`` gets it as it is.
        registry: Where names are looked up.

    Raises:
        ConfigError: ``cfg`` is no config, or the class has no ``from_cfg``.
        UnknownNameError: ``runner_type`` names nothing.
    """
    kind = _name_of(registry)
    if not callable(getattr(cfg, "get", None)):
        message = (
            f"{kind}: a config is a mapping of its arguments, found {cfg!r} "
            f"({type(cfg).__name__})."
        )
        raise ConfigError(message)
    asked = {"type": cfg.get("runner_type", "Runner"), SCOPE_KEY: cfg.get(SCOPE_KEY)}
    check_spec(asked, {}, kind=f"{kind}: runner_type")
    with registry.switch_scope_and_registry(asked[SCOPE_KEY]):
        built = asked["type"]
        cls = registry.get(built) if isinstance(built, str) else built
        from_cfg: Callable[[Any], Any] | None = getattr(cls, "from_cfg", None)
        if from_cfg is None:
            message = (
                f"{kind}: {address(cls)} has no from_cfg, so it cannot be made from a "
                "config. Derive it from engine.Runner."
            )
            raise ConfigError(message)
        return from_cfg(cfg)


BUILD_FUNCS = (
    build_from_cfg,
    build_model_from_cfg,
    build_scheduler_from_cfg,
    build_runner_from_cfg,
)
"""The functions of this module."""


def _name_of(registry: Any) -> str:
    if not hasattr(registry, "switch_scope_and_registry"):
        message = f"registry: expected a Registry, found {a_type(registry)}."
        raise ConfigError(message)
    return str(registry.name)


def _merged(
    cfg: Any, default_args: Mapping[str, Any] | None, *, kind: str
) -> dict[str, Any]:
    """A new spec of both, which has yet to be checked."""
    if not isinstance(cfg, Mapping):
        check_spec(cfg, {}, kind=kind)  # raises
    if default_args is not None and not isinstance(default_args, Mapping):
        message = (
            f"{kind}: default_args is a mapping of arguments, found {default_args!r} "
            f"({type(default_args).__name__})."
        )
        raise ConfigError(message)
    return {**(default_args or {}), **cfg}


def _shown(spec: Mapping[str, Any]) -> str:
    """The arguments of a spec in a row, long values cut.

    >>> _shown({"size": 3, "names": list("abcdefghij")}), _shown({})
    ("size=3, names=['a', 'b', 'c', 'd', 'e', 'f', ...]", 'no arguments')
    """
    shown = [f"{key}={reprlib.repr(value)}" for key, value in spec.items()]
    return ", ".join(shown) or "no arguments"
