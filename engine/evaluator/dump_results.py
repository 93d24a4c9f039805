"""Keeps a model's predictions in a file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from engine.errors import MetricError
from engine.evaluator.metric import BaseMetric
from engine.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.typing import Batch

__all__ = ["DumpResults"]


@METRICS.register_module()
class DumpResults(BaseMetric):
    """Writes all predictions into a file, for ``Evaluator.offline_evaluate``.

    The file is a pickled list, as MMEngine writes it: open only what you wrote. It is
    whole when it is there.

    Args:
        out_file_path: The file, ``*.pkl`` or ``*.pickle``.
        collect_device: As for :class:`BaseMetric`.
        collect_dir: Likewise.

    Raises:
        MetricError: The file has another suffix.
    """

    def __init__(
        self,
        out_file_path: str | os.PathLike[str],
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        path = Path(out_file_path)
        if path.suffix not in (".pkl", ".pickle"):
            msg = (
                f"DumpResults: out_file_path={str(out_file_path)!r} must end with "
                ".pkl or .pickle: it is a pickled list"
            )
            raise MetricError(msg)
        self.out_file_path = path

    def process(self, data_batch: Batch, predictions: Sequence[Any]) -> None:
        """Keep the predictions of a batch, in the host's memory."""
        del data_batch
        self.results.extend(_on_host(predictions))

    def compute_metrics(self, results: list[Any]) -> Mapping[str, Any]:
        """Write the file; there are no values."""
        path = self.out_file_path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            pickle.dump(results, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return {}


def _on_host(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if type(value) is dict:
        return {key: _on_host(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_on_host(one) for one in value)
    return value
