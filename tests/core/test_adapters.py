"""Foreign shapes become the same events, told apart by shape."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from streamer.core.adapters import ga4, retailrocket, segment
from streamer.core.adapters.registry import ADAPTERS
from streamer.core.events import EVENT_TYPES
from tests.core.inbound import GOLDEN, KAFKA_MS, envelope, event, refusal

PRODUCT = {"product_id": "p-1", "name": "Shoe", "brand": "acme", "category": "shoes", "price": 9.5, "quantity": 2}
GA4_ITEM = {"item_id": "p-1", "item_name": "Shoe", "item_brand": "acme", "item_category": "shoes", "price": 9.5}
LINE = ("p-1", 9.5, "shoes", "acme", "Shoe")


def track(name: str, properties: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A Segment call."""
    return {
        "type": "track",
        "event": name,
        "messageId": "m-1",
        "userId": "u-1",
        "anonymousId": "a-1",
        "timestamp": "2026-03-01T10:00:00.000Z",
        "properties": properties,
        **fields,
    }


def exported(name: str, parameters: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A row of GA4's BigQuery export."""
    typed = [
        {"key": key, "value": {"int_value" if isinstance(value, int) else "string_value": value, "float_value": None}}
        for key, value in (parameters or {}).items()
    ]
    return {
        "event_name": name,
        "event_timestamp": "1772359200000999",
        "user_pseudo_id": "c.1",
        "event_params": typed,
        **fields,
    }


def measured(name: str, parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A body of GA4's Measurement Protocol."""
    return {
        "client_id": "c.1",
        "timestamp_micros": 1_772_359_200_000_999,
        "events": [{"name": name, "params": parameters}],
        **fields,
    }


ROW = {"timestamp": 1772359200000, "visitorid": 257597, "event": "view", "itemid": 355908, "transactionid": None}


def _first(value: object) -> tuple[object, ...]:
    line = event(value).lines[0]
    return line.item, line.price, line.category, line.brand, line.title


@pytest.mark.parametrize(("name", "kind"), sorted(segment.TYPES.items()))
def test_each_segment_event_has_its_type(name: str, kind: str) -> None:
    """With products in a list, and a query, so that any type has what it needs."""
    parsed = event(track(name, {"products": [PRODUCT, {"product_id": 2}], "query": "shoes"}))
    assert (parsed.type, parsed.user, parsed.id, parsed.source) == (kind, "u-1", "m-1", "segment")
    assert [(line.item, line.quantity) for line in parsed.lines] == [("p-1", 2), ("2", 1)]
    assert (parsed.query, parsed.time) == ("shoes", 1_772_359_200_000)


def test_segment_writes_one_product_into_the_properties() -> None:
    """And prices as text, now and then."""
    assert _first(track("Product Viewed", PRODUCT)) == LINE
    assert _first(track("Product Added", {**PRODUCT, "price": "9.50"})) == LINE


def test_segment_s_sku_is_used_where_there_is_no_product_id() -> None:
    """The specification asks for either."""
    assert event(track("Product Viewed", {"sku": "s-1"})).lines[0].item == "s-1"


def test_a_segment_shopper_without_a_login_is_its_anonymous_id() -> None:
    """The user id is null then, or absent."""
    assert event(track("Product Viewed", PRODUCT, userId=None)).user == "a-1"


def test_segment_calls_are_known_without_a_type_and_without_a_time() -> None:
    """Some connectors drop both; the Kafka timestamp stands in for the time."""
    sent = track("Product Viewed", PRODUCT)
    del sent["type"], sent["timestamp"]
    assert event(sent).time == KAFKA_MS
    assert event({**sent, "originalTimestamp": "2026-03-01T10:00:00Z"}).time == 1_772_359_200_000


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("unknown_type", track("Cart Viewed", PRODUCT)),
        ("unknown_type", track("view", PRODUCT)),
        ("unknown_type", {"type": "identify", "userId": "u", "traits": {}}),
        ("missing_field", track("Product Viewed", {})),
        ("missing_field", track("Order Completed", {"products": []})),
        ("missing_field", track("Products Searched", {})),
        ("no_user", track("Product Viewed", PRODUCT, userId=None, anonymousId=None)),
        ("bad_time", track("Product Viewed", PRODUCT, timestamp="soon")),
        ("wrong_type", track("Product Viewed", {**PRODUCT, "price": "cheap"})),
        ("wrong_type", track("Product Viewed", {**PRODUCT, "price": "nan"})),
        ("wrong_type", track("Product Viewed", {**PRODUCT, "price": -1})),
        ("wrong_type", track("Order Completed", {"products": "p-1"})),
        ("wrong_type", track("Order Completed", {"products": ["p-1"]})),
        ("wrong_type", track("Product Viewed", PRODUCT, userId={"id": 1})),
        ("id_too_long", track("Product Viewed", {"product_id": "p" * 257})),
    ],
)
def test_segment_calls_are_refused_with_the_same_reasons(reason: str, sent: object) -> None:
    """A foreign shape is no excuse."""
    assert refusal(sent) == reason


@pytest.mark.parametrize(("name", "kind"), sorted(ga4.TYPES.items()))
def test_each_ga4_event_has_its_type_in_both_shapes(name: str, kind: str) -> None:
    """An export row and a Measurement Protocol body of one event."""
    for sent in (
        exported(name, {"search_term": "shoes", "ga_session_id": 17}, items=[GA4_ITEM]),
        measured(name, {"search_term": "shoes", "ga_session_id": 17, "items": [GA4_ITEM]}),
    ):
        parsed = event(sent)
        assert (parsed.type, parsed.user, parsed.source, parsed.weak) == (kind, "c.1", "ga4", True)
        assert (parsed.time, parsed.session, parsed.query) == (1_772_359_200_000, "17", "shoes")
        assert _first(sent) == LINE


def test_a_ga4_user_id_outweighs_the_client_s() -> None:
    """It is there once the shopper is logged in."""
    assert event(exported("begin_checkout", user_id="u-1")).user == "u-1"
    assert event(measured("begin_checkout", {}, user_id="u-1")).user == "u-1"


def test_a_ga4_event_without_a_time_happened_at_its_kafka_timestamp() -> None:
    """The Measurement Protocol lets it out; the event's own time outweighs the body's."""
    sent = measured("begin_checkout", {}, timestamp_micros=None)
    assert event(sent).time == KAFKA_MS
    sent["events"][0]["timestamp_micros"] = 1_772_359_200_000_000
    assert event(sent).time == 1_772_359_200_000


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("unknown_type", exported("page_view")),
        ("unknown_type", exported("cart", items=[GA4_ITEM])),
        ("unknown_type", {"client_id": "c", "events": []}),
        ("unknown_type", {"client_id": "c", "events": [{"name": "search"}, {"name": "search"}]}),
        ("missing_field", {"client_id": "c", "events": [{}]}),
        ("missing_field", exported("view_item")),
        ("missing_field", exported("purchase", items=[{"item_name": "only a name"}])),
        ("missing_field", exported("search")),
        ("no_user", exported("begin_checkout", user_pseudo_id=None)),
        ("bad_time", exported("begin_checkout", event_timestamp="soon")),
        ("bad_time", exported("begin_checkout", event_timestamp=1_772_359_200)),
        ("wrong_type", exported("begin_checkout", event_timestamp=[1])),
        ("wrong_type", exported("view_item", items=[7])),
        ("wrong_type", {"client_id": "c", "events": [{"name": 3}]} | {"timestamp_micros": True}),
    ],
)
def test_ga4_events_are_refused_with_the_same_reasons(reason: str, sent: object) -> None:
    """Several events in one record are a type nobody knows: one event a record."""
    assert refusal(sent) == reason


@pytest.mark.parametrize(("name", "kind"), sorted(retailrocket.TYPES.items()))
def test_each_retailrocket_row_has_its_type(name: str, kind: str) -> None:
    """Ids are numbers there, and rows have none of their own."""
    parsed = event({**ROW, "event": name})
    assert (parsed.type, parsed.user, parsed.time) == (kind, "257597", 1_772_359_200_000)
    assert (parsed.lines[0].item, parsed.source, parsed.weak) == ("355908", "retailrocket", True)
    assert math.isnan(parsed.lines[0].price)


def test_retailrocket_rows_may_be_text_all_through() -> None:
    """As a CSV reader without types gives them."""
    text = {name: str(value) for name, value in ROW.items()}
    assert event(text).lines == event(ROW).lines
    assert event(text).time == event(ROW).time


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("unknown_type", {"event": "purchase"}),
        ("missing_field", {"event": None}),
        ("wrong_type", {"event": 5}),
        ("missing_field", {"timestamp": None}),
        ("bad_time", {"timestamp": 1_772_359_200}),
        ("missing_field", {"itemid": None}),
        ("wrong_type", {"itemid": 1.5}),
        ("no_user", {"visitorid": None}),
    ],
)
def test_retailrocket_rows_are_refused_with_the_same_reasons(reason: str, changed: dict[str, Any]) -> None:
    """Each column."""
    refused = {**ROW, **changed}
    assert refusal(refused) == reason


def test_no_shape_is_recognised_by_two() -> None:
    """Neither our own by any, nor one of theirs by another."""
    shapes = {
        "segment": track("Product Viewed", PRODUCT),
        "ga4": exported("view_item"),
        "retailrocket": ROW,
    }
    for source, body in shapes.items():
        assert [adapter.SOURCE for adapter in ADAPTERS if adapter.recognises(body)] == [source]
    assert [a.SOURCE for a in ADAPTERS if a.recognises(measured("search", {}))] == ["ga4"]
    for golden in (*map(orjson.loads, GOLDEN.values()), envelope()):
        assert not any(adapter.recognises(golden) for adapter in ADAPTERS)


def test_every_adapter_leads_to_registered_types() -> None:
    """A renamed type would otherwise turn a whole producer into dead letters."""
    for adapter in (segment, ga4, retailrocket):
        assert set(adapter.TYPES.values()) <= set(EVENT_TYPES)
