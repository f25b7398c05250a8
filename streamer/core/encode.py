"""What leaves the core, as bytes: candidates, decisions and dead letters.

The shapes are those of ``streamer/schemas/``; ``docs/contracts.md`` explains them to whoever reads them.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from streamer.core.names import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.effects import Alternative, Candidate, DeadLetter, Decision

CANDIDATE_BYTES: Final = 3584
"""What a push payload has room for. ``parse.Limits`` bounds the ids of a candidate, ``candidate`` cuts its words."""

ALWAYS_FIT: Final = 3
"""So many items have room in it whatever their ids, within ``parse.Limits``."""

DEAD_LETTER_WHOLE_BYTES: Final = 256 * 1024
"""A dead letter's value is kept whole up to this size."""

DEAD_LETTER_CUT_BYTES: Final = 64 * 1024
"""What is kept of a longer value, and the most that a key and the original headers may take."""

_WORD_BYTES = (128, 64, 32, 16)
#: What a candidate takes without its ids, its link and its arms when its words are cut to the least; what each item
#: takes besides its id, and each arm besides its names.
_FRAME_BYTES = 1_070
_ITEM_BYTES = 70
_ARM_BYTES = 20
_ELLIPSIS = "\u2026"
_DETAIL_BYTES = 512
_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)

Headers = tuple[tuple[str, bytes], ...]


class _DecisionRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A decision with the short names that keep a refusal under 80 bytes; what has its default is left out."""

    o: str
    c: str
    r: str
    m: int
    v: str
    p: float | None = None
    e: str = ""
    d: str = ""
    s: float | None = None
    i: tuple[str, ...] = ()
    f: tuple[float, ...] = ()
    t: int = 0
    w: float | None = None
    x: tuple[str, ...] = ()
    a: tuple[Alternative, ...] = ()
    k: int = 0
    g: int | None = None


_encode = msgspec.json.Encoder().encode


def candidate(value: Candidate) -> bytes:
    """The JSON of a candidate, as ``candidate.schema.json`` has it.

    If it is longer than ``CANDIDATE_BYTES``, template variables and reasons, which are for display, are cut to what
    fits. Ids are never cut: three items with ids at the default limit leave room for words, and of more there are as
    many as ``how_many_fit``.
    """
    encoded = _encode(value)
    for size in _WORD_BYTES:
        if len(encoded) <= CANDIDATE_BYTES:
            break
        template = value.template
        # A coupon is redeemed by its id.
        words = {name: word if name == "coupon" else _cut(word, size) for name, word in template.vars.items()}
        encoded = _encode(
            replace(
                value,
                template=replace(template, vars=words),
                reasons=tuple(_cut(reason, size) for reason in value.reasons),
            )
        )
    return encoded


def how_many_fit(items: Sequence[str], *, ids: Sequence[str], link: str, arms: Sequence[tuple[str, str]]) -> int:
    """How many of a push's items, its best first, a candidate has room for beside its other ids, its link and its arms.

    Three always have; with a few hundred bytes each twenty have not.
    """
    arms_bytes = sum(len(name) + len(arm) + _ARM_BYTES for name, arm in arms)
    room = CANDIDATE_BYTES - _FRAME_BYTES - sum(map(_size, ids)) - _size(link) - arms_bytes
    for count, item in enumerate(items):
        room -= _size(item) + _ITEM_BYTES
        if room < 0 and count >= ALWAYS_FIT:
            return count
    return len(items)


def _size(text: str) -> int:
    return len(_encode(text)) - 2


def _cut(word: str, size: int) -> str:
    """``word``, ending in an ellipsis if it would take more than ``size`` bytes in JSON."""
    if _size(word) <= size:
        return word
    word = word[:size]
    while word and _size(word) > size - len(_ELLIPSIS.encode()):
        word = word[:-1]
    return word + _ELLIPSIS


def decision(value: Decision) -> bytes:
    """The JSON of a decision, as ``decision.schema.json`` has it. The user is the record's key, not in the value."""
    if not value.event_id and not value.due_ms:
        # A refusal before ranking, as most are: all but its origin is shared by many.
        shared = _refusal(
            value.campaign, value.reason, value.model_version, value.policy_version, value.propensity, value.arms
        )
        return b'{"o":' + _encode(value.origin) + shared
    return _encode(
        _DecisionRow(
            value.origin,
            value.campaign,
            value.reason,
            value.model_version,
            value.policy_version,
            None if value.propensity == 1 else value.propensity,
            value.event_id,
            value.candidate_id,
            value.score or None,
            value.items,
            value.features,
            value.due_ms,
            value.worth,
            value.arms,
            value.alternatives,
            value.coupon_cents,
            None if value.segment == NONE else value.segment,
        )
    )


@lru_cache(maxsize=1024)
def _refusal(  # noqa: PLR0917 -- they are its key
    campaign: str, reason: str, model_version: int, policy_version: str, propensity: float, arms: tuple[str, ...]
) -> bytes:
    """The JSON of a decision without items, from behind its origin on."""
    told = None if propensity == 1 else propensity
    row = _DecisionRow("", campaign, reason, model_version, policy_version, told, x=arms)
    return _encode(row).removeprefix(b'{"o":""')


def dead_letter(letter: DeadLetter) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of a dead letter: the record as it came, with ``dl_`` headers telling why and whence.

    A value over ``DEAD_LETTER_WHOLE_BYTES`` is cut and its SHA-256 (hex, of the whole) given. Key and headers are the
    original's too; only beyond ``DEAD_LETTER_CUT_BYTES`` the key is cut and the headers are dropped, so that a
    record at the broker's size limit still fits when its reason is added.
    """
    record = letter.record
    key, value, headers = record.key, record.value, record.headers
    added = [
        ("dl_reason", letter.reason.encode()),
        ("dl_detail", letter.detail.encode(errors="replace")[:_DETAIL_BYTES].decode(errors="ignore").encode()),
        ("dl_topic", record.topic.encode()),
        ("dl_partition", b"%d" % record.partition),
        ("dl_offset", b"%d" % record.offset),
        ("dl_timestamp", b"%d" % record.timestamp),
        ("dl_size", b"%d" % len(value or b"")),
    ]
    if value is not None and len(value) > DEAD_LETTER_WHOLE_BYTES:
        added.append(("dl_sha256", sha256(value).hexdigest().encode()))
        value = value[:DEAD_LETTER_CUT_BYTES]
    if key is not None and len(key) > DEAD_LETTER_CUT_BYTES:
        added.append(("dl_key_size", b"%d" % len(key)))
        key = key[:DEAD_LETTER_CUT_BYTES]
    # Each header takes two bytes at least for its lengths, so that a million of empty ones are a megabyte.
    if sum(2 + len(name) + len(content or b"") for name, content in headers) > DEAD_LETTER_CUT_BYTES:
        added.append(("dl_headers_dropped", b"%d" % len(headers)))
        headers = ()
    return key, value, (*headers, *added)


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(day)).isoformat()


def rfc3339(ms: int) -> str:
    """``ms`` since the epoch as RFC 3339 in UTC with milliseconds, for the years 1 to 9999; else OverflowError."""
    day, rest = divmod(ms, _DAY_MS)
    seconds, ms = divmod(rest, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{_date(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{ms:03d}Z"
