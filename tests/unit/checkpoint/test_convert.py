"""MMEngine's checkpoints are read without MMEngine, and nothing in them is run.

``make oracle`` does the same with files that MMEngine itself wrote.
"""

from __future__ import annotations

import os
import sys
import types
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoint import Store, load_checkpoint, read
from engine.errors import CheckpointDamagedError
from engine.loops import TrainEngine
from engine.optim import OptimWrapper
from engine.optim.scheduler import MultiStepLR
from engine.state import RunState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "mmengine.logging.history_buffer"


class HistoryBuffer:
    """Has the name, the module and the attributes of MMEngine's."""

    def __init__(self, values: list[float]) -> None:
        self.max_length = 1_000_000
        self._log_history = np.array(values)
        self._count_history = np.ones(len(values), dtype=np.int64)
        # As MMEngine's older versions have it: pickled by way of getattr.
        self._statistics_methods = {"mean": HistoryBuffer.mean}

    def mean(self) -> float:
        """A statistic."""
        return float(self._log_history.mean())


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While a file is written, ``mmengine.logging.history_buffer`` is this one."""
    for name in ("mmengine", "mmengine.logging", NAME):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[NAME].HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]  # made here
    monkeypatch.setattr(HistoryBuffer, "__module__", NAME)
    yield
    monkeypatch.undo()


def parts() -> tuple[nn.Module, OptimWrapper, MultiStepLR]:
    """A model, its optimizer and a schedule."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    return model, wrapper, MultiStepLR(wrapper.optimizer, milestones=[2])


def theirs(folder: Path) -> tuple[Path, dict[str, Any]]:
    """A file as MMEngine writes it after its second epoch of three iterations."""
    model, wrapper, _ = parts()
    wrapper.update_params(model(torch.ones(1, 2)).sum())
    checkpoint = {
        "meta": {"epoch": 2, "iter": 6, "seed": 7, "mmengine_version": "0.10.7"},
        "state_dict": model.state_dict(),
        "message_hub": {
            "log_scalars": OrderedDict({"train/loss": HistoryBuffer([3.0, 2.0, 1.0])}),
            "runtime_info": OrderedDict(
                epoch=1, max_epochs=4, best_score=np.float64(0.5), odd=np.zeros(2)
            ),
            "resumed_keys": OrderedDict(),
        },
        "optimizer": wrapper.optimizer.state_dict(),
        "param_schedulers": [
            {
                "milestones": Counter({2: 1}),
                "gamma": 0.1,
                "param_name": "lr",
                "begin": 0,
                "end": 1_000_000_000,
                "by_epoch": True,
                "base_values": [0.1],
                "last_step": 2,
                "_global_step": 3,
                "verbose": False,
                "_last_value": [0.01],
            }
        ],
    }
    path = folder / "epoch_2.pth"
    torch.save(checkpoint, path)
    return path, checkpoint


@pytest.mark.usefixtures("stand_in")
def test_weights_are_loaded(tmp_path: Path) -> None:
    """Though the file holds objects."""
    path, saved = theirs(tmp_path)
    for name in ("mmengine", "mmengine.logging", NAME):
        del sys.modules[name]
    model = nn.Linear(2, 1)
    load_checkpoint(model, path)
    assert torch.equal(model.weight, saved["state_dict"]["weight"])
    assert "mmengine" not in sys.modules


@pytest.mark.usefixtures("stand_in")
def test_a_run_goes_on_from_it(tmp_path: Path) -> None:
    """Counters, optimizer, schedule, scalars and plain facts; remarks on the rest."""
    _, saved = theirs(tmp_path)
    model, wrapper, schedule = parts()
    trainer = TrainEngine(lambda *_: {}, RunState(seed=0), work_dir=tmp_path)
    trainer.track(model=model, optimizer=wrapper, param_schedulers=[schedule])
    report = trainer.resume(tmp_path)
    state = trainer.run_state
    assert (state.epoch, state.iteration, state.epoch_iteration) == (2, 6, 0)
    assert state.seed == 7
    momentum = saved["optimizer"]["state"][0]["momentum_buffer"]
    loaded = wrapper.optimizer.state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(loaded, momentum)
    assert schedule.last_step == 2
    loss = state.hub.get_scalar("train/loss")
    assert (loss.mean(), loss.min(), loss.max(), loss.current()) == (2.0, 1.0, 3.0, 1.0)
    assert state.hub.get_info("best_score") == 0.5
    assert "random generators" in str(report)
    trainer.run([[0.0]] * 3, max_epochs=4)
    assert (state.epoch, state.iteration) == (4, 12)


class Malicious:
    """Unpickled it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


class Sneaky(HistoryBuffer):
    """Tries the ways that the closed list leaves open."""

    def __init__(self, target: Any, *names: Any) -> None:
        self.how = (target, names)

    def __reduce__(self) -> Any:
        return getattr, (self.how[0], *self.how[1])


@pytest.mark.usefixtures("stand_in")
def test_what_hides_in_one_is_not_run(tmp_path: Path) -> None:
    """Beside objects that are known: the file is refused as a whole."""
    path, saved = theirs(tmp_path)
    saved["message_hub"]["runtime_info"]["x"] = Malicious(tmp_path / "hacked")
    torch.save(saved, path)
    with pytest.raises(CheckpointDamagedError, match="never done"):
        read(path)
    assert not (tmp_path / "hacked").exists()
    with pytest.raises(CheckpointDamagedError, match="none of its 1 checkpoints"):
        Store(tmp_path).newest_good()


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "target", [(OrderedDict, "fromkeys"), (HistoryBuffer, "__class__"), (np, "load")]
)
def test_getattr_gives_nothing_to_call(tmp_path: Path, target: Any) -> None:
    """It is on the list for the buffers' statistics, and answers with a name."""
    path, saved = theirs(tmp_path)
    saved["message_hub"]["runtime_info"]["x"] = Sneaky(*target)
    if target[0] is np:
        with pytest.raises(TypeError, match="cannot pickle"):
            torch.save(saved, path)
        return
    torch.save(saved, path)
    if target[0] is HistoryBuffer:
        assert read(path)["message_hub"]["runtime_info"]["x"] == "__class__"
    else:
        with pytest.raises(CheckpointDamagedError, match="getattr of anything but"):
            read(path)
