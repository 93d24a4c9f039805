"""The services that a run can be shown in: doubles of their clients, and readers.

A double has the part of a client's interface that a backend uses, with the real one's
names, and keeps what it is given. Where the client is installed, the same tests run
with it, offline, and read its files back.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import random
import struct
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from attrs import define, field

from engine.visualization import (
    AimVisBackend,
    BaseVisBackend,
    ClearMLVisBackend,
    DVCLiveVisBackend,
    LocalVisBackend,
    MLflowVisBackend,
    NeptuneVisBackend,
    TensorboardVisBackend,
    WandbVisBackend,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DOUBLES", "REAL", "Kept", "Point", "Service", "double", "real"]

Point = tuple[str, int, float]


@define
class Kept:
    """What a double was given."""

    points: dict[str, list[Point]] = field(factory=dict)
    images: list[tuple[str, int, tuple[int, ...]]] = field(factory=list)
    config: dict[str, Any] = field(factory=dict)
    files: list[str] = field(factory=list)
    options: list[dict[str, Any]] = field(factory=list)
    open: int = 0

    def opened(self, run_id: str, options: dict[str, Any]) -> list[Point]:
        """A run's points, with how it was asked for."""
        self.options.append(options)
        self.open += 1
        return self.points.setdefault(run_id, [])


@define
class Service:
    """A service under test.

    Args:
        make: A backend whose files lie in a folder.
        read: The points of the run in that folder.
    """

    make: Callable[[Path], BaseVisBackend]
    read: Callable[[Path], Counter[Point]]


# -- doubles -------------------------------------------------------------------------


def _wandb(kept: Kept) -> ModuleType:  # noqa: C901 - a client's interface
    class Run:
        def __init__(self, run_id: str, points: list[Point]) -> None:
            self.id, self.points = run_id, points
            self.config = self
            self.metrics: list[dict[str, Any]] = []

        def define_metric(
            self, name: str, step_metric: str | None = None, summary: str | None = None
        ) -> None:
            self.metrics.append({"name": name, "summary": summary})

        def log(self, data: dict[str, Any], *, commit: bool | None = None) -> None:
            step = data["step"]
            for name, value in data.items():
                if isinstance(value, Image):
                    kept.images.append((name, step, value.shape))
                elif name != "step":
                    self.points.append((name, step, value))

        def update(self, data: dict[str, Any], *, allow_val_change: bool) -> None:
            kept.config |= data

        def watch(self, model: Any, log: str = "gradients") -> None:
            kept.files.append(f"watched {type(model).__name__}")

        def log_code(self, name: str) -> None:
            kept.files.append(f"code {name}")

        def finish(self) -> None:
            kept.open -= 1

    class Image:
        def __init__(self, array: Any) -> None:
            self.shape = array.shape

    def init(
        dir: str, id: str | None = None, resume: str | None = None, **more: Any
    ) -> Run:
        assert Path(dir).is_dir()
        run_id = id or uuid.uuid4().hex
        return Run(run_id, kept.opened(run_id, {"resume": resume, **more}))

    return _module("wandb", init=init, Image=Image)


def _mlflow(kept: Kept) -> ModuleType:  # noqa: C901 - a client's interface
    class Client:
        def __init__(self, tracking_uri: str) -> None:
            self.uri = tracking_uri

        def get_experiment_by_name(self, name: str) -> Any:
            return SimpleNamespace(experiment_id="0") if name == "Default" else None

        def create_experiment(self, name: str, artifact_location: str | None) -> str:
            return name

        def create_run(self, experiment: str, *, tags: Any, run_name: Any) -> Any:
            run_id = uuid.uuid4().hex
            kept.opened(run_id, {"experiment": experiment, "name": run_name})
            return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

        def update_run(self, run_id: str, status: str) -> None:
            assert run_id in kept.points
            kept.opened(run_id, {"status": status})

        def get_run(self, run_id: str) -> Any:
            return SimpleNamespace(data=SimpleNamespace(params=kept.config))

        def log_param(self, run_id: str, key: str, value: Any) -> None:
            kept.config[key] = value

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            assert len(params) <= 100
            for one in params:
                assert one.key not in kept.config, "MLflow refuses another value"
                kept.config[one.key] = one.value
            kept.points[run_id] += [(one.key, one.step, one.value) for one in metrics]

        def log_image(self, run_id: str, image: Any, *, key: str, step: int) -> None:
            kept.images.append((key, step, image.shape))

        def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
            kept.files.append(artifact_file)

        def log_artifact(self, run_id: str, path: str, folder: str | None) -> None:
            kept.files.append(f"{folder}/{Path(path).name}")

        def set_terminated(self, run_id: str) -> None:
            kept.open -= 1

    entities = SimpleNamespace(
        Param=lambda key, value: SimpleNamespace(key=key, value=value),
        Metric=lambda key, value, timestamp, step: SimpleNamespace(
            key=key, value=value, step=step
        ),
    )
    return _module(
        "mlflow", MlflowClient=Client, entities=entities, is_tracking_uri_set=bool
    )


def _clearml(kept: Kept) -> ModuleType:
    class Task:
        def __init__(self, run_id: str, points: list[Point]) -> None:
            self.id, self.points = run_id, points

        @classmethod
        def is_offline(cls) -> bool:
            return False

        @classmethod
        def init(
            cls,
            *,
            auto_connect_frameworks: bool = True,
            auto_connect_arg_parser: bool = True,  # noqa: ARG003 - the client's
            reuse_last_task_id: bool | str = True,
            continue_last_task: bool | int = False,
        ) -> Task:
            assert not auto_connect_frameworks
            # As the client does, whoever asks for a task.
            random.seed(1337)
            np.random.seed(1337)
            torch.manual_seed(1337)
            goes_on = continue_last_task is not False
            run_id = str(reuse_last_task_id) if goes_on else uuid.uuid4().hex
            return cls(run_id, kept.opened(run_id, {"offset": continue_last_task}))

        def get_logger(self) -> Task:
            return self

        def report_scalar(
            self, title: str, series: str, value: float, iteration: int
        ) -> None:
            self.points.append((title, iteration, value))

        def report_image(
            self, title: str, series: str, iteration: int, image: Any
        ) -> None:
            kept.images.append((title, iteration, image.shape))

        def connect_configuration(self, configuration: Any, name: str) -> None:
            kept.config |= configuration

        def upload_artifact(self, name: str, artifact_object: Any) -> None:
            kept.files.append(name)

        def close(self) -> None:
            kept.open -= 1

    return _module("clearml", Task=Task)


def _neptune(kept: Kept) -> ModuleType:
    class Series:
        def __init__(self, name: str, points: list[Point]) -> None:
            self.name, self.points = name, points

        def append(self, value: Any, *, step: int) -> None:
            if isinstance(value, tuple):
                kept.images.append((self.name, step, value))
            else:
                self.points.append((self.name, step, value))

    class Run:
        def __init__(self, points: list[Point]) -> None:
            self.points = points

        def __getitem__(self, name: str) -> Series:
            return Series(name, self.points)

        def __setitem__(self, name: str, value: dict[str, Any]) -> None:
            assert None not in value.values()
            kept.config |= value

        def stop(self) -> None:
            kept.open -= 1

    def init_run(*, custom_run_id: str, **more: Any) -> Run:
        return Run(kept.opened(custom_run_id, more))

    class File:
        @staticmethod
        def as_image(image: Any) -> Any:
            assert image.max() <= 1
            return image.shape

    sys.modules["neptune.types"] = _module("neptune.types", File=File)
    return _module("neptune", init_run=init_run)


def _aim(kept: Kept) -> ModuleType:
    class Run:
        def __init__(
            self,
            run_hash: str | None = None,
            *,
            repo: str,
            force_resume: bool = False,
            capture_terminal_logs: bool = True,
            system_tracking_interval: float | None = 10,
        ) -> None:
            assert not capture_terminal_logs
            assert force_resume == (run_hash is not None)
            self.hash = run_hash or uuid.uuid4().hex
            self.points = kept.opened(self.hash, {"repo": repo})

        def track(self, value: Any, *, name: str, step: int) -> None:
            if isinstance(value, Image):
                kept.images.append((name, step, value.shape))
            else:
                self.points.append((name, step, value))

        def __setitem__(self, name: str, value: dict[str, Any]) -> None:
            kept.config |= value

        def close(self) -> None:
            kept.open -= 1

    class Image:
        def __init__(self, image: Any) -> None:
            self.shape = (image.height, image.width, 3)

    return _module("aim", Run=Run, Image=Image)


def _dvclive(kept: Kept) -> ModuleType:
    class Live:
        """Writes the tables as DVCLive does."""

        def __init__(
            self, *, dir: str, dvcyaml: str, resume: bool = False, **more: Any
        ) -> None:
            self.folder = Path(dir) / "plots" / "metrics"
            self.step = 0
            kept.opened(dir, {"resume": resume, **more})
            if not resume:
                for table in self.folder.rglob("*.tsv"):
                    table.unlink()

        def log_metric(self, name: str, val: float) -> None:
            path = self.folder / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            head = "" if path.exists() else f"step\t{path.stem}\n"
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{head}{self.step}\t{val}\n")

        def next_step(self) -> None:
            self.step += 1

        def log_params(self, params: dict[str, Any]) -> None:
            kept.config |= params

        def log_image(self, name: str, val: Any) -> None:
            kept.images.append((name, self.step, val.shape))

        def log_artifact(self, path: str) -> None:
            kept.files.append(Path(path).name)

        def end(self) -> None:
            kept.open -= 1

    return _module("dvclive", Live=Live)


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    return module


DOUBLES: dict[str, tuple[type[BaseVisBackend], Callable[[Kept], ModuleType]]] = {
    "wandb": (WandbVisBackend, _wandb),
    "mlflow": (MLflowVisBackend, _mlflow),
    "clearml": (ClearMLVisBackend, _clearml),
    "neptune": (NeptuneVisBackend, _neptune),
    "aim": (AimVisBackend, _aim),
    "dvclive": (DVCLiveVisBackend, _dvclive),
}


def double(
    name: str, monkeypatch: pytest.MonkeyPatch, **arguments: Any
) -> tuple[Service, Kept]:
    """A service whose client is a double, and what that keeps."""
    kept = Kept()
    kind, make_module = DOUBLES[name]
    # So that the types module that a double brings goes again too.
    monkeypatch.setitem(sys.modules, f"{name}.types", ModuleType("none"))
    monkeypatch.setitem(sys.modules, name, make_module(kept))

    def read(folder: Path) -> Counter[Point]:
        if name == "dvclive":
            return _read_dvclive(folder)
        (run,) = kept.points.values()
        return Counter(run)

    return Service(lambda folder: kind(folder, **arguments), read), kept


# -- real clients, offline -----------------------------------------------------------


def _read_local(folder: Path) -> Counter[Point]:
    found: Counter[Point] = Counter()
    for line in (folder / "scalars.json").read_text().splitlines():
        record = json.loads(line)
        step = record.pop("step")
        found.update((name, step, value) for name, value in record.items())
    return found


def _read_tensorboard(folder: Path) -> Counter[Point]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    return Counter(
        (tag, one.step, one.value)
        for tag in read.Tags()["scalars"]
        for one in read.Scalars(tag)
    )


def _read_wandb(folder: Path) -> Counter[Point]:
    """Reads each start's file: LevelDB's log format, records in protobuf."""
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")
    # Its own process writes; finish() does not wait for that when offline.
    importlib.import_module("wandb").teardown()
    found: Counter[Point] = Counter()
    ids = set()
    for path in folder.glob("wandb/offline-run-*/*.wandb"):
        for data in _leveldb_records(path.read_bytes()[7:]):
            record = messages.Record.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                ids.add(record.run.run_id)
            elif kind == "history":
                row = {
                    one.key or ".".join(one.nested_key): json.loads(one.value_json)
                    for one in record.history.item
                }
                if "step" in row:
                    step = row.pop("step")
                    found.update(
                        (name, step, float(value))
                        for name, value in row.items()
                        if not name.startswith("_")
                    )
    assert len(ids) <= 1, "each start goes on in the same run"
    return found


def _leveldb_records(data: bytes) -> Iterator[bytes]:
    # Blocks of 32 KiB, the first shorter by the file's header of 7 bytes.
    place, whole, block = 0, b"", 32768
    while place + 7 <= len(data):
        left = block - (place + 7) % block
        if left < 7:
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        if kind == 0:
            return
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a full one, or the last part
            yield whole
            whole = b""


def _read_mlflow(folder: Path) -> Counter[Point]:
    mlflow = importlib.import_module("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"file:{folder / 'mlruns'}")
    (run,) = client.search_runs(["0"])
    return Counter(
        (one.key, one.step, one.value)
        for name in run.data.metrics
        for one in client.get_metric_history(run.info.run_id, name)
    )


def _read_aim(folder: Path) -> Counter[Point]:
    aim = importlib.import_module("aim")
    (chunks,) = (folder / ".aim" / "meta" / "chunks").iterdir()  # one run's
    # Its read-only view sees nothing before Aim's own indexing has run.
    run = aim.Run(chunks.name, repo=str(folder), force_resume=True, **_QUIET_AIM)
    found: Counter[Point] = Counter()
    for metric in run.metrics():
        steps, (values, *_) = metric.data.items_list()
        found.update((metric.name, *one) for one in zip(steps, values, strict=True))
    run.close()
    return found


def _read_dvclive(folder: Path) -> Counter[Point]:
    found: Counter[Point] = Counter()
    root = folder / "dvclive" / "plots" / "metrics"
    for path in root.rglob("*.tsv"):
        name = str(path.relative_to(root).with_suffix(""))
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                found[name, int(row["step"]), float(row[path.stem])] += 1
    return found


def _read_neptune(folder: Path) -> Counter[Point]:
    """Reads each start's operations."""
    found: Counter[Point] = Counter()
    for path in folder.parent.glob(".neptune/offline/*/data-*.log"):
        for line in path.read_text().splitlines():
            operation = json.loads(line)["obj"]
            if operation["type"] == "LogFloats":
                name = "/".join(operation["path"])
                found.update(
                    (name, int(one["step"]), one["value"])
                    for one in operation["values"]
                )
    return found


def _make_mlflow(folder: Path) -> BaseVisBackend:
    return MLflowVisBackend(folder, tracking_uri=f"file:{folder / 'mlruns'}")


def _make_wandb(folder: Path) -> BaseVisBackend:
    return WandbVisBackend(
        folder, init_kwargs={"mode": "offline", "settings": {"console": "off"}}
    )


_QUIET_AIM = {"system_tracking_interval": None, "capture_terminal_logs": False}


def _make_aim(folder: Path) -> BaseVisBackend:
    return AimVisBackend(folder, init_kwargs=_QUIET_AIM)


def _make_neptune(folder: Path) -> BaseVisBackend:
    quiet = ("stdout", "stderr", "hardware_metrics", "traceback")
    return NeptuneVisBackend(
        folder,
        init_kwargs={"mode": "offline", **{f"capture_{one}": False for one in quiet}},
    )


def _make_dvclive(folder: Path) -> BaseVisBackend:
    return DVCLiveVisBackend(folder, init_kwargs={"save_dvc_exp": False})


REAL: dict[str, Service] = {
    "local": Service(LocalVisBackend, _read_local),
    "tensorboard": Service(TensorboardVisBackend, _read_tensorboard),
    "wandb": Service(_make_wandb, _read_wandb),
    "mlflow": Service(_make_mlflow, _read_mlflow),
    "aim": Service(_make_aim, _read_aim),
    "dvclive": Service(_make_dvclive, _read_dvclive),
    "neptune": Service(_make_neptune, _read_neptune),
}


def real(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Service:
    """A service's own client, offline; skips where it is not installed."""
    if name != "local" and importlib.util.find_spec(name) is None:
        pytest.skip(f"the client {name!r} is not installed: pip install {name}")
    monkeypatch.chdir(folder)  # Neptune writes into the current folder
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return REAL[name]
