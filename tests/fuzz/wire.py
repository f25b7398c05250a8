"""How large a record is on the wire, and how large it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamer.core.encode import Headers

BROKER_BYTES: Final = 1_048_588
"""Kafka's ``max.message.bytes`` where a topic does not say otherwise, as ``dead-letters`` does not."""

INBOUND_BYTES: Final = 3 << 20
"""That of the inbound topics, ``ingress`` among them."""

_BATCH_BYTES: Final = 61 + 30


def wire_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """What a record takes in a batch of its own, with the longest of all length prefixes."""
    size = _BATCH_BYTES + len(key or b"") + len(value or b"")
    return size + sum(_varint(len(name.encode())) + _varint(len(content or b"")) for name, content in headers)


def _varint(count: int) -> int:
    """A length and as many bytes (zigzag, seven bits a byte)."""
    return count + max(1, -(-(count * 2).bit_length() // 7))
