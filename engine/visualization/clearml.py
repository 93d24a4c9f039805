"""ClearML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.registry import VISBACKENDS
from engine.visualization.tracker import TrackerBackend
from engine.visualization.values import nested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["ClearMLVisBackend"]


@VISBACKENDS.register_module()
class ClearMLVisBackend(TrackerBackend):
    """Shows a run in ClearML.

    ClearML patches frameworks and arguments' parsers to log by itself. That is off
    here, since it would show all twice; ``init_kwargs`` turns it on. Its handlers of
    SIGINT and SIGTERM are taken out again, so that the run saves its state first.

    Args:
        save_dir: Folder of the list of what was sent; ``None``: none.
        init_kwargs: For ``clearml.Task.init``, such as ``project_name``.
        artifact_suffix: Files of the config's ``work_dir`` with these endings are
            uploaded when the run ends.

    Raises:
        ConfigError: The package ``clearml`` is not installed.
    """

    package: ClassVar[str] = "clearml"
    extra: ClassVar[str] = "clearml"

    def __init__(
        self,
        save_dir: str | Path | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        artifact_suffix: Sequence[str] | str = (".py", ".pth"),
    ) -> None:
        super().__init__(save_dir, init_kwargs)
        self._artifact_suffix = artifact_suffix
        self._shown_config: Any = {}

    def _open(self, run_id: str | None) -> tuple[Any, str]:
        given = {
            "auto_connect_frameworks": False,
            "auto_connect_arg_parser": False,
            "reuse_last_task_id": False,
            **self._init_kwargs,
        }
        # A session offline is a task of its own, joined when it is uploaded.
        if run_id is not None and not self.client.Task.is_offline():
            # 0 rather than True: steps are the run's, and need no offset.
            given |= {"continue_last_task": 0, "reuse_last_task_id": run_id}
        task = self.client.Task.init(**given)
        return task, str(task.id)

    def _show_config(self, config: Any) -> None:
        self._shown_config = config
        self.experiment.connect_configuration(nested(config), name="config")

    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        logger = self.experiment.get_logger()
        for name, value in scalars.items():
            logger.report_scalar(name, name, value=value, iteration=step)

    def _show_image(self, name: str, image: Any, step: int) -> None:
        logger = self.experiment.get_logger()
        logger.report_image(name, name, iteration=step, image=image)

    def _finish(self, run: Any) -> None:
        files = self._files(self._shown_config, self._artifact_suffix)
        for relative, path in files.items():
            run.upload_artifact(str(relative), path)
        run.close()
