"""Metrics of other libraries as metrics of ours."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from engine.dataset import count_samples
from engine.dist import get_dist_info, get_world_size, sum_over_ranks
from engine.errors import MetricError, a_type
from engine.evaluator.metric import BaseMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.typing import Batch, Plain

__all__ = ["LibraryMetric", "name_of_metric"]

_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def name_of_metric(kind: str) -> str:
    """The name of a class's value.

    >>> [name_of_metric(one) for one in ("MulticlassAccuracy", "ROC_AUC", "SSIM")]
    ['multiclass_accuracy', 'roc_auc', 'ssim']
    """
    return _UPPER.sub("_", kind).lower()


class LibraryMetric(BaseMetric):
    """Feeds a metric of another library, and names what it computes.

    What it gathers is the library's own state, which does not grow with the data where
    the metric's does not. Over several ranks the library merges it; samples that a
    sampler added, so that each rank has as many, are left out.

    Args:
        metric: The other library's.
        name: Of its value, if that is one; ``None``: by the metric's class.
        prefix: Put before each name as ``prefix/name``.
        output_transform: ``output_transform(data_samples)`` gives what the metric
            takes, such as a tuple of predictions and targets; ``None``: what
            ``StepModel`` returned, or a pair of tensors, is taken apart.

    Raises:
        MetricError: ``output_transform`` cannot be called.
    """

    def __init__(
        self,
        metric: Any,
        *,
        name: str | None = None,
        prefix: str | None = None,
        output_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(prefix=prefix)
        if output_transform is not None and not callable(output_transform):
            msg = (
                f"{type(metric).__name__}: output_transform is "
                f"{a_type(output_transform)}, but a function of the model's output is "
                "needed"
            )
            raise MetricError(msg)
        self.metric = metric
        self.name = name_of_metric(type(metric).__name__) if name is None else name
        self.output_transform = output_transform
        self._size: int | None = None
        self._seen = 0  # samples, padding included
        self._updates = 0

    # -- what a library does in its own way ----------------------------------------

    @abstractmethod
    def update(self, output: Any) -> None:
        """Let the metric see one batch.

        Args:
            output: What the metric takes.
        """

    @abstractmethod
    def compute(self) -> Any:
        """What the metric computes: a value, or values by name."""

    @abstractmethod
    def forget(self) -> None:
        """Begin anew."""

    @abstractmethod
    def keeps_predictions(self) -> bool:
        """Whether it gathers lists, which have no sum over ranks."""

    @abstractmethod
    def memory(self) -> Plain:
        """What the metric has gathered."""

    @abstractmethod
    def remember(self, memory: Plain) -> None:
        """Go on from what :meth:`memory` gave."""

    # -- as a metric of ours ---------------------------------------------------------

    def expect(self, size: int | None) -> None:
        """Say how many samples there are.

        Args:
            size: Samples in the dataset, over all ranks: what is beyond them is
                padding and is left out. ``None``: there is no padding.
        """
        self._size = size

    def process(self, data_batch: Batch, data_samples: Sequence[Any]) -> None:
        """Let the metric see one batch.

        Raises:
            MetricError: The model's output is nothing that it can be given.
        """
        for output in self._without_padding(data_batch, data_samples):
            self.update(output)
            self._updates += 1

    def compute_metrics(self, results: list[Any]) -> Mapping[str, Any]:
        """The values by name; tensors of one element become numbers."""
        del results
        value = self.compute()
        values = value if isinstance(value, Mapping) else {self.name: value}
        return {str(key): _plain(one) for key, one in values.items()}

    def evaluate(self, size: int) -> dict[str, Any]:
        """Compute the values over all batches and forget what was gathered.

        Raises:
            MetricError: ``size`` is above 0 but the metric has seen no batch, or one
                that keeps all predictions has seen none on one of the ranks.
        """
        name, world = type(self.metric).__name__, get_world_size()
        (having,) = sum_over_ranks([self._updates > 0])
        if size > 0 and having == 0:
            msg = (
                f"{name}: the dataset has {size} samples, but the metric has seen no "
                "batch"
            )
            raise MetricError(msg)
        if having < world and self.keeps_predictions():
            # Its library would fail on the ranks without, and hang on the others.
            msg = (
                f"{name} keeps all predictions and needs some on each rank, but "
                f"{world - having} of {world} ranks have none: evaluate more samples, "
                "on fewer ranks, or with a subclass of BaseMetric"
            )
            raise MetricError(msg)
        values = self.compute_metrics([])
        self.reset()
        return self.named(values)

    def reset(self) -> None:
        """Forget what was gathered."""
        super().reset()
        self._seen = self._updates = 0
        self.forget()

    def watch(self) -> None:
        """Nothing to note: the library says what it gathers."""

    def state_dict(self) -> Plain:
        """What was gathered, as plain data."""
        return {"seen": self._seen, "updates": self._updates, "memory": self.memory()}

    def load_state_dict(self, state_dict: Plain, /) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._seen, self._updates = state_dict["seen"], state_dict["updates"]
        self.remember(state_dict["memory"])

    # -- the model's output ----------------------------------------------------------

    def _outputs(self, data_samples: Sequence[Any]) -> list[Any]:
        if self.output_transform is not None:
            return [self.output_transform(data_samples)]
        return self._taken_apart(data_samples)

    def _taken_apart(self, data_samples: Sequence[Any]) -> list[Any]:
        keys = {"outputs", "targets"}
        if data_samples and all(
            isinstance(one, Mapping) and keys <= set(one) for one in data_samples
        ):
            return [(one["outputs"], one["targets"]) for one in data_samples]
        pair = len(data_samples) == 2  # noqa: PLR2004 - predictions and targets
        if pair and all(isinstance(one, Tensor) for one in data_samples):
            return [tuple(data_samples)]
        kinds = ", ".join(dict.fromkeys(a_type(one) for one in data_samples))
        msg = (
            f"{type(self.metric).__name__} takes predictions and targets, but the "
            f"model's output is {len(data_samples)} elements ({kinds or 'none'}). Give "
            "it output_transform=..., a function of the list of data samples that "
            "returns both."
        )
        raise MetricError(msg)

    def _without_padding(
        self, data_batch: Batch, data_samples: Sequence[Any]
    ) -> list[Any]:
        """What the metric is given, without samples that are there twice."""
        outputs = self._outputs(data_samples)
        if self._size is None:
            return outputs
        # Not what a metric takes tells how many samples a batch has: that may be
        # tokens or pixels.
        count = _total(outputs) if data_batch is None else count_samples(data_batch)
        if count is None:
            return outputs
        rank, world = get_dist_info()
        # Rank r's samples are number r, r + world, r + 2 * world of them all.
        mine = max(0, -(-(self._size - rank) // world))
        left = max(0, mine - self._seen)
        self._seen += count
        if left >= count:
            return outputs
        return self._begin_of(data_samples, outputs, left, count) if left else []

    def _begin_of(
        self, data_samples: Sequence[Any], outputs: list[Any], left: int, count: int
    ) -> list[Any]:
        """What the metric is given of the first samples of a batch.

        Raises:
            MetricError: Nobody can tell which part of the output is theirs.
        """
        if _total(outputs) == count:
            return _first_of(outputs, left)
        # Samples are told apart in the model's output, before it is transformed.
        if len(data_samples) == count:
            kept = list(data_samples[:left])
        else:
            kept = [_first(one, left, count) for one in data_samples]
        shorter = self._outputs(kept)
        if _total(shorter) in (None, _total(outputs)):
            msg = (
                f"{type(self.metric).__name__}: the last {count - left} of the batch's "
                f"{count} samples are padding, but nothing in the model's output has "
                f"{count} elements to leave them out by. Let val_step and test_step "
                "return one element, or one row of each tensor, for each sample, or "
                "choose a batch size that needs no padding."
            )
            raise MetricError(msg)
        return shorter


def _total(outputs: Sequence[Any]) -> int | None:
    """Samples in all of them; ``None`` if that cannot be told."""
    counts = [_samples_in(one) for one in outputs]
    if not counts or None in counts:
        return None
    return sum(one for one in counts if one is not None)


def _first_of(outputs: Sequence[Any], left: int) -> list[Any]:
    """The first samples of all of them."""
    found = []
    for output in outputs:
        count = _samples_in(output)
        assert count is not None
        if left > 0:
            found.append(output if left >= count else _first(output, left, count))
        left -= count
    return found


def _samples_in(output: Any) -> int | None:
    """Samples in what a metric is given; ``None`` if that cannot be told."""
    if isinstance(output, Mapping):
        found = [_samples_in(one) for one in output.values()]
        return found[0] if found else None
    if isinstance(output, tuple):
        return _samples_in(output[-1]) if output else None
    if isinstance(output, Tensor):
        return len(output) if output.dim() else None
    return len(output) if isinstance(output, list) else None


def _first(output: Any, left: int, count: int) -> Any:
    """The first samples of each part that has one element for each of ``count``."""
    if isinstance(output, Mapping):
        return {key: _first(one, left, count) for key, one in output.items()}
    if isinstance(output, tuple):
        return tuple(_first(one, left, count) for one in output)
    counted = isinstance(output, list) or (isinstance(output, Tensor) and output.dim())
    return output[:left] if counted and len(output) == count else output


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.item() if value.numel() == 1 else value.detach().cpu()
    return value
