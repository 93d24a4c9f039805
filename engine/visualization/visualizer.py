"""The one door to all backends of a run."""

from __future__ import annotations

import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.dist import is_main_process
from engine.errors import ConfigError, amount
from engine.registry import VISUALIZERS
from engine.state import fence
from engine.visualization.backend import BaseVisBackend
from engine.visualization.graph import untouched
from engine.visualization.health import PATIENCE, Health, describe
from engine.visualization.named import NamedVisualizer
from engine.visualization.values import picture
from engine.visualization.window import show_in_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch.nn import Module

    from engine.logging import RunLogger

__all__ = ["Visualizer"]


_FRAMELESS: Mapping[str, Any] = {"frameon": False}


@VISUALIZERS.register_module()
class Visualizer(NamedVisualizer):
    """Hands configs, graphs, pictures and scalars to each backend, in their order.

    Alone, an error of a backend reaches the caller when all others have had their turn.
    Within a run, from :meth:`start` on, it does not end the training: the first one of
    each backend is a warning in the run's log, and a backend that fails three times in
    a row is left alone.

    Only the main process shows anything.

    Args:
        name: The run's name.
        image: What to draw on, for subclasses; see :meth:`set_image`.
        vis_backends: One backend, or several of different classes. ``None``: nothing
            is shown.
        save_dir: Folder of the run's pictures and numbers. Backends have theirs.
        fig_save_cfg: Refused if given: nothing is drawn with a figure here.
        fig_show_cfg: For ``matplotlib.pyplot.figure``, where a window is shown.

    Attributes:
        dataset_meta: Facts of the data, such as ``{"classes": (...)}``, for subclasses
            that draw; ``None`` until someone says.

    Raises:
        ConfigError: Something among ``vis_backends`` is no backend, or two have the
            same class; or ``fig_save_cfg`` is given.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: Any = None,
        vis_backends: BaseVisBackend | Sequence[BaseVisBackend] | None = None,
        save_dir: str | Path | None = None,
        fig_save_cfg: Mapping[str, Any] | None = None,
        fig_show_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        if fig_save_cfg not in (None, _FRAMELESS):
            message = (
                f"Visualizer: fig_save_cfg={fig_save_cfg!r}: it draws with no figure "
                "of its own. Leave it out, and say in a subclass's draw() how a data "
                "sample looks."
            )
            raise ConfigError(message)
        super().__init__(name)
        self.save_dir = None if save_dir is None else Path(save_dir)
        self.dataset_meta: Mapping[str, Any] | None = None
        self._image: Any = None
        self._window = dict(_FRAMELESS if fig_show_cfg is None else fig_show_cfg)
        self._backends: dict[str, BaseVisBackend] = {}
        self._health: dict[str, Health] = {}
        self._logger: RunLogger | None = None
        self._draws_nothing = True  # each backend says so
        self._shows = True  # from start() on: whether this is the main process
        several: Sequence[Any] = (
            vis_backends if isinstance(vis_backends, (list, tuple)) else [vis_backends]
        )
        for index, backend in enumerate([] if vis_backends is None else several):
            self._add(index, backend)
        if image is not None:
            self.set_image(image)

    # -- what is shown ---------------------------------------------------------------

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Show the run's config in each backend.

        Args:
            config: A ``Config``, or anything that ``str`` makes readable.
            kwargs: Handed on to the backends.
        """
        self._show("add_config", None, (config,), kwargs)

    def add_graph(self, model: Module, data_batch: Any = None, **kwargs: Any) -> None:
        """Show how the model is built in each backend that can.

        The model is in evaluation mode meanwhile, and afterwards as before.

        Args:
            model: The model.
            data_batch: One batch as the loader gives it, for backends that trace the
                model with it.
            kwargs: Handed on to the backends.
        """
        with untouched(model):
            self._show("add_graph", None, (model, data_batch), kwargs)

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        """Show a picture in each backend.

        Args:
            name: What it is called, such as ``"val/cat"``.
            image: Array or tensor, shape (height, width, 3), red, green, blue, or
                (height, width) for grey; uint8, or floats from 0 to 1.
            step: Iterations, epochs or samples finished.
            kwargs: Handed on to the backends.
        """
        self._show("add_image", step, (name, image, step), kwargs)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Show one value in each backend.

        Args:
            name: What it is called, such as ``"loss"``.
            value: A number, or a tensor or array with one element.
            step: Iterations or epochs finished.
            kwargs: Handed on to the backends.
        """
        self._show("add_scalar", step, (name, value, step), kwargs)

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Show several values of one step in each backend.

        Args:
            scalar_dict: Values by name, each as for :meth:`add_scalar`. Not changed.
            step: Iterations or epochs finished.
            file_path: A file of their own, for backends that have files.
            kwargs: Handed on to the backends.
        """
        self._show("add_scalars", step, (scalar_dict, step, file_path), kwargs)

    def add_datasample(
        self,
        name: str,
        image: Any,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        step: int = 0,
    ) -> None:
        """Show one sample with what belongs to it.

        What a data sample holds is the user's: a subclass says by :meth:`draw` how it
        looks. Here the image is shown as it is.

        Args:
            name: What the picture is called.
            image: As for :meth:`add_image`.
            data_sample: What the model or the data say of the image.
            draw_gt: Whether to draw what is true.
            draw_pred: Whether to draw what was predicted.
            show: Open a window too, with matplotlib (the extra ``plot``).
            wait_time: Seconds that the window stays; 0: until it is closed.
            step: Iterations, epochs or samples finished.
        """
        drawn = self.draw(image, data_sample, draw_gt=draw_gt, draw_pred=draw_pred)
        if show and is_main_process():
            self.show(drawn, name, wait_time)
        self.add_image(name, drawn, step)

    def draw(
        self, image: Any, data_sample: Any, *, draw_gt: bool, draw_pred: bool
    ) -> Any:
        """What :meth:`add_datasample` shows; a subclass draws on the image.

        Args:
            image: As for :meth:`add_image`; not to be changed.
            data_sample: What the model or the data say of it.
            draw_gt: Whether to draw what is true.
            draw_pred: Whether to draw what was predicted.

        Returns:
            A picture, as for :meth:`add_image`.
        """
        return image

    def show(
        self,
        drawn_img: Any = None,
        win_name: str = "image",
        wait_time: float = 0.0,
        continue_key: str = " ",
        backend: str = "matplotlib",
    ) -> None:
        """Show a picture in a window, with matplotlib (the extra ``plot``).

        Args:
            drawn_img: As for :meth:`add_image`; ``None``: the one of :meth:`set_image`.
            win_name: The window's title.
            wait_time: Seconds that it stays; 0: until it is closed.
            continue_key: The key that closes it, as matplotlib calls it.
            backend: ``"matplotlib"``.

        Raises:
            ConfigError: matplotlib is not installed, another one is asked for, or there
                is no picture.
        """
        if backend != "matplotlib":
            message = f"Visualizer.show: backend={backend!r}: give 'matplotlib'."
            raise ConfigError(message)
        image = self.get_image() if drawn_img is None else picture(win_name, drawn_img)
        show_in_window(image, win_name, wait_time, continue_key, self._window)

    def set_image(self, image: Any) -> None:
        """Keep an image to draw on.

        Args:
            image: As for :meth:`add_image`.

        Raises:
            SerializationError: It is no image.
        """
        self._image = picture("image", image)

    def get_image(self) -> Any:
        """The image that was set: an array of shape (height, width, 3), uint8.

        Raises:
            ConfigError: None was set.
        """
        if self._image is None:
            message = f"visualizer {self.name!r}: no image. Call set_image(...) first."
            raise ConfigError(message)
        return self._image

    # -- a run ---------------------------------------------------------------------

    def start(self, logger: RunLogger | None = None) -> None:
        """Get each backend ready; what is wrong with one is an error here.

        Args:
            logger: The run's: failures from here on are told to it and not raised.
                Of a run that was started nothing is done.
        """
        if logger is not None and logger is self._logger:
            return
        self._logger = None
        self._health = {name: Health() for name in self._backends}
        self._show("start", None, (), {})
        self._logger = logger
        self._shows = is_main_process()

    def get_backend(self, name: str) -> BaseVisBackend | None:
        """The backend whose class is called ``name``; ``None`` if there is none.

        Args:
            name: Name of a class, such as ``"LocalVisBackend"``.
        """
        return self._backends.get(name)

    def state_dict(self) -> dict[str, Any]:
        """How far each backend has written, by the name of its class.

        One that cannot say, since it fails, is left out: it goes on as it stands.
        """
        states = {}
        with self._fence():
            for name, one in self._backends.items():
                try:
                    states[name] = one.state_dict()
                except Exception as error:  # noqa: BLE001 - told, or raised again
                    self._failed(name, "state_dict", None, error)
        return states

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Let each backend take back what it wrote after :meth:`state_dict`.

        Args:
            state_dict: What it returned. A backend that is new there begins anew.
        """
        if not is_main_process():  # it would cut what the main process writes by now
            return
        with self._fence():
            for name, one in self._backends.items():
                if name in state_dict:
                    one.load_state_dict(state_dict[name])

    def close(self) -> None:
        """Close each backend, also if one of them fails."""
        self._show("close", None, (), {})
        for name, health in self._health.items():
            if health.lost and self._logger is not None:
                self._logger.info(
                    "backend_lost",
                    line=f"{name} was not shown {amount(health.lost, 'thing')}, since "
                    "it failed",
                    backend=name,
                    lost=health.lost,
                )
                health.lost = 0

    # -- backends, one by one ----------------------------------------------------------

    def _show(
        self,
        call: str,
        step: int | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Call a method of each backend; none keeps another one from its turn."""
        # Ranks stay what they are while a run is on.
        if not (is_main_process() if self._logger is None else self._shows):
            return
        if self._draws_nothing:  # nothing around it: this is what a log line pays
            errors = self._call_each(call, step, args, kwargs)
        else:
            with self._fence():
                errors = self._call_each(call, step, args, kwargs)
        if errors:
            for another in errors[1:]:
                errors[0].add_note(f"and {another!r}")
            raise errors[0]

    def _call_each(
        self,
        call: str,
        step: int | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> list[Exception]:
        """Call a method of each backend; returns errors that nobody was told of."""
        errors = []
        for name, backend in self._backends.items():
            health = self._health[name]
            if health.in_a_row and health.given_up and call != "close":
                health.lost += 1
                continue
            try:
                getattr(backend, call)(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - told, or raised again
                if self._logger is None:
                    error.add_note(f"in {name}.{call}")
                    errors.append(error)
                else:
                    self._failed(name, call, step, error)
            else:
                health.in_a_row = 0
        return errors

    def _failed(self, name: str, call: str, step: int | None, error: Exception) -> None:
        """Write a failure down, or raise it where there is no run to go on."""
        if self._logger is None:
            raise error
        health = self._health[name]
        health.in_a_row += 1
        health.lost += 1
        at = "" if step is None else f" at step {step}"
        if not health.told:
            health.told = True
            self._logger.warning(
                "backend_failed",
                line=f"{name}.{call} failed{at}: {describe(error)}. Training goes on; "
                "further failures of it are only counted.",
                backend=name,
                call=call,
                step=step,
                error=describe(error),
                traceback="".join(traceback.format_exception(error)),
            )
        if health.given_up and health.in_a_row == PATIENCE:
            self._logger.info(
                "backend_given_up",
                line=f"{name} failed {PATIENCE} times in a row{at} and is left alone: "
                f"{describe(error)}",
                backend=name,
                call=call,
                step=step,
                error=describe(error),
            )

    def _fence(self) -> AbstractContextManager[Any]:
        """Keeps the random generators in place, where a backend may draw from them."""
        return nullcontext() if self._draws_nothing else fence()

    def _add(self, index: int, backend: BaseVisBackend) -> None:
        kind = type(backend).__name__
        if not isinstance(backend, BaseVisBackend):
            msg = (
                f"Visualizer: vis_backends[{index}] is a {kind}, but finished "
                "BaseVisBackend objects are needed. Build a spec first: "
                "VISBACKENDS.build(spec, save_dir=...)."
            )
            raise ConfigError(msg)
        if kind in self._backends:
            msg = (
                f"Visualizer: vis_backends[{index}] is a second {kind}, but "
                "get_backend finds them by class. Leave one out, or give it a "
                "subclass with a name of its own."
            )
            raise ConfigError(msg)
        self._backends[kind] = backend
        self._draws_nothing = self._draws_nothing and backend.draws_nothing
        self._health[kind] = Health()
