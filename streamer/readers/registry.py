"""The formats known, and how a file is told to be of one: by its first line, never by its name.

To add a format: one file beside this one, one line in ``READERS``; the contract tests run over the registry.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamer.readers.envelope import EnvelopeReader
from streamer.readers.generic import GenericReader
from streamer.readers.online_retail import OnlineRetailReader
from streamer.readers.rees46 import Rees46Reader
from streamer.readers.retailrocket import RetailRocketReader
from streamer.readers.sessions import SessionReader
from streamer.readers.source import SHOWN_CHARS, ReaderError, Source
from streamer.readers.taobao import HeaderlessTaobaoReader, TaobaoReader

if TYPE_CHECKING:
    from streamer.readers.base import Reader

READERS: Final[tuple[type[Reader], ...]] = (
    EnvelopeReader,
    Rees46Reader,
    RetailRocketReader,
    TaobaoReader,
    HeaderlessTaobaoReader,
    OnlineRetailReader,
    SessionReader,
    GenericReader,
)


def open_events(path: str | Path) -> Reader:
    """The reader of a file of events. Raises ReaderError if the file cannot be opened or is of no known format."""
    source = Source(Path(path))
    head = source.head()
    if not head.strip():
        raise ReaderError(f"{path}: the file is empty")
    lines = [line for line in head.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    first_line = lines[0] if lines else ""
    try:
        cells = tuple(cell.strip().lower() for cell in next(csv.reader([first_line])))
    except (csv.Error, StopIteration):
        cells = ()
    for reader in READERS:
        if reader.recognises(cells):
            return reader(source)
    seen = (
        "a zip archive or spreadsheet; save it as CSV"
        if head.startswith(b"PK\x03\x04")
        else repr(first_line[:SHOWN_CHARS])
    )
    raise ReaderError(f"{path}: of no known format. Its first line is {seen}. {known_formats()}")


def known_formats() -> str:
    """The formats in words, one a line, for messages and help."""
    return "Known are, plain or gzip:\n" + "\n".join(f"  {reader.format}: {reader.says}" for reader in READERS)
