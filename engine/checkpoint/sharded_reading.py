"""Reading the shards of a checkpoint: verified first, by as many ranks as there are."""

from __future__ import annotations

import io
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed._shard._utils import narrow_tensor_by_index
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from engine.checkpoint.hashing import digest_of
from engine.checkpoint.pieces import SHARDS, join, missing_pieces
from engine.checkpoint.shard_index import INDEX, read_index
from engine.errors import CheckpointDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner

    from engine.checkpoint.pieces import Layout
    from engine.checkpoint.storage import Storage

__all__ = ["complete", "verify_shards"]


class _Whole:
    """Tensors as in one process."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def empty(
        self,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        dims: Sequence[int | None],
    ) -> torch.Tensor:
        """The whole tensor."""
        del dims
        return torch.empty(shape, dtype=dtype, device=self._device)


def complete(
    storage: Storage,
    rest: Mapping[str, Any],
    where: str,
    *,
    layout: Layout | None = None,
    map_location: Any = "cpu",
) -> dict[str, Any]:
    """A checkpoint from what its file holds, and its folder of shards.

    Args:
        storage: The folder of the file.
        rest: What the file holds.
        where: The file, for messages.
        layout: How tensors lie on this run's ranks, each of which reads its own pieces;
            ``None``: each tensor whole.
        map_location: Where whole tensors are put.

    Raises:
        CheckpointDamagedError: A file that is needed is missing or not what was
            written.
    """
    shards = rest[SHARDS]
    files = _Files(storage, shards, where)
    with files.open(INDEX) as index_file:
        index = read_index(index_file.read_bytes(), f"{where}: {files.name_of(INDEX)}")
    room = layout or _Whole(_device(map_location))
    targets: dict[str, Any] = {}
    for name, told in missing_pieces(rest).items():
        known = index.state_dict_metadata.get(name)
        if not isinstance(known, TensorStorageMetadata):
            message = f"{where}: damaged: {files.name_of(INDEX)} lacks {name!r}"
            raise CheckpointDamagedError(message)
        targets[name] = room.empty(
            tuple(known.size), known.properties.dtype, told["dims"]
        )
    planner = DefaultLoadPlanner(
        flatten_state_dict=False, flatten_sharded_tensors=False
    )
    planner.set_up_planner(targets, index, is_coordinator=True)
    # Each rank plans for itself: what it reads concerns no other one.
    plan = planner.finish_plan(
        planner.create_global_plan([planner.create_local_plan()])[0]
    )
    _read(plan, planner, index.storage_data, files)
    found: dict[str, Any] = join(rest, targets)
    return found


def verify_shards(storage: Storage, shards: Mapping[str, Any], where: str) -> None:
    """Check each file of a folder of shards.

    Args:
        storage: The folder of the checkpoint's file.
        shards: What the file or its manifest says of them.
        where: The file, for messages.

    Raises:
        CheckpointDamagedError: A file is missing or not what was written.
    """
    files = _Files(storage, shards, where)
    for name in shards["files"]:
        with files.open(name):
            pass


class _Files:
    """The files of a folder of shards, each verified when it is opened."""

    def __init__(self, storage: Storage, shards: Mapping[str, Any], where: str) -> None:
        self._storage = storage
        self._folder = shards["folder"]
        self._files = shards["files"]
        self._where = where

    def name_of(self, file: str) -> str:
        """Its name in the folder of the checkpoint."""
        return f"{self._folder}/{file}"

    @contextmanager
    def open(self, file: str) -> Iterator[Path]:
        """The file on this machine's disk, while the body runs."""
        with self._storage.local_copy(self.name_of(file)) as path:
            self._check(file, path)
            assert path is not None  # just checked
            yield path

    def _check(self, file: str, path: Path | None) -> None:
        told = self._files.get(file)
        why = ""
        if told is None:
            why = "is not one of the files that were written"
        elif path is None:
            why = "is missing"
        elif path.stat().st_size != told["size_bytes"]:
            why = (
                f"has {path.stat().st_size} bytes, and {told['size_bytes']} were "
                "written"
            )
        else:
            with path.open("rb") as content:
                if digest_of(content)[1] != told["digest"]:
                    why = "holds other bytes than were written"
        if why:
            message = (
                f"{self._where}: truncated or damaged: its shard "
                f"{self.name_of(file)} {why}. Resume from an older one."
            )
            raise CheckpointDamagedError(message)


def _read(
    plan: LoadPlan, planner: LoadPlanner, places: Mapping[Any, Any], files: _Files
) -> None:
    wanted: defaultdict[str, list[Any]] = defaultdict(list)
    for item in plan.items:
        wanted[places[item.storage_index].relative_path].append(item)
    for name, items in wanted.items():
        with files.open(name) as path, path.open("rb") as file:
            for item in items:
                place = places[item.storage_index]
                file.seek(place.offset)
                chunk = torch.load(
                    io.BytesIO(file.read(place.length)),
                    map_location="cpu",
                    weights_only=True,
                )
                part = narrow_tensor_by_index(chunk, item.storage_offsets, item.lengths)
                target = planner.resolve_tensor(item).detach()
                target.copy_(part)
                planner.commit_tensor(item, target)


def _device(map_location: Any) -> Any:
    """The device that whole tensors go to."""
    if isinstance(map_location, str | torch.device):
        return map_location
    return "cpu"
