"""Ways to spoil an input: trees of JSON or MessagePack first, then text, then bytes.

What JSON as Python writes it cannot say (``1e400``, a key twice, half a surrogate pair, 100,000 brackets) is put into a
tree as a marked string, which ``dumps`` replaces by the bytes it stands for.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

RAWS: Final[tuple[bytes, ...]] = (
    b"1e400", b"-1e400", b"1e-400", b"1e308", b"NaN", b"Infinity", b"-Infinity", b"-0", b"-0.0", b"01", b"+1", b"1.",
    b".5", b"0x10", b"1_000", b"1e5", b"1.0", b"1772366400000.0", b"1.7723664e12", b"9" * 400, b"9" * 4300,
    b"9" * 5000, b"-" + b"9" * 5000, b"0." + b"3" * 5000, b"1" + b"0" * 400, str(2**63).encode(), str(2**64).encode(),
    str(-(2**63) - 1).encode(), str(2**53 + 1).encode(), b"true", b"null", b"nul", b'"', b'"\\ud800"',
    b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\x41"', b'"\\', b'"\xff"', b'"\xed\xa0\x80"',
    b'"\xc0\x80"', b'"\n"', b'"\x00"', b"{", b"}", b"[", b"]", b",", b":", b"{}", b"[]", b"[[[[[]]]]]", b"/**/1",
    b"[" * 500 + b"]" * 500, b'{"a":' * 500 + b"1" + b"}" * 500, b"[" * 100_000, b'{"a":' * 20_000,
)  # fmt: skip
LARGEST_BYTES: Final = 3 << 20
"""What the inbound topics take."""

_RAW: Final = re.compile(rb'"~raw:(\d\d?)~"')
_AGAIN: Final = re.compile(rb'"~again:(.*?)~"')

WORDS: Final[tuple[str, ...]] = (
    "", " ", "\t\n", "\x00", "\x01" * 42, "\x01" * 43, "\x7f", "\x85", "\x1c", "\u2028", "\u202e", "\ufeff", "\ud800",
    "\udfff\ud800", "ü" * 128, "ü" * 129, "靴" * 86, "👟" * 64, "👟" * 65, '"' * 128, "\\" * 129, "a" * 256, "a" * 257,
    "x" * 1000, "e\u0301" * 90, "0", "-1", "nan", "NaN", "inf", "1e400", "1_000", "\u0661\u0662", "²", "null", "None",
    "true", "1.0", "0.3", "1.", "{item}", "{0.__class__}", "%s%n", "__proto__", "../../x", "$.data", "user-1", "item-1",
    "22:00", "24:00", "07:3\u0660", "-1:00", "UTC", "+02:00", "UTC+99:99", "Asia/Tokyo", "page", "identify", "track",
    "9" * 20, "9" * 21, "9" * 400, "9" * 5000, "-" + "9" * 30, "1772366400", "1772366400000", "1772366400000000",
    " x", "x ", "x" * 255 + " y", "x" * 127 + "\u2003y",
)  # fmt: skip

TIMES: Final[tuple[object, ...]] = (
    "2026-03-01T10:00:00", "2026-03-01T10:00:60Z", "2026-03-01T23:59:60+00:00", "2026-03-01T24:00:00Z",
    "2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00,5Z", "2026-03-01t10:00:00z", "2026-03-01 10:00:00Z",
    "2026-03-01T10Z", "2026-03-01", "20260301T100000Z", "2026-W09-7T10:00:00Z", "2026-060T10:00:00Z",
    "2026-02-29T10:00:00Z", "2026-13-01T10:00:00Z", "2026-03-01T10:00:00+24:00", "2026-03-01T10:00:00-23:59:59.999999",
    "2026-03-01T10:00:00+99:99", "2026-03-01T10:00:00-00:00", "2026-03-01T10:00:00 Europe/Berlin",
    "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999-23:59",
    "1970-01-01T00:00:00Z", "1999-12-31T23:59:59.999999Z", "2000-01-01T00:00:00Z", "2038-01-19T03:14:08Z",
    "2100-01-01T00:00:00Z", "2106-02-07T06:28:16Z", "-2026-03-01T10:00:00Z", "+12026-03-01T10:00:00Z",
    "\u0662\u0660\u0662\u0666-03-01T10:00:00Z", "1772359200000", "12/1/2010 8:26", "13/32/10 8:26", "",
    0, -1, 1, 1_772_359_200,
    946_684_800_000, 946_684_799_999, 1_772_359_200_000_000, 4_102_444_800_000, 4_294_967_296_000, 253_402_300_800_000,
    2**53, 2**63 - 1, 2**63, 2**64, 10**400, -(10**30), 1.5, 1_772_359_200_000.0, True, None, [], {},
)  # fmt: skip

NUMBERS: Final[tuple[object, ...]] = (
    0, -1, 1, 2, 7, 255, 256, 65_536, 2**24 + 1, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63,
    2**64 - 1, -(2**31) - 1, -(2**63), 0.5, -0.5, -0.0, 1e-320, 1e-9, 65_504.0, 1e9, 1e16, 1e39, 1e100, 1e300,
    1.7976931348623157e308, float("nan"), float("inf"), float("-inf"), True, False, None,
)  # fmt: skip

NAMES: Final[tuple[str, ...]] = (
    "specversion", "id", "source", "type", "subject", "time", "data", "item", "items", "quantity", "price",
    "category", "brand", "title", "query", "session", "user_id", "anonymous_id", "candidate_id", "preferences",
    "consent", "channels", "quiet_hours", "time_zone", "erase", "event", "properties", "products", "product_id",
    "sku", "name", "messageId", "userId", "anonymousId", "timestamp", "originalTimestamp", "session_id", "event_name",
    "event_timestamp", "event_params", "events", "params", "client_id", "user_pseudo_id", "app_instance_id",
    "item_id", "item_category", "item_brand", "item_name", "key", "value", "string_value", "int_value", "float_value",
    "timestamp_micros", "search_term", "ga_session_id", "event_id", "visitorid", "itemid", "transactionid",
    "categories", "stock", "tags", "vector",
)  # fmt: skip
"""What the parser and its adapters look for."""

Slot = tuple[Any, Any]


def dumps(rng: Random, tree: object) -> bytes:
    """The tree as JSON text, in one of the ways of writing it, marks replaced by what they stand for."""
    escaped = rng.random() < 0.7
    text = json.dumps(tree, ensure_ascii=escaped, separators=(",", ":") if rng.random() < 0.7 else None)
    value = text.encode(errors="surrogatepass")
    if b"~" in value:
        value = _RAW.sub(lambda mark: RAWS[int(mark[1]) % len(RAWS)], value)
        value = _AGAIN.sub(rb'"\1"', value)
    return value


def slots(tree: object) -> list[Slot]:
    """Every place in a tree: (container, key or index)."""
    found: list[Slot] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            places: list[Any] = list(node)
        elif isinstance(node, list):
            places = list(range(min(len(node), 50)))
        else:
            continue
        for place in places:
            found.append((node, place))
            child = node[place]
            if isinstance(child, (dict, list)):
                todo.append(child)
    return found


def scalar(rng: Random) -> object:
    """A value that JSON or MessagePack can say and nobody expects."""
    return rng.choice((WORDS, TIMES, NUMBERS)[rng.randrange(3)])


def spoil(rng: Random, tree: Any, *, json_text: bool = True) -> None:
    """Change one thing in a tree (a dict or a list), in place. ``json_text``: it will be written by ``dumps``."""
    places = slots(tree)
    if not places:
        return
    node, place = rng.choice(places)
    _CHANGES[rng.randrange(len(_CHANGES) if json_text else _BINARY)](rng, node, place, places)


def _replace(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    node[place] = scalar(rng)


def _edit(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    value = node[place]
    if isinstance(value, str):
        at = rng.randint(0, len(value))
        word = str(rng.choice(WORDS))
        node[place] = rng.choice(
            (value[:at], value[at:], value[:at] + word + value[at:], value[:5000] * rng.randint(2, 40))
        )
    elif isinstance(value, (int, float)):
        node[place] = rng.choice((-value, value + 1, value - 1, value * 1000, value * 2**40, value == 0))
    elif isinstance(value, bytes):
        node[place] = spoil_bytes(rng, value)
    elif isinstance(value, list):
        rng.shuffle(value)
    else:
        node[place] = scalar(rng)


def _retype(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    value = node[place]
    if isinstance(value, dict):
        other: tuple[object, ...] = (list(value.values()), [value], str(sorted(map(str, value))), len(value), None)
    elif isinstance(value, list):
        other = ({str(n): each for n, each in enumerate(value[:9])}, [value], value[0] if value else None, len(value))
    elif isinstance(value, str):
        other = (len(value), [value], {"value": value}, value.encode(errors="replace").hex(), None, value == "")
    else:
        other = (str(value), [value], {"value": value}, None, bool(value), f"{value}.5")
    node[place] = rng.choice(other)


def _drop(_: Random, node: Any, place: Any, __: Sequence[Slot]) -> None:
    del node[place]


def _copy(rng: Random, node: Any, place: Any, places: Sequence[Slot]) -> None:
    other, where = rng.choice(places)
    value = other[where]
    if isinstance(value, (dict, list)):
        # A copy, since what contains the place would contain itself; and of little, since a list that grew holds the
        # same object many times.
        text = _json(value)
        value = json.loads(text) if 0 < len(text) < 5000 else None
    node[place] = value


def _json(value: object) -> str:
    """Empty where it cannot be written."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return ""


def _grow(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    value, luck = node[place], rng.random()
    times = 10_000 if luck < 0.002 else 2_001 if luck < 0.01 else rng.randint(2, 60)
    if isinstance(value, str):
        node[place] = value[:8] * times * (20 if luck < 0.002 else 1)
        return
    # What grew before grows no further than to the size of the largest record: twice by ten thousand is no input.
    times = min(times, LARGEST_BYTES // len(json.dumps(value, default=repr)))
    if isinstance(value, list):
        node[place] = value[:4] * times if times > 60 else value * times
    elif isinstance(node, list):
        node[place:place] = [value] * min(times, 60)


def _rename(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    if isinstance(node, dict):
        name = rng.choice(NAMES) if rng.random() < 0.6 else rng.choice(WORDS)
        node[name] = node.pop(place)


def _add(rng: Random, node: Any, _: Any, places: Sequence[Slot]) -> None:
    if isinstance(node, dict):
        node[rng.choice(NAMES)] = scalar(rng)
    else:
        node.append(scalar(rng))


def _again(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    if isinstance(node, dict):
        node[f"~again:{place}~"] = scalar(rng) if rng.random() < 0.7 else node[place]


def _raw(rng: Random, node: Any, place: Any, _: Sequence[Slot]) -> None:
    node[place] = f"~raw:{rng.randrange(len(RAWS) - (0 if rng.random() < 0.05 else 2))}~"


_CHANGES: Final[tuple[Callable[[Random, Any, Any, Sequence[Slot]], None], ...]] = (
    _replace, _replace, _edit, _edit, _retype, _drop, _copy, _grow, _add, _rename, _again, _raw, _raw,
)  # fmt: skip
_BINARY: Final = 9


def spoil_bytes(rng: Random, value: bytes, other: bytes = b"") -> bytes:
    """``value`` with one thing changed in its bytes; ``other`` is there to splice in."""
    at = rng.randint(0, len(value))
    to = min(len(value), at + rng.choice((1, 1, 2, 8, 64, len(value))))
    match rng.randrange(13):
        case 0 | 1 if value:
            flipped = bytearray(value)
            for _ in range(rng.choice((1, 1, 2, 16))):
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            return bytes(flipped)
        case 2:
            return value[:at]
        case 3:
            return value[:at] + value[to:]
        case 4:
            return value[:at] + rng.choice(RAWS[:-2]) + value[at:]
        case 5:
            return value[:at] + other[rng.randint(0, len(other)) :]
        case 6:
            return value[:at] + value[at:to] * rng.randint(2, 20) + value[to:]
        case 7:
            return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00", b" ", b"\x1f\x8b\x08")) + value
        case 8:
            return value + rng.choice((b"\x00", b" \n\t", b"{}", b",", b"\xff", value))
        case 9:
            text = value.decode(errors="replace")
            return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-7", "cp037")), errors="replace")
        case 10:
            return value[:at] + rng.randbytes(rng.choice((1, 2, 4, 30))) + value[to:]
        case 11:
            return value[:at] + b"\x00" * rng.randint(1, 8) + value[at:]
        case _:
            return rng.randbytes(rng.choice((0, 1, 3, 40, 300)))
