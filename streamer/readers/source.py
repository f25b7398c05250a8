"""A file of events, plain or gzip, opened by what it holds and not by what it is called."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP: Final = b"\x1f\x8b"
HEAD_BYTES: Final = 1 << 16
SHOWN_CHARS: Final = 120


class ReaderError(ValueError):
    """A file that cannot be read; the message says what was seen and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a reader reads. ``path`` is a file; ``name`` is its last part."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name, with which the ids of its events begin."""
        return self.path.name

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes, decompressed. Raises ReaderError, also from inside the block, if they cannot be had."""
        try:
            with self.path.open("rb") as raw:
                magic = raw.read(len(GZIP))
                raw.seek(0)
                if magic == GZIP:
                    with gzip.open(raw) as unpacked:
                        yield cast("IO[bytes]", unpacked)
                else:
                    yield raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ReaderError(
                f"{self.path}: the gzip data is cut off or damaged ({error}); fetch the file again"
            ) from None
        except OSError as error:
            raise ReaderError(f"{self.path}: {error.strerror or error}") from None

    @contextmanager
    def open_text(self) -> Iterator[IO[str]]:
        """The text, decoded as UTF-8; bytes that are not become U+FFFD. Line ends are left to the csv module."""
        with self.open() as raw, io.TextIOWrapper(raw, "utf-8-sig", errors="replace", newline="") as text:
            yield text

    def head(self) -> bytes:
        """The first bytes, decompressed: enough to tell a format by."""
        with self.open() as raw:
            return raw.read(HEAD_BYTES)
