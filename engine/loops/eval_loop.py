"""The Runner's validation and test loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.loops.train_loop import BaseLoop
from engine.registry import LOOPS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TestLoop", "ValLoop"]


class _EvalLoop(BaseLoop):
    """One pass of an evaluating engine of the Runner's.

    Args:
        runner: The Runner.
        dataloader: What is evaluated.
        evaluator: Gets what the model's step returns.
    """

    _engine: str

    def __init__(self, runner: Any, dataloader: Iterable[Any], evaluator: Any) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = evaluator
        dataset = getattr(dataloader, "dataset", None)
        meta = getattr(dataset, "metainfo", None)
        if meta is not None:
            evaluator.dataset_meta = meta

    def run(self) -> dict[str, Any]:
        """Evaluate; returns the metrics."""
        engine = getattr(self._runner, self._engine)
        engine.evaluator = self.evaluator
        engine.run(self.dataloader)
        return dict(engine.metrics)


@LOOPS.register_module()
class ValLoop(_EvalLoop):
    """One validation."""

    _engine = "validator"


@LOOPS.register_module()
class TestLoop(_EvalLoop):
    """One test."""

    _engine = "tester"
    __test__ = False  # pytest takes classes of this name for tests
