"""Payloads are what the vendors take, to the byte, and whatever a candidate holds."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core import encode as core_encode
from streamer.core.effects import SlateItem, Template
from streamer.payloads import apns as apple
from streamer.payloads import fcm as google
from streamer.payloads import web_push as browsers
from streamer.payloads.message import Expired, Message, TooLarge, candidate_of, cut, expires_ms, render
from tests.payloads.candidates import CANDIDATES, GOLDEN, NOW_MS, PLAIN, TEMPLATE, VENDORS, shown

if TYPE_CHECKING:
    from streamer.core.effects import Candidate

LIMITS = {"fcm": google.LIMIT_BYTES, "apns": apple.LIMIT_BYTES, "web_push": browsers.LIMIT_BYTES}


def counted(vendor: str, body: bytes) -> int:
    """What the vendor's limit is on."""
    if vendor != "fcm":
        return len(body)
    message = json.loads(body)["message"]
    return len(msgspec.json.encode({name: message[name] for name in ("notification", "data")}))


def platforms(candidate: Candidate) -> dict[str, Any]:
    """What FCM passes on to each platform, by its name there."""
    message = json.loads(VENDORS["fcm"](candidate, Message("t", "b")).body)["message"]
    return {
        "android": message["android"],
        "apns": message["apns"]["headers"],
        "webpush": message["webpush"]["headers"],
    }


def ids_in(vendor: str, body: bytes) -> list[str]:
    """Every id that came through: candidate, link, items."""
    whole = json.loads(body)
    part = whole["message"]["data"] if vendor == "fcm" else whole
    items = json.loads(part["items"]) if vendor == "fcm" else part["items"]
    return [part["candidate_id"], part["deep_link"], *items]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", CANDIDATES)
def test_payloads_are_the_golden_ones(vendor: str, name: str):
    """``python -m tests.payloads.candidates`` writes them; what changes in them changes in people's apps."""
    assert shown(vendor, CANDIDATES[name]) == (GOLDEN / f"{vendor}_{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_too_long_is_cut_in_words_and_fills_the_limit(vendor: str):
    """A body of 10,000 letters takes what room there is, ends in an ellipsis, and no id is touched."""
    request = VENDORS[vendor](PLAIN, Message("Trail shoe", "ä" * 10_000))
    assert LIMITS[vendor] - 2 <= counted(vendor, request.body) <= LIMITS[vendor]
    assert ids_in(vendor, request.body) == [PLAIN.candidate_id, PLAIN.deep_link, "sku-1", "sku-7"]
    assert "ä…" in request.body.decode()
    assert "Trail shoe" in request.body.decode()


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_title_is_cut_only_when_there_is_no_body_left(vendor: str):
    """A title alone may be too long too."""
    request = VENDORS[vendor](PLAIN, Message("t" * 10_000, "body"))
    assert counted(vendor, request.body) <= LIMITS[vendor]
    assert '"body":""' in request.body.decode()
    assert "t…" in request.body.decode()


@pytest.mark.parametrize("vendor", VENDORS)
def test_ids_that_do_not_fit_are_refused_and_never_cut(vendor: str):
    """Half an id opens another page, or none."""
    wide = replace(PLAIN, items=tuple(SlateItem(f"{n}" * 256, 0.1, "popular") for n in range(20)))
    with pytest.raises(TooLarge, match="ids alone"):
        VENDORS[vendor](wide, Message("t", "b"))


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_expired_candidate_is_refused_and_one_with_a_second_left_is_not(vendor: str):
    """Nothing sent can be recalled."""
    message = render(TEMPLATE, PLAIN)
    late = {
        "fcm": lambda at: google.fcm(PLAIN, message, "t", at),
        "apns": lambda at: apple.apns(PLAIN, message, "t", at),
        "web_push": lambda at: browsers.web_push(PLAIN, message, at),
    }[vendor]
    late(expires_ms(PLAIN) - 1000)
    for at in (expires_ms(PLAIN) - 999, expires_ms(PLAIN), expires_ms(PLAIN) + 86_400_000):
        with pytest.raises(Expired, match="11:07"):
            late(at)


def test_time_left_is_the_candidate_s_in_each_vendor_s_way():
    """59 minutes and 59 seconds from now, as a duration, a moment and a number."""
    message, fcm = render(TEMPLATE, PLAIN), platforms(PLAIN)
    assert fcm["android"]["ttl"] == "3599s"
    assert fcm["apns"]["apns-expiration"] == "1772363220"
    assert fcm["webpush"]["TTL"] == "3599"
    assert VENDORS["apns"](PLAIN, message).headers["apns-expiration"] == "1772363220"
    assert VENDORS["web_push"](PLAIN, message).headers["TTL"] == "3599"


def test_fcm_keeps_nothing_for_longer_than_28_days():
    """Its own maximum on Android and the Web, more is an error there; on iOS Apple's moment stands."""
    lasting = replace(PLAIN, expires_at="2027-03-01T11:07:00.000Z")
    fcm = platforms(lasting)
    assert fcm["android"]["ttl"] == "2419200s"
    assert fcm["webpush"]["TTL"] == "2419200"
    assert fcm["apns"]["apns-expiration"] == "1803899220"
    direct = VENDORS["web_push"](lasting, Message("t", "b")).headers["TTL"]
    assert direct == "2419200", "Chrome's endpoint is FCM's"


@pytest.mark.parametrize("words", [Message("t", "ä" * 10_000), Message("t" * 10_000, "")], ids=["body", "title"])
def test_what_fcm_makes_of_a_full_message_fits_apple_and_browsers(words: Message):
    """It adds ids of its own, as long as any of them are, and a browser's push is encrypted."""
    body = VENDORS["fcm"](replace(PLAIN, collapse_key="a-campaign-with-a-long-name-of-48-characters-all"), words).body
    message = json.loads(body)["message"]
    of_apple = {
        "aps": {"alert": message["notification"], "mutable-content": 1},
        "gcm.message_id": "0:1772359620500123%0123456789abcdef0123456789abcdef",
        "google.c.a.e": "1",
        "google.c.fid": "c" * 22,
        "google.c.sender.id": "1" * 13,
        **message["data"],
    }
    of_browsers = {
        "from": "1" * 13,
        "fcmMessageId": "01234567-89ab-cdef-0123-456789abcdef",
        "priority": "normal",
        "notification": message["notification"] | message["webpush"]["notification"],
        "data": message["data"],
    }
    assert len(msgspec.json.encode(of_apple)) <= apple.LIMIT_BYTES
    assert len(msgspec.json.encode(of_browsers)) <= browsers.LIMIT_BYTES


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_browser_shows_the_newest_push_of_a_key_alone_whoever_carries_it(name: str):
    """The service worker that FCM brings shows what it is sent; without a tag one push comes to lie on the other."""
    candidate = CANDIDATES[name]
    message = json.loads(VENDORS["fcm"](candidate, Message("t", "b")).body)["message"]
    direct = json.loads(VENDORS["web_push"](candidate, Message("t", "b")).body)
    assert message["webpush"]["notification"] == {"tag": direct["tag"]} == {"tag": candidate.collapse_key}


@pytest.mark.parametrize("name", CANDIDATES)
def test_fcm_passes_on_to_ios_and_the_web_what_they_are_sent_directly(name: str):
    """One push goes by the same rules, whoever carries it."""
    candidate, message = CANDIDATES[name], Message("t", "b")
    fcm, direct = platforms(candidate), VENDORS["apns"](candidate, message).headers
    assert fcm["apns"].keys() == {"apns-expiration", "apns-priority", "apns-collapse-id"}
    assert fcm["apns"].items() <= direct.items()
    assert fcm["webpush"] == VENDORS["web_push"](candidate, message).headers


@pytest.mark.parametrize(
    ("priority", "words"),
    [("high", ("high", "10", "high")), ("normal", ("normal", "5", "normal")), ("low", ("normal", "1", "low")),
     ("unheard of", ("normal", "5", "normal"))],
)  # fmt: skip
def test_priorities_are_told_in_each_vendor_s_words(priority: str, words: tuple[str, str, str]):
    """One that is not known counts as normal. FCM tells each platform in its own."""
    candidate, message = replace(PLAIN, priority=priority), Message("t", "b")
    fcm = platforms(candidate)
    assert (fcm["android"]["priority"], fcm["apns"]["apns-priority"], fcm["webpush"]["Urgency"]) == words
    assert VENDORS["apns"](candidate, message).headers["apns-priority"] == words[1]
    assert VENDORS["web_push"](candidate, message).headers["Urgency"] == words[2]


@given(key=st.text(min_size=1, max_size=300))
def test_collapse_keys_of_any_alphabet_and_length_are_headers(key: str):
    """APNs: at most 64 bytes of visible ASCII; Web Push: at most 32 characters of Base 64 for URLs. Via FCM too."""
    fcm = platforms(replace(PLAIN, collapse_key=key))
    for identity in (apple.collapse_id(key), fcm["apns"]["apns-collapse-id"]):
        assert re.fullmatch(r"[\x20-\x7e]{1,64}", identity)
    for topic in (browsers.topic(key), fcm["webpush"]["Topic"]):
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", topic)
    assert (fcm["android"]["collapse_key"], fcm["android"]["notification"]["tag"]) == (key, key)


def test_collapse_keys_that_differ_stay_different_and_short_ones_stay_as_they_are():
    """A key that is cut would replace the pushes of another."""
    long = ["x" * 100 + "a", "x" * 100 + "b", "größe 1", "größe 2", "next", "cart"]
    for make in (apple.collapse_id, browsers.topic):
        assert len({make(key) for key in long}) == len(long)
        assert make("next") == "next"


@given(
    title=st.text(max_size=200),
    reason=st.text(max_size=200),
    ids=st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=3),
)
def test_whatever_a_shop_writes_fits_every_vendor_and_is_json(title: str, reason: str, ids: list[str]):
    """Words of any script, with braces and quotes; ids within the default limit."""
    candidate = replace(
        PLAIN,
        items=tuple(SlateItem(identity, 0.1, "popular") for identity in ids),
        template=Template("next.v1", "en", {"title": title}),
        reasons=(reason,),
    )
    for vendor, make in VENDORS.items():
        request = make(candidate, render(TEMPLATE, candidate))
        assert counted(vendor, request.body) <= LIMITS[vendor]
        assert ids_in(vendor, request.body)[2:] == ids


def test_a_candidate_as_it_lies_on_the_topic_is_read_with_what_is_not_known_ignored():
    """Fields may come at any time."""
    value = json.loads(core_encode.candidate(PLAIN)) | {"weather": "fine"}
    assert candidate_of(json.dumps(value).encode()) == PLAIN


def test_a_variable_that_is_not_there_is_an_empty_word():
    """Without price and reason the sentence is shorter, without a gap."""
    bare = replace(PLAIN, template=Template("next.v1", "en", {"title": "Trail shoe"}), reasons=())
    assert render(Message("{title}", "{brand} {title} {price}"), bare) == Message("Trail shoe", "Trail shoe")


@given(word=st.text(max_size=100), size=st.integers(-5, 120))
def test_a_word_that_is_cut_has_at_most_the_bytes_allowed_and_is_a_beginning(word: str, size: int):
    """In JSON, where quotes and controls take more."""
    short = cut(word, size)
    assert len(msgspec.json.encode(short)) - 2 <= max(size, 0)
    assert word.startswith(short.removesuffix("…").rstrip()) or short == word


def test_now_is_before_the_golden_expiry():
    """Or the golden files would not be made."""
    assert expires_ms(PLAIN) > NOW_MS


def test_the_example_has_a_message_for_every_campaign_that_is_shipped():
    """Its templates are by the ids that the campaigns name."""
    shipped = files("streamer.data").joinpath("campaigns").iterdir()
    named = {tomllib.loads(file.read_text())["message"]["template"] for file in shipped if file.name.endswith(".toml")}
    root = Path(__file__).parents[2]
    assert named <= tomllib.loads((root / "deploy/examples/notifier/templates.toml").read_text()).keys()
