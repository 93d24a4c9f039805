"""One place that a run's scalars and config are written to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.nn import Module

__all__ = ["BaseVisBackend"]


class BaseVisBackend(ABC):
    """Base of backends; making one opens and writes nothing.

    Args:
        save_dir: Folder of the backend's files.

    Attributes:
        save_dir: The same, as a path.
    """

    draws_nothing: ClassVar[bool] = False
    """Whether its methods leave the global random generators as they are.

    Where that is not said, they are put back after each call: training must not depend
    on who watches.
    """

    def __init__(self, save_dir: str | Path) -> None:
        self.save_dir = Path(save_dir)

    @property
    @abstractmethod
    def experiment(self) -> Any:
        """What the backend writes with, for all that has no method here."""

    def start(self) -> None:  # noqa: B027 - files are opened when first needed
        """Get ready for a run that begins, or goes on from what was loaded.

        A service is reached here, so that what is wrong is told before any work.
        """

    @abstractmethod
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Show the run's config.

        Args:
            config: A ``Config``, or anything that ``str`` makes readable.
            kwargs: What a backend of one's own may want.
        """

    def add_graph(  # noqa: B027 - few can draw one
        self, model: Module, data_batch: Any = None, **kwargs: Any
    ) -> None:
        """Show how the model is built; nothing where a backend cannot.

        Args:
            model: It is in evaluation mode, and nothing it draws is seen by training.
            data_batch: One batch of the loader; ``None`` where there is none.
            kwargs: What a backend of one's own may want.
        """

    def add_image(  # noqa: B027 - not every backend has a place for one
        self, name: str, image: Any, step: int = 0, **kwargs: Any
    ) -> None:
        """Show a picture; nothing where a backend cannot.

        Args:
            name: What it is called, such as ``"val/cat"``.
            image: Array, shape (height, width, 3), red, green, blue.
            step: Iterations, epochs or samples finished.
            kwargs: What a backend of one's own may want.
        """

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Show one value: by :meth:`add_scalars`, unless a backend knows better.

        Args:
            name: What it is called, such as ``"loss"``.
            value: A number, or a tensor or array with one element.
            step: Iterations or epochs finished.
            kwargs: What a backend of one's own may want.
        """
        self.add_scalars({name: value}, step, **kwargs)

    @abstractmethod
    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Show several values of one step.

        Args:
            scalar_dict: Values by name, each as for :meth:`add_scalar`. Not changed.
            step: Iterations or epochs finished.
            file_path: A file of their own, where the backend has files.
            kwargs: What a backend of one's own may want.
        """

    def state_dict(self) -> dict[str, Any]:
        """How far what was written goes, for a run that is resumed from here.

        Empty for a backend that cannot take back what comes after.
        """
        return {}

    def load_state_dict(  # noqa: B027 - many backends cannot take anything back
        self, state_dict: Mapping[str, Any], /
    ) -> None:
        """Take back what was written after :meth:`state_dict` was asked.

        Args:
            state_dict: What it returned; not changed.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections; closing twice is no error."""
