"""Neptune."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from engine.registry import VISBACKENDS
from engine.visualization.package import need
from engine.visualization.tracker import TrackerBackend
from engine.visualization.values import flat

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NeptuneVisBackend"]


@VISBACKENDS.register_module()
class NeptuneVisBackend(TrackerBackend):
    """Shows a run in Neptune, or keeps it in files for it.

    Args:
        save_dir: Folder of the list of what was sent; ``None``: none.
        init_kwargs: For ``neptune.init_run``, such as ``project``. Without a project
            and a token, here or in the environment, ``mode`` is ``"offline"``.

    Raises:
        ConfigError: The package ``neptune`` is not installed.
    """

    package: ClassVar[str] = "neptune"
    extra: ClassVar[str] = "neptune"

    def _open(self, run_id: str | None) -> tuple[Any, str]:
        given = dict(self._init_kwargs)
        named = {
            "project": "NEPTUNE_PROJECT",
            "api_token": "NEPTUNE_API_TOKEN",
        }
        if not any(given.get(k) or os.environ.get(v) for k, v in named.items()):
            given.setdefault("mode", "offline")
        # Ours rather than their sys/id: also what was written offline joins by it.
        run_id = run_id or given.get("custom_run_id") or uuid.uuid4().hex
        run = self.client.init_run(**{**given, "custom_run_id": run_id})
        return run, run_id

    def _show_config(self, config: Any) -> None:
        parameters = flat(config)
        self.experiment["config"] = {
            key: value for key, value in parameters.items() if value is not None
        }

    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self.experiment[name].append(value, step=step)

    def _show_image(self, name: str, image: Any, step: int) -> None:
        types = need("neptune.types", extra="neptune", asked_by=type(self).__name__)
        file = types.File.as_image(image / 255)  # it wants floats
        self.experiment[name].append(file, step=step)

    def _finish(self, run: Any) -> None:
        run.stop()
