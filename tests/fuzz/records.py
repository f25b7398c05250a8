"""Records as Kafka would hand them over: mostly nearly right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streamer.core.encode import rfc3339
from streamer.core.parse import Limits
from streamer.core.partition import partition_of
from streamer.core.record import Record
from tests.core.inbound import KAFKA_MS
from tests.fuzz.mutate import RAWS, TIMES, WORDS, dumps, spoil, spoil_bytes
from tests.fuzz.shapes import SHAPES, USERS, Draw
from tests.fuzz.wire import INBOUND_BYTES, wire_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

PARTITIONS: Final = 2
LIMITS: Final = Limits()
TOPICS: Final = ("browse", "search", "purchase", "feedback", "preferences", "ingress")
FAR_MS: Final = (
    2**63 - 5001,
    2**62,
    2**44,
    253_402_300_800_000,
    253_402_300_799_999,
    4_294_967_296_000,
    4_102_444_800_000,
)
"""Kafka timestamps that a producer may set where the broker does not forbid it, and event times to go with them."""

_SHAPES: Final = tuple(SHAPES)
_WEIGHTS: Final = (24, 14, 8, 10, 14, 9, 7, 8, 6)
_SPOILINGS: Final = (0, 0, 1, 1, 1, 2, 2, 3, 6)
# Kafka hands a header without a value over as None.
Headers = tuple[tuple[str, Any], ...]
Made = tuple[str, Record]


def make(rng: Random, count: int, partition: int, first_offset: int = 0, *, gently: bool = False) -> Iterator[Made]:
    """``count`` records of a partition, in time order, with the shape each was made from.

    ``gently``: most are good, so that what comes after reading sees much.
    """
    users = tuple(user for user in USERS if partition_of(user, PARTITIONS) == partition)
    earlier = b"{}"
    for offset in range(first_offset, first_offset + count):
        shape = rng.choices(_SHAPES, _WEIGHTS)[0]
        somebody = USERS if rng.random() < 0.05 else users
        at_ms = KAFKA_MS + (offset - 1000) * 10_000 + rng.randrange(9_000)
        if rng.random() < 0.0005:
            at_ms = rng.choice(FAR_MS)
        draw = Draw(rng, somebody, at_ms)
        record = _record(draw, shape, offset, earlier, spoilt=not gently or rng.random() < 0.2)
        earlier = record.value or earlier
        yield shape, record


def _record(draw: Draw, shape: str, offset: int, earlier: bytes, *, spoilt: bool) -> Record:
    rng = draw.rng
    topic, build = SHAPES[shape]
    tree = build(draw)
    user = _user(tree)
    headers: Headers = ()
    value: bytes | None
    times = rng.choice(_SPOILINGS) if spoilt else 0
    if shape == "tombstone":
        value, user = None, draw.user()
    elif shape == "binary":
        headers, value = _binary(draw, tree, times)
    else:
        for _ in range(times):
            spoil(rng, tree)
        value = dumps(rng, tree)
    luck = rng.random() if spoilt else 1.0
    if value is not None and luck < 0.15:
        value = spoil_bytes(rng, value, earlier)
    elif luck < 0.16:
        value = rng.choice((None, b"", b"null", b"[]", b'"x"', b"0", rng.choice(RAWS)))
    elif luck < 0.1605:
        value = (value or b"") + b" " * rng.choice((LIMITS.record_bytes, 3_000_000))
    if spoilt and rng.random() < 0.15:
        headers = _spoil_headers(rng, headers)
    key = _key(rng, user) if spoilt else user.encode()
    if wire_bytes(key, value, headers) > INBOUND_BYTES:
        headers = ()  # no broker would have taken it
    return Record(
        topic if not spoilt or rng.random() < 0.8 else rng.choice(TOPICS),
        0,
        offset,
        draw.at_ms + rng.randrange(5000)
        if not spoilt or rng.random() < 0.998
        else rng.choice((-1, 0, 2**63 - 1, 2**44)),
        key,
        value,
        headers,
    )


def _user(tree: dict[str, Any]) -> str:
    names = ("subject", "userId", "anonymousId", "user_id", "user_pseudo_id", "client_id", "visitorid")
    return str(next((tree[name] for name in names if tree.get(name) is not None), ""))


def _key(rng: Random, user: str) -> bytes | None:
    """The right key of somebody of this partition, usually."""
    luck = rng.random()
    if luck < 0.88:
        return user.encode(errors="replace")
    if luck < 0.95:
        return rng.choice((*(name.encode() for name in USERS), None, b""))
    if luck < 0.953:
        return user.encode(errors="replace") * rng.choice((40, 20_000))
    return spoil_bytes(rng, user.encode(errors="replace"))


def _binary(draw: Draw, tree: dict[str, Any], times: int) -> tuple[Headers, bytes]:
    """Binary mode: the attributes as headers, the value is the data alone."""
    rng = draw.rng
    data = tree.pop("data", {})
    attributes = {"type": None, **tree, "time": rfc3339(min(draw.at_ms, 253_402_300_799_999))}
    for _ in range(times):
        if rng.random() < 0.5:
            spoil(rng, data) if data else None
        else:
            attributes[rng.choice(tuple(attributes))] = rng.choice((*WORDS, *TIMES))
    headers: list[tuple[str, Any]] = [("produced_at", b"1772366400123")] if rng.random() < 0.5 else []
    headers += [
        (f"ce_{name}", str(word).encode(errors="surrogatepass"))
        for name, word in attributes.items()
        if word is not None
    ]
    return tuple(headers), dumps(rng, data)


def _spoil_headers(rng: Random, headers: Headers) -> Headers:
    spoilt = list(headers)
    for _ in range(rng.choice((1, 1, 2, 5))):
        name = rng.choice(
            ("produced_at", "content-type", "ce_type", "ce_subject", "ce_time", "ce_", "", "é", "👟" * 99, "dl_reason")
        )
        content: Any = rng.choice(
            (
                b"", None, b"view", b"application/cloudevents+json", b"application/json", b"17", b"9" * 30, b"-1",
                b"\xc2\xb2", b"\xff\xfe", b"\x00", b"user-1", b"2026-03-01T10:00:00Z", rng.randbytes(9),
            )
        )  # fmt: skip
        luck = rng.random()
        if spoilt and luck < 0.2:
            spoilt.pop(rng.randrange(len(spoilt)))
        elif spoilt and luck < 0.4:
            at = rng.randrange(len(spoilt))
            spoilt[at] = (spoilt[at][0], spoil_bytes(rng, spoilt[at][1] or b""))
        elif luck < 0.403:
            spoilt += [(name, content)] * (40_000 if rng.random() < 0.03 else 200)
        elif luck < 0.406:
            spoilt.append((name, b"h" * rng.choice((70_000, LIMITS.record_bytes, 2_000_000))))
        elif spoilt and luck < 0.5:
            spoilt.append(rng.choice(spoilt))
        else:
            spoilt.insert(rng.randint(0, len(spoilt)), (name, content))
    return tuple(spoilt)
