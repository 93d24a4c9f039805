"""When cached memory is given back."""

from __future__ import annotations

import pytest
import torch

from engine.errors import ConfigError
from engine.hooks import EmptyCacheHook
from engine.loops import EvalEngine
from tests.toys import echo_trainer


@pytest.mark.parametrize(
    ("settings", "calls"),
    [
        ({}, 4),
        ({"before_epoch": True}, 8),
        ({"after_epoch": False}, 0),
        ({"after_epoch": False, "after_iter": True}, 6 + 2),
    ],
)
def test_memory_is_given_back_where_asked(
    settings: dict[str, bool], calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two epochs of three iterations, each with a validation of one batch."""
    called: list[None] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: called.append(None))
    trainer = echo_trainer()
    trainer.add_hook(EmptyCacheHook(**settings))
    trainer.validate_with(EvalEngine(lambda _, batch: batch), [1.0])
    trainer.run([1.0, 2.0, 3.0], max_epochs=2)
    assert len(called) == calls


def test_what_is_off_is_on_no_event() -> None:
    """So it costs nothing in an iteration."""
    assert not [s for s in EmptyCacheHook().get_triggered_stages() if "iter" in s]
    with pytest.raises(ConfigError, match="after_iter='no'"):
        EmptyCacheHook(after_iter="no")  # type: ignore[arg-type]
