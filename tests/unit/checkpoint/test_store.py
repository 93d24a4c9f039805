"""A file in the store is whole, or it is not there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import Store, find_latest_checkpoint, read
from engine.checkpoint.format import FORMAT, NEEDED
from engine.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointNotFoundError,
    EngineError,
)

ROOT = Path(__file__).parents[3]


def checkpoint(number: int = 0) -> dict[str, Any]:
    """The least that a run can be resumed from, as far as the store knows."""
    return {
        "meta": {},
        "message_hub": {},
        "state_dict": {"weight": torch.full((3,), float(number))},
        "engine": dict.fromkeys(NEEDED) | {"format": FORMAT},
    }


def files(folder: Path) -> set[str]:
    """Names of what lies in a folder."""
    return {path.name for path in folder.iterdir()}


# -- writing ------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """In a folder that is made for it; nothing else is left there."""
    store = Store(tmp_path / "deep" / "er")
    path = tmp_path / "deep" / "er" / "a.pth"
    assert store.write("a.pth", checkpoint(4)) == path
    assert torch.equal(read(path)["state_dict"]["weight"], torch.full((3,), 4.0))
    assert files(path.parent) == {"a.pth", "a.pth.json"}


@pytest.mark.parametrize("name", ["a.pth", "new.pth"])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older file of that name is untouched and no half-written one stays."""

    def write_half(_: object, file: Any) -> None:
        file.write(b"half of it")
        file.flush()
        assert (tmp_path / f"{name}.part").exists()
        raise RuntimeError("the writer broke")

    store = Store(tmp_path)
    store.write("a.pth", checkpoint(1))
    before = (tmp_path / "a.pth").read_bytes()
    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(
        CheckpointError, match=rf"{name}: could not be written: the writer broke"
    ):
        store.write(name, checkpoint(2))
    assert files(tmp_path) == {"a.pth", "a.pth.json"}
    assert (tmp_path / "a.pth").read_bytes() == before


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.float64(0.5), "numpy.float64"),
        (np.zeros(2), "numpy.ndarray"),
        (Path("x"), r"pathlib.\w+"),
        (print, "builtins.builtin_function_or_method"),
        (defaultdict(int), "collections.defaultdict"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, value: object, kind: str
) -> None:
    """Rather than a file that no resume can open: it says where it lies."""
    bad = {**checkpoint(), "engine": {"hooks": {"MyHook": [1, {"best": value}]}}}
    where = r"checkpoint\['engine'\]\['hooks'\]\['MyHook'\]\[1\]\['best'\]"
    with pytest.raises(CheckpointError, match=rf"not written: {where} is a {kind}\."):
        Store(tmp_path / "new").write("a.pth", bad)
    assert files(tmp_path) == set()


def test_all_that_may_be_written_can_be_read(tmp_path: Path) -> None:
    """Plain data of every kind, and what torch's own state dicts hold."""
    model = torch.nn.Linear(2, 1)
    good = {
        "model": model.state_dict(),
        "optimizer": torch.optim.Adam(model.parameters()).state_dict(),
        "leaves": [None, True, 1, 0.5, 1j, "text", b"bytes", torch.float16],
        "more": (torch.Size([1]), torch.device("cpu"), {1, 2}, {3: ()}),
        "parameter": model.weight,
    }
    back = read(Store(tmp_path).write("a.pth", good))
    assert back["leaves"] == good["leaves"]
    assert back["more"] == good["more"]


FULL_DISK = """
import resource, signal, sys, torch
from engine.checkpoint import Store
from engine.errors import CheckpointError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails as on a full disk
store = Store(sys.argv[1])
store.write("a.pth", {"small": torch.zeros(10)})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.write("a.pth", {"large": torch.zeros(100_000)})
except CheckpointError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_older_file(tmp_path: Path) -> None:
    """In a process that may write no file above 20 kB."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert f"{tmp_path / 'a.pth'}: could not be written" in done.stdout
    assert "File too large" in done.stdout, "the system's reason, not torch's"
    assert "MiB are free there" in done.stdout
    assert files(tmp_path) == {"a.pth", "a.pth.json"}
    assert set(read(tmp_path / "a.pth")) == {"small"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file stands in its way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/a\.pth: could not be written"):
        Store(tmp_path / "file").write("a.pth", checkpoint())


def test_it_is_durable_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Synced, renamed, the folder synced; then the manifest, the same way."""
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        synced = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append(f"sync {synced.name}")
        sync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        done.append(f"rename {self.name} {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    Store(tmp_path / "w").write("a.pth", checkpoint())
    assert done == [
        *("sync a.pth.part", "rename a.pth.part a.pth", "sync w"),
        *("sync a.pth.json.part", "rename a.pth.json.part a.pth.json", "sync w"),
    ]


def test_dropping_twice_is_fine(tmp_path: Path) -> None:
    """What is gone stays gone."""
    store = Store(tmp_path)
    store.write("a.pth", checkpoint())
    store.drop("a.pth")
    store.drop("a.pth")
    assert files(tmp_path) == set()


# -- the pointer ---------------------------------------------------------------------


def test_the_pointer_names_a_file_of_its_folder(tmp_path: Path) -> None:
    """So that the folder can be moved."""
    store = Store(tmp_path / "here")
    store.write("a.pth", checkpoint())
    store.point_to("a.pth")
    assert (tmp_path / "here" / "last_checkpoint").read_text() == "a.pth"
    (tmp_path / "here").rename(tmp_path / "there")
    assert find_latest_checkpoint(tmp_path / "there") == str(
        tmp_path / "there" / "a.pth"
    )


def test_an_absolute_pointer_is_taken_as_it_is(tmp_path: Path) -> None:
    """As MMEngine writes it."""
    (tmp_path / "last_checkpoint").write_text("/elsewhere/epoch_1.pth\n")
    assert find_latest_checkpoint(tmp_path) == "/elsewhere/epoch_1.pth"


def test_without_a_pointer_there_is_no_latest(tmp_path: Path) -> None:
    """Also where files lie."""
    Store(tmp_path).write("a.pth", checkpoint())
    assert find_latest_checkpoint(tmp_path) is None


# -- reading --------------------------------------------------------------------------


def test_a_missing_file_is_named_with_what_there_is(tmp_path: Path) -> None:
    """Both as our error and as the built-in one."""
    Store(tmp_path).write("epoch_3.pth", checkpoint())
    with pytest.raises(
        CheckpointNotFoundError, match=r"there is no such checkpoint.*'epoch_3\.pth'"
    ):
        read(tmp_path / "epoch_4.pth")
    with pytest.raises(FileNotFoundError, match=r"holds no \*\.pth file"):
        read(tmp_path / "no" / "epoch_4.pth")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    """As what a writer leaves that was killed early."""
    (tmp_path / "a.pth").touch()
    with pytest.raises(CheckpointDamagedError, match=r"a\.pth: the file is empty"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize("tensors", [0, 20])
def test_every_truncation_is_found(tmp_path: Path, tensors: int) -> None:
    """Cut off after any number of bytes, at steps, it is an error of ours."""
    more = {f"layer{number}": torch.zeros(50) for number in range(tensors)}
    content = {**checkpoint(), "optimizer": more}
    Store(tmp_path).write("whole.pth", content)
    whole = (tmp_path / "whole.pth").read_bytes()
    cut = tmp_path / "cut.pth"
    lengths = {*range(1, len(whole), 61), *range(len(whole) - 60, len(whole))}
    for length in sorted(lengths):
        cut.write_bytes(whole[:length])
        with pytest.raises(
            CheckpointDamagedError, match=rf"cut\.pth: cannot be read \({length} bytes"
        ):
            read(cut)


@pytest.mark.parametrize(
    "content",
    [b"hello, this is no checkpoint\n", b"\x80\x02}q\x00.", bytes(range(256)), b"PK"],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Text, a bare pickle, noise: never an error that is not ours."""
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(EngineError, match=r"a\.pth"):
        Store(tmp_path).newest_good()


class Malicious:
    """Unpickled it makes a folder.

    Args:
        folder: Which.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("how", ["torch.save", "legacy torch.save", "pickle"])
def test_what_is_pickled_in_a_file_is_not_run(tmp_path: Path, how: str) -> None:
    """Refused, and the code in it has not run."""
    bad, path = {"x": Malicious(tmp_path / "hacked")}, tmp_path / "a.pth"
    if how == "pickle":
        path.write_bytes(pickle.dumps(bad))
    else:
        torch.save(bad, path, _use_new_zipfile_serialization=how == "torch.save")
    with pytest.raises(CheckpointDamagedError, match="never done"):
        read(path)
    assert not (tmp_path / "hacked").exists()
    if how == "pickle":
        pickle.loads(path.read_bytes())  # noqa: S301 - to see that it bites
    else:
        torch.load(path, weights_only=False)
    assert (tmp_path / "hacked").exists(), "the trap works where it is unpickled"


# -- the newest good one ------------------------------------------------------------


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    """Nothing to resume from is no error."""
    assert Store(tmp_path).newest_good() is None
    assert Store(tmp_path / "nowhere").newest_good() is None


def number_of(found: Any) -> float:
    """Which checkpoint was found."""
    return float(found[1]["state_dict"]["weight"][0])


def written(folder: Path, *numbers: int) -> Store:
    """A store with checkpoints, the last one written last."""
    store = Store(folder)
    for number in numbers:
        path = store.write(f"epoch_{number}.pth", checkpoint(number))
        os.utime(path, ns=(number * 10**9, number * 10**9))
    return store


def test_the_pointer_decides(tmp_path: Path) -> None:
    """Even if another file is younger."""
    store = written(tmp_path, 1, 2, 3)
    store.point_to("epoch_2.pth")
    found = store.newest_good()
    assert number_of(found) == 2
    assert found is not None
    assert found[2] == []


def test_without_a_pointer_the_youngest_file_is_it(tmp_path: Path) -> None:
    """By the time of writing, not by name: epoch_10 follows epoch_9."""
    assert number_of(written(tmp_path, 9, 10).newest_good()) == 10


@pytest.mark.parametrize("damage", ["empty", "truncated", "gone", "foreign"])
def test_a_damaged_newest_is_passed_over_and_reported(
    tmp_path: Path, damage: str
) -> None:
    """The one before it is taken, and a remark says what is wrong with the other."""
    store = written(tmp_path, 1, 2)
    store.point_to("epoch_2.pth")
    path = tmp_path / "epoch_2.pth"
    if damage == "gone":
        path.unlink()
    elif damage == "foreign":
        torch.save({"weight": torch.zeros(1)}, path)
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
    found = store.newest_good()
    assert number_of(found) == 1
    assert found is not None
    (remark,) = found[2]
    assert str(path) in remark


def test_no_good_one_is_an_error_that_names_all(tmp_path: Path) -> None:
    """Not a silent start from nothing."""
    written(tmp_path, 1, 2)
    for path in tmp_path.glob("*.pth"):
        path.write_bytes(b"")
    with pytest.raises(
        CheckpointDamagedError, match=r"none of its 2 .* is good"
    ) as info:
        Store(tmp_path).newest_good()
    assert "epoch_1.pth: the file is empty" in str(info.value)
    assert "epoch_2.pth: the file is empty" in str(info.value)
