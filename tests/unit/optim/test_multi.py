"""Several optimizers by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.errors import OptimizerError, ScheduleError
from engine.optim import LinearLR, OptimWrapper, OptimWrapperDict


def parameter() -> torch.nn.Parameter:
    """One number."""
    return torch.nn.Parameter(torch.ones(()))


def make(**settings: Any) -> OptimWrapperDict:
    """SGD and Adam."""
    return OptimWrapperDict(
        one=OptimWrapper(torch.optim.SGD([parameter()], lr=0.1), **settings),
        other=OptimWrapper(torch.optim.Adam([parameter()], lr=0.2), **settings),
    )


def loss(wrapper: OptimWrapper) -> torch.Tensor:
    """The square of the wrapper's parameter."""
    found: torch.Tensor = wrapper.param_groups[0]["params"][0].square()
    return found


def test_each_is_stepped_by_its_name() -> None:
    """The others stay."""
    both = make()
    both["one"].update_params(loss(both["one"]))
    assert loss(both["one"]).item() == pytest.approx(0.64)
    assert loss(both["other"]).item() == 1.0
    assert both.inner_count == {"one": 1, "other": 0}


def test_it_is_a_mapping() -> None:
    """Of names to wrappers; settings stand under the names."""
    both = make()
    assert list(both) == ["one", "other"]
    assert "one" in both
    assert len(both) == 2
    assert both.get_lr() == {"one.lr": [0.1], "other.lr": [0.2]}
    assert both.get_momentum() == {"one.momentum": [0], "other.momentum": [0.9]}
    assert both.defaults["one"]["lr"] == 0.1
    assert "one: OptimWrapper" in repr(both)


@pytest.mark.parametrize(
    "method",
    [
        "update_params",
        "scale_loss",
        "backward",
        "step",
        "optim_context",
        "should_update",
        "should_sync",
    ],
)
def test_what_acts_on_one_is_refused(method: str) -> None:
    """The message shows the call that is meant."""
    takes = method not in ("step", "should_update", "should_sync")
    with pytest.raises(OptimizerError, match=rf"Take one: .*'one'\]\.{method}"):
        getattr(make(), method)(*[None] * takes)


def test_its_state_is_that_of_each() -> None:
    """Gradients of open windows and counts too."""
    both, again = make(accumulative_counts=2), make(accumulative_counts=2)
    both["one"].update_params(loss(both["one"]))
    both["other"].update_params(loss(both["other"]))
    both["other"].update_params(loss(both["other"]))
    again.load_state_dict(both.state_dict())
    again.load_gradient_state(both.gradient_state())
    again.load_count_state(both.count_state())
    assert again.inner_count == {"one": 1, "other": 2}
    assert not again["one"].should_update()
    assert again["other"].should_update()
    for name in both:
        saved, loaded = both[name].gradient_state(), again[name].gradient_state()
        assert saved == loaded
    again.zero_grad()
    assert again["one"].param_groups[0]["params"][0].grad is None
    with pytest.raises(OptimizerError, match=r"saved state is of .*'one'.* same names"):
        again.load_state_dict({"one": {}})


def test_norms_are_reported_under_the_names() -> None:
    """``train/one.grad_norm``."""
    both = make(clip_grad={"max_norm": 1.0})
    seen: dict[str, float] = {}
    both.report = lambda key, value: seen.update({key: float(value)})
    both["one"].update_params(loss(both["one"]))
    assert seen == {"train/one.grad_norm": 2.0}
    both.report = None
    assert both["one"].report is None


def test_several_in_several_are_refused() -> None:
    """Nobody could name one; and a schedule is of one optimizer."""
    both = OptimWrapperDict(one=make()["one"])
    with pytest.raises(OptimizerError, match="'more' is an OptimWrapperDict"):
        OptimWrapperDict(more=both)
    with pytest.raises(ScheduleError, match=r"several, 'one'.*optim_wrapper\['one'\]"):
        LinearLR(both)


def test_what_is_no_wrapper_is_refused() -> None:
    """With its name."""
    with pytest.raises(OptimizerError, match="'one' is a SGD, not an OptimWrapper"):
        OptimWrapperDict(one=torch.optim.SGD([parameter()]))  # type: ignore[arg-type]
    with pytest.raises(OptimizerError, match="give at least one"):
        OptimWrapperDict()
