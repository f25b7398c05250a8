"""Keys lie where stock Kafka clients put them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hashes_are_those_of_the_java_client(key: bytes, signed: int) -> None:
    """The pairs of Apache Kafka's own UtilsTest."""
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.binary(max_size=70), st.integers(1, 100))
def test_partitions_are_those_of_aiokafka(key: bytes, partitions: int) -> None:
    """For keys of any length and bytes."""
    assert partition_of(key, partitions) == (reference(key) & 0x7FFFFFFF) % partitions


@given(st.text(max_size=30), st.integers(1, 100))
def test_text_is_its_utf_8(key: str, partitions: int) -> None:
    """Asked twice, as the answer is remembered."""
    for _ in range(2):
        assert partition_of(key, partitions) == partition_of(key.encode(), partitions)
