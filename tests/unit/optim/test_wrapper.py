"""OptimWrapper: accumulation, clipping, errors, state."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from engine.errors import OptimizerError
from engine.optim import LinearLR, OptimWrapper
from engine.registry import OPTIM_WRAPPERS

if TYPE_CHECKING:
    from collections.abc import Iterator


def parameter(*values: float) -> nn.Parameter:
    """Build one in double precision."""
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def sgd(*parameters: nn.Parameter, lr: float = 0.5) -> torch.optim.SGD:
    """Build one without momentum."""
    return torch.optim.SGD(parameters, lr=lr)


class Syncing(nn.Module):
    """Has ``no_sync`` as DDP has, and counts how often it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = 0

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        self.entered += 1
        yield


def test_without_settings_it_is_the_bare_three_calls() -> None:
    """Parameters after some updates are bit-equal to backward, step, zero_grad."""
    bare, wrapped = parameter(1.0, -2.0), parameter(1.0, -2.0)
    bare_sgd, wrapper = sgd(bare), OptimWrapper(sgd(wrapped))
    for factor in (1.0, 0.3, -0.7):
        (bare.square() * factor).sum().backward()  # type: ignore[no-untyped-call]
        bare_sgd.step()
        bare_sgd.zero_grad()
        wrapper.update_params((wrapped.square() * factor).sum())
    assert torch.equal(bare, wrapped)
    assert wrapped.grad is None
    assert wrapper.inner_count == 3


def test_it_steps_at_window_ends_only() -> None:
    """Three by three, and the run's last two on their own, each mean of its window."""
    weight = parameter(0.0)
    wrapper = OptimWrapper(sgd(weight, lr=1.0), accumulative_counts=3)
    wrapper.initialize_count_status(nn.Identity(), 0, 5)
    trace = []
    for factor in (1.0, 2.0, 6.0, 10.0, 20.0):
        wrapper.update_params((weight * factor).sum())
        trace.append(weight.item())
    assert trace == pytest.approx([0.0, 0.0, -3.0, -3.0, -18.0])


def test_all_windows_are_full_without_a_count() -> None:
    """Never told the run's length, it waits for the window to fill."""
    weight = parameter(0.0)
    wrapper = OptimWrapper(sgd(weight), accumulative_counts=2)
    steps = []
    for _ in range(5):
        wrapper.update_params(weight.sum())
        steps.append(wrapper.should_update())
    assert steps == [False, True, False, True, False]


def test_scale_loss_divides_by_the_coming_window() -> None:
    """Inside the remainder the divisor is the remainder's length."""
    wrapper = OptimWrapper(sgd(parameter(0.0)), accumulative_counts=3)
    loss = parameter(6.0).sum()
    wrapper.initialize_count_status(nn.Identity(), 2, 5)
    assert wrapper.scale_loss(loss).item() == 2.0
    wrapper.initialize_count_status(nn.Identity(), 3, 5)
    assert wrapper.scale_loss(loss).item() == 3.0


def test_scale_loss_leaves_a_window_of_one_alone() -> None:
    """No division where the divisor is 1: the very tensor comes back."""
    loss = parameter(6.0).sum()
    wrapper = OptimWrapper(sgd(parameter(0.0)))
    assert wrapper.scale_loss(loss) is loss
    wrapper = OptimWrapper(sgd(parameter(0.0)), accumulative_counts=3)
    wrapper.initialize_count_status(nn.Identity(), 3, 4)
    assert wrapper.scale_loss(loss) is loss


def test_should_sync_looks_one_iteration_ahead() -> None:
    """Before a backward: will it end the window? After it: did it?"""
    wrapper = OptimWrapper(sgd(parameter(0.0)), accumulative_counts=2)
    seen = []
    for done in range(6):
        wrapper.initialize_count_status(nn.Identity(), done, 5)
        seen.append((wrapper.should_update(), wrapper.should_sync()))
    assert seen == [
        (True, False),
        (False, True),
        (True, False),
        (False, True),
        (True, True),
        (True, False),
    ]


def test_optim_context_keeps_ranks_from_syncing_inside_a_window() -> None:
    """``no_sync`` is entered for all of a window but its last iteration."""
    model, weight = Syncing(), parameter(0.0)
    wrapper = OptimWrapper(sgd(weight), accumulative_counts=3)
    wrapper.initialize_count_status(model, 0, 4)
    entered = []
    for _ in range(4):
        with wrapper.optim_context(model):
            loss = weight.sum()
        wrapper.update_params(loss)
        entered.append(model.entered)
    assert entered == [1, 2, 2, 2]


def test_optim_context_does_nothing_without_need() -> None:
    """A window of one, or a model without ``no_sync``, gets an empty context."""
    model = Syncing()
    with OptimWrapper(sgd(parameter(0.0))).optim_context(model):
        pass
    with OptimWrapper(sgd(parameter(0.0)), 3).optim_context(nn.Identity()):
        pass
    assert model.entered == 0


def test_clipping_by_norm_reports_the_norm_before_it() -> None:
    """The gradient (3, 4) is cut to length 1 and its length 5 handed on as a tensor."""
    weight = parameter(0.0, 0.0)
    wrapper = OptimWrapper(sgd(weight, lr=1.0), clip_grad={"max_norm": 1.0})
    reports: list[tuple[str, Tensor]] = []
    wrapper.report = lambda key, norm: reports.append((key, norm))
    wrapper.update_params((weight * torch.tensor([3.0, 4.0])).sum())
    assert weight.detach().tolist() == pytest.approx([-0.6, -0.8], rel=1e-5)
    [(key, norm)] = reports
    assert key == "train/grad_norm"
    assert norm.shape == ()
    assert norm.item() == pytest.approx(5.0)


def test_clipping_by_norm_works_without_a_report() -> None:
    """Nobody listens: it clips all the same."""
    weight = parameter(0.0)
    wrapper = OptimWrapper(
        sgd(weight, lr=1.0), clip_grad={"type": "norm", "max_norm": 2.0}
    )
    wrapper.update_params((weight * 10).sum())
    assert weight.item() == pytest.approx(-2.0, rel=1e-5)


def test_clipping_by_value_cuts_each_element_and_reports_nothing() -> None:
    """There is no norm to report."""
    weight = parameter(0.0, 0.0)
    wrapper = OptimWrapper(
        sgd(weight, lr=1.0), clip_grad={"type": "value", "clip_value": 2.0}
    )
    reports: list[str] = []
    wrapper.report = lambda key, _: reports.append(key)
    wrapper.update_params((weight * torch.tensor([1.0, -5.0])).sum())
    assert weight.detach().tolist() == [-1.0, 2.0]
    assert reports == []


def test_clipping_takes_the_whole_window() -> None:
    """Gradients are clipped once, at the window's end, after they were added."""
    weight = parameter(0.0)
    wrapper = OptimWrapper(sgd(weight, lr=1.0), 2, {"max_norm": 3.0})
    norms: list[float] = []
    wrapper.report = lambda _, norm: norms.append(norm.item())
    wrapper.update_params((weight * 8).sum())
    wrapper.update_params((weight * 4).sum())
    assert norms == pytest.approx([6.0])
    assert weight.item() == pytest.approx(-3.0, rel=1e-5)


def test_a_step_without_gradients_reports_no_norm() -> None:
    """All frozen: there is nothing to clip, and 0 would be a false reading."""
    wrapper = OptimWrapper(sgd(parameter(0.0)), clip_grad={"max_norm": 1.0})
    reports: list[str] = []
    wrapper.report = lambda key, _: reports.append(key)
    wrapper.step()
    assert reports == []


def test_no_value_is_read_from_the_device() -> None:
    """On torch's meta device, where values do not exist, all of it runs."""
    weight = nn.Parameter(torch.empty(3, device="meta"))
    wrapper = OptimWrapper(sgd(weight), 2, {"max_norm": 1.0})
    norms: list[Tensor] = []
    wrapper.report = lambda _, norm: norms.append(norm)
    for _ in range(4):
        wrapper.update_params(weight.sum())
    assert [norm.is_meta for norm in norms] == [True, True]


def test_clip_grad_is_not_changed() -> None:
    """The config's mapping keeps its ``type``."""
    clip_grad = {"type": "norm", "max_norm": 1.0}
    OptimWrapper(sgd(parameter(0.0)), clip_grad=clip_grad)
    assert clip_grad == {"type": "norm", "max_norm": 1.0}


def test_step_and_zero_arguments_are_passed_on() -> None:
    """``zero_kwargs`` and ``step_kwargs`` reach the optimizer's methods."""
    weight = parameter(1.0)
    wrapper = OptimWrapper(sgd(weight))
    called: list[str] = []

    def closure() -> Tensor:
        called.append("closure")
        return torch.zeros(())

    wrapper.update_params(
        weight.sum(),
        step_kwargs={"closure": closure},
        zero_kwargs={"set_to_none": False},
    )
    assert called == ["closure"]
    assert weight.grad is not None
    assert weight.grad.item() == 0.0


def test_backward_passes_its_arguments_on() -> None:
    """``retain_graph`` keeps the graph for a second backward."""
    weight = parameter(1.0)
    wrapper = OptimWrapper(sgd(weight), 2)
    loss = weight.square().sum()
    wrapper.backward(loss, retain_graph=True)
    wrapper.backward(loss)
    assert weight.grad is not None
    assert weight.grad.item() == 4.0
    assert wrapper.inner_count == 2


def test_a_subclass_may_replace_each_part() -> None:
    """``update_params`` goes through the methods that MMEngine documents."""

    class Recording(OptimWrapper):
        calls: list[str]

        def backward(self, loss: Tensor, **kwargs: Any) -> None:
            self.calls.append("backward")
            super().backward(loss, **kwargs)

        def scale_loss(self, loss: Tensor) -> Tensor:
            self.calls.append("scale_loss")
            return super().scale_loss(loss)

        def should_update(self) -> bool:
            self.calls.append("should_update")
            return super().should_update()

        def step(self, **kwargs: Any) -> None:
            self.calls.append("step")
            super().step(**kwargs)

        def zero_grad(self, **kwargs: Any) -> None:
            self.calls.append("zero_grad")
            super().zero_grad(**kwargs)

    weight = parameter(1.0)
    wrapper = Recording(sgd(weight))
    wrapper.calls = []
    wrapper.update_params(weight.sum())
    assert wrapper.calls == [
        "scale_loss",
        "backward",
        "should_update",
        "step",
        "zero_grad",
    ]


@pytest.mark.parametrize("counts", [0, -1, 1.5, True, "2", None])
def test_a_window_that_is_no_length_is_refused(counts: Any) -> None:
    """Only an int of at least 1 is a number of iterations."""
    with pytest.raises(OptimizerError, match=f"accumulative_counts is {counts!r}.*int"):
        OptimWrapper(sgd(parameter(0.0)), accumulative_counts=counts)


def test_what_is_no_optimizer_is_refused() -> None:
    """A spec is the build's business; the wrapper takes the finished object."""
    spec: Any = {"type": "SGD"}
    with pytest.raises(OptimizerError, match=r"is a dict, not a torch\.optim"):
        OptimWrapper(spec)


@pytest.mark.parametrize(
    ("clip_grad", "text"),
    [
        (3, "is an int, not a mapping"),
        ({}, "'norm' needs 'max_norm'"),
        ({"type": "nrom", "max_norm": 1}, "'nrom'.*Did you mean 'norm'"),
        ({"type": "value", "max_norm": 1}, "'value' needs 'clip_value'"),
        ({"max_norm": 1, "norm": 2}, r"may have.*norm_type.*given \['max_norm', 'norm"),
        ({"max_norm": -1.0}, r"max_norm is -1\.0.*at least 0"),
        ({"max_norm": float("nan")}, "max_norm is nan"),
        ({"max_norm": "1"}, "max_norm is '1'"),
        ({"type": "value", "clip_value": -2}, "clip_value is -2"),
    ],
)
def test_wrong_clipping_is_refused(clip_grad: Any, text: str) -> None:
    """What is wrong with ``clip_grad`` is said when the wrapper is made."""
    with pytest.raises(OptimizerError, match=text):
        OptimWrapper(sgd(parameter(0.0)), clip_grad=clip_grad)


@pytest.mark.parametrize("counts", [1, 3])
@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ({"loss": 1.0}, "the loss is a dict.*their sum"),
        (3.0, "the loss is a float"),
        (parameter(1.0, 2.0) * 2, r"shape \(2,\).*mean"),
        (torch.ones(()), r"does not require grad.*no_grad"),
    ],
)
def test_a_loss_without_gradients_is_refused(counts: int, loss: Any, text: str) -> None:
    """One clear error, and the iteration is not counted."""
    wrapper = OptimWrapper(sgd(parameter(0.0)), counts)
    with pytest.raises(OptimizerError, match=text):
        wrapper.update_params(loss)
    assert wrapper.inner_count == 0


def test_a_loss_of_one_element_is_a_scalar() -> None:
    """Shape (1,) has one gradient, as torch and MMEngine take it."""
    weight = parameter(1.0)
    OptimWrapper(sgd(weight)).update_params(weight * 1)
    assert weight.item() == 0.5


def test_lr_and_momentum_of_each_group() -> None:
    """Each group has its entry, in order, and none's stand beside them."""
    groups: list[dict[str, Any]] = [
        {"params": [parameter(0.0)]},
        {"params": [parameter(0.0)], "lr": 0.2, "momentum": 0.8},
    ]
    wrapper = OptimWrapper(torch.optim.SGD(groups, lr=0.1, momentum=0.9))
    assert wrapper.get_lr() == {"lr": [0.1, 0.2], "base_lr": [0.1]}
    assert wrapper.get_momentum() == {"momentum": [0.9, 0.8]}
    assert wrapper.param_groups[:2] == wrapper.optimizer.param_groups
    assert len(wrapper.param_groups) == 3
    assert wrapper.defaults is wrapper.optimizer.defaults


def test_the_settings_of_no_group_are_scheduled_and_saved() -> None:
    """So that the rate of the run is known after a resume too."""

    def make() -> OptimWrapper:
        groups = [{"params": [parameter(0.0)], "lr": lr} for lr in (0.5, 0.25)]
        return OptimWrapper(torch.optim.SGD(groups, lr=1.0))

    wrapper = make()
    LinearLR(wrapper, start_factor=0.5, end=3)
    assert wrapper.get_lr() == {"lr": [0.25, 0.125], "base_lr": [0.5]}
    other = make()
    other.load_state_dict(wrapper.state_dict())
    assert other.get_lr() == wrapper.get_lr()
    bare = torch.optim.SGD([parameter(0.0)], lr=1.0)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        OptimWrapper(bare).load_state_dict(wrapper.state_dict())


def test_momentum_of_optimizers_without_that_name() -> None:
    """The first beta of Adam, also beside MMEngine's copy; 0 of Adagrad."""
    adam = torch.optim.Adam([parameter(0.0)], betas=(0.7, 0.99))
    assert OptimWrapper(adam).get_momentum() == {"momentum": [0.7]}
    adam.param_groups[0]["momentum"] = 0.1
    assert OptimWrapper(adam).get_momentum() == {"momentum": [0.7]}
    adagrad = torch.optim.Adagrad([parameter(0.0)])
    assert OptimWrapper(adagrad).get_momentum() == {"momentum": [0.0]}


def test_its_state_is_the_optimizers() -> None:
    """A plain torch optimizer's state loads into a wrapper and the other way round."""
    first, second = parameter(1.0), parameter(1.0)
    bare = torch.optim.Adam([first])
    first.square().sum().backward()  # type: ignore[no-untyped-call]
    bare.step()
    wrapper = OptimWrapper(torch.optim.Adam([second], lr=7.0))
    wrapper.load_state_dict(bare.state_dict())
    assert wrapper.state_dict() == bare.state_dict()
    assert wrapper.get_lr() == {"lr": [0.001]}


@pytest.mark.parametrize(("init", "most"), [(-1, 4), (0, -2)])
def test_counts_out_of_range_are_refused(init: int, most: int) -> None:
    """Nobody has finished -1 iterations."""
    wrapper = OptimWrapper(sgd(parameter(0.0)), 2)
    with pytest.raises(OptimizerError, match=f"init_counts is {init}.*{most}"):
        wrapper.initialize_count_status(nn.Identity(), init, most)


def test_minus_one_is_an_unknown_length() -> None:
    """As in MMEngine; windows are full then."""
    wrapper = OptimWrapper(sgd(parameter(0.0)), 2)
    wrapper.initialize_count_status(nn.Identity(), 1, -1)
    assert wrapper.inner_count == 1
    assert not wrapper.should_update()


def test_batch_norm_under_accumulation_is_a_warning() -> None:
    """Its statistics see small batches; without accumulation there is no warning."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.warns(UserWarning, match="accumulative_counts=2 with batch norm"):
        OptimWrapper(sgd(*model.parameters()), 2).initialize_count_status(model, 0, 4)
    # Warnings are errors here: this one must not come.
    OptimWrapper(sgd(*model.parameters()), 1).initialize_count_status(model, 0, 4)


def test_gradients_that_something_else_left_are_state_too() -> None:
    """At a window's edge as well: the next backward adds to them."""
    weight = parameter(1.0)
    wrapper = OptimWrapper(sgd(weight))
    wrapper.update_params((weight * 4).sum())
    assert wrapper.gradient_state() is None
    (weight * 3).sum().backward()  # type: ignore[no-untyped-call] # torch's
    state = wrapper.gradient_state()
    assert state is not None
    assert state[0] is not None
    assert state[0].item() == 3.0


def test_gradients_are_state_inside_a_window_only() -> None:
    """A copy per parameter, ``None`` without gradient; ``None`` at a window's edge."""
    used, unused = parameter(1.0), parameter(1.0)
    wrapper = OptimWrapper(sgd(used, unused), 2)
    assert wrapper.gradient_state() is None
    wrapper.update_params((used * 4).sum())
    state = wrapper.gradient_state()
    assert state is not None
    assert state[0] is not None
    assert state[0].item() == 2.0
    assert state[1] is None
    wrapper.update_params((used * 4).sum())
    assert wrapper.gradient_state() is None
    assert state[0].item() == 2.0  # a copy: the second backward did not reach it


def test_loaded_gradients_do_not_share_memory() -> None:
    """What was loaded stays as it was when training goes on."""
    weight = parameter(1.0)
    wrapper = OptimWrapper(sgd(weight), 2)
    state = [torch.tensor([2.0], dtype=torch.float64)]
    wrapper.load_gradient_state(state)
    wrapper.backward(weight.sum())
    assert weight.grad is not None
    assert weight.grad.item() == 3.0
    assert state[0].item() == 2.0


def test_loading_no_gradients_drops_those_there() -> None:
    """``None`` is the state of a closed window."""
    weight = parameter(1.0)
    wrapper = OptimWrapper(sgd(weight), 2)
    wrapper.backward(weight.sum())
    wrapper.load_gradient_state(None)
    assert weight.grad is None


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ([], "0 gradients were saved.*1 parameters"),
        ([torch.zeros(3)], r"gradient 0 has shape \(3,\).*\(1,\)"),
    ],
)
def test_gradients_of_another_model_are_refused(state: list[Tensor], text: str) -> None:
    """They are compared before any is put in place."""
    weight = parameter(1.0)
    with pytest.raises(OptimizerError, match=text):
        OptimWrapper(sgd(weight)).load_gradient_state(state)
    assert weight.grad is None


def test_it_is_built_by_name() -> None:
    """The registry knows it, and it says its settings."""
    wrapper = OPTIM_WRAPPERS.build(
        {"type": "OptimWrapper", "accumulative_counts": 2},
        optimizer=sgd(parameter(0.0)),
    )
    assert "OptimWrapper(accumulative_counts=2, clip_grad=None" in repr(wrapper)
