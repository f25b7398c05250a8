"""How a table's values become bytes and back.

A row is one version byte and a msgpack body. Rows are never rewritten for an upgrade: an old one is upgraded
each time it is read, and takes the new form when it is next put.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from state.errors import StateCorrupt, StateVersionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

V = TypeVar("V")


class Codec(Protocol[V]):
    """Turns a value into bytes and back; ``decode`` returns a fresh object each time."""

    def encode(self, value: V) -> bytes:
        """The row that stands for ``value``."""

    def decode(self, row: bytes) -> V:
        """The value a row stands for. Raises StateVersionError or StateCorrupt."""


class StructCodec(Generic[V]):
    """Values of a msgspec type, in ``version`` of their layout.

    ``upgrades`` maps an older version to the function that makes a value from such a row's body (without
    the version byte). Raising ``version`` without an upgrade for a version still on disk makes reads raise.
    """

    def __init__(
        self, type_: type[V], version: int = 1, upgrades: Mapping[int, Callable[[bytes], V]] | None = None
    ) -> None:
        if not 1 <= version <= 255:
            raise ValueError(f"version {version} does not fit its byte: use 1 to 255")
        self._upgrades = dict(upgrades or {})
        if any(not 1 <= old < version for old in self._upgrades):
            raise ValueError(f"upgrades must start from versions 1 to {version - 1}: {sorted(self._upgrades)}")
        self._name = getattr(type_, "__name__", str(type_))
        self._version = version
        self._head = bytes((version,))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(type_).decode

    def encode(self, value: V) -> bytes:
        """The version byte and the msgpack of ``value``."""
        return self._head + self._encode(value)

    def decode(self, row: bytes) -> V:
        """The value of a row of this version, or of an older one through its upgrade."""
        try:
            if row[0] == self._version:
                return self._decode(row[1:])
            return self._older(row[0], row[1:])
        except IndexError:
            raise StateCorrupt(f"an empty row where a {self._name} was expected") from None
        except msgspec.DecodeError as error:
            raise StateCorrupt(f"a row is no {self._name} of version {row[0]}: {error}") from error

    def _older(self, version: int, body: bytes) -> V:
        if version > self._version:
            raise StateVersionError(
                f"a {self._name} row has version {version}, this release reads up to {self._version}: "
                "run the newer release that wrote it, or erase this state and its changelog"
            )
        upgrade = self._upgrades.get(version)
        if upgrade is None:
            raise StateVersionError(
                f"a {self._name} row has version {version}, but there is no upgrade from it to {self._version}: "
                "run a release in between once, or erase this state and its changelog"
            )
        return upgrade(body)


class RawCodec:
    """Values that are bytes already."""

    def encode(self, value: bytes) -> bytes:
        """The value itself, checked to be immutable bytes, since the store keeps it."""
        if type(value) is not bytes:
            raise TypeError(f"a raw table takes bytes, not {type(value).__name__}")
        return value

    def decode(self, row: bytes) -> bytes:
        """The row itself."""
        return row
