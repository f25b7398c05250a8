"""Vectors as topic ``model`` carries them: in blocks of many items, ``vec/`` and a number in hex, float16.

An item's block follows from its key. One record for many items, as readers go through all that a log still has of
them; a block is all of its items, so that those it does not name any more are forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]

VECTOR: Final = "vec/"
BLOCKS: Final = 1024
_VERSION: Final = 1
_MOST: Final = 256


def block_of(key: int) -> str:
    """The block of an item, by its key, which is a hash."""
    return f"{VECTOR}{key % BLOCKS:03x}"


def encode_block(keys: Keys, vectors: NDArray[np.float32]) -> bytes:
    """A block of items [n] and their vectors [n, size], of numbers that float16 holds."""
    rows = np.zeros(len(keys), _layout(vectors.shape[1]))
    rows["key"], rows["vector"] = keys, vectors
    return bytes((_VERSION, vectors.shape[1] - 1)) + rows.tobytes()


def decode_block(value: bytes) -> tuple[Keys, NDArray[np.float16]]:
    """Keys [n] and vectors [n, size]. Raises ValueError if the bytes are no block, or not finite."""
    if len(value) < 2 or value[0] != _VERSION:
        raise ValueError("no block of vectors of a version that is known")
    rows = np.frombuffer(value, _layout(value[1] + 1), offset=2)
    if not np.isfinite(rows["vector"]).all():
        raise ValueError("a vector is not finite")
    return rows["key"], rows["vector"]


def _layout(size: int) -> np.dtype[np.void]:
    return np.dtype([("key", "<u8"), ("vector", "<f2", (size,))])
