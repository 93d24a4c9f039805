"""Aim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.registry import VISBACKENDS
from engine.visualization.package import need
from engine.visualization.tracker import TrackerBackend
from engine.visualization.values import nested

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AimVisBackend"]


@VISBACKENDS.register_module()
class AimVisBackend(TrackerBackend):
    """Shows a run in Aim.

    Args:
        save_dir: Folder of the repository, ``.aim``, unless ``init_kwargs`` names one.
            ``None``: the current folder.
        init_kwargs: For ``aim.Run``, such as ``repo`` or ``experiment``. What the
            terminal shows is captured only if ``capture_terminal_logs`` says so: Aim
            puts itself between the program and the terminal, where the progress bar is.

    Raises:
        ConfigError: The package ``aim`` is not installed.
    """

    package: ClassVar[str] = "aim"
    extra: ClassVar[str] = "aim"

    def _open(self, run_id: str | None) -> tuple[Any, str]:
        given = {
            "repo": str(self.save_dir),
            "capture_terminal_logs": False,
            **self._init_kwargs,
        }
        if run_id is not None:
            # A process that was killed has left its lock.
            given |= {"run_hash": run_id, "force_resume": True}
        self.save_dir.mkdir(parents=True, exist_ok=True)
        run = self.client.Run(**given)
        return run, str(run.hash)

    def _show_config(self, config: Any) -> None:
        self.experiment["config"] = nested(config)

    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self.experiment.track(value, name=name, step=step)

    def _show_image(self, name: str, image: Any, step: int) -> None:
        pillow = need("PIL.Image", extra="aim", asked_by=type(self).__name__)
        shown = self.client.Image(pillow.fromarray(image))
        self.experiment.track(shown, name=name, step=step)

    def _finish(self, run: Any) -> None:
        run.close()
