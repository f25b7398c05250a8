"""What holds for every reader in the registry."""

from __future__ import annotations

import gzip
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.core.events import Event
from streamer.core.parse import Limits, parse
from streamer.core.partition import partition_of
from streamer.core.record import Record
from streamer.readers.envelope import to_envelope
from streamer.readers.registry import READERS, open_events
from streamer.readers.source import ReaderError
from tests.readers.samples import EVENTS, SAMPLES

every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
NOW = 1_800_000_000_000


@pytest.fixture
def write(tmp_path):
    """Writes text or bytes to a file whose name tells nothing, and opens it."""

    def write(content, name="events.dat"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_events(path)

    return write


def test_every_reader_has_a_sample():
    assert set(SAMPLES) == set(READERS)


@every_reader
def test_a_file_is_told_by_its_content_and_by_no_other_format(reader, write):
    opened = write(SAMPLES[reader])
    assert type(opened) is reader
    first = SAMPLES[reader].splitlines()[0].lower()
    assert [r for r in READERS if r.recognises(tuple(first.split(",")))] == [reader]


@every_reader
def test_gzip_line_ends_and_byte_order_marks_do_not_matter(reader, write):
    text = SAMPLES[reader]
    plain = list(write(text))
    assert len(plain) == EVENTS.get(reader, 3)
    assert list(write(gzip.compress(text.encode()))) == plain
    assert list(write(text.replace("\n", "\r\n"))) == plain
    assert list(write("\ufeff" + text)) == plain
    assert list(write(text.rstrip("\n") + "\n\n")) == plain


@every_reader
def test_the_survey_counts_what_iterating_gives_and_iterating_again_gives_the_same(reader, write):
    opened = write(SAMPLES[reader])
    events = list(opened)
    assert opened.count_hint == len(events) == len(list(opened))
    assert opened.last_ms == events[-1].time
    assert opened.survey.first_ms == events[0].time
    assert not opened.skipped
    assert list(opened) == events


@every_reader
def test_an_event_survives_the_way_over_the_envelope(reader, write):
    limits = Limits()
    for event in write(SAMPLES[reader]):
        topic, key, value = to_envelope(event, 0)
        back = parse(Record(topic, 0, 7, NOW, key, value), limits)
        assert isinstance(back, Event), back
        assert partition_of(key, 4) == partition_of(back.user, 4)
        # NaN prices are unequal to themselves, so the comparison is of the encoding.
        assert encoded(back) == encoded(event)
        assert back.fingerprint == event.fingerprint


@every_reader
def test_the_shift_moves_the_time_and_nothing_else(reader, write):
    event = next(iter(write(SAMPLES[reader])))
    moved = parse(Record("", 0, 0, NOW, None, to_envelope(event, 86_400_001)[2]), Limits())
    assert isinstance(moved, Event)
    assert moved.time == event.time + 86_400_001
    assert encoded(msgspec.structs.replace(moved, time=event.time)) == encoded(event)


@every_reader
def test_a_file_out_of_order_is_sorted(reader, write):
    lines = SAMPLES[reader].splitlines()
    head, rows = (lines[:1], lines[1:]) if "pv" not in lines[0] and not lines[0].startswith("{") else ([], lines)
    opened = write("\n".join(head + rows[::-1]))
    events = list(opened)
    assert not opened.survey.in_order
    assert all(a.time <= b.time for a, b in pairwise(events))
    in_order = list(write(SAMPLES[reader]))
    assert sorted(map(told, events)) == sorted(map(told, in_order))


@every_reader
def test_a_truncated_gzip_file_is_a_reader_error(reader, write):
    noise = "".join(f"{n:x}\n" for n in random.Random(1).choices(range(1 << 60), k=20_000))
    whole = gzip.compress((SAMPLES[reader] + noise).encode())
    opened = write(whole[: len(whole) * 3 // 4])
    with pytest.raises(ReaderError, match="cut off or damaged"):
        list(opened)
    with pytest.raises(ReaderError, match="cut off or damaged"):
        write(whole[:100])


@every_reader
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.lists(st.one_of(st.binary(max_size=60), st.text('",;\n\r\0{}x1:', max_size=40).map(str.encode)), max_size=8)
)
def test_junk_between_rows_never_raises_and_every_row_is_an_event_or_counted(reader, write, junk):
    opened = write(SAMPLES[reader].encode() + b"\n".join([b"", *junk]))
    events = list(opened)
    assert len(events) >= EVENTS.get(reader, 3)
    assert opened.survey.rows >= len(events) + opened.skipped.total()
    assert opened.survey.events == len(events) or not opened.survey.in_order
    for event in events:
        if event.time >= 946_684_800_000:
            assert isinstance(parse(Record("", 0, 0, 1 << 60, None, to_envelope(event)[2]), Limits()), Event)


def told(event):
    """What an event tells, apart from its id and the order of its lines."""
    return event.time, event.user, event.type, event.query, sorted(line.item for line in event.lines)


def encoded(event):
    """The event without the place it was found at."""
    return msgspec.json.encode(msgspec.structs.replace(event, topic="", partition=0, offset=0, timestamp=0))
