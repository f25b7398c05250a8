"""Stop one: a Kafka record becomes a typed event, or a refusal with its reason.

Rules, in the order they are asked: the record fits; it is JSON; it is our envelope, or an adapter knows its shape; its
type is registered; it names a user; its time is believable; ids, lines and numbers are within limits; it carries
what its type needs. Unknown fields are ignored. Whatever the bytes, nothing is raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from streamer.core.adapters.inbound import Inbound, InboundData, InboundItem, InboundPreferences
from streamer.core.adapters.registry import ADAPTERS
from streamer.core.events import EVENT_TYPES, Event, Line, Preferences, item_key
from streamer.core.record import Rejection
from streamer.core.zones import minute_of

if TYPE_CHECKING:
    from streamer.core.record import Record

EARLIEST_MS: Final = 946_684_800_000
"""2000-01-01T00:00:00Z. It also catches seconds sent where milliseconds are meant."""

LATEST_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00:00Z. A Kafka timestamp may be any number, and stream time never goes back."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAN = float("nan")
_DETAIL_CHARS = 200
_NO_DATA = InboundData()

_decode_envelope = msgspec.json.Decoder(Inbound).decode
_decode_data = msgspec.json.Decoder(InboundData | None).decode
_decode_any = msgspec.json.Decoder().decode
_cached_item_key = lru_cache(maxsize=1 << 16)(item_key)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record may be. Ids are measured as JSON writes them, since they come back in candidates."""

    record_bytes: int = 1 << 20
    """Key, value and headers together."""
    id_bytes: int = 256
    """User, event, source, session, item and candidate id, each."""
    lines: int = 2_000
    """Items in one event."""
    ahead_ms: int = 300_000
    """How far the event's time may be ahead of the Kafka timestamp."""
    quantity: int = 1_000_000
    """Pieces in one line."""
    price: float = 1e9
    """Per piece."""
    text_chars: int = 128
    """Category, brand and title are cut here: they are for display and grouping."""
    query_chars: int = 256
    """Search text is cut here."""


class _RefusedError(Exception):
    """Ends the parsing of one record; the arguments are reason and detail."""


def parse(record: Record, limits: Limits) -> Event | Rejection:
    """The record's event, or why there is none. Raises nothing; the same record always gives the same answer."""
    try:
        return _event(record, limits)
    except _RefusedError as refused:
        reason, detail = refused.args
    except msgspec.ValidationError as error:
        reason, detail = "wrong_type", str(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason, detail = "not_json", str(error)
    except Exception as error:  # noqa: BLE001 -- a bug here must cost one record, never the stream; tests look for the reason
        reason, detail = "handler_error", repr(error)
    return Rejection(reason, detail[:_DETAIL_CHARS].encode(errors="replace").decode())


def _event(record: Record, limits: Limits) -> Event:  # noqa: PLR0915 -- the rules in the order they are asked
    value = record.value
    produced_at = b""
    binary: Inbound | None = None
    size = len(value or b"") + len(record.key or b"")
    if record.headers:
        size += _size(record.headers)
        produced_at, binary = _headers(record.headers)
    if size > limits.record_bytes:
        raise _RefusedError("too_large", f"{size} bytes, limit {limits.record_bytes}")
    if binary is not None:
        envelope = binary
        data = (_decode_data(value) if value else None) or _NO_DATA
    elif value:
        envelope = _structured(value, record.timestamp)
        data = envelope.data or _NO_DATA
    else:
        raise _RefusedError("empty", "")

    name = envelope.type
    if name is None:
        raise _RefusedError("missing_field", "type")
    known = EVENT_TYPES.get(name)
    if known is None:
        raise _RefusedError("unknown_type", name)
    if envelope.specversion is not None and envelope.specversion[:2] != "1.":
        raise _RefusedError("wrong_type", "specversion is not 1.0")
    user = envelope.subject or data.user_id or data.anonymous_id
    if not user:
        raise _RefusedError("no_user", "")
    time = _time(envelope.time)
    if time > record.timestamp + limits.ahead_ms or time >= LATEST_MS:
        raise _RefusedError("future_time", f"{time - record.timestamp} ms ahead")

    source, identity, session = envelope.source or "", envelope.id or "", data.session or ""
    candidate_id = data.candidate_id or ""
    # No character takes more than six bytes in JSON, so most ids need no exact measure.
    short = limits.id_bytes // 6
    if len(user) > short or len(identity) > short or len(source) > short or len(session) > short or candidate_id:
        _check_ids(limits, subject=user, id=identity, source=source, session=session, candidate_id=candidate_id)

    lines = _lines(data, limits)
    query = data.query or ""
    if query:
        query = query.strip()[: limits.query_chars].rstrip()
    needs = known.needs
    if needs == "items":
        if not lines:
            raise _RefusedError("missing_field", "data.item or data.items")
    elif needs == "query":
        if not query:
            raise _RefusedError("missing_field", "data.query")
    elif needs == "candidate" and not candidate_id:
        raise _RefusedError("missing_field", "data.candidate_id")
    preferences = _preferences(data.preferences) if needs == "preferences" else None

    weak = not identity
    if weak:
        fingerprint = _hash(b"%d:%d:%s%s:%s" % (time, len(user.encode()), user.encode(), name.encode(), value or b""))
        identity = f"{fingerprint:016x}"
    else:
        fingerprint = _hash(f"{len(source)}:{source}{len(identity)}:{identity}".encode())
    return Event(
        user,
        identity,
        source,
        name,
        # Nothing happens after it was sent: if anybody's clock is fast, it is the device's.
        min(time, record.timestamp),
        fingerprint,
        lines,
        query,
        session,
        weak,
        candidate_id,
        preferences,
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        produced_at,
    )


def exceeded(record: Record, user: str, limits: Limits) -> Rejection | None:
    """Why a record without a value, whose key is ``user``, is beyond the limits, if it is."""
    size = len(record.key or b"") + _size(record.headers)
    if size > limits.record_bytes:
        return Rejection("too_large", f"{size} bytes, limit {limits.record_bytes}")
    if record.timestamp >= LATEST_MS:
        return Rejection("future_time", f"Kafka timestamp {record.timestamp}")
    try:
        _check_ids(limits, key=user)
    except _RefusedError as refused:
        return Rejection(*refused.args)
    return None


def _size(headers: tuple[tuple[str, bytes], ...]) -> int:
    """Bytes of headers, with the two that each takes at least to tell its lengths: empty ones are not free."""
    return sum(2 + len(name) + len(content or b"") for name, content in headers)


def _hash(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")


def _structured(value: bytes, timestamp: int) -> Inbound:
    """The envelope in a record's value: ours if its type says so, else what an adapter makes of it."""
    # Its text alone: an exception kept in a frame that it tells of is a cycle, and holds the whole batch.
    problem = ""
    envelope: Inbound | None = None
    try:
        envelope = _decode_envelope(value)
    except msgspec.ValidationError as error:
        problem = str(error)
    if envelope is not None and envelope.type in EVENT_TYPES:
        return envelope
    body = _decode_any(value)
    if not isinstance(body, dict):
        raise _RefusedError("not_an_event", "not a JSON object")
    for adapter in ADAPTERS:
        if adapter.recognises(body):
            # Not strict: foreign producers write numbers as text.
            return msgspec.convert(adapter.translate(body, timestamp), Inbound, strict=False)
    if body.get("type") is None and body.get("specversion") is None:
        raise _RefusedError("not_an_event", "neither an envelope nor a known foreign shape")
    if problem:
        raise _RefusedError("wrong_type", problem)
    assert envelope is not None
    return envelope


def _headers(headers: tuple[tuple[str, bytes], ...]) -> tuple[bytes, Inbound | None]:
    """``produced_at``, and the envelope if the record is a CloudEvent in binary mode."""
    produced_at = b""
    attributes: dict[str, str] = {}
    structured = False
    for name, content in headers:
        if not content:
            # Kafka allows a header without a value: as good as none.
            continue
        if name == "produced_at":
            produced_at = content if content.isdigit() and len(content) <= 16 else b""
        elif name == "content-type":
            structured = content.startswith(b"application/cloudevents")
        elif name[:3] == "ce_":
            try:
                attributes[name[3:]] = content.decode()
            except UnicodeDecodeError:
                raise _RefusedError("wrong_type", f"header {name} is not UTF-8") from None
    if structured or "type" not in attributes:
        return produced_at, None
    get = attributes.get
    return produced_at, Inbound(get("specversion"), get("id"), get("source"), get("type"), get("subject"), get("time"))


def _time(value: str | int | None) -> int:
    """Milliseconds since the epoch, cut to whole ones."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            # RFC 3339 also allows lower case and the leap second, which counts as the second before it.
            try:
                moment = datetime.fromisoformat(value.upper().replace(":60", ":59"))
            except ValueError:
                raise _RefusedError("bad_time", "not RFC 3339") from None
        if moment.tzinfo is None:
            raise _RefusedError("bad_time", "no time zone")
        since = moment - _EPOCH
        value = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    elif value is None:
        raise _RefusedError("missing_field", "time")
    if value < EARLIEST_MS:
        raise _RefusedError("bad_time", "before 2000-01-01")
    return value


def _check_ids(limits: Limits, **ids: str) -> None:
    for name, identity in ids.items():
        if len(identity) > limits.id_bytes // 6 and len(orjson.dumps(identity)) - 2 > limits.id_bytes:
            raise _RefusedError("id_too_long", f"{name}, limit {limits.id_bytes} bytes")


def _lines(data: InboundData, limits: Limits) -> tuple[Line, ...]:
    if data.items:
        if len(data.items) > limits.lines:
            raise _RefusedError("too_many_lines", f"{len(data.items)} lines, limit {limits.lines}")
        return tuple([_line(item.id or item.item, item, limits) for item in data.items])
    if data.item:
        return (_line(data.item, data, limits),)
    return ()


def _line(identity: str | None, item: InboundItem | InboundData, limits: Limits) -> Line:
    if not identity:
        raise _RefusedError("missing_field", "id of an item")
    if len(identity) > limits.id_bytes // 6:
        _check_ids(limits, item=identity)
    quantity, price = item.quantity, item.price
    if quantity is None:
        quantity = 1
    elif not 1 <= quantity <= limits.quantity:
        raise _RefusedError("wrong_type", f"quantity is not within 1 and {limits.quantity}")
    if price is None:
        price = _NAN
    elif not 0.0 <= price <= limits.price:
        raise _RefusedError("wrong_type", f"price is not within 0 and {limits.price:.0f}")
    cut = limits.text_chars
    return Line(
        identity,
        _cached_item_key(identity),
        quantity,
        price,
        item.category[:cut] if item.category else "",
        item.brand[:cut] if item.brand else "",
        item.title[:cut] if item.title else "",
    )


def _preferences(sent: InboundPreferences | None) -> Preferences:
    if sent is None:
        raise _RefusedError("missing_field", "data.preferences")
    if sent.channels is not None and (len(sent.channels) > 16 or any(len(channel) > 32 for channel in sent.channels)):
        raise _RefusedError("wrong_type", "channels are more than 16 or longer than 32 characters")
    if sent.time_zone is not None and not 0 < len(sent.time_zone) <= 64:
        raise _RefusedError("wrong_type", "time_zone is not a name of 1 to 64 characters")
    return Preferences(
        sent.consent,
        None if sent.channels is None else tuple(sorted({_channel(name) for name in sent.channels})),
        None if sent.quiet_hours is None else (_minutes(sent.quiet_hours[0]), _minutes(sent.quiet_hours[1])),
        sent.time_zone,
        sent.erase,
    )


def _channel(name: str) -> str:
    """As campaigns name channels: who writes "Push" or "in_app" means no channel that there is not."""
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _minutes(clock: str) -> int:
    """Minutes after local midnight of ``HH:MM``."""
    try:
        return minute_of(clock)
    except ValueError:
        raise _RefusedError("wrong_type", "quiet_hours are not HH:MM") from None
