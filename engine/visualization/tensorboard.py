"""TensorBoard's event files."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from engine.errors import ConfigError
from engine.registry import VISBACKENDS
from engine.visualization.backend import BaseVisBackend
from engine.visualization.graph import traceable
from engine.visualization.package import need
from engine.visualization.values import picture, points

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.nn import Module

__all__ = ["TensorboardVisBackend"]


@VISBACKENDS.register_module()
class TensorboardVisBackend(BaseVisBackend):
    """Writes event files that ``tensorboard --logdir`` shows.

    Only numbers become curves. The files are cut back when a run is resumed: each curve
    is then the unbroken run's, whatever its steps count. A TensorBoard that was running
    meanwhile keeps what it has read: start it again.

    Args:
        save_dir: Folder of the files; made when first needed.

    Raises:
        ConfigError: The package ``tensorboard`` is not installed.
    """

    draws_nothing: ClassVar[bool] = True

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__(save_dir)
        self._tensorboard = need(
            "torch.utils.tensorboard", extra="tensorboard", asked_by=type(self).__name__
        )
        self._writer: Any = None

    @property
    def experiment(self) -> Any:
        """A ``torch.utils.tensorboard.SummaryWriter``; opened if it is not."""
        if self._writer is None:
            # Its own names hold the second and a number of the process: two starts
            # could share one, and the second would overwrite the first.
            number = len(self._files())
            self._writer = self._tensorboard.SummaryWriter(
                str(self.save_dir), filename_suffix=f".{number}"
            )
        return self._writer

    def start(self) -> None:
        """Open the file."""
        _ = self.experiment

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Show the config as text."""
        text = str(getattr(config, "pretty_text", config))
        indented = "\n".join(f"    {line}" for line in text.splitlines())
        self.experiment.add_text("config", indented)  # Markdown: four blanks are code

    def add_graph(self, model: Module, data_batch: Any = None, **kwargs: Any) -> None:
        """Show the model as torch traces it.

        Args:
            model: What is traced, in evaluation mode.
            data_batch: What it is traced with; nothing is shown without one.
            kwargs: For ``SummaryWriter.add_graph``.

        Raises:
            ModelError: No tensor can be found among the inputs.
        """
        if data_batch is None:
            return
        module, inputs = traceable(model, data_batch)
        with warnings.catch_warnings():
            # torch warns of its own tracer, and of each value that it takes as fixed.
            warnings.simplefilter("ignore")
            self.experiment.add_graph(module, inputs, **kwargs)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Show a picture.

        Args:
            name: What it is called.
            image: See :func:`~engine.visualization.values.picture`.
            step: Where its slider stands.
            kwargs: Not used.
        """
        array = picture(name, image)
        self.experiment.add_image(name, array, step, dataformats="HWC")

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Show those of the values that are numbers, a curve each.

        Args:
            scalar_dict: Values by name. A ``"step"`` in it wins over ``step``.
            step: Iterations or epochs finished.
            file_path: Not used.
            kwargs: Not used.
        """
        found, step = points(scalar_dict, step)
        for name, value in found.items():
            self.experiment.add_scalar(name, value, step)

    def state_dict(self) -> dict[str, Any]:
        """How many bytes each event file has."""
        if self._writer is not None:
            self._writer.flush()  # it writes in a thread
        return {"sizes": {path.name: path.stat().st_size for path in self._files()}}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Cut the files back to the sizes they had; newer ones go.

        TensorBoard's own ``purge_step`` would not do: it compares the steps of all
        curves with one number, and those of validations count epochs.

        Raises:
            ConfigError: A file cannot be written.
        """
        self.close()
        sizes = state_dict.get("sizes", {})
        for path in self._files():
            try:
                if path.name not in sizes:
                    path.unlink()
                elif path.stat().st_size > sizes[path.name]:
                    os.truncate(path, sizes[path.name])
            except OSError as error:
                message = (
                    f"TensorboardVisBackend: cannot cut back {path}: "
                    f"{error.strerror or error}. Let this user write there."
                )
                raise ConfigError(message) from error

    def close(self) -> None:
        """Write what is left; what comes later opens a file of its own."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _files(self) -> list[Path]:
        return sorted(self.save_dir.glob("events.out.tfevents.*"))
