"""The Runner's validation and test loops."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from engine.dataset import count_samples
from engine.dist import sum_over_ranks
from engine.errors import check_switch
from engine.loops.base_loop import BaseLoop, turns_itself
from engine.loops.eval_size import padded_size
from engine.optim import autocast
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
        fp16: Evaluate under autocast: float16 on a GPU, bfloat16 on the CPU.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Iterable[Any],
        evaluator: Any,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = evaluator
        check_switch(f"{self.mode}_cfg: fp16", fp16)
        self.fp16 = fp16
        dataset = getattr(dataloader, "dataset", None)
        meta = getattr(dataset, "metainfo", None)
        if meta is not None:
            evaluator.dataset_meta = meta

    @turns_itself
    def run(self) -> dict[str, Any]:
        """Evaluate; returns the metrics."""
        with autocast() if self.fp16 else nullcontext():
            if self.leads():
                return self._drive()
            if type(self).run_iter is not _EvalLoop.run_iter:
                return dict(self.lead(self._drive))
            engine = self.engine
            engine.evaluator = self.evaluator
            engine.run(self.dataloader, epoch_length=self.batch_limit)
            return dict(engine.metrics)

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Evaluate one batch; a loop of one's own may override it, in MMEngine's way.

        Args:
            idx: Index of the batch.
            data_batch: The batch.
        """
        call, mode = self._runner.call_hook, self.mode
        call(f"before_{mode}_iter", batch_idx=idx, data_batch=data_batch)
        outputs = getattr(self._runner.model, f"{mode}_step")(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        call(
            f"after_{mode}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs
        )

    def _drive(self) -> dict[str, Any]:
        call, mode = self._runner.call_hook, self.mode
        call(f"before_{mode}")
        call(f"before_{mode}_epoch")
        self.evaluator.reset()
        size = len(getattr(self.dataloader, "dataset", ()))
        if self.batch_limit is not None:
            size = 0
        if hasattr(self.evaluator, "expect"):
            self.evaluator.expect(padded_size(self.dataloader, size or None))
        seen = 0
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
            seen += count_samples(batch)
        size = size or sum_over_ranks([seen])[0]
        metrics: dict[str, Any] = dict(self.evaluator.evaluate(size))
        call(f"after_{mode}_epoch", metrics=metrics)
        call(f"after_{mode}")
        return metrics


@LOOPS.register_module()
class ValLoop(_EvalLoop):
    """One validation.

    Args:
        runner: The Runner.
        dataloader: What is evaluated.
        evaluator: Gets what the model's ``val_step`` returns.
        fp16: Evaluate under autocast: float16 on a GPU, bfloat16 on the CPU.
    """

    mode = "val"


@LOOPS.register_module()
class TestLoop(_EvalLoop):
    """One test.

    Args:
        runner: The Runner.
        dataloader: What is evaluated.
        evaluator: Gets what the model's ``test_step`` returns.
        fp16: Evaluate under autocast: float16 on a GPU, bfloat16 on the CPU.
    """

    mode = "test"
    __test__ = False  # pytest takes classes of this name for tests
