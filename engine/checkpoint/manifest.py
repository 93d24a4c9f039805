"""What lies beside a checkpoint: its size, its digest, and where in the run it is from.

``epoch_3.pth`` has ``epoch_3.pth.json``. A file without one (MMEngine's, a published
one that was moved, one whose writer was killed before the manifest) is still read, and
checked by the checksums inside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, fields, frozen
from attrs.validators import ge, instance_of, optional

from engine.checkpoint.pieces import SHARDS
from engine.errors import SerializationError

__all__ = ["SUFFIX", "Manifest", "manifest_name"]

SUFFIX = ".json"


def manifest_name(name: str) -> str:
    """The manifest's name.

    >>> manifest_name("epoch_3.pth")
    'epoch_3.pth.json'
    """
    return f"{name}{SUFFIX}"


@frozen(kw_only=True)
class Manifest:
    """A checkpoint's record.

    Args:
        size_bytes: Of the file.
        digest: SHA-256 of the file, hexadecimal digits.
        sequence: Grows with each checkpoint of a folder, whatever the clock says.
        epoch: Epochs finished when it was saved.
        iteration: Iterations finished.
        run_id: The run that owns the file and may delete it.
        time: When it was saved, for people.
        format: Of the checkpoint (``checkpoint/format.py``); 0: none of ours.
        shards: ``folder``, and ``files`` in it with ``size_bytes`` and ``digest`` of
            each; ``None`` where the file is all there is.
    """

    size_bytes: int = field(validator=[instance_of(int), ge(0)])
    digest: str = field(validator=instance_of(str))
    sequence: int = field(default=0, validator=[instance_of(int), ge(0)])
    epoch: int = field(default=0, validator=[instance_of(int), ge(0)])
    iteration: int = field(default=0, validator=[instance_of(int), ge(0)])
    run_id: str = field(default="", validator=instance_of(str))
    time: str = field(default="", validator=instance_of(str))
    format: int = field(default=0, validator=instance_of(int))
    shards: dict[str, Any] | None = field(
        default=None, validator=optional(instance_of(dict))
    )

    @classmethod
    def describe(
        cls, checkpoint: Any, *, size_bytes: int, digest: str, sequence: int
    ) -> Manifest:
        """The record of a checkpoint that was just written."""
        meta: Any = checkpoint.get("meta") if isinstance(checkpoint, Mapping) else None
        ours: Any = (
            checkpoint.get("engine") if isinstance(checkpoint, Mapping) else None
        )
        shards: Any = (
            checkpoint.get(SHARDS) if isinstance(checkpoint, Mapping) else None
        )
        meta = meta if isinstance(meta, Mapping) else {}
        ours = ours if isinstance(ours, Mapping) else {}
        return cls(
            size_bytes=size_bytes,
            digest=digest,
            sequence=sequence,
            epoch=_count(meta.get("epoch")),
            iteration=_count(meta.get("iter")),
            run_id=str(meta.get("run_id", "")),
            time=str(meta.get("time", "")),
            format=_count(ours.get("format")),
            shards={key: shards[key] for key in ("folder", "files")}
            if isinstance(shards, Mapping)
            else None,
        )

    @property
    def total_bytes(self) -> int:
        """Of the file and its shards."""
        files = {} if self.shards is None else self.shards["files"]
        shards: int = sum(one["size_bytes"] for one in files.values())
        return self.size_bytes + shards

    def to_text(self) -> str:
        """JSON, with a checksum of its own, so that damage to it is not the file's."""
        plain = {"version": 1, **asdict(self)}
        if self.shards is None:  # the same as before there were any
            del plain["shards"]
        return json.dumps({**plain, "check": _check(plain)}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, where: str) -> Manifest:
        """Read what :meth:`to_text` wrote.

        Raises:
            SerializationError: It is damaged, or of a newer version.
        """
        try:
            plain = json.loads(text)
            check = plain.pop("check")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            message = f"{where}: the manifest is damaged: {error}"
            raise SerializationError(message) from error
        names = {one.name for one in fields(cls)}
        if check != _check(plain) or {*plain, "shards"} != {"version", *names}:
            message = f"{where}: the manifest is damaged, or of a newer version"
            raise SerializationError(message)
        del plain["version"]
        return cls(**plain)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _check(plain: dict[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
