"""The example notification service, record by record: what it makes of each, without Kafka and without a vendor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core.encode import candidate as encoded
from streamer.core.policy.candidate import SCHEMA_VERSION
from streamer.core.record import Record
from streamer.payloads import message
from streamer.payloads.message import Refused, candidate_of, decided_ms, expires_ms, render
from tests.payloads.candidates import NOW_MS, PLAIN, TEMPLATE, VENDORS
from tests.payloads.example import SCRIPT, notifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = encoded(PLAIN)
DEEP = b"[" * 100_000 + b"]" * 100_000
NEXT = encoded(replace(PLAIN, candidate_id="f" * 32, dedupe_key="f" * 16))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(GOOD) | fields).encode()


class Out(notifier.Outbox):  # type: ignore[misc]
    """A vendor that answers as ``answers`` say, one a request, and then takes everything."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, int]] = []

    def send(self, candidate: Any, request: Any, now_ms: int) -> None:
        del request
        if self.answers:
            raise self.answers.pop(0)
        self.sent.append((candidate.candidate_id, now_ms))


@pytest.fixture
def service(tmp_path: Path) -> Callable[..., Any]:
    """A service with one memory, which outlives it."""
    templates = notifier.templates_of(str(SCRIPT.with_name("templates.toml")))

    def made(out: Any = None, vendor: str = "fcm") -> Any:
        memory = notifier.Memory(tmp_path / "sent.sqlite")
        return notifier.Notifier(templates, memory, out or Out(), vendor, notifier.Pretence())

    return made


def kinds(told: list[tuple[bytes, bytes]]) -> list[str]:
    return [json.loads(value)["type"] for _, value in told]


SPOILT = {
    "no value": (b"", "cannot be read"),
    "no JSON": (b"\xff\xfe", "cannot be read"),
    "no UTF-8 in a word": (GOOD.replace(b"user-42", b"user\xff42"), "cannot be read: 'utf-8' codec"),
    "half a surrogate": (GOOD.replace(b"Trail shoe", b"Trail \\ud83d shoe"), "cannot be read"),
    "nested without end": (GOOD[:-1] + b',"x":' + DEEP + b"}", "cannot be read: maximum recursion"),
    "another shape": (changed(items="sku-1"), "cannot be read: Expected `array`"),
    "a later version": (changed(schema_version=2), "schema_version is 2, and only 1 is known"),
    "a later version of another shape": (changed(schema_version=2, items="sku-1"), "schema_version is 2"),
    "no version": (GOOD.replace(b'"schema_version":1,', b""), "cannot be read: Object missing"),
    "an id that is none": (changed(candidate_id="abc"), "candidate_id is not 32 hexadecimal digits: 'abc'"),
    "no user": (changed(user_id=""), "user_id is empty"),
    "no dedupe key": (changed(dedupe_key=""), "dedupe_key is empty"),
    "no collapse key": (changed(collapse_key=""), "collapse_key is empty"),
    "no items": (changed(items=[]), "there is no item"),
    "an item without an id": (changed(items=[{"id": "", "score": 1, "generator": "g"}]), "or one without an id"),
    "expiry in words": (changed(expires_at="soon"), "expires_at is no time: 'soon'"),
    "expiry without a zone": (changed(expires_at="2026-03-01T11:07:00"), "expires_at has no zone"),
    "expiry before there were pushes": (changed(expires_at="0001-01-01T00:00:00+14:00"), "not between 2000 and 2099"),
    "expiry never": (changed(expires_at="9999-12-31T23:59:59-14:00"), "not between 2000 and 2099"),
    "decided without a zone": (changed(decided_at="2026-03-01T10:07:00"), "decided_at has no zone"),
}


@pytest.mark.parametrize("vendor", notifier.VENDORS)
@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_record_that_is_no_candidate_is_passed_by_and_the_next_one_is_sent(
    service: Callable[..., Any], capsys: pytest.CaptureFixture[str], vendor: str, spoilt: str
):
    """It is told why and counted. Were anything raised, the record would end the service again after each restart."""
    value, why = SPOILT[spoilt]
    out = Out()
    serving = service(out, vendor)
    assert serving.take(value, NOW_MS) == []
    told = capsys.readouterr().err
    assert told.startswith("a record is passed by: ")
    assert why in told
    assert kinds(serving.take(NEXT, NOW_MS)) == ["push_delivered"]
    assert serving.counts == {"unreadable": 1, "sent": 1}
    assert [identity for identity, _ in out.sent] == ["f" * 32]


def test_the_version_that_is_read_is_the_one_that_the_engine_writes():
    """A new one needs a reader first."""
    assert message.SCHEMA_VERSION == SCHEMA_VERSION


@given(field=st.sampled_from(sorted(json.loads(GOOD))), word=JSON)
def test_whatever_a_field_says_a_candidate_is_made_a_payload_of_or_refused(field: str, word: Any):
    """For every vendor, and nothing else is raised on the way."""
    try:
        candidate = candidate_of(changed(**{field: word}))
    except Refused:
        return
    for make in VENDORS.values():
        try:
            assert json.loads(make(candidate, render(TEMPLATE, candidate)).body)
        except Refused:
            continue


@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), left=st.integers(0, len(GOOD)))
def test_whatever_a_byte_becomes_a_candidate_is_read_or_refused(at: int, byte: int, left: int):
    """One byte is another, or the end is missing."""
    for value in (GOOD[:at] + bytes([byte]) + GOOD[at + 1 :], GOOD[:left]):
        try:
            candidate = candidate_of(value)
        except Refused:
            continue
        for make in VENDORS.values():
            try:
                make(candidate, render(TEMPLATE, candidate))
            except Refused:
                continue


GONE = Refused("404 UNREGISTERED")
BUSY = notifier.Unavailable("503")


class Time:
    """A clock that only waiting moves; after ``most`` waits it says that it is enough."""

    def __init__(self, most: int = 10_000) -> None:
        self.now_ms, self._most = NOW_MS, most
        self.waits: list[float] = []

    def clock(self) -> int:
        return self.now_ms

    async def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_ms += int(seconds * 1000)
        return len(self.waits) < self._most


async def test_what_its_vendor_refuses_is_reported_as_failed_and_not_remembered_as_sent(
    service: Callable[..., Any], capsys: pytest.CaptureFixture[str]
):
    """A token that is registered no more. Were it taken for sent, the shopper would be taken to have ignored it."""
    out = Out(GONE)
    serving, time = service(out), Time()
    told = await notifier.settle(serving, GOOD, time.clock, time.wait)
    assert kinds(told) == ["push_failed"]
    assert "404 UNREGISTERED" in capsys.readouterr().err
    assert (serving.counts, time.waits, out.sent) == ({"refused": 1}, [], [])
    assert kinds(serving.take(GOOD, NOW_MS)) == ["push_delivered"]
    assert len(out.sent) == 1, "the token is there again, and nothing was shown yet"


async def test_a_vendor_that_is_away_is_asked_again_and_takes_the_push_once(service: Callable[..., Any]):
    """After longer and longer pauses; delivered is what it says, at the time it was."""
    out = Out(*[BUSY] * 5)
    serving, time = service(out), Time()
    told = await notifier.settle(serving, GOOD, time.clock, time.wait)
    assert kinds(told) == ["push_delivered"]
    assert time.waits == [10, 20, 40, 60, 60]
    assert out.sent == [(PLAIN.candidate_id, NOW_MS + 190_000)]
    assert json.loads(told[0][1])["time"] == notifier.rfc3339(NOW_MS + 190_000)
    assert serving.counts == {"put off": 5, "sent": 1}


async def test_a_vendor_that_stays_away_is_asked_until_the_push_expires_which_then_has_failed(
    service: Callable[..., Any],
):
    """And then the next one has its turn."""
    out = Out(*[BUSY] * 10_000)
    serving, time = service(out), Time()
    told = await notifier.settle(serving, GOOD, time.clock, time.wait)
    assert kinds(told) == ["push_failed"]
    assert json.loads(told[0][1])["time"] == notifier.rfc3339(expires_ms(PLAIN))
    assert expires_ms(PLAIN) - 1000 < time.now_ms <= expires_ms(PLAIN) + 60_000
    assert serving.counts == {"put off": len(time.waits), "expired": 1}
    assert out.sent == []


async def test_a_vendor_that_says_how_long_is_left_alone_so_long_and_not_beyond_the_expiry(service: Callable[..., Any]):
    """``Retry-After``; of a push that expires before, there is no reason to wait on."""
    time = Time()
    out = Out(notifier.Unavailable("429", 90.0), notifier.Unavailable("429", 5.0), notifier.Unavailable("429", 1e6))
    assert kinds(await notifier.settle(service(out), GOOD, time.clock, time.wait)) == ["push_failed"]
    assert time.waits[:2] == [90, 20]
    assert time.now_ms == expires_ms(PLAIN)


async def test_a_stop_while_the_vendor_is_away_settles_nothing(service: Callable[..., Any]):
    """Its offset is not committed then, so the push is tried after the restart."""
    time = Time(most=2)
    serving = service(Out(BUSY, BUSY))
    assert await notifier.settle(serving, GOOD, time.clock, time.wait) is None
    assert kinds(service().take(GOOD, time.now_ms)) == ["push_delivered"]


def test_what_else_is_raised_at_sending_ends_the_service_and_nothing_is_said_of_the_push(service: Callable[..., Any]):
    """A fault in somebody's HTTP client says nothing about the shopper's device; after a restart it is tried again."""
    with pytest.raises(RuntimeError, match="no such attribute"):
        service(Out(RuntimeError("no such attribute"))).take(GOOD, NOW_MS)
    assert kinds(service().take(GOOD, NOW_MS)) == ["push_delivered"]


DECIDED_MS = decided_ms(PLAIN)
HOUR_MS = 3_600_000
NO = {"preferences": {"consent": False}}


def said(data: Any, kind: str = "preferences", *, user: str = "user-42", at_ms: int = NOW_MS, slow_ms: int = 0) -> Any:
    """What a shopper said, as it lies on Kafka since ``at_ms``, by a clock that is ``slow_ms`` behind."""
    time = notifier.rfc3339(at_ms - slow_ms)
    event = {"specversion": "1.0", "id": "e", "source": "s", "type": kind, "subject": user, "time": time, "data": data}
    return Record("t", 0, 0, at_ms, user.encode(), json.dumps(event).encode(), ())


@pytest.mark.parametrize(
    ("record", "reported"),
    [
        (said(NO), "push_failed"),
        (said({"candidate_id": "f" * 32}, "push_unsubscribed"), "push_failed"),
        (said({"preferences": {"channels": ["email"]}}), "push_failed"),
        (said({"preferences": {"erase": True}}), "push_failed"),
        (said(NO, slow_ms=HOUR_MS), "push_failed"),
        (said(NO, at_ms=DECIDED_MS - 60_000), "push_failed"),
        (said(NO, at_ms=DECIDED_MS - HOUR_MS), "push_delivered"),
        (said(NO, user="user-43"), "push_delivered"),
        (said({"preferences": {"consent": True}}), "push_delivered"),
        (said({"preferences": {"channels": ["Push"]}}), "push_delivered"),
        (said({"preferences": {"quiet_hours": ["22:00", "07:00"]}}), "push_delivered"),
        (said({"candidate_id": "f" * 32}, "push_dismissed"), "push_delivered"),
        (Record("t", 0, 0, NOW_MS, b"user-42", None, ()), "push_delivered"),
        (Record("t", 0, 0, NOW_MS, b"user-42", b"\xff", ()), "push_delivered"),
    ],
    ids=["no consent", "unsubscribed", "other channels", "erased", "by a slow clock", "clocks apart", "long before",
         "somebody else", "consent", "channels as people spell", "quiet hours", "dismissed", "no value", "no JSON"],
)  # fmt: skip
def test_who_said_no_since_a_push_was_decided_does_not_get_it(service: Callable[..., Any], record: Any, reported: str):
    """A candidate may have lain for hours. It never reached the shopper, so it has failed and was not ignored."""
    out = Out()
    serving = service(out)
    serving.opt_outs.hear(record)
    assert kinds(serving.take(GOOD, NOW_MS)) == [reported]
    assert bool(out.sent) == (reported == "push_delivered")
    assert serving.counts == {"sent" if out.sent else "opted out": 1}


def test_a_no_holds_for_what_was_decided_before_it_also_when_a_yes_followed(service: Callable[..., Any]):
    """Whichever of the two is read first; what is decided after the yes is sent."""
    no, yes = said(NO), said({"preferences": {"consent": True}}, at_ms=NOW_MS + HOUR_MS)
    later = notifier.rfc3339(NOW_MS + HOUR_MS)
    for records in ((no, yes), (yes, no)):
        serving = service()
        for record in records:
            serving.opt_outs.hear(record)
        assert kinds(serving.take(GOOD, NOW_MS)) == ["push_failed"]
    value = encoded(replace(PLAIN, decided_at=later, expires_at=notifier.rfc3339(NOW_MS + 2 * HOUR_MS)))
    assert kinds(serving.take(value, NOW_MS + HOUR_MS)) == ["push_delivered"]


def test_a_push_that_was_sent_stays_delivered_when_the_shopper_says_no_to_it(service: Callable[..., Any]):
    """Read again after a restart: what was shown was shown."""
    serving = service()
    serving.take(GOOD, NOW_MS)
    serving.opt_outs.hear(said({"candidate_id": PLAIN.candidate_id}, "push_unsubscribed", at_ms=NOW_MS + 1000))
    assert kinds(serving.take(GOOD, NOW_MS + 2000)) == ["push_delivered"]


def test_what_is_older_than_any_candidate_is_forgotten_while_the_service_runs(service: Callable[..., Any]):
    """Once a day: a service that is never restarted must not grow for ever."""
    serving = service()
    serving.opt_outs.hear(said(NO, user="user-43"))
    serving.take(GOOD, NOW_MS)
    for days, sent, opted_out in ((6, True, True), (8, True, False), (29, True, False), (31, False, False)):
        serving.take(b"", NOW_MS + days * notifier.DAY_MS)
        assert (PLAIN.dedupe_key in serving._memory) is sent
        assert bool(serving.opt_outs._said) is opted_out


def test_a_candidate_of_another_channel_is_left_to_whom_it_is_for(service: Callable[..., Any]):
    """Both read the topic. Were it reported as failed here, what the other reports would not count."""
    serving = service()
    assert serving.take(changed(channel="email"), NOW_MS) == []
    assert serving.counts == {"other channel": 1}
