"""Writing a checkpoint whose tensors lie over ranks.

::

    NAME.TOKEN.dcp/__RANK_0.distcp   each rank its own pieces
    NAME.TOKEN.dcp/.metadata         the index of torch.distributed.checkpoint
    NAME                             the rest, an ordinary checkpoint file: the commit
    NAME.json                        its manifest

The folder's name is new in each write, so an older checkpoint of that name is whole
until ``NAME`` is replaced, and its folder goes after that. A folder that no file names
was left by a writer that was killed: the next run in the folder sweeps it away.

``torch.distributed.checkpoint`` plans who writes what and gathers the index, over a
group of its own, so that a thread can do it while the ranks train; what it reads and
writes passes through the folder's storage. Its own tools read the folder of shards.
"""

from __future__ import annotations

import pickle
import uuid
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Any, cast

import torch
from attrs import frozen
from torch import distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import CURRENT_DCP_VERSION, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
)
from torch.distributed.checkpoint.planner import (
    SavePlan,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from engine.checkpoint.folders import FOLDER_SUFFIX, folder_name, owner_of
from engine.checkpoint.hashing import HashingFile
from engine.checkpoint.location import join as joined
from engine.checkpoint.pieces import SHARDS, Divided, Piece
from engine.checkpoint.ranks import gather_ranks
from engine.checkpoint.shard_index import INDEX
from engine.checkpoint.store import Store, check_writable
from engine.errors import CheckpointError

if TYPE_CHECKING:
    import io
    import os

    from torch.distributed.checkpoint.metadata import Metadata
    from torch.distributed.checkpoint.planner import SavePlanner

    from engine.checkpoint.location import Location

__all__ = ["FORMAT", "write_sharded"]

FORMAT = 1
"""Version of what a rest says of its shards."""


def write_sharded(
    store: Store, name: str, checkpoint: Divided, *, group: Any = None
) -> Location:
    """Write a checkpoint from all ranks: afterwards it is whole, or an error says why.

    Every rank of the group calls it. It may run in a thread, if the group is no other
    thread's and nothing else changes the tensors meanwhile.

    Args:
        store: The folder, which all ranks reach.
        name: File name in it.
        checkpoint: This rank's pieces, and the rest, of which rank 0's is written,
            with what those of the others hold otherwise. Rank 0's is completed by that.
        group: Process group with a CPU backend; ``None``: all ranks.

    Raises:
        CheckpointError: A rank could not write, or there is something in the rest that
            could not be read back; an older checkpoint of that name is untouched. All
            ranks raise.
    """
    path = joined(store.folder, name)
    gather_ranks(checkpoint.rest, group=group)
    is_first = distributed.get_rank(group) == 0
    folder = _agreed(folder_name(name, uuid.uuid4().hex[:8]), group)
    # Held, so that another run does not take it for one that was left behind.
    with store.storage.holding(folder) if is_first else nullcontext():
        try:
            save(
                {},
                storage_writer=_Writer(store, name, folder, checkpoint),
                planner=_Planner(checkpoint.pieces),
                process_group=group,
            )
        except CheckpointException as error:  # no Exception, and tells all ranks
            if is_first:
                store.storage.drop_folder(folder)
            raise _explained(path, error) from error
        if is_first:
            for other in store.storage.folders(FOLDER_SUFFIX):
                if owner_of(other) == name and other != folder:
                    store.storage.drop_folder(other)  # no file names it any more
    return path


def _agreed(name: str, group: Any) -> str:
    names = [name]
    distributed.broadcast_object_list(names, group=group, group_src=0)
    return names[0]


def _explained(path: Location, error: CheckpointException) -> CheckpointError:
    reasons = [
        f"rank {rank}: {str(cause[0]).removeprefix(f'{path}: ')}"
        for rank, cause in sorted(error.failures.items())
    ]
    message = f"{path}: could not be written: {'; '.join(reasons)}"
    return CheckpointError(message)


@frozen
class _Written:
    """Where a chunk lies, and the whole file's record.

    Args:
        info: As torch's readers want it.
        size_bytes: Of the file.
        digest: Of the file.
    """

    info: _StorageInfo
    size_bytes: int
    digest: str


class _Planner(DefaultSavePlanner):
    """Plans the writing of pieces; who writes what several have is torch's to say."""

    def __init__(self, pieces: dict[str, Piece]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._pieces = pieces

    def set_up_planner(
        self,
        state_dict: dict[str, Any],
        storage_meta: Any = None,
        is_coordinator: bool = False,
    ) -> None:
        """Take note of the role; the pieces are known."""
        super().set_up_planner(state_dict, storage_meta, is_coordinator)

    def create_local_plan(self) -> SavePlan:
        """What this rank has."""
        self.plan = SavePlan(
            [
                _item(name, piece)
                for name, piece in self._pieces.items()
                if piece.local.numel()
            ]
        )
        return self.plan

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor | io.BytesIO:
        """The tensor to write, with no more memory behind it than it shows."""
        local = self._pieces[write_item.index.fqn].local.cpu()
        behind = local.untyped_storage().nbytes()
        return local if behind == local.nbytes else local.clone()


def _item(name: str, piece: Piece) -> WriteItem:
    offsets = torch.Size(piece.offsets)
    return WriteItem(
        index=MetadataIndex(name, offsets),
        type=WriteItemType.SHARD,
        tensor_data=TensorWriteData(
            chunk=ChunkStorageMetadata(offsets=offsets, sizes=piece.local.size()),
            properties=TensorProperties(dtype=piece.local.dtype),
            size=torch.Size(piece.shape),
        ),
    )


class _Writer(StorageWriter):
    """Writes the planned chunks of a rank into one file, and commits on rank 0."""

    def __init__(
        self, store: Store, name: str, folder: str, checkpoint: Divided
    ) -> None:
        super().__init__()
        self._store = store
        self._name = name
        self._folder = folder
        self._checkpoint = checkpoint

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Nothing: one writer writes once."""

    def set_up_storage_writer(
        self, is_coordinator: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Refuse, before anything is written, what could not be read back."""
        del args, kwargs
        if is_coordinator:
            check_writable(self._checkpoint.rest, self._name)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """The plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Name each rank's file, as torch's own writer does."""
        return [
            SavePlan(plan.items, f"__{rank}_0.distcp", plan.planner_data, plan.usable)
            for rank, plan in enumerate(plans)
        ]

    def write_data(
        self, plan: SavePlan, planner: SavePlanner
    ) -> Future[list[WriteResult]]:
        """Write this rank's file: whole and durable when this returns."""
        done: Future[list[WriteResult]] = Future()
        done.set_result(self._write(plan, planner) if plan.items else [])
        return done

    def _write(self, plan: SavePlan, planner: SavePlanner) -> list[WriteResult]:
        places: list[tuple[MetadataIndex, int, int]] = []
        tensors = {item.index: planner.resolve_data(item) for item in plan.items}
        found: dict[str, Any] = {}

        def fill(file: IO[bytes]) -> None:
            with HashingFile(file, tensors) as hashing:
                for index, tensor in tensors.items():
                    begin = hashing.size
                    try:
                        torch.save(tensor, cast("IO[bytes]", hashing))
                    except RuntimeError as error:
                        raise (hashing.error or error) from error
                    places.append((index, begin, hashing.size - begin))
            found.update(size_bytes=hashing.size, digest=hashing.digest)

        self._stage(plan.storage_data, fill)
        return [
            WriteResult(
                index,
                length,
                _Written(_StorageInfo(plan.storage_data, begin, length), **found),
            )
            for index, begin, length in places
        ]

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """On rank 0, when all have written: the index, then the rest as the commit."""
        written = [one for some in results for one in some]
        files = {
            one.storage_data.info.relative_path: {
                "size_bytes": one.storage_data.size_bytes,
                "digest": one.storage_data.digest,
            }
            for one in written
        }
        metadata.version = CURRENT_DCP_VERSION
        metadata.storage_data = {one.index: one.storage_data.info for one in written}
        files[INDEX] = self._write_index(metadata)
        self._store.write(
            self._name,
            {
                **self._checkpoint.rest,
                SHARDS: {
                    "format": FORMAT,
                    "folder": self._folder,
                    "world_size": len(results),
                    "files": files,
                    "tensors": {
                        name: {"path": list(piece.path), "dims": list(piece.dims)}
                        for name, piece in self._checkpoint.pieces.items()
                    },
                },
            },
        )

    def _write_index(self, metadata: Metadata) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def fill(file: IO[bytes]) -> None:
            with HashingFile(file) as hashing:
                hashing.write(pickle.dumps(metadata))
            found.update(size_bytes=hashing.size, digest=hashing.digest)

        self._stage(INDEX, fill)
        return found

    def _stage(self, file: str, fill: Any) -> None:
        self._store.storage.stage(f"{self._folder}/{file}", fill).commit()

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Not asked: a writer is made for its place."""
        del checkpoint_id
        return True
