"""Rows as bytes: golden, upgraded, refused."""

from __future__ import annotations

import msgspec
import pytest

from state.codecs import RawCodec, StructCodec
from state.errors import StateCorrupt, StateVersionError


class VisitV1(msgspec.Struct, array_like=True):
    """The older layout: seconds, no count."""

    at_s: int
    page: str


class Visit(msgspec.Struct, array_like=True):
    """The newer one."""

    at_ms: int
    page: str
    count: int


def from_v1(body: bytes) -> Visit:
    """Seconds become milliseconds; what was not counted was one."""
    old = msgspec.msgpack.decode(body, type=VisitV1)
    return Visit(old.at_s * 1000, old.page, 1)


# Rows as a release with that version wrote them; a change here is a change of what lies on people's disks.
GOLDEN_V1 = bytes.fromhex("01 92 ce 65 53 f1 00 a4 68 6f 6d 65")
GOLDEN_V2 = bytes.fromhex("02 93 cf 00 00 01 8b cf e5 68 00 a4 68 6f 6d 65 01")


def test_a_row_is_a_version_byte_and_msgpack() -> None:
    """Golden bytes, both ways."""
    assert StructCodec(VisitV1).encode(VisitV1(1_700_000_000, "home")) == GOLDEN_V1
    codec = StructCodec(Visit, 2, {1: from_v1})
    assert codec.encode(Visit(1_700_000_000_000, "home", 1)) == GOLDEN_V2
    assert codec.decode(GOLDEN_V2) == Visit(1_700_000_000_000, "home", 1)


def test_an_older_row_is_upgraded_when_read() -> None:
    """And is the newer version once it is written again."""
    codec = StructCodec(Visit, 2, {1: from_v1})
    upgraded = codec.decode(GOLDEN_V1)
    assert upgraded == Visit(1_700_000_000_000, "home", 1)
    assert codec.encode(upgraded) == GOLDEN_V2


def test_a_newer_row_says_to_run_the_newer_release() -> None:
    """Never guessed at."""
    with pytest.raises(StateVersionError, match="version 2, this release reads up to 1: run the newer release"):
        StructCodec(VisitV1).decode(GOLDEN_V2)


def test_an_older_row_without_an_upgrade_says_so() -> None:
    """Never guessed at either."""
    with pytest.raises(StateVersionError, match="version 1, but there is no upgrade from it to 2"):
        StructCodec(Visit, 2).decode(GOLDEN_V1)


@pytest.mark.parametrize(
    "row", [b"", b"\x02", GOLDEN_V2[:-1], GOLDEN_V2 + b"\0", b"\x02\x93\xa1a\xa1b\x01", GOLDEN_V1[:-1]]
)
def test_a_damaged_row_is_corrupt_and_nothing_else(row: bytes) -> None:
    """Empty, cut short, too long, of wrong types, or cut short in an older version."""
    with pytest.raises(StateCorrupt):
        StructCodec(Visit, 2, {1: from_v1}).decode(row)


@pytest.mark.parametrize(("version", "upgrades"), [(0, {}), (256, {}), (2, {2: from_v1}), (2, {0: from_v1})])
def test_versions_that_cannot_be_are_refused_at_once(version: int, upgrades: dict[int, type]) -> None:
    """They are programming errors."""
    with pytest.raises(ValueError, match="version"):
        StructCodec(Visit, version, upgrades)


def test_raw_rows_are_bytes_untouched_and_nothing_else() -> None:
    """A bytearray could change after the put."""
    codec = RawCodec()
    assert codec.decode(codec.encode(b"\x00\xff")) == b"\x00\xff"
    with pytest.raises(TypeError, match="not bytearray"):
        codec.encode(bytearray(b"x"))  # type: ignore[arg-type] # what is tested
