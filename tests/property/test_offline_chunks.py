"""How predictions are cut into chunks does not change what is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from engine.evaluator import BaseMetric, Evaluator

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pairs(BaseMetric):
    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results.extend(zip(data_batch, data_samples, strict=True))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        return {"pairs": results}


@given(pairs=st.lists(st.tuples(st.integers(), st.integers())), size=st.integers(1, 9))
def test_chunks_keep_samples_with_their_data(
    pairs: list[tuple[int, int]], size: int
) -> None:
    """Each sample meets its own data, in order, for any size of chunks."""
    evaluator = Evaluator(Pairs())
    data = [left for left, _ in pairs]
    samples = [right for _, right in pairs]
    found = evaluator.offline_evaluate(samples, data, chunk_size=size)
    assert found == {"pairs": pairs}
