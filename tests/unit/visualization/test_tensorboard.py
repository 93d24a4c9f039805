"""TensorBoard's event files, read by TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from engine import StepModel
from engine.config import Config
from engine.errors import ConfigError
from engine.visualization import TensorboardVisBackend, Visualizer


def read(folder: Path) -> Any:
    """What TensorBoard sees."""
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    found.Reload()
    return found


def test_constructing_writes_nothing(tmp_path: Path) -> None:
    """The folder is made when something is shown."""
    TensorboardVisBackend(tmp_path / "vis").close()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_what_was_shown(tmp_path: Path) -> None:
    """Curves, a picture of its size, and the config word by word."""
    backend = TensorboardVisBackend(tmp_path)
    backend.add_config(Config({"lr": 0.5}))
    backend.add_scalars({"loss": torch.tensor(0.25), "eta": "1:20", "step": 4}, 3)
    backend.add_scalar("loss", float("nan"), 5)
    backend.add_image("cat", np.full((4, 6), 128, np.uint8), 2)
    backend.close()
    found = read(tmp_path)
    assert found.Tags()["scalars"] == ["loss"]
    first, second = found.Scalars("loss")
    assert (first.step, first.value) == (4, 0.25)
    assert second.step == 5
    assert np.isnan(second.value)
    (image,) = found.Images("cat")
    assert (image.step, image.height, image.width) == (2, 4, 6)
    (config,) = found.Tensors("config/text_summary")
    assert config.tensor_proto.string_val[0] == b"    lr = 0.5"


def test_tensorboard_reads_the_model_s_graph(tmp_path: Path) -> None:
    """Traced with a batch; nothing without one."""
    model = StepModel(nn.Sequential(nn.Linear(2, 3), nn.Dropout()), nn.MSELoss())
    visualizer = Visualizer(vis_backends=TensorboardVisBackend(tmp_path))
    visualizer.add_graph(model, None)
    visualizer.close()
    assert not read(tmp_path).Tags()["graph"]
    visualizer.add_graph(model, [torch.ones(1, 2), torch.ones(1, 3)])
    visualizer.close()
    nodes = {node.name for node in _nodes(read(tmp_path))}
    assert any("Linear[0]" in name for name in nodes), nodes
    assert model.training


def _nodes(found: Any) -> Any:
    return found.Graph() and _parsed(found).node


def _parsed(found: Any) -> Any:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    return GraphDef.FromString(found._graph)


def test_files_of_one_second_stay_apart(tmp_path: Path) -> None:
    """What comes after a close goes to a file of its own."""
    backend = TensorboardVisBackend(tmp_path)
    for step in range(3):
        backend.add_scalar("loss", 1.0, step)
        backend.close()
        backend.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert len(read(tmp_path).Scalars("loss")) == 3


def test_a_file_that_cannot_be_cut_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do."""
    backend = TensorboardVisBackend(tmp_path)
    state = backend.state_dict()
    backend.add_scalar("loss", 1.0, 1)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ConfigError, match=r"cut back .*tfevents.*Permission denied"):
        backend.load_state_dict(state)
