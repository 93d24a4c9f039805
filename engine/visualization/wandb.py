"""Weights & Biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.registry import VISBACKENDS
from engine.visualization.tracker import TrackerBackend
from engine.visualization.values import nested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch.nn import Module

__all__ = ["WandbVisBackend"]


@VISBACKENDS.register_module()
class WandbVisBackend(TrackerBackend):
    """Shows a run in Weights & Biases.

    Rows carry ``step``, which is every chart's axis: the client counts rows by
    itself, and would drop a validation whose step, an epoch, is below the last
    iteration.

    Args:
        save_dir: Folder of the client's files.
        init_kwargs: For ``wandb.init``, such as ``project`` or ``mode="offline"``.
        define_metric_cfg: What a metric's summary is, by its name, or a list of
            arguments for ``define_metric``.
        commit: Whether a row is finished when it was shown.
        log_code_name: Name under which the code in the current folder is uploaded;
            ``None``: it is not.
        watch_kwargs: For ``run.watch``, which :meth:`add_graph` calls.

    Raises:
        ConfigError: The package ``wandb`` is not installed.
    """

    package: ClassVar[str] = "wandb"
    extra: ClassVar[str] = "wandb"

    def __init__(
        self,
        save_dir: str | Path,
        init_kwargs: Mapping[str, Any] | None = None,
        define_metric_cfg: Mapping[str, str]
        | Sequence[Mapping[str, Any]]
        | None = None,
        commit: bool = True,
        log_code_name: str | None = None,
        watch_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir, init_kwargs)
        self._define_metric_cfg = define_metric_cfg or ()
        self._commit = commit
        self._log_code_name = log_code_name
        self._watch_kwargs = dict(watch_kwargs or {})

    def add_graph(self, model: Module, data_batch: Any = None, **kwargs: Any) -> None:
        """Let ``wandb`` watch the model: its gradients are shown as histograms."""
        self.experiment.watch(model, **{**self._watch_kwargs, **kwargs})

    def _open(self, run_id: str | None) -> tuple[Any, str]:
        self.save_dir.mkdir(parents=True, exist_ok=True)  # else it writes elsewhere
        given = {"dir": str(self.save_dir), **self._init_kwargs}
        if run_id is not None:
            given |= {"id": run_id, "resume": "allow"}
        run = self.client.init(**given)
        run.define_metric("*", step_metric="step")
        wanted = self._define_metric_cfg
        if hasattr(wanted, "items"):
            wanted = [{"name": name, "summary": how} for name, how in wanted.items()]
        for one in wanted:
            run.define_metric(**one)
        return run, str(run.id)

    def _show_config(self, config: Any) -> None:
        self.experiment.config.update(nested(config), allow_val_change=True)
        if self._log_code_name is not None:
            self.experiment.log_code(name=self._log_code_name)

    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self.experiment.log({**scalars, "step": step}, commit=self._commit)

    def _show_image(self, name: str, image: Any, step: int) -> None:
        row = {name: self.client.Image(image), "step": step}
        self.experiment.log(row, commit=self._commit)

    def _finish(self, run: Any) -> None:
        run.finish()
