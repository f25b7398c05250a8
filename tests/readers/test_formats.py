"""What is particular to one format, and to the joining of rows."""

from __future__ import annotations

import math

import pytest

from streamer.readers import times
from streamer.readers.base import BadRow, is_too_long
from streamer.readers.generic import GenericReader as Generic
from streamer.readers.online_retail import OnlineRetailReader as Retail
from streamer.readers.rees46 import Rees46Reader as Rees46
from streamer.readers.registry import open_events
from streamer.readers.retailrocket import RetailRocketReader as RetailRocket
from streamer.readers.sessions import SessionReader as Sessions
from streamer.readers.source import ReaderError
from streamer.readers.taobao import TaobaoReader as Taobao
from tests.readers.samples import SAMPLES

GENERIC = "time,user,type,item\n"


@pytest.fixture
def read(tmp_path):
    """The reader of a file with this text, called ``log.csv``."""

    def read(text):
        path = tmp_path / "log.csv"
        path.write_text(text)
        return open_events(path)

    return read


def test_ids_are_name_and_row_and_the_source_is_the_format(read):
    events = list(read(SAMPLES[Rees46]))
    assert [event.id for event in events] == ["log.csv:1", "log.csv:2", "log.csv:3"]
    assert {event.source for event in events} == {"rees46"}
    assert len({event.fingerprint for event in events}) == 3


def test_rees46_takes_the_category_code_and_the_number_where_there_is_none(read):
    events = list(read(SAMPLES[Rees46]))
    assert [event.lines[0].category for event in events[:2]] == ["2103807459595387724", "appliances.water_heater"]
    assert events[1].lines[0].brand == "aqua"
    assert events[1].lines[0].price == 33.2
    assert events[1].session == "9333dfbd"
    assert events[0].time == 1_569_888_000_000


def test_rows_of_one_user_time_and_type_are_one_event_of_several_lines(read):
    first, second = read(SAMPLES[Retail])
    assert (first.user, first.id, first.type) == ("17850", "log.csv:1", "purchase")
    assert [line.item for line in first.lines] == ["85123A", "71053"]
    assert [line.title for line in first.lines] == ["HOLDER, WHITE", "WHITE METAL LANTERN"]
    assert [line.quantity for line in first.lines] == [6, 6]
    assert second.id == "log.csv:3"


def test_types_are_not_joined_and_the_events_of_a_user_and_time_follow_each_other(read):
    rows = ("5,a,view,i1", "5,b,view,i2", "5,a,cart,i3", "5,a,view,i4", "5,b,view,i5")
    events = list(read(GENERIC + "\n".join(rows)))
    assert [(e.user, e.type, [line.item for line in e.lines]) for e in events] == [
        ("a", "view", ["i1", "i4"]),
        ("a", "cart", ["i3"]),
        ("b", "view", ["i2", "i5"]),
    ]
    assert [event.id for event in events] == ["log.csv:1", "log.csv:3", "log.csv:2"]


def test_two_searches_of_one_second_stay_two(read):
    events = list(read("time,user,type,query\n5,a,search,shoes\n5,a,search,boots\n"))
    assert [event.query for event in events] == ["shoes", "boots"]


def test_more_rows_than_an_event_may_have_lines_make_several_events(read):
    reader = read(GENERIC + "".join(f"5,a,view,i{n}\n" for n in range(4_500)))
    events = list(reader)
    assert [len(event.lines) for event in events] == [2_000, 2_000, 500]
    assert reader.count_hint == 3
    assert [event.id for event in events] == ["log.csv:1", "log.csv:2001", "log.csv:4001"]


def test_online_retail_leaves_out_cancellations_strangers_and_returned_pieces_and_says_so(read):
    reader = read(
        SAMPLES[Retail]
        + "C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527,United Kingdom\n"
        + "536414,22139,,56,2010-12-01 11:52:00,0,,United Kingdom\n"
        + "536589,21777,,-10,2010-12-01 16:50:00,0,17851,United Kingdom\n"
    )
    assert len(list(reader)) == 2
    assert reader.skipped == {"cancellation": 1, "no user": 1, "quantity is out of range": 1}
    assert reader.survey.rows == 6


def test_online_retail_of_a_spreadsheet_reads_the_same(read):
    american = SAMPLES[Retail].replace("2010-12-01 08:26:00", "12/1/2010 8:26").replace(",17850,", ",17850.0,")
    assert [(e.user, e.time) for e in read(american)] == [(e.user, e.time) for e in read(SAMPLES[Retail])]


def test_sessions_are_users_a_minute_apart_with_clicks_a_fifth_of_a_second_apart(read):
    assert [(e.user, e.time, e.type) for e in read(SAMPLES[Sessions])] == [
        ("20000000", 1_200_000_000_000, "view"),
        ("20000000", 1_200_000_000_200, "view"),
        ("20000001", 1_200_000_060_000, "view"),
    ]


def test_foreign_type_names_become_ours(read):
    assert [event.type for event in read(SAMPLES[Taobao])] == ["view", "wishlist", "purchase"]
    assert [event.type for event in read(SAMPLES[RetailRocket])] == ["view", "cart", "purchase"]
    assert next(iter(read(SAMPLES[RetailRocket]))).time == 1_433_221_332_117


def test_columns_may_stand_in_any_order_and_unknown_ones_are_left_alone(read):
    (event,) = read("item,shelf,type,user,time\ni1,7,view,u1,2024-05-01T12:00:00+02:00\n")
    assert (event.user, event.time, event.lines[0].item) == ("u1", 1_714_557_600_000, "i1")
    assert math.isnan(event.lines[0].price)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("yesterday,u1,view,i1,,,", "time cannot be read"),
        ("-5,u1,view,i1,,,", "time cannot be read"),
        ("1e400,u1,view,i1,,,", "time cannot be read"),
        ("999999999999999999999,u1,view,i1,,,", "time is out of range"),
        ("1960-01-01,u1,view,i1,,,", "time is out of range"),
        ("5,,view,i1,,,", "no user"),
        ("5,u1,stare,i1,,,", "unknown type"),
        ("5,u1,push_opened,i1,,,", "type push_opened cannot be told in a row"),
        ("5,u1,view,,,,", "no item"),
        ("5,u1,view,  ,,,", "no item"),
        ("5,u1,search,,,,", "no query"),
        ("5,u1,view,i1,,cheap,", "price is not a number"),
        ("5,u1,view,i1,,nan,", "price is out of range"),
        ("5,u1,view,i1,,-1,", "price is out of range"),
        ("5,u1,view,i1,,,1.5", "quantity is not a whole number"),
        ("5,u1,view,i1,,,0", "quantity is out of range"),
        (f"5,{'u' * 400},view,i1,,,", "user is too long"),
        (f"5,u1,view,{'i' * 400},,,", "item is too long"),
        ("5,u1,view", "fewer cells than the header"),
        ("5,u1,view,i1,,,,,,", "more cells than the header"),
        (f"5,u1,view,{'i' * 200_000},,,", "not CSV"),
    ],
)
def test_a_bad_row_is_counted_by_its_reason_and_the_next_one_is_read(read, row, reason):
    header = "time,user,type,item,query,price,quantity\n"
    reader = read(f"{header}{row}\n7,u2,view,i2,,,\n")
    assert [event.id for event in reader] == ["log.csv:2"]
    assert reader.skipped == {reason: 1}


def test_refused_envelopes_are_counted_under_the_reason_codes_of_the_contract(read):
    reader = read('{"type":"stare","subject":"u"}\nnonsense\n{"a":\n')
    assert list(reader) == []
    assert reader.skipped == {"unknown_type": 1, "not_json": 2}


def test_envelopes_of_a_user_and_time_follow_each_other_and_are_not_joined(read):
    row = '{"id":"%d","type":"view","time":1714557600000,"subject":"%s","data":{"item":"i"}}'
    events = list(read("\n".join(row % (number, user) for number, user in enumerate("abab"))))
    assert [(event.user, event.id) for event in events] == [("a", "0"), ("a", "2"), ("b", "1"), ("b", "3")]


def test_empty_lines_before_the_header_are_passed_over(read):
    (event,) = read("\n\n" + GENERIC + "5,a,view,i1\n")
    assert event.id == "log.csv:1"


def test_a_header_no_csv_reader_takes_is_refused(read):
    reader = read(f"time,user,type,item,{'x' * 200_000}\n5,a,view,i1,\n")
    with pytest.raises(ReaderError, match="header cannot be read"):
        list(reader)


def test_an_envelope_without_an_id_is_given_its_place(read):
    text = '{"type":"view","time":"2024-05-01T10:00:00Z","subject":"u1","data":{"item":"i1"}}\n'
    first, second = read(text + text)
    assert (first.id, first.source, first.weak) == ("log.csv:1", "jsonl", False)
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("name,age\nx,3\n", "'name,age'"),
        ("PK\x03\x04....", "save it as CSV"),
        ("\x1f\x00\x00", "of no known format"),
    ],
)
def test_an_unknown_file_is_refused_with_what_was_seen_and_what_is_known(read, text, seen):
    with pytest.raises(ReaderError) as refused:
        read(text)
    assert seen in str(refused.value)
    if "empty" not in seen:
        assert all(
            name in str(refused.value) for name in ("rees46", "retailrocket", "taobao", "online-retail", "jsonl")
        )


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(ReaderError, match=r"absent\.csv: No such file"):
        open_events(tmp_path / "absent.csv")
    with pytest.raises(ReaderError, match="Is a directory"):
        open_events(tmp_path)


def test_a_file_of_a_header_alone_has_no_events(read):
    reader = read(SAMPLES[Generic].splitlines()[0])
    assert list(reader) == []
    assert (reader.count_hint, reader.last_ms) == (0, 0)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1714557600", 1_714_557_600_000),
        ("1714557600.25", 1_714_557_600_250),
        ("1714557600250", 1_714_557_600_250),
        ("2024-05-01T10:00:00.25Z", 1_714_557_600_250),
        ("2024-05-01 10:00:00 UTC", 1_714_557_600_000),
        ("2024-05-01 10:00", 1_714_557_600_000),
        ("20240501T120000+0200", 1_714_557_600_000),
    ],
)
def test_times_are_read_in_the_ways_logs_write_them(text, ms):
    assert times.from_text(text) == ms


def test_a_time_beyond_the_year_9999_is_out_of_range():
    with pytest.raises(BadRow, match="out of range"):
        times.from_number("253402300800", 1000)


def test_an_id_may_be_as_long_as_the_contract_allows_and_no_longer(read):
    reader = read(f"{GENERIC}5,{'u' * 256},view,i1\n6,{'u' * 257},view,i1\n7,{'é' * 129},view,i1\n")
    assert [len(event.user) for event in reader] == [256]
    assert reader.skipped == {"user is too long": 2}


@pytest.mark.parametrize("name", ["\udcff\udcfe.csv", "n" * 250, "\x01" * 60])
def test_whatever_the_name_of_a_file_its_events_have_ids(tmp_path, name):
    path = tmp_path / name
    path.write_text(GENERIC + "5,a,view,i1\n")
    (event,) = open_events(path)
    assert not is_too_long(event.id.encode().decode())
    assert event.id.endswith(":1")


@pytest.mark.parametrize("reader", [Rees46, Retail, Sessions, Generic])
def test_a_session_too_long_to_publish_makes_a_bad_row(read, reader):
    header = SAMPLES[reader].splitlines()[0]
    last = SAMPLES[reader].splitlines()[1].split(",")
    column = {Rees46: "user_session", Retail: "InvoiceNo", Sessions: "session_id", Generic: "session"}[reader]
    last[header.split(",").index(column)] = "0" * 300
    opened = read("\n".join([header, ",".join(last), *SAMPLES[reader].splitlines()[2:]]))
    assert len(list(opened)) < len(list(read(SAMPLES[reader]))) or reader is Retail
    assert opened.skipped == {"session is too long": 1}


def test_a_customer_that_is_only_a_decimal_is_nobody(read):
    reader = read(SAMPLES[Retail].replace(",17850,", ",.0,"))
    assert [event.user for event in reader] == ["13047"]
    assert reader.skipped == {"no user": 2}


def test_a_moment_that_its_zone_carries_beyond_the_year_9999_is_out_of_range():
    with pytest.raises(BadRow, match="out of range"):
        times.from_text("9999-12-31T23:59:59-23:59")


def test_a_query_cut_at_a_blank_ends_without_it(read):
    (event,) = read(f"time,user,type,query\n5,a,search,{'x' * 255} y\n")
    assert event.query == "x" * 255
