"""Files of events and catalogs, damaged: a clear ``ReaderError``, or events and rows counted, and nothing else."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.events import EVENT_TYPES, Event
from streamer.core.index import ItemIndex
from streamer.core.parse import EARLIEST_MS, LATEST_MS, Limits, parse
from streamer.core.record import Record
from streamer.readers.catalog import open_catalog
from streamer.readers.envelope import EnvelopeReader, to_envelope
from streamer.readers.registry import open_events
from streamer.readers.source import ReaderError
from tests.fuzz.mutate import TIMES, WORDS, dumps, spoil, spoil_bytes
from tests.fuzz.shapes import ITEMS, SHAPES, Draw, catalog_row
from tests.fuzz.tally import held
from tests.readers.samples import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from streamer.readers.base import Reader
    from tests.fuzz.tally import Tally

FILES: Final = 40
_CATALOG: Final = "catalog"
_READERS: Final = {reader.__name__: reader for reader in SAMPLES}
_GIVEN: Final = (*_READERS, _CATALOG)
_NAMES: Final = ("log.csv", "log", "é" * 100, "\udcff\udcfe.csv", "a b\n.csv", "%s{0}.gz", "n" * 250)
_LIMITS: Final = Limits()
_encode = msgspec.json.Encoder().encode


def round_of(rng: Random, tally: Tally, folder: Path) -> None:
    """``FILES`` files of any format, in a folder of the test."""
    for _ in range(FILES):
        given = rng.choice(_GIVEN)
        content = _content(rng, given)
        path = folder / (rng.choice(_NAMES) if rng.random() < 0.2 else "file")
        path.write_bytes(content)
        try:
            outcome = _catalog(path) if given == _CATALOG else _events(rng, path, tally)
        except ReaderError as refused:
            held("an error that says why", len(str(refused)) > len(str(path)), refused)
            outcome = "refused"
        finally:
            path.unlink()
        tally.outcomes[f"file: {given}", outcome] += 1


def _content(rng: Random, given: str) -> bytes:
    if given == _CATALOG:
        content = b"\n".join(
            _line(rng, {"id": rng.choice(ITEMS), **catalog_row(rng)}) for _ in range(rng.randint(1, 6))
        )
    elif given == EnvelopeReader.__name__:
        draw = Draw(rng)
        kinds = ("envelope", "preferences", "segment", "ga4 row", "retailrocket", "feedback")
        content = b"\n".join(_line(rng, SHAPES[rng.choice(kinds)][1](draw)) for _ in range(rng.randint(1, 8)))
    else:
        content = _table(rng, SAMPLES[_READERS[given]])
    if rng.random() < 0.35:
        content = spoil_bytes(rng, content, b"time,user,type,item\n5,a,view,i1\n")
    if rng.random() < 0.2:
        content = gzip.compress(content, 1)
        if rng.random() < 0.7:
            content = spoil_bytes(rng, content, content)
    return content


def _line(rng: Random, tree: dict[str, object]) -> bytes:
    for _ in range(rng.choice((0, 0, 1, 1, 3))):
        spoil(rng, tree)
    return dumps(rng, tree).replace(b"\n", b" ")


def _table(rng: Random, sample: str) -> bytes:
    """A CSV file with cells, rows and columns changed."""
    rows = list(csv.reader(io.StringIO(sample)))
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        row = rng.choice(rows) if rng.random() < 0.95 else rows[0]
        match rng.randrange(9):
            case 0 | 1 | 2 | 3 if row:
                row[rng.randrange(len(row))] = str(rng.choice(rng.choice((WORDS, TIMES))))
            case 4 if row:
                del row[rng.randrange(len(row))]
            case 5:
                row.insert(rng.randint(0, len(row)), rng.choice(WORDS))
            case 6:
                rng.shuffle(row)
            case 7:
                rows.insert(rng.randint(1, len(rows)), list(rng.choice(rows)))
            case _:
                row[-1:] = ["x" * rng.choice((130_000, 140_000))] if rng.random() < 0.05 else ["", ""]
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=rng.choice(",,,,,,,,;\t"), lineterminator=rng.choice(("\n", "\n", "\r\n", "\r"))
    )
    writer.writerows(rows)
    return text.getvalue().encode(rng.choice(("utf-8",) * 9 + ("utf-16",)), errors="replace")


def _events(rng: Random, path: Path, tally: Tally) -> str:
    reader = open_events(path)
    events = list(reader)
    survey = reader.survey
    counted = sum(1 for _ in reader)
    held("reading again gives as many", counted == len(events), counted, len(events))
    held("the survey counts the events", survey.events == len(events) or not survey.in_order, survey, len(events))
    held("at least as many", survey.events >= len(events), survey, len(events))
    held("every row is an event's or counted", survey.rows - survey.skipped.total() >= len(events), survey)
    held("in time order", all(a.time <= b.time for a, b in itertools.pairwise(events)), events)
    held("no fault of ours", "handler_error" not in survey.skipped, survey.skipped)
    if isinstance(reader, EnvelopeReader):
        held("every line is counted", survey.rows == _lines(reader), survey)
    for event in events[:20]:
        _can_be_published(event, rng.choice((0, 0, LATEST_MS - 1 - event.time, EARLIEST_MS - event.time)))
    tally.checks["events of files"] += len(events)
    tally.checks["rows of files counted as bad"] += survey.skipped.total()
    return "no bad row" if not survey.skipped else "bad rows counted"


def _lines(reader: Reader) -> int:
    with reader.source.open() as lines:
        return sum(1 for line in lines if line.removeprefix(b"\xef\xbb\xbf").strip())


def _can_be_published(event: Event, shift_ms: int) -> None:
    """What a reader gives is within the limits of the contract, and is read back as it was."""
    if not EARLIEST_MS <= event.time + shift_ms < LATEST_MS:
        return  # publishing moves a log's times so that it ends now
    _, key, value = to_envelope(event, shift_ms)
    back = parse(Record("", 0, 0, LATEST_MS, key, value), _LIMITS)
    held("an event read can be published", isinstance(back, Event), back, event)
    assert isinstance(back, Event)
    moved = msgspec.structs.replace(event, time=event.time + shift_ms)
    held("and is the same", _encode(_bare(back)) == _encode(_bare(moved)), back, moved)
    held("a registered type", event.type in EVENT_TYPES, event)


def _bare(event: Event) -> Event:
    return msgspec.structs.replace(event, topic="", partition=0, offset=0, timestamp=0)


def _catalog(path: Path) -> str:
    index, taken = ItemIndex(capacity=64), []
    for item, value in open_catalog(path):
        held("an item id", item, value)
        taken.append(index.apply_catalog(item, value))
    return "every row taken" if all(taken) else "bad rows refused by the replica"
