"""The engine's own registries."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

import engine.registry
from engine.errors import UnknownNameError
from engine.registry import HOOKS, MODELS, Registry

ROOTS = {
    name: value
    for name, value in vars(engine.registry).items()
    if isinstance(value, Registry)
}


@pytest.mark.parametrize("name", sorted(ROOTS))
def test_a_root_is_of_our_scope_and_its_locations_exist(name: str) -> None:
    """A look-up that fails must not end in an import error of ours."""
    root = ROOTS[name]
    assert root.scope == "engine"
    assert root.parent is None
    assert [place for place in root.locations if find_spec(place) is None] == []


def test_roots_have_different_names() -> None:
    """Messages can tell them apart."""
    assert len({root.name for root in ROOTS.values()}) == len(ROOTS)


def test_the_roots_are_those_of_mmengine() -> None:
    """A user finds each registry under the name that MMEngine gives it."""
    names = (
        "RUNNERS RUNNER_CONSTRUCTORS LOOPS HOOKS LOG_PROCESSORS OPTIMIZERS "
        "OPTIM_WRAPPERS OPTIM_WRAPPER_CONSTRUCTORS PARAM_SCHEDULERS DATASETS "
        "DATA_SAMPLERS TRANSFORMS MODELS MODEL_WRAPPERS WEIGHT_INITIALIZERS TASK_UTILS "
        "METRICS EVALUATOR VISUALIZERS VISBACKENDS FUNCTIONS INFERENCERS STRATEGIES"
    )
    assert sorted(ROOTS) == sorted(names.split())


def test_each_root_knows_the_others_by_their_names() -> None:
    """Its family is what the package exports."""
    assert all(dict(root.family) == ROOTS for root in ROOTS.values())


def test_an_unknown_name_tells_which_root_has_it() -> None:
    """A name that stands in the wrong part of a config is found where it belongs."""
    expected = (
        r"^no hook is called 'Adam'\..* 'Adam' is an optimizer: OPTIMIZERS has it\. "
        r"Looked in registry 'hook' of scope 'engine' \(filled by engine.hooks\)\."
    )
    with pytest.raises(UnknownNameError, match=expected):
        HOOKS.get("Adam")


def test_importing_the_registries_imports_no_part_of_a_run() -> None:
    """Only the standard library, errors and typing are loaded with them."""
    code = (
        "import sys, engine.registry; "
        "print(*[m for m in sys.modules if m.split('.')[0] in "
        "('engine', 'torch', 'ignite', 'attr', 'attrs', 'structlog', 'numpy')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    other = [
        each
        for each in found
        if not each.startswith("engine.registry")
        and each not in {"engine", "engine.errors", "engine.typing", "engine.version"}
    ]
    assert other == []


@pytest.mark.parametrize("key", ["engine.LoggerHook", "mmengine.LoggerHook"])
def test_both_names_of_our_scope_find_our_classes(key: str) -> None:
    """A config written for MMEngine names its hooks by MMEngine's scope."""
    assert HOOKS.get(key).__name__ == "LoggerHook"


def test_a_list_of_models_makes_them_in_a_row() -> None:
    """MODELS builds a Sequential from a list of specs."""
    torch = pytest.importorskip("torch")
    linear = {"type": "torch.nn.Linear", "in_features": 2, "out_features": 2}
    made = MODELS.build([linear, {"type": "torch.nn.ReLU"}])
    assert isinstance(made, torch.nn.Sequential)
    assert [type(each).__name__ for each in made] == ["Linear", "ReLU"]


def test_hooks_are_called_hooks_in_messages() -> None:
    """The name reads well behind "no ... is called"."""
    assert HOOKS.name == "hook"
