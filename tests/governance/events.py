"""What a record says, read from the contract: an event, or nothing that can be folded.

Only the envelope of the contract is read. What foreign producers send in shapes of their own, and events in binary
mode, whose attributes are headers, the checker does not see.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.governance.hashes import named

if TYPE_CHECKING:
    from tests.governance.run import Rec

KINDS: Final = {
    "view": "view",
    "click": "view",
    "search": "search",
    "cart": "cart",
    "purchase": "purchase",
    **dict.fromkeys(
        ("list_view", "wishlist", "rating", "review", "remove_from_cart", "checkout", "refund", "coupon"), "other"
    ),
    **dict.fromkeys(
        (
            "push_delivered",
            "push_opened",
            "push_clicked",
            "push_dismissed",
            "push_converted",
            "push_failed",
            "push_unsubscribed",
        ),
        "feedback",
    ),
    "preferences": "preference",
}
"""By type, how a shopper's events are counted; what is of feedback or preferences is none of their doings."""
_NEED_NO_ITEMS: Final = frozenset({"search", "checkout", "coupon"})
_AHEAD_MS: Final = 5 * 60_000
_TEXT: Final = 128
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """``ms``: when it happened, which is never after it was sent. ``again``: what another record of it has, too;
    ``mark``: the 64 bits that it is drawn by, None where it has no id.
    """

    rec: Rec
    user: str
    type: str
    ms: int
    data: dict[str, Any]
    again: tuple[str, ...]
    mark: int | None

    @property
    def kind(self) -> str:
        """How it is counted."""
        return KINDS[self.type]

    @property
    def done(self) -> bool:
        """Whether it is something the shopper did, and no word about pushes."""
        return self.kind not in {"feedback", "preference"}

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it is about, a line an item, each with its ``id``."""
        lines = self.data.get("items") or ([self.data] if self.data.get("item") else [])
        return [line | {"id": line.get("id") or line["item"]} for line in lines]

    @property
    def items(self) -> list[str]:
        """The items' ids."""
        return [line["id"] for line in self.lines]

    @property
    def never_late(self) -> bool:
        """Whether it is a word about pushes, which is heard however late."""
        return self.kind == "preference" or self.type == "push_unsubscribed"

    @property
    def says_no(self) -> bool:
        """Whether it says no to all pushes."""
        said = self.data.get("preferences") if self.kind == "preference" else None
        return self.type == "push_unsubscribed" or (said is not None and said.get("consent") is False)


def read(rec: Rec) -> Event | None:
    """The event of a record; None of what is none, or not this task's to fold, as it lies under another key."""
    try:
        body = json.loads(rec.value or b"")
        user, name, data = body["subject"], body["type"], body.get("data") or {}
        ms = body["time"] if isinstance(body["time"], int) else milliseconds(body["time"])
        if not user or user != rec.key or name not in KINDS or ms > rec.timestamp + _AHEAD_MS or not _whole(name, data):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    source, identity = body.get("source") or "", body.get("id") or ""
    mark = named(f"{len(source)}:{source}{len(identity)}:{identity}") if identity else None
    again = (source, identity) if identity else ((rec.value or b"").decode(),)
    return Event(rec, user, name, min(ms, rec.timestamp), data, again, mark)


def milliseconds(text: str) -> int:
    """Since the epoch, of an RFC 3339 time, cut to whole ones."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MS


def category_of(line: dict[str, Any]) -> str:
    """What a line, or an entry of the catalog, says of its item's category; "" if nothing."""
    return str(line.get("category") or next(iter(line.get("categories") or ()), ""))[:_TEXT]


def _whole(name: str, data: dict[str, Any]) -> bool:
    """Whether the data of an event has what its type needs."""
    match KINDS[name]:
        case "feedback":
            return bool(data["candidate_id"])
        case "preference":
            hours = data["preferences"].get("quiet_hours")
            return hours is None or (len(hours) == 2 and all(re.fullmatch(r"\d\d:\d\d", each) for each in hours))
        case "search":
            return bool(data["query"].strip())
        case _:
            return name in _NEED_NO_ITEMS or bool(data.get("items") or data.get("item"))
