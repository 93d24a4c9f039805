"""What of a run's settings is another than when it was saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runner.changes import Effect, changes, flatten

CLASSED = [
    ({"train_dataloader": {"num_workers": 2}}, Effect.HARMLESS),
    ({"val_dataloader": {"batch_size": 2}}, Effect.HARMLESS),
    ({"train_cfg": {"val_interval": 2}}, Effect.HARMLESS),
    ({"default_hooks": {"logger": {"interval": 2}}}, Effect.HARMLESS),
    ({"train_dataloader": {"batch_size": 2}}, Effect.ORDER),
    ({"train_dataloader": {"sampler": {"shuffle": True}}}, Effect.ORDER),
    ({"train_cfg": {"max_epochs": 9}}, Effect.LENGTH),
    ({"optim_wrapper": {"optimizer": {"lr": 0.5}}}, Effect.IGNORED),
    ({"optim_wrapper": {"optimizer": {"type": "SGD"}}}, Effect.STATE),
    ({"param_scheduler": [{"type": "StepLR"}]}, Effect.SCHEDULE),
    ({"model": {"width": 3}}, Effect.STATE),
    ({"optim_wrapper": {"clip_grad": {"max_norm": 1.0}}}, Effect.STATE),
    ({"custom_hooks": [{"type": "EMAHook"}]}, Effect.STATE),
]


@pytest.mark.parametrize(("settings", "effect"), CLASSED)
def test_each_difference_has_its_effect(
    settings: dict[str, object], effect: Effect
) -> None:
    """Both when it comes and when it goes."""
    for before, after in (({}, settings), (settings, {})):
        found = changes(flatten(before), flatten(after))
        assert {one.effect for one in found} == {effect}
        harmless = effect not in (Effect.ORDER, Effect.STATE)
        assert all((one.report() is None) == harmless for one in found)


VALUES = st.recursive(
    st.integers(0, 3) | st.booleans() | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(
    before=st.dictionaries(st.sampled_from(["model", "other"]), VALUES),
    after=st.dictionaries(st.sampled_from(["model", "other"]), VALUES),
)
def test_no_change_only_where_all_is_equal(
    before: dict[str, object], after: dict[str, object]
) -> None:
    """Numbers and truth values are told apart; a setting agrees with itself."""
    same = repr(sorted(before.items())) == repr(sorted(after.items()))
    assert changes(flatten(before), flatten(before)) == []
    if same:
        assert changes(flatten(before), flatten(after)) == []
    if repr(sorted(flatten(before).items())) != repr(sorted(flatten(after).items())):
        assert changes(flatten(before), flatten(after))
