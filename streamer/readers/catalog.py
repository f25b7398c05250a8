"""Catalog files: JSON lines, plain or gzip, one item each, as records of the ``catalog`` topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from streamer.readers.base import is_too_long
from streamer.readers.source import ReaderError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def open_catalog(path: Path) -> Iterator[tuple[str, bytes]]:
    """Item id and value (the line as it stands) of every item.

    Raises ReaderError, naming the line that is no item, or whose vector has not as many numbers as those before it.
    """
    source, numbers = Source(path), 0
    with source.open() as lines:
        for number, line in enumerate(lines, 1):
            if not (text := line.strip()):
                continue
            try:
                entry = orjson.loads(text)
                item = entry["id"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                item = None
            if not isinstance(item, str) or not item or is_too_long(item):
                raise ReaderError(f'{path}: line {number} is not of the form {{"id":"…","title":"…",…}}')
            if isinstance(vector := entry.get("vector"), list) and vector:
                if numbers not in {0, len(vector)}:
                    of = f"{len(vector)} numbers, and those before it have {numbers}"
                    raise ReaderError(f"{path}: line {number} has a vector of {of}")
                numbers = len(vector)
            yield item, text
