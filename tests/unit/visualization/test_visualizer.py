"""Visualizer: one door to all backends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ConfigError
from engine.registry import VISUALIZERS
from engine.visualization import BaseVisBackend, LocalVisBackend, Visualizer

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    visualizer.close()
    expected = [
        ("config", "lr = 1", {"a": 1}),
        ("scalar", "loss", 0.5, 3, {"b": 2}),
        ("scalars", {"acc": 1.0}, 4, "val.json", {"c": 3}),
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
