"""MLflow."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, ClassVar

from engine.registry import VISBACKENDS
from engine.visualization.tracker import TrackerBackend
from engine.visualization.values import flat, nested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["MLflowVisBackend"]

_MOST_PARAMS = 100  # that MLflow takes at once


@VISBACKENDS.register_module()
class MLflowVisBackend(TrackerBackend):
    """Shows a run in MLflow.

    It uses a client of its own: MLflow's active run, one for the process, stays as it
    is. :attr:`experiment` is that ``MlflowClient``, and :attr:`run_id` the run's id.

    Args:
        save_dir: Folder of the files, where no server is named.
        exp_name: The experiment's name; ``None``: ``"Default"``, or ``"engine"`` in a
            file of its own, whose ``"Default"`` keeps artifacts in the present folder.
        run_name: The run's name; ``None`` lets MLflow invent one.
        tags: The run's tags.
        params: Parameters beside the config's.
        tracking_uri: Where the runs are kept. ``None``: where ``mlflow`` is set to, by
            ``MLFLOW_TRACKING_URI`` or in code, else ``mlflow.db`` in ``save_dir``.
        artifact_suffix: Files of the config's ``work_dir`` with these endings are
            uploaded when the run ends.
        tracked_config_keys: Those keys of the config that become parameters; ``None``:
            all.
        artifact_location: Where a new experiment's files are kept; ``None``: where the
            server says.

    Raises:
        ConfigError: The package ``mlflow`` is not installed.
    """

    package: ClassVar[str] = "mlflow"
    extra: ClassVar[str] = "mlflow"

    def __init__(
        self,
        save_dir: str | Path,
        exp_name: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        tracking_uri: str | None = None,
        artifact_suffix: Sequence[str] | str = (".json", ".log", ".py", "yaml"),
        tracked_config_keys: Sequence[str] | None = None,
        artifact_location: str | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._exp_name = exp_name
        self._run_name = run_name
        self._tags = dict(tags or {})
        self._params = dict(params or {})
        self._tracking_uri = tracking_uri
        self._artifact_suffix = artifact_suffix
        self._tracked_config_keys = tracked_config_keys
        self._artifact_location = artifact_location
        self._shown_config: Any = {}

    def _open(self, run_id: str | None) -> tuple[Any, str]:
        client = self.client.MlflowClient(tracking_uri=self._uri())
        if run_id is not None:
            client.update_run(run_id, status="RUNNING")
            return client, run_id
        name = self._exp_name or ("engine" if self._has_own_file() else "Default")
        found = client.get_experiment_by_name(name)
        if found is None:
            where = self._artifact_location
            if where is None and self._uri().startswith("sqlite:"):
                where = (self.save_dir / "mlartifacts").resolve().as_uri()
            experiment = client.create_experiment(name, where)
        else:
            experiment = found.experiment_id
        run = client.create_run(
            experiment, tags=self._tags or None, run_name=self._run_name
        )
        for name, value in self._params.items():
            client.log_param(run.info.run_id, name, value)
        return client, str(run.info.run_id)

    def _has_own_file(self) -> bool:
        return self._tracking_uri is None and not self.client.is_tracking_uri_set()

    def _uri(self) -> str:
        if self._tracking_uri is not None:
            return self._tracking_uri
        if not self._has_own_file():
            return str(self.client.get_tracking_uri())
        self.save_dir.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{(self.save_dir / 'mlflow.db').resolve()}"

    def _show_config(self, config: Any) -> None:
        self._shown_config = config
        whole, wanted = nested(config), self._tracked_config_keys
        if wanted is not None:
            whole = {key: whole[key] for key in wanted if key in whole}
        client, run_id = self.experiment, self.run_id
        # What a parameter is cannot be said twice: a resumed run keeps its first.
        there = client.get_run(run_id).data.params
        missing = [
            self.client.entities.Param(_allowed(key), str(value))
            for key, value in flat(whole).items()
            if _allowed(key) not in there
        ]
        for first in range(0, len(missing), _MOST_PARAMS):
            client.log_batch(run_id, params=missing[first : first + _MOST_PARAMS])
        text = str(getattr(config, "pretty_text", config))
        client.log_text(run_id, text, "config.py")

    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        make = self.client.entities.Metric
        points = [make(_allowed(key), one, now, step) for key, one in scalars.items()]
        self.experiment.log_batch(self.run_id, metrics=points)

    def _show_image(self, name: str, image: Any, step: int) -> None:
        self.experiment.log_image(self.run_id, image, key=_allowed(name), step=step)

    def _finish(self, run: Any) -> None:
        # Not what MLflow itself keeps there, which holds the last time's.
        own = ("mlartifacts", "mlruns")
        files = self._files(self._shown_config, self._artifact_suffix, own)
        for relative, path in files.items():
            folder = str(relative.parent) if relative.parent.name else None
            run.log_artifact(self.run_id, str(path), folder)
        run.set_terminated(self.run_id)


def _allowed(name: str) -> str:
    """A name without the letters that MLflow refuses.

    >>> _allowed("val/AP@50")
    'val/AP_50'
    """
    return re.sub(r"[^\w\-. /]", "_", name)
