"""The base of backends that hand a run to another program or service.

    made ── add_config, load_state_dict ──▶ start, or the first point ──▶ close
    (nothing is sent)                       (the run is opened: a new one, or
                                             the one that was loaded)

What differs between services stands in the subclasses; what a resume needs stands here.
"""

from __future__ import annotations

import signal
import threading
from abc import abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from engine.state import fence
from engine.visualization.backend import BaseVisBackend
from engine.visualization.package import need
from engine.visualization.sent import Sent
from engine.visualization.values import nested, picture, points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["TrackerBackend"]


class TrackerBackend(BaseVisBackend):
    """A run that lives with another program, under an id that this one gives it.

    The service's run is opened when :meth:`start` is called, or when something is first
    shown. A checkpoint carries its id: a run that is resumed goes on in the same one,
    and sends no point that is already there, which an exact resume computes again. Only
    numbers are sent.

    Args:
        save_dir: Folder of the files that the client writes, and of the list of what
            was sent. ``None``: the current folder, and no such list: after a resume,
            points since the checkpoint may then be there twice.

    Raises:
        ConfigError: The client's package is not installed.
    """

    package: ClassVar[str]
    """What is imported."""

    extra: ClassVar[str]
    """Which extra of ours installs it."""

    def __init__(
        self,
        save_dir: str | Path | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__("." if save_dir is None else save_dir)
        self._init_kwargs = dict(init_kwargs or {})
        name = type(self).__name__
        self.client: Any = need(self.package, extra=self.extra, asked_by=name)
        self._run: Any = None
        self._run_id: str | None = None
        self._config: Any = None  # shown when the run is opened
        self._sent = Sent(None if save_dir is None else self.save_dir / f"{name}.sent")

    # -- what a subclass says ------------------------------------------------------

    @abstractmethod
    def _open(self, run_id: str | None) -> tuple[Any, str]:
        """Open the service's run.

        Args:
            run_id: Of the run to go on with; ``None``: a new one.

        Returns:
            What it is written with, and its id.
        """

    @abstractmethod
    def _show_config(self, config: Any) -> None:
        """Send the run's config."""

    @abstractmethod
    def _show_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """Send points."""

    @abstractmethod
    def _show_image(self, name: str, image: Any, step: int) -> None:
        """Send a picture: an array of shape (height, width, 3), uint8."""

    @abstractmethod
    def _finish(self, run: Any) -> None:
        """Let the service have all that was sent, and close its run."""

    # -- what all have in common -----------------------------------------------------

    @property
    def experiment(self) -> Any:
        """The service's run; opened if it is not."""
        if self._run is None:
            # Whoever asks first: ClearML seeds python, NumPy and torch when it opens.
            with fence(), _signals_kept():
                self._run, self._run_id = self._open(self._run_id)
            if self._config is not None:
                config, self._config = self._config, None
                self._show_config(config)
        return self._run

    @property
    def run_id(self) -> str | None:
        """The id of the service's run; ``None`` before it was first opened."""
        return self._run_id

    def start(self) -> None:
        """Open the service's run."""
        _ = self.experiment

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Show the run's config: at once, or when the service's run is opened."""
        if self._run is None:
            self._config = config
        else:
            self._show_config(config)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Show a picture; see :func:`~engine.visualization.values.picture`."""
        array = picture(name, image)
        _ = self.experiment
        if self._sent.fresh([name], step):
            self._show_image(name, array, step)
            self._sent.note([name], step)

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Show those of the values that are numbers.

        Args:
            scalar_dict: Values by name. A ``"step"`` in it wins over ``step``.
            step: Iterations or epochs finished.
            file_path: Not used.
            kwargs: Not used.
        """
        found, step = points(scalar_dict, step)
        _ = self.experiment
        names = self._sent.fresh(found, step)
        if names:
            self._show_scalars({name: found[name] for name in names}, step)
            # After it: a process that is killed between the two sends it once more,
            # but loses nothing.
            self._sent.note(names, step)

    def state_dict(self) -> dict[str, Any]:
        """The id of the service's run, and how much it was sent."""
        if self._run_id is None:
            return {}
        return {"run": self._run_id, "sent": self._sent.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on in that run, and send nothing that it has."""
        if not state_dict:
            return
        self._let_go()  # a config that waits is shown in the run that is loaded
        self._run_id = state_dict["run"]
        self._sent.load_state_dict(state_dict["sent"])

    def close(self) -> None:
        """Let the service have all that was sent; what comes later opens it again."""
        if self._config is not None:  # shown nowhere yet
            self.start()
        self._let_go()

    def _let_go(self) -> None:
        run, self._run = self._run, None
        self._sent.close()
        if run is not None:
            with fence():
                self._finish(run)

    # -- for subclasses --------------------------------------------------------------

    def _files(
        self, config: Any, suffixes: Iterable[str], apart: Iterable[str] = ()
    ) -> dict[Path, Path]:
        """Files of the run's work dir with these endings, by their path in it.

        Args:
            config: The run's; its ``work_dir`` says where. Empty without one.
            suffixes: Endings of names.
            apart: Folders that are left out, at any depth.
        """
        work_dir = nested(config).get("work_dir")
        if work_dir is None or not Path(work_dir).is_dir():
            return {}
        root = Path(work_dir)
        endings = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
        found = {path.relative_to(root): path for path in sorted(root.rglob("*"))}
        return {
            relative: path
            for relative, path in found.items()
            if path.name.endswith(endings)
            and path.is_file()
            and not {*apart} & {*relative.parts}
        }


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Undo what a client does to the signals that a run stops at.

    ClearML's handlers end the process; the run's own save its state first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # python lets only the main thread set any
        return
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {one: signal.getsignal(one) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            if handler is not None and signal.getsignal(one) != handler:
                signal.signal(one, handler)
