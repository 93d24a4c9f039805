"""DVCLive's files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ConfigError
from engine.registry import VISBACKENDS
from engine.visualization.sent import Sent
from engine.visualization.tracker import TrackerBackend
from engine.visualization.values import nested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DVCLiveVisBackend"]


@VISBACKENDS.register_module()
class DVCLiveVisBackend(TrackerBackend):
    """Writes the files of DVCLive, a table for each metric.

    They are cut back when a run is resumed.

    Args:
        save_dir: The files go to ``dvclive`` in it, unless ``init_kwargs`` says
            otherwise.
        artifact_suffix: Files of the config's ``work_dir`` with these endings are
            tracked with DVC when the run ends, in a DVC repository.
        init_kwargs: For ``dvclive.Live``. In a repository, its ``save_dvc_exp`` makes
            an experiment of each end of the run.

    Raises:
        ConfigError: The package ``dvclive`` is not installed.
    """

    package: ClassVar[str] = "dvclive"
    extra: ClassVar[str] = "dvclive"

    def __init__(
        self,
        save_dir: str | Path,
        artifact_suffix: Sequence[str] | str = (".json", ".py", "yaml"),
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir, init_kwargs)
        self._sent = Sent(None)  # the files themselves are cut back
        self._artifact_suffix = artifact_suffix
        self._shown_config: Any = {}

    @property
    def _folder(self) -> Path:
        return self.save_dir / str(self._init_kwargs.get("dir", "dvclive"))

    def _open(self, run_id: str | None) -> tuple[Any, str]:
        given = {
            "dvcyaml": str(self._folder / "dvc.yaml"),
            **self._init_kwargs,
            "dir": str(self._folder),
        }
        if run_id is not None:  # else it deletes what is there
            given["resume"] = True
        return self.client.Live(**given), str(self._folder)

    def _show_config(self, config: Any) -> None:
        self._shown_config = config
        self.experiment.log_params(nested(config))

    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        live = self.experiment
        live.step = step
        for name, value in scalars.items():
            live.log_metric(name, value)
        live.next_step()

    def _show_image(self, name: str, image: Any, step: int) -> None:
        live = self.experiment
        live.step = step
        # A folder with a picture for each step is what DVC shows with a slider.
        live.log_image(f"{name}/{step}.png", image)

    def _finish(self, run: Any) -> None:
        if _in_repository():  # elsewhere DVC warns of each file
            files = self._files(self._shown_config, self._artifact_suffix)
            for path in files.values():
                if self._folder not in path.parents:
                    run.log_artifact(str(path))
        run.end()

    def state_dict(self) -> dict[str, Any]:
        """How many bytes each table has."""
        sizes = {name: path.stat().st_size for name, path in self._tables().items()}
        state = super().state_dict()
        return {**state, "sizes": sizes} if state else {}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Cut the tables back to the sizes they had; newer ones go.

        Raises:
            ConfigError: A file cannot be written.
        """
        if not state_dict:
            return
        super().load_state_dict(state_dict)
        for name, path in self._tables().items():
            size = state_dict["sizes"].get(name, 0)
            try:
                if size == 0:
                    path.unlink()
                elif path.stat().st_size > size:
                    os.truncate(path, size)
            except OSError as error:
                message = (
                    f"DVCLiveVisBackend: cannot cut back {path}: "
                    f"{error.strerror or error}. Let this user write there."
                )
                raise ConfigError(message) from error

    def _tables(self) -> dict[str, Path]:
        root = self._folder / "plots" / "metrics"
        return {str(path.relative_to(root)): path for path in root.rglob("*.tsv")}


def _in_repository() -> bool:
    here = Path.cwd()
    return any((one / ".dvc").is_dir() for one in (here, *here.parents))
