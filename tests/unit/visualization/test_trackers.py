"""What each service is given beside points, by doubles of their clients."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch import nn

from engine.config import Config
from engine.errors import ConfigError, SerializationError
from engine.registry import VISBACKENDS
from tests.services import DOUBLES, double

if TYPE_CHECKING:
    from pathlib import Path

    from engine.visualization import BaseVisBackend

IMAGE = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize("name", DOUBLES)
def test_nothing_is_opened_before_it_is_needed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config waits for the run, and is shown although there is nothing else."""
    service, kept = double(name, monkeypatch)
    backend = service.make(tmp_path / "vis")
    backend.add_config(Config({"lr": 0.5, "model": {"type": "A"}}))
    assert backend.state_dict() == {}
    assert kept.options == []
    assert not (tmp_path / "vis").exists()
    backend.close()
    backend.close()
    assert len(kept.options) == 1
    assert kept.open == 0
    assert str(kept.config["lr"]) == "0.5"
    assert kept.config.get("model", {"type": kept.config.get("model.type")}) == {
        "type": "A"
    }


@pytest.mark.parametrize("name", DOUBLES)
def test_a_config_of_an_open_run_is_shown_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a resume, whose config may hold more."""
    service, kept = double(name, monkeypatch)
    backend = service.make(tmp_path)
    backend.start()
    backend.add_config({"a": 1})
    state = backend.state_dict()
    backend.close()
    again = service.make(tmp_path)
    again.load_state_dict(state)
    again.add_config({"a": 1, "b": 2})
    again.start()
    again.close()
    assert [str(kept.config[key]) for key in "ab"] == ["1", "2"]
    assert len(kept.points) == 1


@pytest.mark.parametrize("name", DOUBLES)
def test_pictures_are_shown_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their steps; what is no picture is refused before anything is opened."""
    service, kept = double(name, monkeypatch)
    backend = service.make(tmp_path)
    with pytest.raises(SerializationError, match="'cat' is a str"):
        backend.add_image("cat", "cat.png", 1)
    assert kept.options == []
    backend.start()
    state = backend.state_dict()
    backend.add_image("cat", IMAGE, 3)
    backend.load_state_dict(state)
    backend.add_image("cat", IMAGE, 3)
    backend.close()
    shown = {"dvclive": ("cat/3.png", 3, (4, 5, 3))}.get(name, ("cat", 3, (4, 5, 3)))
    assert set(kept.images) == {shown}
    if name != "dvclive":  # there it replaces the first
        assert len(kept.images) == 1


@pytest.mark.parametrize("name", DOUBLES)
def test_a_backend_is_built_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after a close goes on in the same run."""
    service, kept = double(name, monkeypatch)
    kind = DOUBLES[name][0]
    backend: BaseVisBackend = VISBACKENDS.build(
        {"type": kind.__name__}, save_dir=str(tmp_path)
    )
    assert type(backend) is kind
    backend.add_scalar("loss", 0.5, 1)
    backend.close()
    backend.add_scalar("acc", 1, 2)
    backend.add_scalar("eta", "1:20", 2)
    backend.close()
    assert len(kept.options) == 2
    assert service.read(tmp_path) == {("loss", 1, 0.5): 1, ("acc", 2, 1.0): 1}


@pytest.mark.parametrize("name", ["clearml", "neptune", "aim"])
def test_a_folder_is_not_needed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then no list of what was sent is kept."""
    double(name, monkeypatch)
    monkeypatch.chdir(tmp_path)
    kind: Any = DOUBLES[name][0]
    backend = kind()
    backend.add_scalar("loss", 0.5, 1)
    backend.close()
    assert list(tmp_path.rglob("*.sent")) == []


def work_dir(folder: Path) -> Config:
    """A config whose work dir holds a file of each kind."""
    root = folder / "work"
    for part in ("logs", "mlruns"):
        (root / part).mkdir(parents=True)
    for name in ("config.py", "last.pth", "logs/x.json", "mlruns/y.json", "notes.txt"):
        (root / name).write_text("x")
    return Config({"work_dir": str(root)})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mlflow", ["config.py", "None/config.py", "logs/x.json"]),
        ("clearml", ["config.py", "last.pth"]),
        ("dvclive", ["config.py", "x.json", "y.json"]),
    ],
)
def test_files_of_the_run_are_uploaded(
    name: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with the endings that are asked for, when the run ends."""
    (tmp_path / ".dvc").mkdir()  # DVC tracks files in a repository only
    monkeypatch.chdir(tmp_path)
    service, kept = double(name, monkeypatch)
    backend = service.make(tmp_path / "vis")
    backend.add_config(work_dir(tmp_path))
    backend.close()
    assert kept.files == expected


def test_an_ending_may_be_given_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text is one ending, not its letters."""
    service, kept = double("clearml", monkeypatch, artifact_suffix=".txt")
    backend = service.make(tmp_path / "vis")
    backend.add_config(work_dir(tmp_path))
    backend.close()
    assert kept.files == ["notes.txt"]


def test_wandb_takes_what_its_users_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments of init, summaries, code and watching."""
    service, kept = double(
        "wandb",
        monkeypatch,
        init_kwargs={"project": "p", "mode": "offline"},
        define_metric_cfg={"val/acc": "max"},
        log_code_name="mine",
        watch_kwargs={"log": "all"},
    )
    backend = service.make(tmp_path)
    backend.add_config({"a": 1})
    backend.add_graph(nn.Linear(1, 1))
    assert kept.options == [{"resume": None, "project": "p", "mode": "offline"}]
    assert backend.experiment.metrics == [
        {"name": "*", "summary": None},
        {"name": "val/acc", "summary": "max"},
    ]
    backend.close()
    assert kept.files == ["code mine", "watched Linear"]


def test_wandb_defines_metrics_by_a_list_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a call of define_metric."""
    service, _ = double(
        "wandb", monkeypatch, define_metric_cfg=[{"name": "a", "step_metric": "epoch"}]
    )
    backend = service.make(tmp_path)
    assert [one["name"] for one in backend.experiment.metrics] == ["*", "a"]
    backend.close()


def test_mlflow_takes_what_its_users_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment, parameters, some keys of the config, names that it allows."""
    service, kept = double(
        "mlflow",
        monkeypatch,
        exp_name="mine",
        run_name="first",
        params={"by": "me"},
        tracked_config_keys=["lr", "absent"],
    )
    backend = service.make(tmp_path / "vis")
    backend.add_config({"lr": 0.1, "model": {"type": "A"}})
    backend.add_scalar("val/AP@50", 0.5, 1)
    where = backend.experiment.uri
    backend.close()
    assert where == f"sqlite:///{tmp_path / 'vis' / 'mlflow.db'}"
    assert kept.options == [{"experiment": "mine", "name": "first"}]
    assert kept.config == {"by": "me", "lr": "0.1"}
    assert service.read(tmp_path) == {("val/AP_50", 1, 0.5): 1}


def test_mlflows_own_file_keeps_artifacts_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the present folder, where the experiment that is always there has them."""
    service, kept = double("mlflow", monkeypatch)
    asked: list[str | None] = []
    module = sys.modules["mlflow"]

    def create(self: Any, name: str, where: str | None) -> str:
        del self
        asked.append(where)
        return name

    monkeypatch.setattr(module.MlflowClient, "create_experiment", create)
    backend = service.make(tmp_path / "vis")
    backend.add_scalar("loss", 0.5, 1)
    backend.close()
    assert kept.options == [{"experiment": "engine", "name": None}]
    assert asked == [(tmp_path / "vis" / "mlartifacts").as_uri()]


@pytest.mark.parametrize("given", [{}, {"project": "a/b"}, {"api_token": "t"}])
def test_neptune_is_offline_without_an_account(
    given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project or a token, here or in the environment, is one."""
    monkeypatch.delenv("NEPTUNE_PROJECT", raising=False)
    monkeypatch.delenv("NEPTUNE_API_TOKEN", raising=False)
    service, kept = double("neptune", monkeypatch, init_kwargs=given)
    backend = service.make(tmp_path)
    backend.start()
    backend.close()
    assert kept.options == [given or {"mode": "offline"}]


def test_a_client_leaves_the_run_s_signals_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sets while a run is opened is put back, in the main thread."""
    service, _ = double("aim", monkeypatch)
    client = sys.modules["aim"]
    opened = client.Run

    def run(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return opened(*args, **kwargs)

    monkeypatch.setattr(client, "Run", run)
    before = signal.getsignal(signal.SIGTERM)
    backend = service.make(tmp_path)
    backend.start()
    assert signal.getsignal(signal.SIGTERM) is before
    backend.close()
    thread = threading.Thread(target=backend.start)
    thread.start()
    thread.join()
    assert backend.run_id  # type: ignore[attr-defined]  # a tracker's
    backend.close()


@pytest.mark.parametrize("name", DOUBLES)
def test_a_missing_client_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the backend is made."""
    monkeypatch.setitem(sys.modules, name, None)
    kind: Any = DOUBLES[name][0]
    with pytest.raises(ConfigError, match=rf"'ignite-runner\[{name}\]'") as caught:
        kind(tmp_path)
    assert str(caught.value).startswith(kind.__name__)
