"""The same protocol in an object store: fsspec's own in memory stands for one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec  # type: ignore[import-untyped]  # it ships none
import pytest
import torch

from engine.checkpoint import (
    Store,
    find_latest_checkpoint,
    load_checkpoint,
    read,
    save_checkpoint,
    verify,
)
from engine.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointNotFoundError,
    ConfigError,
)
from tests.integration.dying_save import checkpoint, save

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def url() -> Iterator[str]:
    """A folder of its own in fsspec's memory."""
    folder = f"memory://{uuid4().hex}/run"
    yield folder
    system = fsspec.filesystem("memory")
    system.rm(folder.removeprefix("memory:/").rsplit("/", 1)[0], recursive=True)


def names(url: str) -> set[str]:
    """Objects in a folder."""
    return {Path(one).name for one in fsspec.filesystem("memory").ls(url, detail=False)}


def number(found: Any) -> float:
    """Which checkpoint was found."""
    return float(found[1]["state_dict"]["weight"][0])


def test_what_is_written_is_read_and_old_ones_go(url: str) -> None:
    """Object, manifest, pointer; then the older one with its manifest."""
    store = Store(url)
    store.prove()
    save(store, "epoch_1.pth", 1)
    save(store, "epoch_2.pth", 2, drop=("epoch_1.pth",))
    assert names(url) == {"epoch_2.pth", "epoch_2.pth.json", "last_checkpoint"}
    assert find_latest_checkpoint(url) == f"{url}/epoch_2.pth"
    found = store.newest_good()
    assert found is not None
    assert found[0] == f"{url}/epoch_2.pth"
    assert number(found) == 2.0
    manifest = verify(f"{url}/epoch_2.pth")
    assert manifest is not None
    assert (manifest.epoch, manifest.sequence) == (2, 2)


def test_the_manifest_is_the_last_to_appear(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each object is committed whole, the checkpoint's before its manifest's."""
    memory = fsspec.implementations.memory.MemoryFile
    committed, healthy = [], memory.commit

    def commit(self: Any) -> None:
        committed.append(Path(self.path).name)
        healthy(self)

    monkeypatch.setattr(memory, "commit", commit)
    save(Store(url), "a.pth", 1)
    assert committed == ["a.pth", "a.pth.json", "last_checkpoint"]


def test_an_upload_that_fails_leaves_what_was_there(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it appears, and the error names the object."""
    store = Store(url)
    save(store, "a.pth", 1)

    def write_half(_: object, file: Any) -> None:
        file.write(b"half of it")
        raise RuntimeError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", write_half)
        with pytest.raises(CheckpointError, match=r"a\.pth: could not be written: the"):
            store.write("a.pth", checkpoint(2))
        with pytest.raises(CheckpointError, match=r"b\.pth: could not be written: the"):
            store.write("b.pth", checkpoint(2))
    assert names(url) == {"a.pth", "a.pth.json", "last_checkpoint"}
    assert number(store.newest_good()) == 1.0


def test_a_damaged_object_is_passed_over(url: str) -> None:
    """It is told, and the one before it is used."""
    store = Store(url)
    save(store, "epoch_1.pth", 1)
    save(store, "epoch_2.pth", 2)
    with fsspec.open(f"{url}/epoch_2.pth", "rb") as file:
        content = file.read()
    with fsspec.open(f"{url}/epoch_2.pth", "wb") as file:
        file.write(content[:-1])
    with pytest.raises(CheckpointDamagedError, match=r"run/epoch_2\.pth: cannot be re"):
        read(f"{url}/epoch_2.pth")
    found = store.newest_good()
    assert number(found) == 1.0
    assert found is not None
    assert len(found[2]) == 1


def test_a_missing_object_is_named_with_what_there_is(url: str) -> None:
    """As for files."""
    save(Store(url), "epoch_3.pth", 3)
    with pytest.raises(CheckpointNotFoundError, match=r"\['epoch_3\.pth'\]"):
        read(f"{url}/epoch_4.pth")
    assert Store(f"{url}/nowhere").newest_good() is None


def test_weights_alone_come_from_a_url(url: str) -> None:
    """``save_checkpoint`` and ``load_checkpoint`` take one."""
    model, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    save_checkpoint({"state_dict": model.state_dict()}, f"{url}/weights.pth")
    load_checkpoint(other, f"{url}/weights.pth")
    assert torch.equal(model.weight, other.weight)


def test_a_file_system_that_is_not_known_is_named() -> None:
    """When the store is made."""
    with pytest.raises(ConfigError, match=r"nosuch://x: its file system cannot be op"):
        Store("nosuch://x")


def test_a_local_path_takes_no_arguments_of_a_url(tmp_path: Path) -> None:
    """But MMEngine's word for a local path."""
    Store(tmp_path, {"backend": "local"})
    with pytest.raises(ConfigError, match="is a local path, which takes none"):
        Store(tmp_path, {"key": "x"})
