"""Checkpoints that ranks write in pieces: whole or absent, read safely, by anyone."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
import torch
from torch import distributed
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from engine.checkpoint import (
    Divided,
    HostCopy,
    Manifest,
    MeshLayout,
    Store,
    divide,
    find_differences,
    read,
    save_checkpoint,
    verify,
)
from engine.checkpoint.format import FORMAT, NEEDED
from engine.checkpoint.reading import shards_of
from engine.checkpoint.shard_index import read_index
from engine.checkpoint.sharded import write_sharded
from engine.cli.ckpt import export, export_whole
from engine.cli.ckpt import verify as verify_command
from engine.errors import CheckpointDamagedError, CheckpointError
from tests import forked
from tests.ranks import run_commands, run_ranks

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.distributed

SHAPES = [(7, 3), (2, 5), (6,), (1, 4, 2), (3, 0), (8, 8)]


def tree(step: int) -> dict[str, Any]:
    """A checkpoint of this step, each tensor whole."""
    generator = torch.Generator().manual_seed(step)
    tensors = {
        f"p{index}": torch.randn(shape, generator=generator)
        for index, shape in enumerate(SHAPES)
    }
    state = {0: {"step": torch.tensor(1.0), "p0": tensors["p0"] * 2}}
    return {
        "meta": {"epoch": 0, "iter": step, "run_id": "a run"},
        "state_dict": {**tensors, "buffer": torch.arange(step)},
        "optimizer": {"state": state, "param_groups": [{"params": [0]}]},
        "message_hub": {},
        "engine": {
            **dict.fromkeys(NEEDED),
            "format": FORMAT,
            "gradients": [None, tensors["p1"].to(torch.bfloat16)],
        },
    }


def changed(step: int, found: dict[str, Any]) -> list[Any]:
    """What came back otherwise than it was; no rank had anything for itself."""
    patches = found["engine"].pop("ranks")["patches"]
    assert len(patches) > 1
    assert patches == [{"set": [], "drop": []}] * len(patches)
    return list(find_differences(tree(step), found))


def cut(step: int) -> Divided:
    """The same, cut over the ranks there are and taken apart."""
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))

    def over_ranks(value: torch.Tensor, dim: int | None = 0) -> Any:
        placement = Replicate() if dim is None else Shard(dim)
        return distribute_tensor(value, mesh, [placement], src_data_rank=None)

    whole = tree(step)
    weights = whole["state_dict"]
    for name, value in list(weights.items()):
        if name != "buffer":
            weights[name] = over_ranks(value, {"p3": 1, "p5": None}.get(name, 0))
    state = whole["optimizer"]["state"][0]
    state["p0"] = over_ranks(state["p0"])
    gradients = whole["engine"]["gradients"]
    gradients[1] = over_ranks(gradients[1])
    return divide(whole)


def written(folder: str, step: int, name: str = "a.pth") -> list[str]:
    """Write one, and tell which files are there then."""
    write_sharded(Store(folder), name, cut(step).copied_into(HostCopy()))
    return sorted(
        str(one.relative_to(folder)) for one in Path(folder).rglob("*") if one.is_file()
    )


def written_to(url: str, step: int) -> None:
    """Write one there."""
    write_sharded(Store(url), "a.pth", cut(step))


def _own_pieces(folder: str) -> list[str]:
    """Read what others wrote, each its own pieces; where that is not the whole."""
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    found = read(f"{folder}/a.pth", layout=MeshLayout(mesh))
    mine = divide(found)
    assert {"state_dict.p0", "engine.gradients.1"} < set(mine.pieces)
    expected = cut(3)
    pairs = {
        name: (piece.local, expected.pieces[name].local)
        for name, piece in mine.pieces.items()
    }
    same = {name: torch.equal(one, other) for name, (one, other) in pairs.items()}
    return [name for name, equal in same.items() if not equal]


def test_what_some_ranks_wrote_others_read(tmp_path: Path) -> None:
    """Whole in one process, and in pieces on more or fewer ranks."""
    files = run_ranks(written, 3, str(tmp_path), 3)[0]
    folder = next(iter(files[1].split("/")[:1]))
    assert files == [
        "a.pth",
        f"{folder}/.metadata",
        *(f"{folder}/__{rank}_0.distcp" for rank in range(3)),
        "a.pth.json",
    ]
    whole = read(tmp_path / "a.pth")
    assert changed(3, whole) == []
    for world in (2, 4):
        assert run_ranks(_own_pieces, world, str(tmp_path)) == [[]] * world


def test_torchs_own_reader_reads_the_pieces(tmp_path: Path) -> None:
    """What lies in the folder is torch's format."""
    run_ranks(written, 2, str(tmp_path), 1)
    (folder,) = tmp_path.glob("*.dcp")
    found = {"state_dict.p0": torch.zeros(7, 3)}
    with pytest.warns(UserWarning, match="assuming the intent is to load in a single"):
        load(found, storage_reader=FileSystemReader(folder))
    assert torch.equal(found["state_dict.p0"], tree(1)["state_dict"]["p0"])


def test_a_newer_one_takes_an_older_ones_place(tmp_path: Path) -> None:
    """Its folder too; and what is dropped leaves nothing."""
    run_ranks(written, 2, str(tmp_path), 1)
    (first,) = tmp_path.glob("*.dcp")
    run_ranks(written, 2, str(tmp_path), 2)
    (second,) = tmp_path.glob("*.dcp")
    assert first != second
    assert changed(2, read(tmp_path / "a.pth")) == []
    save_checkpoint(tree(3), tmp_path / "a.pth")
    assert not second.exists()
    run_ranks(written, 2, str(tmp_path), 4)
    assert Store(tmp_path).drop("a.pth", run_id="a run")
    assert list(tmp_path.iterdir()) == []


def test_pieces_lie_in_any_file_system_of_fsspecs(tmp_path: Path) -> None:
    """With transactions in the place of renames, and nothing to lock."""
    for step in (1, 2):
        run_ranks(written_to, 2, f"local://{tmp_path}/run", step)
    found = read(f"local://{tmp_path}/run/a.pth")
    assert changed(2, found) == []
    verify(f"local://{tmp_path}/run/a.pth")
    (folder,) = (tmp_path / "run").glob("*.dcp")
    store = Store(f"local://{tmp_path}/run")
    store.prove()
    assert folder.exists()
    store.drop("a.pth")
    assert list((tmp_path / "run").iterdir()) == []


# -- damage ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint that two ranks wrote."""
    folder = tmp_path_factory.mktemp("good")
    run_ranks(written, 2, str(folder), 3)
    return folder


def _copy(good: Path, target: Path) -> tuple[Path, Path]:
    shutil.copytree(good, target, dirs_exist_ok=True)
    return target / "a.pth", next(target.glob("*.dcp"))


def _cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut_off, _flip, Path.unlink])
@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp", "__1_0.distcp"])
@pytest.mark.parametrize("manifest", [True, False])
def test_each_file_is_verified(
    good: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    name: str,
    manifest: bool,  # pytest's way
) -> None:
    """By who reads it and by who only looks, and told by its name."""
    path, folder = _copy(good, tmp_path)
    if not manifest:
        (tmp_path / "a.pth.json").unlink()
    verify(path)
    damage(folder / name)
    for look in (read, verify):
        with pytest.raises(CheckpointDamagedError, match=f"its shard .*{name} "):
            look(path)


def test_the_commands_know_the_folder(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show, verify, export of weights and of all."""
    path, folder = _copy(good, tmp_path)
    shown = forked.run("-m", "engine", "ckpt", "show", path, cwd=tmp_path).stdout
    assert f"in 3 files of {folder.name}" in shown
    assert "7 tensors by 2 ranks" in shown
    export(path, tmp_path / "weights.pth", average=False)
    export_whole(path, tmp_path / "whole.pth")
    assert changed(3, read(tmp_path / "whole.pth")) == []
    weights = torch.load(tmp_path / "weights.pth", weights_only=True)
    assert list(find_differences(tree(3)["state_dict"], weights)) == []
    manifest = Manifest.from_text((tmp_path / "a.pth.json").read_text(), "it")
    assert manifest.total_bytes > manifest.size_bytes
    _flip(folder / "__0_0.distcp")
    capsys.readouterr()
    assert not verify_command([path])
    assert "BAD: truncated or damaged: its shard" in capsys.readouterr().out


class Evil:
    """Does something when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("evil",)


def test_nothing_that_is_pickled_in_an_index_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not on the list is refused."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointDamagedError, match=r"posix\.mkdir is nothing that"):
        read_index(pickle.dumps(Evil()), "it")
    with pytest.raises(CheckpointDamagedError, match="is no index"):
        read_index(pickle.dumps(torch.Size([1])), "it")
    assert list(tmp_path.iterdir()) == []


# -- writers that fail -------------------------------------------------------------


class Full:
    """A storage whose disk is full on one rank, for one file's suffix."""

    def __init__(self, inner: Any, rank: int, suffix: str) -> None:
        self._inner = inner
        self._broken = suffix if distributed.get_rank() == rank else "no such"

    def stage(self, name: str, fill: Callable[[IO[bytes]], None]) -> Any:
        """Fail for what ends so."""
        if name.endswith(self._broken):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._inner.stage(name, fill)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _fails(folder: str) -> list[str]:
    told = []
    written(folder, 1)
    for rank, suffix in ((1, ".distcp"), (0, ".metadata"), (0, ".pth")):
        store = Store(folder)
        store._storage = Full(store.storage, rank, suffix)
        try:
            write_sharded(store, "a.pth", cut(2))
        except CheckpointError as error:
            told.append(str(error))
    mine = cut(3)
    mine.rest["meta"]["odd"] = object()
    try:
        write_sharded(Store(folder), "a.pth", mine)
    except CheckpointError as error:
        told.append(str(error))
    return told


def test_a_rank_that_cannot_write_is_told_to_all(tmp_path: Path) -> None:
    """The older checkpoint stands, and nothing of the newer one is left."""
    each = run_ranks(_fails, 2, str(tmp_path))
    assert each[0] == each[1]
    shard, index, rest, foreign = each[0]
    assert "could not be written: rank 1: [Errno 28] No space" in shard
    assert "rank 0: [Errno 28]" in index
    assert "rank 0: could not be written: [Errno 28]" in rest
    assert "checkpoint['meta']['odd'] is a builtins.object" in foreign
    assert changed(1, read(tmp_path / "a.pth")) == []
    assert len(list(tmp_path.glob("*.dcp"))) == 1


DYING = """
import os, sys
from torch import distributed
from tests.distributed.test_sharded import written
from engine.checkpoint import local_storage

folder, dies, step = sys.argv[1], sys.argv[2] == os.environ["RANK"], int(sys.argv[3])
distributed.init_process_group("gloo")
written(folder, 1)
done = 0

def dying(function):
    def wrapper(*args, **kwargs):
        global done
        done += 1
        if dies and done == step:
            os._exit(9)
        result = function(*args, **kwargs)
        if dies and done == -step:
            os._exit(9)
        return result
    return wrapper

local_storage.os.fsync = dying(local_storage.os.fsync)
written(folder, 2)
print("steps", done)
"""


def test_a_writer_killed_at_any_step_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """The older or the newer one; what else is there the next run sweeps away."""
    script = tmp_path / "dying.py"
    script.write_text(DYING, encoding="utf-8")
    seen = set()
    for rank, steps in (("0", range(1, 11, 2)), ("1", [1])):
        for step in steps:
            folder = tmp_path / f"{rank}_{step}"
            run_commands(2, script, folder, rank, str(step), cwd=forked.ROOT)
            _, content, remarks = Store(folder).newest_good() or ("", {}, [])
            assert remarks == []
            found = content["meta"]["iter"]
            assert changed(found, content) == []
            seen.add(found)
            Store(folder).prove()
            named = shards_of(folder / "a.pth")
            assert named is not None
            assert [one.name for one in folder.glob("*.dcp")] == [named["folder"]]
            assert not list(folder.rglob("*.part"))
    assert seen == {1, 2}


class Crowded:
    """A storage whose folder another run begins in, before the index is written."""

    def __init__(self, inner: Any, folder: str) -> None:
        self._inner = inner
        self._folder = folder

    def stage(self, name: str, fill: Callable[[IO[bytes]], None]) -> Any:
        """Let the other run clear up first."""
        if name.endswith(".metadata"):
            Store(self._folder).prove()
        return self._inner.stage(name, fill)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _beside_another(folder: str) -> None:
    store = Store(folder)
    store._storage = Crowded(store.storage, folder)
    write_sharded(store, "a.pth", cut(1))


def test_a_run_that_begins_meanwhile_sweeps_nothing_away(tmp_path: Path) -> None:
    """What is being written is seen to be in use."""
    run_ranks(_beside_another, 2, str(tmp_path))
    assert changed(1, read(tmp_path / "a.pth")) == []


def test_a_folder_that_is_being_written_is_not_swept_away(tmp_path: Path) -> None:
    """Nor one whose checkpoint has lost its manifest."""
    run_ranks(written, 2, str(tmp_path), 1)
    (tmp_path / "a.pth.json").unlink()
    store = Store(tmp_path)
    (tmp_path / "b.pth.123.dcp").mkdir()
    with store.storage.holding("c.pth.456.dcp"):
        store.prove()
        left = {one.name.rpartition(".")[2] for one in tmp_path.glob("[bc]*")}
        assert left == {"dcp"}
        assert not (tmp_path / "b.pth.123.dcp").exists()
    assert changed(1, read(tmp_path / "a.pth")) == []
