"""The build functions."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from engine.errors import ConfigError, UnknownNameError
from engine.registry import (
    DefaultScope,
    Registry,
    build_from_cfg,
    build_model_from_cfg,
    build_runner_from_cfg,
    build_scheduler_from_cfg,
)


class Greedy:
    """Takes its spec apart."""

    def __init__(self, part: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        self.kind = part.pop("type")
        part["deep"].clear()
        parts[0].clear()
        parts.clear()


class Schedule:
    """A schedule that can be given in epochs."""

    def __init__(self, optimizer: str, end: int = 9, by_epoch: bool = True) -> None:
        self.facts = (optimizer, end, by_epoch)

    @classmethod
    def build_iter_from_epoch(
        cls, optimizer: str, *, epoch_length: int, end: int = 9
    ) -> Schedule:
        return cls(optimizer, end * epoch_length, by_epoch=False)


class Run:
    """A toy runner."""

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.scope = DefaultScope.get_current_instance()

    @classmethod
    def from_cfg(cls, cfg: Any) -> Run:
        return cls(cfg)


class OtherRun(Run):
    """Another toy runner."""


@pytest.fixture
def registry() -> Registry:
    """One registry for all of them."""
    registry = Registry("part", scope="engine")
    for each in (Greedy, Schedule, OtherRun):
        registry.register_module(module=each)
    registry.register_module("Runner", module=Run)
    return registry


def test_a_constructor_cannot_take_the_callers_spec_apart(registry: Registry) -> None:
    """Specs inside a spec are the constructor's own copies."""
    inner = {"type": "x", "deep": {"type": "y"}}
    spec = {"type": "Greedy", "part": inner, "parts": [deepcopy(inner)]}
    before = deepcopy(spec)
    assert build_from_cfg(spec, registry).kind == "x"
    assert spec == before


def test_what_is_no_spec_is_passed_as_it_is(registry: Registry) -> None:
    """Objects, plain lists and plain mappings keep their identity."""
    given = {"a": [1], "b": {"c": 1}, "d": object(), "e": ({},)}
    built = build_from_cfg({"type": dict, **given}, registry)
    assert {key for key in given if built[key] is given[key]} == set(given)


def test_type_may_stand_in_default_args(registry: Registry) -> None:
    """The spec need not have what the defaults have."""
    assert build_from_cfg({"a": 1}, registry, {"type": dict, "a": 2, "b": 3}) == {
        "a": 1,
        "b": 3,
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([1], Registry("x")), r"^x: a spec is a mapping .* found \[1\] \(list\)"),
        (({"type": dict}, {}), "^registry: expected a Registry, found a dict"),
        (
            ({"type": dict}, Registry("x"), [1]),
            r"^x: default_args is a mapping of arguments, found \[1\] \(list\)",
        ),
        (({"type": dict, "_scope_": 3}, Registry("x")), "'_scope_' must name a scope"),
    ],
)
def test_what_cannot_be_built_is_told(arguments: Any, expected: str) -> None:
    """One message for each wrong kind of argument."""
    with pytest.raises(ConfigError, match=expected):
        build_from_cfg(*arguments)


# ------------------------------------------------------------------------- models


def test_a_list_uses_the_engines_own_sequential(registry: Registry) -> None:
    """Where the registry knows one; each of the list is built as a spec."""
    registry.register_module("Sequential", module=lambda *models: models)
    made = build_model_from_cfg([{"type": dict, "a": 1}, {"type": dict}], registry)
    assert made == ({"a": 1}, {})


@pytest.mark.parametrize("cfg", ["Linear", [3]])
def test_a_model_is_a_spec_or_a_list_of_them(registry: Registry, cfg: Any) -> None:
    """Text is no list of specs."""
    with pytest.raises(ConfigError, match="part: a spec is a mapping with 'type'"):
        build_model_from_cfg(cfg, registry)


# ---------------------------------------------------------------------- schedules


def test_a_schedule_is_built_as_it_is_given(registry: Registry) -> None:
    """Without a wish to convert, ``epoch_length`` has no meaning."""
    spec = {"type": "Schedule", "end": 3}
    made = build_scheduler_from_cfg(
        spec, registry, {"optimizer": "sgd", "epoch_length": 10}
    )
    assert made.facts == ("sgd", 3, True)


@pytest.mark.parametrize("kind", ["Schedule", Schedule])
def test_a_schedule_is_converted(registry: Registry, kind: Any) -> None:
    """Epochs become iterations; the length may come with the defaults or by name."""
    spec = {"type": kind, "end": 3, "convert_to_iter_based": True}
    before = deepcopy(spec)
    given: dict[str, Any] = {"optimizer": "sgd", "epoch_length": 10}
    for made in (
        build_scheduler_from_cfg(spec, registry, given),
        build_scheduler_from_cfg(spec, registry, **given),
    ):
        assert made.facts == ("sgd", 30, False)
    assert spec == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"by_epoch": False}, "turns epochs into iterations, found by_epoch=False"),
        ({"epoch_length": None}, "needs epoch_length, the number of iterations"),
        ({"type": dict}, "builtins.dict has no build_iter_from_epoch"),
        ({"ende": 3}, "Schedule has no argument 'ende'. Did you mean 'end'?"),
        ({"type": 3}, "'type' must be a name"),
    ],
)
def test_a_schedule_that_cannot_be_converted(
    registry: Registry, changes: dict[str, Any], expected: str
) -> None:
    """One message for each reason."""
    spec = {"type": "Schedule", "convert_to_iter_based": True, "epoch_length": 10}
    with pytest.raises(ConfigError, match=f"^part: .*{expected}"):
        build_scheduler_from_cfg({**spec, **changes}, registry, optimizer="sgd")


# ------------------------------------------------------------------------ runners


@pytest.mark.parametrize(
    ("kind", "expected"), [(None, Run), ("OtherRun", OtherRun), (OtherRun, OtherRun)]
)
def test_a_config_names_its_runner(
    registry: Registry, kind: Any, expected: type[Run]
) -> None:
    """``runner_type`` is a name or a class; ``from_cfg`` gets the config as it is."""
    cfg = {"model": 1} if kind is None else {"model": 1, "runner_type": kind}
    made = build_runner_from_cfg(cfg, registry)
    assert type(made) is expected
    assert made.cfg is cfg


def test_a_config_may_switch_the_scope(registry: Registry) -> None:
    """The runner is made in the scope that the config names."""
    child = Registry("part", parent=registry, scope="mine")
    child.register_module("Runner", module=OtherRun)
    made = build_runner_from_cfg({"_scope_": "mine"}, registry)
    assert type(made) is OtherRun
    assert made.scope is not None
    assert made.scope.scope_name == "mine"


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        (3, r"part: a config is a mapping of its arguments, found 3 \(int\)"),
        ({"runner_type": 3}, "runner_type: 'type' must be a name, a callable"),
        ({"runner_type": "Schedule"}, "Schedule has no from_cfg"),
    ],
)
def test_a_config_without_a_runner(registry: Registry, cfg: Any, expected: str) -> None:
    """One message for each reason."""
    with pytest.raises(ConfigError, match=expected):
        build_runner_from_cfg(cfg, registry)


def test_an_unknown_runner_is_an_unknown_name(registry: Registry) -> None:
    """With the nearest, as everywhere."""
    with pytest.raises(UnknownNameError, match="Did you mean 'OtherRun'"):
        build_runner_from_cfg({"runner_type": "OtherRum"}, registry)
