"""The data that come with the package."""

from __future__ import annotations

import gzip
from collections import Counter

import jsonschema
import orjson
import pytest

from streamer.core.catalog import read_entry
from streamer.core.events import item_key
from streamer.data.build import catalog, title
from streamer.readers.base import make_line
from streamer.readers.bundled import BUNDLED, bundled
from streamer.readers.catalog import open_catalog
from streamer.readers.registry import open_events
from streamer.readers.source import ReaderError

SCHEMA = bundled("rees46").events.parents[1] / "schemas" / "catalog.schema.json"


@pytest.fixture(scope="module")
def log():
    return open_events(bundled("rees46").events)


def test_the_sample_is_all_there(log):
    events = list(log)
    rows = Counter(event.type for event in events for _ in event.lines)
    assert rows == {"view": 17_056, "cart": 165, "purchase": 214}
    assert len({event.user for event in events}) == 4_505
    assert len({line.item for event in events for line in event.lines}) == 6_493
    assert len({event.fingerprint for event in events}) == len(events) == log.count_hint
    assert not log.skipped
    assert log.format == "rees46"


def test_the_catalog_is_what_the_build_makes_of_the_sample(log):
    assert gzip.decompress(bundled("rees46").catalog.read_bytes()) == catalog(log)


def test_every_item_of_the_sample_is_in_the_catalog_as_its_schema_has_it(log):
    validator = jsonschema.Draft202012Validator(orjson.loads(SCHEMA.read_bytes()))
    entries = dict(open_catalog(bundled("rees46").catalog))
    assert set(entries) == {line.item for event in log for line in event.lines}
    for item, value in entries.items():
        validator.validate(orjson.loads(value))
        entry = read_entry(value)
        assert entry is not None
        assert entry.title
        assert entry.stock is not None, item


def test_nothing_that_was_wanted_is_sold_out_but_something_is(log):
    wanted = {line.item for event in log if event.type != "view" for line in event.lines}
    stock = {item: orjson.loads(value)["stock"] for item, value in open_catalog(bundled("rees46").catalog)}
    assert all(stock[item] > 0 for item in wanted)
    assert 50 < sum(pieces == 0 for pieces in stock.values()) < 250


def test_whose_the_data_are_is_said_beside_them():
    words = bundled("rees46").events.with_name("ATTRIBUTION.md").read_text()
    assert all(word in words for word in ("REES46 Marketing Platform", "Open CDP", "simulated-search", "made up"))


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ReaderError, match=BUNDLED[0]):
        bundled("rees47")


@pytest.mark.parametrize(
    ("category", "brand", "words"),
    [
        ("appliances.environment.water_heater", "aqua", "Aqua water heater"),
        ("2053013558492398155", "la-roche posay", "La Roche Posay 17"),
        ("furniture.living_room.sofa", "", "Sofa 17"),
        ("", "", "Item 17"),
    ],
)
def test_titles_say_brand_and_kind(category, brand, words):
    assert title(make_line("17", category=category, brand=brand)) == words


def test_a_line_that_is_no_item_is_named(tmp_path):
    path = tmp_path / "catalog.jsonl"
    path.write_text('{"id":"1"}\n\n{"title":"x"}\n')
    with pytest.raises(ReaderError, match="line 3 is not of the form"):
        list(open_catalog(path))


def test_a_line_whose_vector_is_of_another_count_is_named(tmp_path):
    path = tmp_path / "catalog.jsonl"
    path.write_text('{"id":"1"}\n{"id":"2","vector":[1,2]}\n{"id":"3","vector":[]}\n{"id":"4","vector":[1,2,3]}\n')
    with pytest.raises(ReaderError, match="line 4 has a vector of 3 numbers, and those before it have 2"):
        list(open_catalog(path))


def test_line_keys_are_item_keys(log):
    assert all(line.key == item_key(line.item) for event in log for line in event.lines)
