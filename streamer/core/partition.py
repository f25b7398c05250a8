"""Which partition a key lies on: murmur2, as the Java client and aiokafka have it.

The algorithm is Austin Appleby's MurmurHash2 with the seed of ``org.apache.kafka.common.utils.Utils.murmur2``;
the sign bit is cleared and the rest taken modulo the number of partitions.
"""

from __future__ import annotations

from functools import lru_cache
from struct import unpack_from

_MASK = 0xFFFFFFFF
_MULTIPLIER = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """The 32-bit hash of ``data``, unsigned."""
    size = len(data)
    words, rest = divmod(size, 4)
    h = _SEED ^ size
    for word in unpack_from(f"<{words}I", data):
        k = word * _MULTIPLIER & _MASK
        h = (h * _MULTIPLIER & _MASK) ^ ((k ^ k >> 24) * _MULTIPLIER & _MASK)
    if rest:
        h = (h ^ int.from_bytes(data[-rest:], "little")) * _MULTIPLIER & _MASK
    h = (h ^ h >> 13) * _MULTIPLIER & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=1 << 17)
def _of_text(key: str, partitions: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition, 0 to ``partitions`` - 1, on which a stock producer puts ``key``; text is taken as UTF-8."""
    if isinstance(key, str):
        return _of_text(key, partitions)
    return (murmur2(key) & 0x7FFFFFFF) % partitions
