"""A permutation of any size that needs no list: where an index goes is computed.

A keyed generalized Feistel cipher on the numbers below ``a * b >= length``, walked
along its cycle until it lands below ``length``: Black & Rogaway, "Ciphers with
Arbitrary Finite Domains" (CT-RSA 2002): cycle walking, and generalized Feistel.
Eight rounds, where Luby & Rackoff's proof asks for four. The round function is the
finalizer of SplitMix64 (Steele, Lea & Flood, "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014). It shuffles; it keeps no secret.
"""

from __future__ import annotations

import hashlib
import math
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["index_shuffle"]

_ROUNDS = 8


def index_shuffle(
    places: Sequence[int] | NDArray[np.int64], *, length: int, seed: int, epoch: int
) -> list[int]:
    """The samples that stand at some places of an epoch's permutation.

    Time and memory follow from the number of places asked for, not from ``length``.
    The order is a promise to runs that were begun earlier: it never changes.

    Args:
        places: Each from 0 to ``length - 1``.
        length: Samples, from 1 to 2**62.
        seed: The run's seed.
        epoch: Pass over the data, from 0.

    >>> sorted(index_shuffle(range(6), length=6, seed=0, epoch=0))
    [0, 1, 2, 3, 4, 5]
    >>> index_shuffle([7], length=10**9, seed=0, epoch=0)
    [11010779]
    """
    keys = _keys(seed, epoch)
    width = math.isqrt(length - 1) + 1  # the least a with a * a >= length
    height = -(-length // width)
    found = np.asarray(places, dtype=np.uint64)
    found = _encipher(found, width, height, keys)
    # a * b exceeds the length by less than a: few walk on, and seldom twice.
    outside = np.flatnonzero(found >= length)
    while outside.size:
        found[outside] = _encipher(found[outside], width, height, keys)
        outside = outside[found[outside] >= length]
    indices: list[int] = found.tolist()
    return indices


@lru_cache(maxsize=8)
def _keys(seed: int, epoch: int) -> tuple[np.uint64, ...]:
    packed = struct.pack("<2q", seed, epoch)
    digest = hashlib.blake2b(packed, digest_size=8 * _ROUNDS, person=b"index shuffle")
    return tuple(map(np.uint64, struct.unpack(f"<{_ROUNDS}Q", digest.digest())))


def _encipher(
    numbers: NDArray[np.uint64], width: int, height: int, keys: tuple[np.uint64, ...]
) -> NDArray[np.uint64]:
    """A permutation of the numbers below ``width * height``."""
    left, right = numbers % np.uint64(width), numbers // np.uint64(width)
    sizes = (np.uint64(width), np.uint64(height))
    for turn, key in enumerate(keys):
        # An even number of rounds: the halves end where they began.
        size = sizes[turn % 2]
        left, right = right, (left + _mix(right + key) % size) % size
    return left + right * np.uint64(width)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer; arithmetic is modulo 2**64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed
