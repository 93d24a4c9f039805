"""Visualizer: one door to all backends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import structlog
import torch
from torch import nn

from engine.errors import ConfigError
from engine.registry import VISUALIZERS
from engine.visualization import BaseVisBackend, LocalVisBackend, Visualizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch.nn import Module


class Recorder(BaseVisBackend):
    """Keeps what it was called with."""

    def __init__(self, *, closes: bool = True) -> None:
        super().__init__("nowhere")
        self.calls: list[tuple[Any, ...]] = []
        self.closes = closes

    @property
    def experiment(self) -> list[tuple[Any, ...]]:
        return self.calls

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.calls.append(("config", config, kwargs))

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.calls.append(("scalar", name, value, step, kwargs))

    def add_scalars(
        self,
        scalar_dict: Mapping[str, Any],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.calls.append(("scalars", scalar_dict, step, file_path, kwargs))

    def add_graph(self, model: Module, data_batch: Any = None, **kwargs: Any) -> None:
        self.calls.append(("graph", model.training, data_batch, kwargs))

    def add_image(self, name: str, image: Any, step: int = 0, **kwargs: Any) -> None:
        self.calls.append(("image", name, image, step, kwargs))

    def close(self) -> None:
        self.calls.append(("close",))
        if not self.closes:
            raise OSError("gone")


class Other(Recorder):
    pass


def test_each_backend_gets_each_call() -> None:
    """Arguments and extra keywords reach all backends unchanged."""
    backends = [Recorder(), Other()]
    visualizer = Visualizer(vis_backends=backends)
    visualizer.add_config("lr = 1", a=1)
    visualizer.add_scalar("loss", 0.5, 3, b=2)
    visualizer.add_scalars({"acc": 1.0}, step=4, file_path="val.json", c=3)
    visualizer.add_graph(nn.Linear(1, 1), [1], d=4)
    visualizer.add_image("cat", "an image", 5, e=5)
    visualizer.close()
    expected = [
        ("config", "lr = 1", {"a": 1}),
        ("scalar", "loss", 0.5, 3, {"b": 2}),
        ("scalars", {"acc": 1.0}, 4, "val.json", {"c": 3}),
        ("graph", False, [1], {"d": 4}),
        ("image", "cat", "an image", 5, {"e": 5}),
        ("close",),
    ]
    assert [backend.calls for backend in backends] == [expected, expected]


def test_one_backend_needs_no_list() -> None:
    """A single backend is taken as it is."""
    backend = Recorder()
    Visualizer(vis_backends=backend).add_scalar("loss", 1.0)
    assert backend.experiment == [("scalar", "loss", 1.0, 0, {})]


def test_without_backends_nothing_is_shown(tmp_path: Path) -> None:
    """A visualizer alone takes all calls and writes nothing."""
    visualizer = Visualizer("mine", save_dir=tmp_path / "vis")
    visualizer.add_config("lr = 1")
    visualizer.add_scalar("loss", 1.0)
    visualizer.add_scalars({"loss": 1.0})
    visualizer.close()
    assert visualizer.name == "mine"
    assert visualizer.save_dir == tmp_path / "vis"
    assert list(tmp_path.iterdir()) == []


def test_backends_are_found_by_class() -> None:
    """get_backend knows the classes' names, and None for others."""
    recorder, local = Recorder(), LocalVisBackend("nowhere")
    visualizer = Visualizer(vis_backends=(recorder, local))
    assert visualizer.get_backend("LocalVisBackend") is local
    assert visualizer.get_backend("Recorder") is recorder
    assert visualizer.get_backend("WandbVisBackend") is None


def test_all_backends_are_closed_although_one_fails() -> None:
    """The failure is told after the others have let go of their files."""
    backends = [Recorder(), Other(closes=False)]
    with pytest.raises(OSError, match="gone"):
        Visualizer(vis_backends=backends).close()
    assert [backend.calls for backend in backends] == [[("close",)], [("close",)]]
    both = [Recorder(closes=False), Other(closes=False)]
    with pytest.raises(OSError, match="gone") as caught:
        Visualizer(vis_backends=both).close()
    assert caught.value.__notes__ == ["in Recorder.close", "and OSError('gone')"]
    backends = [Recorder(closes=False), Other()]
    with pytest.raises(OSError, match="gone"):
        Visualizer(vis_backends=backends).close()
    assert [backend.calls for backend in backends] == [[("close",)], [("close",)]]


@pytest.mark.parametrize(
    ("backends", "expected"),
    [
        (
            [Recorder(), {"type": "X"}],
            r"vis_backends\[1\] is a dict, .*VISBACKENDS\.build",
        ),
        ([Recorder(), Recorder()], r"vis_backends\[1\] is a second Recorder"),
    ],
    ids=["spec", "twice"],
)
def test_backends_are_finished_and_told_apart(backends: Any, expected: str) -> None:
    """A spec, or a class given twice, is refused with its place."""
    with pytest.raises(ConfigError, match=expected):
        Visualizer(vis_backends=backends)


def test_the_visualizer_is_found_by_name() -> None:
    """A config may say Visualizer."""
    made = VISUALIZERS.build({"type": "Visualizer", "save_dir": "x"})
    assert made.save_dir == Path("x")


class Framed(Visualizer):
    """Draws a frame for each of the two that it is asked for."""

    def draw(
        self, image: Any, data_sample: Any, *, draw_gt: bool, draw_pred: bool
    ) -> Any:
        return [image, data_sample, draw_gt, draw_pred]


def test_a_data_sample_is_drawn_by_a_subclass() -> None:
    """Without one the image is shown as it is."""
    backend = Recorder()
    Framed(vis_backends=backend).add_datasample("a", 1, "cat", draw_pred=False, step=3)
    Visualizer(vis_backends=backend).add_datasample("b", 2, "dog")
    assert backend.calls == [
        ("image", "a", [1, "cat", True, False], 3, {}),
        ("image", "b", 2, 0, {}),
    ]


@pytest.mark.parametrize(("wait", "call"), [(0, "show"), (0.5, "pause")])
def test_a_data_sample_may_open_a_window(
    wait: float, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays for some time, or until it is closed, and is gone then."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    seen = []
    monkeypatch.setattr(pyplot, "show", lambda block: seen.append(("show", block)))
    monkeypatch.setattr(pyplot, "pause", lambda time: seen.append(("pause", time)))
    image = np.zeros((4, 4, 3), np.uint8)
    Visualizer().add_datasample("cat", image, show=True, wait_time=wait)
    assert seen == [(call, wait or True)]
    assert pyplot.get_fignums() == []


def test_the_image_that_was_set_may_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a figure with the settings given; a key closes it."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    bases = pytest.importorskip("matplotlib.backend_bases")
    seen = []

    def show(block: bool) -> None:
        assert block
        figure = pyplot.gcf()
        seen.append(figure.get_dpi())
        for key in ("a", "q"):
            event = bases.KeyEvent("key_press_event", figure.canvas, key)
            figure.canvas.callbacks.process("key_press_event", event)
            seen.append(len(pyplot.get_fignums()))

    monkeypatch.setattr(pyplot, "show", show)
    visualizer = Visualizer(image=torch.zeros(2, 2), fig_show_cfg={"dpi": 50})
    visualizer.show(continue_key="q")
    assert seen == [50, 1, 0]
    with pytest.raises(ConfigError, match="backend='cv2': give 'matplotlib'"):
        visualizer.show(backend="cv2")


def test_a_figure_to_draw_with_is_refused() -> None:
    """Nothing here would use it; MMEngine's default is none."""
    Visualizer(fig_save_cfg={"frameon": False})
    with pytest.raises(ConfigError, match=r"fig_save_cfg=.*Leave it out, and say in"):
        Visualizer(fig_save_cfg={"dpi": 100})


def test_an_image_is_kept_to_draw_on() -> None:
    """As bytes of three colours; asking for none is told of."""
    visualizer = Visualizer("mine", torch.zeros(2, 2))
    assert visualizer.get_image().shape == (2, 2, 3)
    with pytest.raises(ConfigError, match=r"'mine': no image. Call set_image"):
        Visualizer("mine").get_image()


def test_another_rank_cuts_nothing_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would take away what the main process has begun to write."""
    backend = LocalVisBackend(tmp_path)
    visualizer = Visualizer(vis_backends=backend)
    before = visualizer.state_dict()
    visualizer.add_scalar("loss", 1.0)
    monkeypatch.setattr(
        "engine.visualization.visualizer.is_main_process", lambda: False
    )
    visualizer.load_state_dict(before)
    backend.close()
    assert (tmp_path / "scalars.json").read_text() == '{"loss": 1.0, "step": 0}\n'


@pytest.mark.parametrize("logger", [None, structlog.get_logger()])
def test_another_rank_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, logger: Any
) -> None:
    """One process writes the run's files, alone and within a run."""
    monkeypatch.setattr(
        "engine.visualization.visualizer.is_main_process", lambda: False
    )
    backend = Recorder()
    visualizer = Visualizer(vis_backends=backend)
    visualizer.start(logger)
    visualizer.add_scalar("loss", 1.0)
    visualizer.add_datasample("cat", 1, show=True)
    visualizer.close()
    assert backend.calls == []
