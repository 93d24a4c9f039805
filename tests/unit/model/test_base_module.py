"""BaseModule: weights that begin from a spec, once."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from engine.errors import ConfigError, ModelError
from engine.model import (
    BaseModule,
    ModuleDict,
    ModuleList,
    Sequential,
    update_init_info,
)

if TYPE_CHECKING:
    from pathlib import Path

    from engine.typing import Spec


def constant(val: float, **more: object) -> Spec:
    """A spec that sets all linear layers to a value."""
    return {"type": "Constant", "val": val, "layer": "Linear", **more}


class Line(BaseModule):
    """One weight; counts how often it was initialised."""

    def __init__(self, init_cfg: Spec | list[Spec] | None = None) -> None:
        super().__init__(init_cfg)
        self.linear = nn.Linear(1, 1)
        self.calls = 0

    def init_weights(self) -> None:
        self.calls += 1
        super().init_weights()

    @property
    def value(self) -> float:
        return self.linear.weight.item()


class Pair(BaseModule):
    """Two children and a layer of its own."""

    def __init__(
        self, first: nn.Module, second: nn.Module, init_cfg: Spec | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.first = first
        self.second = second
        self.own = nn.Linear(1, 1)


def test_each_module_is_initialised_once() -> None:
    """A child that hangs in two places is asked once."""
    shared = Line(constant(2.0))
    Pair(Pair(shared, nn.ReLU()), shared).init_weights()
    assert shared.calls == 1
    assert shared.is_init


def test_a_childs_own_spec_wins_over_its_parents() -> None:
    """The parent sets all layers, then each child sets its own."""
    special, plain = Line(constant(2.0)), Line()
    pair = Pair(special, plain, constant(1.0))
    pair.init_weights()
    assert (special.value, plain.value, pair.own.weight.item()) == (2.0, 1.0, 1.0)


def test_pretrained_weights_win_over_the_childrens_specs(tmp_path: Path) -> None:
    """What a file holds is loaded after all others had their turn."""
    path = tmp_path / "weights.pth"
    source = Pair(Line(), Line())
    torch.save(source.state_dict(), path)
    spec: Spec = {"type": "Pretrained", "checkpoint": str(path)}
    target = Pair(Line(constant(2.0)), Line(constant(3.0)), spec)
    target.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def test_pretrained_weights_are_read_once(tmp_path: Path) -> None:
    """What does not fit is warned of one time."""
    path = tmp_path / "weights.pth"
    torch.save({"linear.weight": torch.ones(1, 1)}, path)
    line = Line({"type": "Pretrained", "checkpoint": str(path)})
    with pytest.warns(
        UserWarning, match=r"missing in the file: linear\.bias"
    ) as caught:
        line.init_weights()
    assert len(caught) == 1


def test_a_second_call_is_warned_of_and_changes_nothing() -> None:
    """Weights that were trained since are not thrown away."""
    line = Line(constant(2.0))
    line.init_weights()
    nn.init.constant_(line.linear.weight, 7.0)
    with pytest.warns(UserWarning, match=r"Line\.init_weights was called again"):
        line.init_weights()
    assert line.value == 7.0


def test_without_a_spec_the_weights_stay() -> None:
    """``init_cfg=None`` draws nothing and changes nothing."""
    line = Line()
    before, state = line.value, torch.get_rng_state()
    line.init_weights()
    assert line.value == before
    assert torch.equal(torch.get_rng_state(), state)


def test_what_set_each_parameter_is_known_afterwards() -> None:
    """The outermost module's account names the last initialiser of each."""
    line = Line(constant(2.0, bias=1.0))
    pair = Pair(line, nn.Linear(1, 1))
    pair.init_weights()
    assert pair.init_info["first.linear.weight"] == "ConstantInit(bias=1.0, val=2.0)"
    assert pair.init_info["own.weight"] == "as Pair was built"
    assert not line.init_info


def test_an_account_is_kept_only_while_weights_begin() -> None:
    """Outside an init_weights there is nothing to note in."""
    line = Line()
    line.init_weights()
    with pytest.raises(ModelError, match="Line keeps no account"):
        update_init_info(line, init_info="by hand")


def test_a_users_init_weights_may_note_what_it_did() -> None:
    """An override that sets values by hand shows in the account."""

    class Own(Line):
        def init_weights(self) -> None:
            super().init_weights()
            nn.init.constant_(self.linear.bias, 9.0)
            update_init_info(self, init_info="by hand")

    pair = Pair(Own(constant(2.0)), nn.ReLU())
    pair.init_weights()
    assert pair.init_info["first.linear.bias"] == "by hand"
    assert pair.init_info["first.linear.weight"].startswith("ConstantInit")


def test_a_failed_init_weights_may_be_repeated() -> None:
    """The error leaves no account behind and the module not initialised."""
    line = Line({"type": "Constant", "val": 1, "override": {"name": "linaer"}})
    with pytest.raises(ModelError, match=r"no part 'linaer'. Did you mean 'linear'\?"):
        line.init_weights()
    line.init_cfg = constant(4.0)
    line.init_weights()
    assert line.value == 4.0


def test_a_spec_of_another_form_is_refused() -> None:
    """It is found when the module is made."""
    with pytest.raises(ConfigError, match=r"Line: init_cfg has 'Kaiming'"):
        Line("Kaiming")  # type: ignore[arg-type] # the mistake


def test_the_spec_is_copied() -> None:
    """What a caller does to the mapping afterwards changes nothing."""
    spec = dict(constant(2.0))
    line = Line(spec)
    spec["val"] = 5.0
    line.init_weights()
    assert line.value == 2.0


def test_containers_initialise_what_is_in_them() -> None:
    """All three pass on to their children, which torch's own do not."""
    containers: list[BaseModule] = [
        Sequential(Line(constant(2.0))),
        ModuleList([Line(constant(2.0))]),
        ModuleDict({"0": Line(constant(2.0))}),
    ]
    for container in containers:
        container.init_weights()
        line = container.get_submodule("0")
        assert isinstance(line, Line)
        assert line.value == 2.0


def test_containers_hold_what_torchs_hold() -> None:
    """Names, order, slices and calls are those of torch's containers."""
    parts = OrderedDict(a=nn.Linear(2, 2), b=nn.ReLU(), c=nn.Linear(2, 1))
    ours, theirs = Sequential(parts), nn.Sequential(parts)
    inputs = torch.rand(3, 2)
    assert torch.equal(ours(inputs), theirs(inputs))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert [type(each) for each in ours[1:].children()] == [nn.ReLU, nn.Linear]
    assert list(ModuleDict(parts)) == ["a", "b", "c"]
    assert list(ModuleDict(parts.items())) == ["a", "b", "c"]
    assert ModuleList(parts.values())[-1] is parts["c"]
    assert len(Sequential()) == len(ModuleList()) == len(ModuleDict()) == 0


def test_the_spec_is_shown() -> None:
    """``repr`` says how weights begin, where something does."""
    assert "init_cfg={'type': 'Constant'" in repr(Line(constant(2.0)))
    assert "init_cfg" not in repr(Line())
