"""What lies in a checkpoint file, told without torch and without reading a tensor.

A file that ``torch.save`` wrote is a zip: ``data.pkl`` is a pickle of everything but
the tensors' numbers, which lie in members of their own. Only that pickle is read here,
by an unpickler that finds no class but stand-ins: what is pickled in a file cannot run.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from engine.errors import CheckpointDamagedError, CheckpointNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CheckpointIndex", "TensorStub", "read_index", "tensors"]

# By torch's name of a storage: the dtype's name, and bytes of an element.
_STORAGES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "ComplexDoubleStorage": ("complex128", 16),
    "ComplexFloatStorage": ("complex64", 8),
    "UntypedStorage": ("uint8", 1),
}


@frozen
class TensorStub:
    """A tensor in a file, but for its numbers.

    Args:
        shape: Its shape.
        dtype: Its dtype's name.
        storage: Name of the storage; tensors that share one have the same.
        size_bytes: Of its own elements.
    """

    shape: tuple[int, ...]
    dtype: str
    storage: str
    size_bytes: int

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


@frozen
class CheckpointIndex:
    """What a file holds.

    Args:
        tree: Its contents with a :class:`TensorStub` for each tensor.
        size_bytes: Of the file.
        foreign: Dotted names of the classes of objects in it that no reader of ours
            would unpickle, sorted.
    """

    tree: Any
    size_bytes: int
    foreign: list[str] = field(factory=list)


def read_index(path: Path) -> CheckpointIndex:
    """Read what a checkpoint file holds.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointDamagedError: It is no file that torch wrote since version 1.6, or its
            pickle is damaged.
    """
    if not path.is_file():
        message = f"{path}: there is no such file"
        raise CheckpointNotFoundError(message)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            member = next((one for one in names if one.endswith("/data.pkl")), None)
            if member is None:
                message = f"it is a zip without data.pkl; it holds {names[:5]}"
                raise zipfile.BadZipFile(message)
            data = archive.read(member)
        unpickler = _Unpickler(data)
        tree = unpickler.load()
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        message = (
            f"{path}: cannot be read ({path.stat().st_size} bytes): it is truncated, "
            f"damaged, or no checkpoint. {type(error).__name__}: {error}"
        )
        raise CheckpointDamagedError(message) from error
    foreign = sorted(unpickler.foreign)
    return CheckpointIndex(tree, path.stat().st_size, foreign)


def tensors(tree: Any, key: str = "") -> Iterator[tuple[str, TensorStub]]:
    """Each tensor in a tree with its place, as ``optimizer.state.0.exp_avg``."""
    if isinstance(tree, TensorStub):
        yield key, tree
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from tensors(value, f"{key}.{name}" if key else str(name))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from tensors(value, f"{key}.{index}" if key else str(index))


@frozen
class _Storage:
    dtype: str
    width: int
    name: str


class _Unpickler(pickle.Unpickler):
    """Makes stand-ins, from a closed list."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.foreign: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch":  # a dtype, a layout, a memory format
            return f"torch.{name}"
        dotted = f"{module}.{name}"
        self.foreign.add(dotted)
        return type(name, (_Foreign,), {"__module__": module})

    def persistent_load(self, pid: Any) -> Any:
        _, kind, name, *_ = pid
        dtype, width = kind
        return _Storage(dtype, width, name)


class _Foreign:
    """Stands for an object of a class that is not on the list; takes anything."""

    def __new__(cls, *_: Any, **__: Any) -> Any:  # what REDUCE and NEWOBJ call
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Take an item of a list that is none of ours."""

    def extend(self, values: Any) -> None:
        """Take items of a list that is none of ours."""

    def add(self, value: Any) -> None:
        """Take an item of a set that is none of ours."""

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}>"


def _tensor(storage: _Storage, _: int, size: Any, *__: Any) -> TensorStub:
    shape = tuple(size)
    return TensorStub(shape, storage.dtype, storage.name, prod(shape) * storage.width)


def _tensor_of_dtype(
    storage: _Storage,
    _: int,
    size: Any,
    stride: Any,  # noqa: ARG001  # what torch passes
    requires_grad: bool,  # noqa: ARG001
    hooks: Any,  # noqa: ARG001
    dtype: str = "",
    *__: Any,
) -> TensorStub:
    # Of kinds that have no storage class, such as uint16: bytes, and the dtype apart.
    name = dtype.removeprefix("torch.") or storage.dtype
    bits = "".join(char for char in name.partition("_")[0] if char.isdigit())
    shape = tuple(size)
    width = int(bits) // 8 if bits else storage.width
    return TensorStub(shape, name, storage.name, prod(shape) * width)


def _in_pieces(dtype: str, size: Any, *_: Any) -> TensorStub:
    """A tensor whose numbers lie in a folder of shards beside the file."""
    name = dtype.removeprefix("torch.")
    widths = {"bool": 1, **dict(_STORAGES.values())}
    bits = "".join(char for char in name.partition("_")[0] if char.isdigit())
    shape = tuple(size)
    width = widths.get(name, int(bits or 8) // 8)
    return TensorStub(shape, name, "", prod(shape) * width)


def _parameter(data: TensorStub, *_: Any) -> TensorStub:
    return data


def _text(*values: Any) -> str:
    return ":".join(map(str, values))


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytearray"): bytearray,
    ("torch", "Size"): tuple,
    ("torch", "device"): _text,
    ("torch.serialization", "_get_layout"): _text,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_dtype,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _in_pieces,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda make, _, args, __: make(*args),
    ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
}
