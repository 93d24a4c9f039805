"""Several metrics as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from engine.errors import MetricError, SerializationError, a_type, did_you_mean
from engine.evaluator.adapt import as_metric
from engine.evaluator.library_metric import LibraryMetric
from engine.evaluator.memory import pack, unpack
from engine.registry import EVALUATOR

if TYPE_CHECKING:
    from engine.evaluator.metric import BaseMetric
    from engine.typing import Batch, Plain

__all__ = ["Evaluator", "get_metric_number", "get_metric_value"]


@EVALUATOR.register_module()
class Evaluator:
    """Hands each batch to all metrics and merges what they compute.

    Args:
        metrics: One metric, or a sequence of them: ours, or of ``ignite.metrics`` or
            torchmetrics. Each reports keys of its own.

    Attributes:
        metrics: The metrics, as a list.

    Raises:
        MetricError: Something among ``metrics`` is no metric.
    """

    def __init__(self, metrics: Any) -> None:
        given: Sequence[Any] = (
            metrics if isinstance(metrics, (list, tuple)) else [metrics]
        )
        self.metrics: list[BaseMetric] = []
        for index, one in enumerate(given):
            metric = as_metric(one)
            if metric is None:
                raise MetricError(_no_metric(index, one))
            self.metrics.append(metric)
        self._dataset_meta: Mapping[str, Any] | None = None

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """What the dataset says of itself; setting it hands it on to all metrics."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        for metric in self.metrics:
            metric.dataset_meta = dataset_meta

    def expect(self, size: int | None) -> None:
        """Say how many samples will be evaluated.

        Args:
            size: Samples in the dataset; what is beyond them is padding, which metrics
                of other libraries cannot take back later. ``None``: there is none.
        """
        for metric in self.metrics:
            if isinstance(metric, LibraryMetric):
                metric.expect(size)

    def process(self, data_samples: Iterable[Any], data_batch: Batch = None) -> None:
        """Hand one batch to all metrics.

        Args:
            data_samples: What the model returned for the batch, one element per
                sample or whatever the metrics expect. Elements that have a
                ``to_dict()`` are replaced by what that gives.
            data_batch: The batch as the loader gave it.

        Raises:
            MetricError: ``data_samples`` is a single thing, not several.
        """
        # Walking a mapping or a text would hand its keys or letters to the metrics.
        if isinstance(data_samples, (Mapping, str, bytes)) or not isinstance(
            data_samples, Iterable
        ):
            msg = (
                f"Evaluator.process: data_samples is {a_type(data_samples)}, "
                "but a sequence is needed, such as one element per sample. Let the "
                "model's val_step and test_step return a list."
            )
            raise MetricError(msg)
        samples = [
            sample.to_dict() if hasattr(sample, "to_dict") else sample
            for sample in data_samples
        ]
        for index, metric in enumerate(self.metrics):
            try:
                metric.process(data_batch, samples)
            except Exception as error:
                error.add_note(
                    f"in metrics[{index}] ({_label(metric)}).process; "
                    f"its data_samples: {_outline(samples)}{_advice(metric)}"
                )
                raise

    def evaluate(self, size: int) -> dict[str, Any]:
        """Compute all metrics and forget their results.

        Args:
            size: Samples in the dataset, at least 0.

        Returns:
            Values of all metrics by name, in the metrics' order.

        Raises:
            MetricError: Two metrics report the same name, or one cannot be computed.
        """
        values: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for index, metric in enumerate(self.metrics):
            owner = f"metrics[{index}] ({_label(metric)})"
            try:
                found = metric.evaluate(size)
            except Exception as error:
                error.add_note(f"in {owner}.evaluate")
                raise
            for key, value in found.items():
                if key in values:
                    other = " or name=..." if isinstance(metric, LibraryMetric) else ""
                    msg = (
                        f"{owners[key]} and {owner} both report {key!r}. Give one of "
                        f"them prefix=...{other}, in its spec or where it is made."
                    )
                    raise MetricError(msg)
                values[key] = value
                owners[key] = owner
        return values

    def reset(self) -> None:
        """Forget half-gathered results, for an evaluation that starts anew."""
        for metric in self.metrics:
            metric.reset()

    # -- inside an evaluation -----------------------------------------------------

    def watch(self) -> None:
        """An evaluation begins that may be saved between two of its batches."""
        for metric in self.metrics:
            metric.watch()

    def state_dict(self) -> Plain:
        """What all metrics have gathered since :meth:`watch`, as plain data.

        Raises:
            MetricError: A metric cannot give its state; it is named.
        """
        states = []
        for index, metric in enumerate(self.metrics):
            kind = type(metric).__name__
            try:
                state = metric.state_dict()
                # Also of metrics that say themselves what is to be saved.
                packed = pack(state, f"{kind}.state_dict()")
            except (MetricError, SerializationError) as error:
                msg = f"metrics[{index}] cannot be saved: {error}"
                raise MetricError(msg) from error
            states.append({"metric": kind, "state": packed})
        return {"format": 1, "metrics": states}

    def load_state_dict(self, state_dict: Plain, /) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            MetricError: These are other metrics; nothing is changed.
        """
        saved = [one["metric"] for one in state_dict["metrics"]]
        mine = [type(metric).__name__ for metric in self.metrics]
        if saved != mine:
            msg = f"the metrics were {saved} and are {mine}"
            raise MetricError(msg)
        for metric, one in zip(self.metrics, state_dict["metrics"], strict=True):
            metric.load_state_dict(unpack(one["state"]))

    def offline_evaluate(
        self,
        data_samples: Sequence[Any],
        data: Sequence[Any] | None = None,
        chunk_size: int = 1,
    ) -> dict[str, Any]:
        """Evaluate predictions that were kept, without a model.

        Results of a half-done evaluation are forgotten first. Nothing is taken for
        padding: an element may stand for a whole batch, as those of ``StepModel`` do.

        Args:
            data_samples: The predictions, as the model returned them or as
                :class:`DumpResults` kept them.
            data: What they were predicted from, as many; metrics get ``None`` without.
            chunk_size: How many are handed to the metrics at a time, at least 1.

        Returns:
            Values of all metrics by name.

        Raises:
            MetricError: ``data`` is not as long as ``data_samples``, or ``chunk_size``
                is below 1.
        """
        size = len(data_samples)
        if data is not None and len(data) != size:
            msg = (
                f"Evaluator.offline_evaluate: {size} data_samples but {len(data)} "
                "data. Give one of data for each of data_samples, or no data."
            )
            raise MetricError(msg)
        if chunk_size < 1:
            msg = (
                f"Evaluator.offline_evaluate: chunk_size is {chunk_size}, but it is "
                "a number of samples, at least 1."
            )
            raise MetricError(msg)
        self.reset()
        self.expect(None)
        # Walked rather than sliced: a dataset has no slices.
        samples = iter(data_samples)
        batches = None if data is None else iter(data)
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            batch = None if batches is None else list(islice(batches, count))
            self.process(list(islice(samples, count)), batch)
        # A metric may have made several results of one element, a batch's.
        return self.evaluate(max(size, *(len(one.results) for one in self.metrics)))


def get_metric_value(indicator: str, metrics: Mapping[str, Any]) -> Any:
    """The value that ``indicator`` means among an evaluation's values.

    Args:
        indicator: A whole name (``"val/acc"``), or the part behind the last slash.
        metrics: Values by name, as :meth:`Evaluator.evaluate` returns them.

    Raises:
        MetricError: No name fits, or several do.

    >>> get_metric_value("acc", {"digits/acc": 0.5, "digits/loss": 2.0})
    0.5
    """
    if "/" in indicator:
        found = [key for key in metrics if key == indicator]
    else:
        found = [key for key in metrics if key.rpartition("/")[2] == indicator]
    if len(found) == 1:
        return metrics[found[0]]
    if found:
        msg = (
            f"the metric {indicator!r} is ambiguous: {_names(found)} are all called "
            "so. Write the whole name, and give each metric a prefix."
        )
        raise MetricError(msg)
    near = did_you_mean(indicator, [*metrics, *(k.rpartition("/")[2] for k in metrics)])
    known = _names(metrics) if metrics else "none at all"
    msg = f"no metric is called {indicator!r}.{near} The evaluation gave {known}."
    raise MetricError(msg)


def get_metric_number(indicator: str, metrics: Mapping[str, Any]) -> float:
    """The number that ``indicator`` means among an evaluation's values.

    Args:
        indicator: As for :func:`get_metric_value`.
        metrics: Values by name.

    Raises:
        MetricError: No name fits, several do, or the value is no number, as a
            confusion matrix is none.
    """
    value = get_metric_value(indicator, metrics)
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = (
            f"the metric {indicator!r} is {a_type(value)}, but what is watched must be "
            "a number. Name another one, or let the metric report a number too."
        )
        raise MetricError(msg) from error


def _names(keys: Iterable[str]) -> str:
    return ", ".join(map(repr, keys))


def _label(metric: BaseMetric) -> str:
    """The class that users know: a library's metric's own, not its wrapper's."""
    inner = metric.metric if isinstance(metric, LibraryMetric) else metric
    return type(inner).__name__


def _advice(metric: BaseMetric) -> str:
    if isinstance(metric, LibraryMetric) and metric.output_transform is None:
        return (
            ". If the metric takes another form, give it output_transform=..., a "
            "function of data_samples"
        )
    return ""


def _outline(samples: Sequence[Any]) -> str:
    """What the samples look like, by the first of them.

    >>> import torch
    >>> _outline([{"outputs": torch.ones(4, 3), "label": 2}, None])
    "2, the first {'outputs': Tensor(4, 3), 'label': int}"
    """
    return f"{len(samples)}, the first {_form(samples[0])}" if samples else "none"


def _form(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, Mapping):
        parts = (f"{key!r}: {_form(one)}" for key, one in value.items())
        return f"{{{', '.join(parts)}}}"
    shape = getattr(value, "shape", None)
    return kind if shape is None else f"{kind}({', '.join(map(str, shape))})"


def _no_metric(index: int, found: object) -> str:
    """What to say of something that is no metric."""
    kind = type(found)
    if isinstance(found, Mapping):
        advice = "Build it first: engine.build.build_evaluator(spec)."
    elif isinstance(found, type):
        advice = f"Make one of the class: {found.__name__}(...)."
    else:
        advice = (
            "Write a subclass of BaseMetric with process(data_batch, data_samples) and "
            "compute_metrics(results)."
        )
    return (
        f"Evaluator: metrics[{index}] is a {kind.__module__}.{kind.__qualname__}, but "
        "finished engine.evaluator.BaseMetric objects are needed, or metrics of "
        f"ignite.metrics or torchmetrics. {advice}"
    )
