"""What a metric is: batches in, one mapping of values out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from engine.dist import collect_results, on_main
from engine.errors import MetricError, SerializationError, a_type
from engine.evaluator.memory import digests, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.typing import Batch, Plain

__all__ = ["BaseMetric"]

_LOOKED_AFTER = frozenset({"results", "_dataset_meta", "_at_begin"})


class BaseMetric(ABC):
    """Base of users' metrics.

    A subclass puts what it needs of each batch into ``self.results``, one element per
    sample or per batch, and turns the list into values at the end.

    >>> class Accuracy(BaseMetric):
    ...     def process(self, data_batch, data_samples):
    ...         for sample in data_samples:
    ...             hits = sample["outputs"].argmax(1) == sample["targets"]
    ...             self.results += hits.tolist()
    ...
    ...     def compute_metrics(self, results):
    ...         return {"acc": sum(results) / len(results)}
    >>> import torch
    >>> metric = Accuracy(prefix="val")
    >>> metric.process(
    ...     None, [{"outputs": torch.eye(2), "targets": torch.tensor([0, 0])}]
    ... )
    >>> metric.evaluate(size=2)
    {'val/acc': 0.5}

    Args:
        collect_device: ``"cpu"`` or ``"gpu"``, the place where several ranks' results
            meet. One process has nothing to collect.
        prefix: Put before each key as ``prefix/key``. ``None`` or ``""``: the class's
            ``default_prefix``, if it has one.
        collect_dir: A folder on a disk that all ranks see, where their results meet on
            the CPU; ``None``: in memory.

    Attributes:
        results: What :meth:`process` has put in since the last evaluation.

    Raises:
        MetricError: ``collect_device`` is something else, or ``collect_dir`` is given
            with ``"gpu"``.
    """

    default_prefix: ClassVar[str | None] = None
    """The prefix of metrics that were given none."""

    def __init__(
        self,
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        if collect_device not in {"cpu", "gpu"}:
            msg = (
                f"{type(self).__name__}: collect_device is {collect_device!r}, but it "
                "is 'cpu' or 'gpu'."
            )
            raise MetricError(msg)
        if collect_dir is not None and collect_device != "cpu":
            msg = (
                f"{type(self).__name__}: collect_dir={collect_dir!r} is where results "
                'meet on the CPU, but collect_device is "gpu". Give one of them.'
            )
            raise MetricError(msg)
        self.collect_device = collect_device
        self.collect_dir = collect_dir
        self.prefix = prefix or self.default_prefix
        self.results: list[Any] = []
        self._dataset_meta: Mapping[str, Any] | None = None
        self._at_begin: dict[str, Any] = {}

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """What the dataset says of itself, such as its class names."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta

    @abstractmethod
    def process(self, data_batch: Batch, data_samples: Sequence[Any]) -> None:
        """Add to ``self.results`` what the metric needs of one batch.

        Args:
            data_batch: The batch as the loader gave it.
            data_samples: What the model's ``val_step`` or ``test_step`` returned for
                it; elements that have a ``to_dict()`` come as what that gives.
        """

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> Mapping[str, Any]:
        """Turn the results into values.

        Args:
            results: What :meth:`process` added, in order, as a list of its own.

        Returns:
            Values by name, without the prefix.
        """

    def evaluate(self, size: int) -> dict[str, Any]:
        """Compute the values over all batches and forget the results.

        Args:
            size: Samples in the dataset, at least 0. Results beyond it are padding
                and are cut off, so no sample may add more than one.

        Returns:
            Values by ``prefix/key``, or by ``key`` without a prefix.

        Raises:
            MetricError: ``size`` is above 0 but no rank has results, or
                :meth:`compute_metrics` returned no mapping.
            RankFailedError: That, or another error, was so on rank 0.
        """
        gathered = collect_results(
            self.results, size, self.collect_device, self.collect_dir
        )
        # Rank 0 computes, and all ranks have the values: they decide what is best. An
        # error there is told to the others, which would wait for the values.
        computed = on_main(lambda: self._computed(gathered, size))
        self.reset()
        return self.named(computed)

    def _computed(self, gathered: list[Any] | None, size: int) -> Mapping[str, Any]:
        """What it computes of all ranks' results, checked."""
        assert gathered is not None
        name = type(self).__name__
        if size > 0 and not gathered:
            msg = (
                f"{name}.evaluate: the dataset has {size} samples, but there is "
                f"nothing in self.results. {name}.process must be called for each "
                "batch, and must append to self.results."
            )
            raise MetricError(msg)
        values = self.compute_metrics(gathered)
        self._check_values(values)
        return values

    def _check_values(self, values: Any) -> None:
        if not isinstance(values, Mapping):
            msg = (
                f"{type(self).__name__}.compute_metrics returned {values!r}, "
                f"{a_type(values)}, but values by name are needed: "
                'return a dict such as {"acc": 0.9}.'
            )
            raise MetricError(msg)

    def named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values under their whole names."""
        if self.prefix is None:
            return dict(values)
        return {f"{self.prefix}/{key}": value for key, value in values.items()}

    def reset(self) -> None:
        """Forget the results, for an evaluation that starts anew.

        A subclass that remembers more than ``self.results`` forgets that here too.
        """
        self.results.clear()

    # -- inside an evaluation -----------------------------------------------------

    def watch(self) -> None:
        """Note what is there when an evaluation begins: settings, not memory."""
        self._at_begin = digests(self, _LOOKED_AFTER)

    def state_dict(self) -> Plain:
        """What it has gathered since :meth:`watch`, as plain data.

        The results, and each other attribute that changed. A subclass with memory in
        objects of other classes gives its state itself, by overriding this and
        :meth:`load_state_dict`.

        Raises:
            MetricError: Something in it cannot be saved, or not be looked into.
        """
        now = digests(self, _LOOKED_AFTER)
        name = type(self).__name__
        for attribute, found in now.items():
            if found is None:
                msg = (
                    f"{name}: nobody can tell whether its {attribute}, "
                    f"{a_type(getattr(self, attribute))}, changed. Give the metric "
                    "state_dict() and load_state_dict()."
                )
                raise MetricError(msg)
        more = [key for key in now if self._at_begin.get(key) != now[key]]
        try:
            return {
                "results": pack(self.results, f"{name}.results"),
                "more": {key: pack(vars(self)[key], f"{name}.{key}") for key in more},
            }
        except SerializationError as error:
            msg = f"{error}. Keep such, or give the metric state_dict()."
            raise MetricError(msg) from error

    def load_state_dict(self, state_dict: Plain, /) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            MetricError: It is no state of a metric like this.
        """
        if not isinstance(state_dict, Mapping) or set(state_dict) != {
            "results",
            "more",
        }:
            msg = (
                f"{type(self).__name__}.load_state_dict: found {a_type(state_dict)} "
                "that is no state of such a metric"
            )
            raise MetricError(msg)
        self.results = unpack(state_dict["results"])
        vars(self).update(unpack(state_dict["more"]))
