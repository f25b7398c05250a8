"""What the three vendors' payloads share: words, expiry, and how a message is made to fit.

A payload is made of a candidate, the words to show, and the time; nothing here reads a clock or talks to anybody. What
an app needs to open the right page and to say what became of the push is in every payload: ``candidate_id``,
``campaign``, ``deep_link``, ``items`` (their ids, best first), ``expires_at``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from streamer.core.effects import Candidate
from streamer.core.parse import EARLIEST_MS, LATEST_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
"""Of the candidates that are read here; in another one any field may mean something else."""

_ELLIPSIS: Final = "\u2026"
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00Z")
_DIGEST_BYTES: Final = 24
_CANDIDATE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)

encode = msgspec.json.Encoder(order="deterministic").encode


class Refused(ValueError):  # noqa: N818 - says what became of it
    """A candidate that must not be sent; the message says why."""


class Expired(Refused):
    """It is past its ``expires_at``."""


class TooLarge(Refused):
    """Its ids alone are more than the vendor takes."""


class Message(msgspec.Struct, frozen=True):
    """The words to show."""

    title: str
    body: str


class Request(msgspec.Struct, frozen=True):
    """What is posted: HTTP headers, without authorisation, and the body to the byte."""

    headers: dict[str, str]
    body: bytes


class _Versioned(msgspec.Struct, frozen=True):
    schema_version: int


def candidate_of(value: bytes) -> Candidate:
    """The value of a record on ``push-candidates``; fields not known are ignored.

    Raises ``Refused``, and nothing else whatever the bytes, for what is no candidate: what is not JSON or not of the
    schema, of a ``schema_version`` that is not known, or has an id or a time that no payload could be made of. Whoever
    reads the topic has to pass such a record by: it is as bad after a restart, and all behind it on its partition wait.
    """
    # Read by itself and first: what else a later version has may not fit, and that would be the reason told.
    version = _read(value, _Versioned).schema_version
    if version != SCHEMA_VERSION:
        raise Refused(f"schema_version is {version}, and only {SCHEMA_VERSION} is known here")
    candidate = _read(value, Candidate)
    if not _CANDIDATE_ID.fullmatch(candidate.candidate_id):
        raise Refused(f"candidate_id is not 32 hexadecimal digits: {candidate.candidate_id[:64]!r}")
    for name in ("user_id", "dedupe_key", "collapse_key"):
        if not getattr(candidate, name):
            raise Refused(f"{name} is empty, of candidate {candidate.candidate_id}")
    if not candidate.items or not all(item.id for item in candidate.items):
        raise Refused(f"there is no item, or one without an id, in candidate {candidate.candidate_id}")
    for name in ("decided_at", "expires_at"):
        if (problem := _no_time(getattr(candidate, name))) is not None:
            raise Refused(f"{name} {problem}, of candidate {candidate.candidate_id}")
    return candidate


def _read(value: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (ValueError, RecursionError) as error:
        # msgspec's own errors are ValueErrors, and so is text that is not UTF-8; nesting has no bottom to it.
        raise Refused(f"it cannot be read: {error}") from None


def _no_time(text: str) -> str | None:
    """Why ``text`` is no time to go by; ``None`` if it is one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return f"is no time: {text[:64]!r}"
    if moment.tzinfo is None:
        return f"has no zone: {text!r}"
    return None if EARLIEST_MS <= _ms(moment) < LATEST_MS else f"is not between 2000 and 2099: {text!r}"


def render(template: Message, candidate: Candidate) -> Message:
    """``template`` with ``{name}`` replaced by the candidate's variables, and ``{reason}`` by its weightiest reason.

    A variable that is not there is an empty word: a push without a price is better than none.
    """
    names = _Words({"reason": next(iter(candidate.reasons), "")} | candidate.template.vars)
    return Message(*(" ".join(text.format_map(names).split()) for text in (template.title, template.body)))


class _Words(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return ""


def expires_ms(candidate: Candidate) -> int:
    """``expires_at`` in milliseconds since the epoch."""
    return _ms(datetime.fromisoformat(candidate.expires_at))


def decided_ms(candidate: Candidate) -> int:
    """``decided_at`` in milliseconds since the epoch."""
    return _ms(datetime.fromisoformat(candidate.decided_at))


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def seconds_left(candidate: Candidate, now_ms: int) -> int:
    """Whole seconds that it is still valid, at least 1. Raises ``Expired`` when there is less than one."""
    left = (expires_ms(candidate) - now_ms) // 1000
    if left < 1:
        raise Expired(f"candidate {candidate.candidate_id} expired at {candidate.expires_at}")
    return left


def told(candidate: Candidate) -> dict[str, object]:
    """What the app is told besides the words."""
    return {
        "candidate_id": candidate.candidate_id,
        "campaign": candidate.campaign,
        "deep_link": candidate.deep_link,
        "items": [item.id for item in candidate.items],
        "expires_at": candidate.expires_at,
    }


def fit(message: Message, limit: int, make: Callable[[Message], object], who: str) -> Message:
    """``message``, its body and if need be its title cut so that the JSON of ``make(message)`` has ``limit`` bytes.

    Raises ``TooLarge`` if it has more without any words, naming the vendor (``who``).
    """
    for name in ("body", "title"):
        over = len(encode(make(message))) - limit
        if over <= 0:
            return message
        word = getattr(message, name)
        message = msgspec.structs.replace(message, **{name: cut(word, _size(word) - over)})
    over = len(encode(make(message))) - limit
    if over > 0:
        raise TooLarge(f"{who} takes {limit} bytes, and the ids alone are {over} more")
    return message


def cut(word: str, size: int) -> str:
    """``word``, ending in an ellipsis if it would take more than ``size`` bytes in JSON; "" if not even that fits."""
    if _size(word) <= size:
        return word
    room = size - len(_ELLIPSIS.encode())
    word = word[: max(room, 0)]
    while word and _size(word) > room:
        word = word[:-1]
    return word.rstrip() + _ELLIPSIS if word else ""


def _size(word: str) -> int:
    return len(encode(word)) - 2


def digest(key: str) -> bytes:
    """24 bytes that stand for a key of any length and alphabet."""
    return blake2b(key.encode(), digest_size=_DIGEST_BYTES).digest()


def priority(candidate: Candidate, known: Mapping[str, str]) -> str:
    """The vendor's word for the candidate's priority; one that is not known counts as ``normal``."""
    return known.get(candidate.priority, known["normal"])
