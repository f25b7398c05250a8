"""CSV files: cells are found by the names in the header, in whatever order the columns stand."""

from __future__ import annotations

import csv
from abc import abstractmethod
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar

from streamer.readers.base import BadRow, Row, RowReader
from streamer.readers.source import ReaderError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from streamer.core.events import Line


class TableReader(RowReader):
    """A reader of a CSV file with a header. A format names its columns and reads one row of their cells."""

    required: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def recognises(cls, cells: tuple[str, ...]) -> bool:
        """Whether the header has all required columns."""
        return {name.lower() for name in cls.required} <= set(cells)

    @abstractmethod
    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        """Time, user, type, line, query and session out of the cells of ``required + optional``. Raises BadRow.

        A column that the file does not have is an empty cell.
        """

    def _header(self, lines: Iterator[list[str]]) -> list[str]:
        try:
            return [cell.strip().lower() for cell in next(filter(None, lines))]
        except (StopIteration, csv.Error) as error:
            raise ReaderError(f"{self.source.path}: the header cannot be read ({error})") from None

    def _rows(self, skipped: Counter[str]) -> Iterator[Row]:
        with self.source.open_text() as text:
            lines = csv.reader(text)
            header = self._header(lines)
            width = len(header)
            pick = itemgetter(
                *[
                    header.index(name.lower()) if name.lower() in header else width
                    for name in self.required + self.optional
                ]
            )
            read = self._read
            number = 0
            while True:
                try:
                    for cells in lines:
                        if not cells:
                            continue
                        number += 1
                        try:
                            if len(cells) != width:
                                check_width(cells, width)
                            cells.append("")
                            row = read(pick(cells))
                        except BadRow as bad:
                            skipped[str(bad)] += 1
                            continue
                        yield (*row, number)
                    return
                except csv.Error:
                    number += 1
                    skipped["not CSV"] += 1


def check_width(cells: list[str], width: int) -> None:
    """Raises BadRow if a row has not as many cells as the header."""
    if len(cells) != width:
        raise BadRow(f"{'more' if len(cells) > width else 'fewer'} cells than the header")
