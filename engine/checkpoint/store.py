"""A folder of checkpoints: a file in it is whole, or it is not there.

Writing, on a disk::

    NAME.part            written, hashed meanwhile, flushed to the disk
    NAME                 renamed, the folder flushed
    NAME.json            its manifest, the same way
    last_checkpoint      the same way
    older ones           deleted

In an object store an object appears when it is committed; then comes the manifest.
``sharded.py`` says how ranks write one together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import torch
from attrs import define, field

from engine.checkpoint.folders import FOLDER_SUFFIX, left_over, owner_of
from engine.checkpoint.format import check, find_foreign
from engine.checkpoint.hashing import HashingFile
from engine.checkpoint.location import Location, join, name_of, parent_of, place
from engine.checkpoint.manifest import SUFFIX, Manifest, manifest_name
from engine.checkpoint.reading import find_manifest, read, shards_of
from engine.checkpoint.retention import Entry, newest_first
from engine.checkpoint.storage import Storage, open_storage
from engine.dist import gather_on_all, on_main
from engine.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointNotFoundError,
    EngineError,
)

if TYPE_CHECKING:
    import os

    from engine.checkpoint.pieces import Layout

__all__ = [
    "POINTER",
    "Store",
    "check_writable",
    "find_latest_checkpoint",
    "save_checkpoint",
]

POINTER = "last_checkpoint"
"""Text file that names the newest checkpoint of its folder."""


def find_latest_checkpoint(
    path: str | os.PathLike[str], backend_args: Mapping[str, Any] | None = None
) -> str | None:
    """The file that a folder's ``last_checkpoint`` names; ``None`` without one."""
    folder = place(path)
    text = open_storage(folder, backend_args).read_text(POINTER)
    if text is None or not text.strip():
        return None
    # Relative, so that the folder can be moved; an absolute one stays as it is.
    return str(join(folder, text.strip()))


def save_checkpoint(
    checkpoint: Mapping[str, Any],
    filename: str | os.PathLike[str],
    backend_args: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint; afterwards it is whole and durable, or an error says why.

    Args:
        checkpoint: Tensors and plain data.
        filename: A path, or a URL that fsspec knows.
        backend_args: For the file system of a URL.

    Raises:
        CheckpointError: It could not be written, or holds what could not be read back.
    """
    path = place(filename)
    Store(parent_of(path), backend_args).write(name_of(path), checkpoint)


@define
class Store:
    """A folder of checkpoints, on a disk or in an object store.

    Args:
        folder: A path, or a URL that fsspec knows; made at the first write.
        backend_args: For the file system of a URL, as fsspec takes them.
        elsewhere: For the file system of the URL that a local folder's
            ``last_checkpoint`` may name.

    Raises:
        ConfigError: The file system of the URL is not known or not installed.
    """

    folder: Location = field(converter=place)
    backend_args: Mapping[str, Any] | None = None
    elsewhere: Mapping[str, Any] | None = field(default=None, kw_only=True)
    _storage: Storage = field(init=False, repr=False, eq=False)
    _sequence: int | None = field(default=None, init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Open the folder's file system."""
        self._storage = open_storage(self.folder, self.backend_args)

    # -- writing ----------------------------------------------------------------

    def write(self, name: str, checkpoint: Any) -> Location:
        """Write a checkpoint: afterwards it is whole and durable, or an error says why.

        Args:
            name: File name in the folder.
            checkpoint: Tensors and plain data.

        Raises:
            CheckpointError: It could not be written, or holds what could not be read
                back; an older file of the same name is untouched.
        """
        path = join(self.folder, name)
        check_writable(checkpoint, str(path))
        older = self._shards(name)
        found: dict[str, Any] = {}

        def fill(file: IO[bytes]) -> None:
            with HashingFile(file, checkpoint) as hashing:
                try:
                    torch.save(checkpoint, cast("IO[bytes]", hashing))
                except RuntimeError as error:
                    raise (hashing.error or error) from error
            found.update(size_bytes=hashing.size, digest=hashing.digest)

        with self._explained(path):
            staged = self._storage.stage(name, fill)
            try:
                manifest = Manifest.describe(
                    checkpoint, sequence=self._next_sequence(), **found
                )
                # Another run in this folder must not come between file and manifest.
                with self._storage.committing():
                    self._storage.drop(manifest_name(name))  # the older file's
                    staged.commit()
                    self._put(manifest_name(name), manifest.to_text())
            except BaseException:
                staged.discard()
                raise
        if older not in (None, (manifest.shards or {}).get("folder")):
            with self._explained(join(self.folder, str(older)), "deleted"):
                self._storage.drop_folder(str(older))
        return path

    def prove(self) -> None:
        """Find out whether files can be written here; makes the folder.

        What writers that were killed left behind is deleted, folders of shards too.

        Raises:
            CheckpointError: They cannot.
        """
        try:
            self._storage.prove()
            self._sweep()
        except Exception as error:
            message = f"{self.folder}: checkpoints could not be written: {error}"
            raise CheckpointError(message) from error

    @property
    def storage(self) -> Storage:
        """What is done with its files."""
        return self._storage

    def _sweep(self) -> None:
        """Delete folders of shards that no checkpoint names and nobody writes."""
        folders = self._storage.folders(FOLDER_SUFFIX)
        files = {owner_of(one) for one in folders}
        named = {one: self._shards(one) for one in files if self._is_there(one)}
        for folder in left_over(folders, named):
            if not self._storage.is_held(folder):
                self._storage.drop_folder(folder)

    def _is_there(self, name: str) -> bool:
        with self._storage.local_copy(name) as file:
            return file is not None

    def _shards(self, name: str) -> str | None:
        """The folder of shards that a file names; ``None`` if it names none."""
        manifest = find_manifest(self._storage, name)
        shards: Any = None
        if manifest is not None:
            shards = manifest.shards
        else:  # its writer was killed before the manifest
            with self._storage.local_copy(name) as file:
                shards = None if file is None else shards_of(file)
        return None if shards is None else str(shards["folder"])

    def free_bytes(self) -> int | None:
        """Free space of the folder's disk; ``None`` where nobody knows."""
        return self._storage.free_bytes()

    def point_to(self, name: str) -> None:
        """Let ``last_checkpoint`` name this file.

        Args:
            name: A file of the folder, or an absolute path or a URL elsewhere.

        Raises:
            CheckpointError: The pointer could not be written.
        """
        with self._explained(join(self.folder, POINTER)):
            self._put(POINTER, name)

    def owner(self, name: str) -> str:
        """The ``run_id`` of the run that wrote a file; ``""`` if that is not known."""
        manifest = find_manifest(self._storage, name)
        return "" if manifest is None else manifest.run_id

    def has(self, name: str) -> bool:
        """Whether a file of that name was written whole."""
        return find_manifest(self._storage, name) is not None

    def drop(self, name: str, *, run_id: str | None = None) -> bool:
        """Delete a file, its manifest and its shards; what is gone already is fine.

        Args:
            name: A file of the folder.
            run_id: Only if this run wrote it; ``None``: whoever did.

        Returns:
            Whether it is gone.

        Raises:
            CheckpointError: It could not be deleted.
        """
        path = join(self.folder, name)
        with self._explained(path, "deleted"), self._storage.committing():
            if run_id is not None and self.owner(name) != run_id:
                return False
            shards = self._shards(name)
            self._storage.drop(name)
            self._storage.drop(manifest_name(name))
            if shards is not None:
                self._storage.drop_folder(shards)
        return True

    def _put(self, name: str, text: str) -> None:
        def fill(file: IO[bytes]) -> None:
            file.write(text.encode())

        self._storage.stage(name, fill).commit()

    def _next_sequence(self) -> int:
        if self._sequence is None:
            self._sequence = max((one.sequence for one in self._manifests()), default=0)
        self._sequence += 1
        return self._sequence

    def _manifests(self) -> list[Manifest]:
        names = (one.name.removesuffix(SUFFIX) for one in self._storage.files(SUFFIX))
        found = (find_manifest(self._storage, name) for name in names)
        return [one for one in found if one is not None]

    @contextlib.contextmanager
    def _explained(self, path: Location, verb: str = "written") -> Iterator[None]:
        """Say of an error in the body which file it was about.

        A file system of a URL raises what it likes, torch's writer a RuntimeError.
        """
        try:
            yield
        except EngineError:
            raise
        except Exception as error:
            free = self.free_bytes() if verb == "written" else None
            space = "" if free is None else f" ({free / 2**20:.0f} MiB are free there)"
            message = f"{path}: could not be {verb}: {error}{space}"
            raise CheckpointError(message) from error

    # -- reading ----------------------------------------------------------------

    def newest_good(
        self,
        *,
        map_location: Any = "cpu",
        among: Sequence[Location] | None = None,
        layout: Layout | None = None,
    ) -> tuple[Location, dict[str, Any], list[str]] | None:
        """The newest checkpoint that can be resumed from.

        All ranks of a run ask together: each reads the one that rank 0 finds.

        Args:
            map_location: Where tensors are put while reading.
            among: Files to choose from, newest first; ``None``: the one that
                ``last_checkpoint`` names, then the others.
            layout: How tensors that were saved in pieces lie on this run's ranks;
                ``None``: whole.

        Returns:
            Path, contents, and a remark for each file that was passed over; ``None``
            where there is no file.

        Raises:
            CheckpointDamagedError: There are checkpoints, and none of them is good.
            CheckpointError: They cannot be listed: a server does not answer or refuses.
        """
        if layout is not None:
            return self._newest_together(map_location, among, layout)
        found = None

        def look() -> tuple[Location, list[str]] | None:
            nonlocal found
            candidates = self.candidates() if among is None else among
            found = self._newest_of(candidates, map_location)
            return None if found is None else (found[0], found[2])

        told = on_main(look)
        if told is None or found is not None:
            return found
        path, remarks = told
        found = self._newest_of([path], map_location)
        return None if found is None else (path, found[1], remarks)

    def _newest_together(
        self, map_location: Any, among: Sequence[Location] | None, layout: Layout
    ) -> tuple[Location, dict[str, Any], list[str]] | None:
        """The newest one of which each rank can read its own pieces."""
        remarks: list[str] = []
        candidates = on_main(lambda: self.candidates() if among is None else among)
        for path in candidates:
            content, bad = None, ""
            try:
                content = check(self._read(path, map_location, layout), str(path))
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                bad = str(error)
            told = list(dict.fromkeys(one for one in gather_on_all(bad) if one))
            if content is not None and not told:
                return path, content, remarks
            remarks += told
        self._check_none_bad(candidates, remarks)
        return None

    def _newest_of(
        self, candidates: Sequence[Location], map_location: Any
    ) -> tuple[Location, dict[str, Any], list[str]] | None:
        remarks: list[str] = []
        for path in candidates:
            try:
                checkpoint = check(self._read(path, map_location), str(path))
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                remarks.append(str(error))
            else:
                return path, checkpoint, remarks
        self._check_none_bad(candidates, remarks)
        return None

    def _check_none_bad(
        self, candidates: Sequence[Location], remarks: Sequence[str]
    ) -> None:
        if remarks:
            message = (
                f"{self.folder}: none of its {len(candidates)} checkpoints is good:\n"
                + "\n".join(remarks)
            )
            raise CheckpointDamagedError(message)

    def _read(
        self, path: Location, map_location: Any, layout: Layout | None = None
    ) -> Any:
        arguments = self._arguments_for(path)
        return read(
            path, map_location=map_location, backend_args=arguments, layout=layout
        )

    def candidates(self) -> list[Location]:
        """All checkpoints: the one that is pointed to, its neighbours, then ours.

        Raises:
            CheckpointError: A folder cannot be listed: nobody knows what is there.
        """
        named = find_latest_checkpoint(self.folder, self.backend_args)
        found: list[Location] = []
        if named is not None:
            found.append(place(named))
            folder = parent_of(found[0])
            if folder != self.folder:
                found += Store(folder, self._arguments_for(folder)).ordered()
        return list(dict.fromkeys(found + self.ordered()))

    def of_run(self, run_id: str, *, up_to: int) -> list[Location]:
        """The folder's checkpoints of a run, newest first.

        Args:
            run_id: The run's.
            up_to: Only those of at most so many iterations.
        """
        found = []
        for path in self.ordered():
            manifest = find_manifest(self._storage, name_of(path))
            if manifest is not None and manifest.run_id == run_id:
                found += [path] * (manifest.iteration <= up_to)
        return found

    def ordered(self) -> list[Location]:
        """The folder's own checkpoints, newest first.

        Raises:
            CheckpointError: The folder cannot be listed.
        """
        entries = []
        with self._explained(self.folder, "listed"):
            for one in self._storage.files(".pth"):
                manifest = find_manifest(self._storage, one.name)
                if manifest is not None and not manifest.format:
                    continue  # published: weights and no run
                sequence = None if manifest is None else manifest.sequence
                entries.append(Entry(one.name, one.modified, sequence))
        return [join(self.folder, name) for name in newest_first(entries)]

    def _arguments_for(self, path: Location) -> Mapping[str, Any] | None:
        """Our file system's arguments, for what lies in the same one."""
        same = isinstance(path, Path) == isinstance(self.folder, Path)
        return self.backend_args if same else self.elsewhere


def check_writable(checkpoint: Any, where: str) -> None:
    """Check that a checkpoint can be read back once it is written.

    Raises:
        CheckpointError: It holds what would have to be unpickled.
    """
    foreign = find_foreign(checkpoint)
    if foreign is not None:
        message = (
            f"{where}: not written: {foreign}. A checkpoint holds "
            "tensors, numbers, text, None, and lists, tuples and dicts of them: "
            "what lies deeper would have to be unpickled. Let state_dict() of that "
            "part give those."
        )
        raise CheckpointError(message)
