"""What the contract says of an inbound record and of a shopper, done once more in the plainest way.

Nothing here is the engine's: it is written from ``docs/contracts.md`` and ``docs/architecture.md``, one record at a
time, with dictionaries and lists, as an oracle to hold the engine to. Interests that fade are left out: they are
floating-point and the engine's own tests hold them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tests.faults.load import DAY_MS, MINUTE_MS, Headers, partition_of

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR_MS: Final = 60 * MINUTE_MS
FEEDBACK: Final = tuple(
    f"push_{w}" for w in ("delivered", "opened", "clicked", "dismissed", "converted", "failed", "unsubscribed")
)
KINDS: Final = {
    "view": "view", "click": "view", "cart": "cart", "purchase": "purchase", "search": "search",
    "list_view": "other", "wishlist": "other", "rating": "other", "review": "other", "remove_from_cart": "other",
    "checkout": "other", "refund": "other", "coupon": "other", "preferences": "preferences",
} | dict.fromkeys(FEEDBACK, "feedback")  # fmt: skip
#: What shows less interest than a view: it takes no place that another item has.
WEAK: Final = {"list_view", "remove_from_cart", "refund"}
COUNTED: Final = ("view", "search", "cart", "purchase", "other")
TRIGGERS: Final = {"view", "click", "wishlist", "search", "cart"}
WITH_ITEMS: Final = {t for t, kind in KINDS.items() if kind in {"view", "cart", "purchase", "other"}} - {
    "checkout",
    "coupon",
}
MOST_RECENT: Final = 32
MOST_BOUGHT: Final = 512
#: What no tombstone unsays.
NOES: Final[tuple[tuple[str, Any], ...]] = (("consent", False), ("channels", []))
WORDS: Final = ("consent", "channels", "quiet_hours", "time_zone")
ANSWERS: Final = ("opened", "clicked", "converted")
CHANNELS: Final = ("push", "in-app", "email", "sms")


@dataclass(frozen=True, slots=True)
class Rec:
    """A record as a stock consumer reads it; ``topic`` without the prefix."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Said:
    """What a readable record says. ``cents``: what it says each of its items costs, 0 for nothing."""

    user: str
    type: str
    time: int
    id: str = ""
    source: str = ""
    items: tuple[str, ...] = ()
    query: str = ""
    preferences: dict[str, Any] | None = None
    candidate: str = ""
    cents: tuple[int, ...] = ()

    @property
    def fingerprint(self) -> int:
        """BLAKE2b-64 over source and id, each behind its length."""
        text = f"{len(self.source)}:{self.source}{len(self.id)}:{self.id}"
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def item_key(item: str) -> int:
    """An item's 64 bits in tables and rows."""
    return int.from_bytes(blake2b(item.encode(), digest_size=8).digest(), "little")


def candidate_id(user: str, source: str, event_id: str, campaign: str) -> str:
    """BLAKE2b-128 over the four, each behind its length in four bytes."""
    parts = (part.encode() for part in (user, source, event_id, campaign))
    return blake2b(b"".join(len(p).to_bytes(4, "little") + p for p in parts), digest_size=16).hexdigest()


def milliseconds(text: str) -> int:
    """Of an RFC 3339 time, since the epoch."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def read(rec: Rec) -> Said | str:
    """What the record says, or the reason code it is refused for. Knows the shapes that the load has."""
    if rec.value is None and rec.key and rec.topic in {"preferences", "ingress"}:
        return Said(rec.key.decode(), "tombstone", rec.timestamp)
    if not rec.value:
        return "empty"
    if len(rec.value) + len(rec.key or b"") + sum(len(n) + len(v) for n, v in rec.headers) > 1 << 20:
        return "too_large"
    try:
        body = json.loads(rec.value, parse_constant=_no_constant)
    except ValueError:
        return "not_json"
    if not isinstance(body, dict):
        return "not_an_event"
    kind = body.get("type")
    if kind is None:
        return "missing_field" if "specversion" in body else "not_an_event"
    if kind not in KINDS:
        return "unknown_type"
    if not body.get("subject"):
        return "no_user"
    time = milliseconds(body["time"])
    if time < 946_684_800_000:
        return "bad_time"
    if time > rec.timestamp + 5 * MINUTE_MS:
        return "future_time"
    return _said(body, kind, min(time, rec.timestamp))


def _said(body: dict[str, Any], kind: str, time: int) -> Said | str:
    data = body["data"]
    lines = data.get("items") or ([{"id": data["item"]}] if "item" in data else [])
    if any(len(line["id"]) > 256 for line in lines):
        return "id_too_long"
    if any(line.get("quantity", 1) < 1 for line in lines):
        return "wrong_type"
    if kind in WITH_ITEMS and not lines:
        return "missing_field"
    items = tuple(line["id"] for line in lines)
    query, wishes = data.get("query", ""), data.get("preferences")
    candidate = data.get("candidate_id", "")
    cents = tuple(round(line.get("price", 0) * 100) for line in lines)
    return Said(body["subject"], kind, time, body["id"], body["source"], items, query, wishes, candidate, cents)


def says_no(said: Said) -> bool:
    """Whether it says no to all pushes."""
    return said.type == "push_unsubscribed" or bool(_noes(said))


def _noes(said: Said) -> dict[str, Any]:
    """What of the preferences no erasure and no tombstone unsays."""
    return {name: word for name, word in (said.preferences or {}).items() if (name, word) in NOES}


def _no_constant(name: str) -> None:
    raise ValueError(name)


@dataclass
class Profile:
    """A shopper's profile, of what is whole numbers."""

    first_ms: int
    last_ms: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    sessions: int = 0
    session_start_ms: int = 0
    session_events: int = 0
    items: dict[str, list[int]] = field(default_factory=dict)  # id → [last_s, views, carts, purchases], newest last
    searches: dict[str, int] = field(default_factory=dict)
    purchased: dict[str, list[int]] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)  # hour of the day, UTC → visits


@dataclass
class Standing:
    """What a shopper said of pushes; a word and the time of the event that said it."""

    words: dict[str, tuple[Any, int]] = field(default_factory=dict)
    unsubscribed_ms: int = 0
    erased_ms: int = 0
    dismissals: int = 0
    taken: dict[str, int] = field(default_factory=dict)
    engaged_ms: int = 0
    dismissed: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    def word(self, name: str) -> Any:
        """The word that stands, or None."""
        return self.words.get(name, (None, 0))[0]

    @property
    def opted_out(self) -> bool:
        """Said no, or unsubscribed and did not say yes since."""
        consent, at = self.words.get("consent", (None, 0))
        if consent is False:
            return True
        return self.unsubscribed_ms > 0 and not (consent and at >= self.unsubscribed_ms)


@dataclass
class Shopper:
    """All that is kept of one shopper. ``sent``: (stream time, campaign, items, the candidate's first 32 bits) of the
    pushes, oldest first.
    """

    profile: Profile | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)
    standing: Standing | None = None
    sent: list[tuple[int, str, tuple[str, ...], int]] = field(default_factory=list)

    def told(self, said: Said) -> Said:
        """The event as far as it is heard: of before an erasure nothing comes back but a no."""
        before = self.standing is not None and said.time <= self.standing.erased_ms
        return replace(said, preferences=_noes(said)) if before and said.preferences else said

    def judge(self, said: Said) -> str:
        """Whether the event is ``applied``, a ``duplicate`` or ``late``; remembered if applied."""
        if said.type == "tombstone":
            return "applied"
        if self.standing is not None and said.time <= self.standing.erased_ms and not says_no(said):
            return "late"
        heard = said.type in {"preferences", "push_unsubscribed"}
        if self.profile is not None and said.time < self.profile.last_ms - 7 * DAY_MS and not heard:
            if said.type == "purchase" and self._is_new(said):
                for item in said.items:
                    if item in self.profile.purchased or len(self.profile.purchased) < MOST_BOUGHT:
                        _buy(self.profile.purchased, item, said.time // 1000)
            return "late"
        return "applied" if self._is_new(said) else "duplicate"

    def _is_new(self, said: Said) -> bool:
        """Whether it was not seen before; it is from now on."""
        fingerprint = said.fingerprint
        if any(mark == fingerprint for mark, _ in self.seen):
            return False
        at = said.time // 1000
        kept = self.seen[-255:]
        while kept and kept[0][1] < at - 7 * DAY_MS // 1000:
            kept = kept[1:]
        self.seen = [*kept, (fingerprint, at)]
        return True

    def fold(self, said: Said) -> None:
        """Take an applied event in."""
        kind = KINDS.get(said.type, "tombstone")
        if kind == "tombstone":
            self.standing = self.standing or Standing()
            words = self.standing.words.items()
            stay = {name: word for name, word in words if word[1] > said.time or (name, word[0]) in NOES}
            self.standing.words = dict.fromkeys(WORDS, (None, said.time)) | stay
        elif kind == "preferences" and (said.preferences or {}).get("erase"):
            self._erase(said)
        elif kind in {"preferences", "feedback"}:
            self.standing = self.standing or Standing()
            self._hear(self.standing, said)
        else:
            self._behave(said, kind)

    def _erase(self, said: Said) -> None:
        old = self.standing or Standing()
        self._hear(old, said)
        kept = Standing(erased_ms=max(old.erased_ms, said.time))
        if old.opted_out:
            kept.words["consent"] = (False, max(old.words.get("consent", (None, 0))[1], old.unsubscribed_ms))
        if old.word("channels") == []:
            kept.words["channels"] = old.words["channels"]
        self.profile, self.seen, self.standing, self.sent = None, [], kept, []

    @staticmethod
    def _hear(standing: Standing, said: Said) -> None:
        for name, word in (said.preferences or {}).items():
            earlier, at = standing.words.get(name, (None, 0))
            if name == "consent" and word is False:  # a no is never too old
                standing.words[name] = (False, max(said.time, at))
            elif name == "consent" and earlier is False and said.time == at:
                continue
            elif name != "erase" and word is not None and said.time >= at:
                standing.words[name] = (word, said.time)
        if said.type == "push_unsubscribed":
            consent, at = standing.words.get("consent", (None, 0))
            after_yes = at + 1 if consent and at >= said.time else 0
            standing.unsubscribed_ms = max(standing.unsubscribed_ms, said.time, after_yes)
        elif said.type.startswith("push_"):
            what = said.type.removeprefix("push_")
            if what == "dismissed" and int(said.candidate[:8], 16) in standing.dismissed:
                return
            if what == "failed":
                mark = int(said.candidate[:8], 16)
                standing.failed = [*standing.failed, *([] if mark in standing.failed else [mark])][-64:]
                return
            if what in ANSWERS and (mark := int(said.candidate[:8], 16)):
                told = mark * len(ANSWERS) + ANSWERS.index(what)
                if told in standing.answered:
                    return
                standing.answered = [*standing.answered, told][-64:]
            standing.taken[what] = standing.taken.get(what, 0) + 1
            if what in {"opened", "clicked", "converted"}:
                standing.engaged_ms = max(standing.engaged_ms, said.time)
            if what in {"clicked", "converted"}:
                standing.dismissals = 0
            elif what == "dismissed":
                standing.dismissals += 1
                mark = int(said.candidate[:8], 16)
                standing.dismissed = [*standing.dismissed, *([] if mark in standing.dismissed else [mark])][-64:]

    def _behave(self, said: Said, kind: str) -> None:
        profile = self.profile = self.profile or Profile(said.time, said.time)
        in_order, at = said.time >= profile.last_ms, said.time // 1000
        for item in said.items:
            full = len(profile.items) >= MOST_RECENT and item not in profile.items
            if in_order and not (full and said.type in WEAK):
                row = profile.items.pop(item, [0, 0, 0, 0])
                profile.items[item] = row
                row[0] = at
                for place, counted in enumerate(("view", "cart", "purchase"), 1):
                    row[place] += kind == counted
                _keep(profile.items, MOST_RECENT)
            if kind == "purchase":
                _buy(profile.purchased, item, at)
            elif said.type == "refund":
                profile.purchased.pop(item, None)
        if kind == "search" and in_order and (text := " ".join(said.query.lower().split())[:64]):
            profile.searches.pop(text, None)
            profile.searches[text] = at
            _keep(profile.searches, 8)
        profile.counts[kind] += 1
        if not in_order:
            profile.first_ms = min(profile.first_ms, said.time)
            return
        hour = said.time // HOUR_MS
        if profile.sessions == 0 or hour != profile.last_ms // HOUR_MS:
            profile.hours[hour % 24] = profile.hours.get(hour % 24, 0) + 1
            if profile.hours[hour % 24] > 32:
                profile.hours = {at: visits // 2 for at, visits in profile.hours.items() if visits > 1}
        if profile.sessions == 0 or said.time - profile.last_ms > 30 * MINUTE_MS:
            profile.sessions, profile.session_start_ms, profile.session_events = profile.sessions + 1, said.time, 0
        profile.session_events += 1
        profile.last_ms = said.time


def _buy(purchased: dict[str, list[int]], item: str, at: int) -> None:
    """``purchased``: last and first time, and at how many moments, oldest first; at most ``MOST_BOUGHT``."""
    had = purchased.pop(item, None)
    if had is None:
        had = [at, at, 1]
        if len(purchased) >= MOST_BOUGHT:
            once = [name for name, (_, _, times) in purchased.items() if times == 1]
            del purchased[(once or list(purchased))[0]]
    else:
        had = [max(had[0], at), min(had[1], at), min(had[2] + (at != had[0]), 255)]
    purchased[item] = had


def _keep(rows: dict[str, Any], limit: int) -> None:
    while len(rows) > limit:
        del rows[next(iter(rows))]


def spelled(channels: Sequence[str] | None) -> list[str] | None:
    """The channels that a shopper takes as campaigns spell them: lower case, words joined by hyphens."""
    if channels is None:
        return None
    return sorted({re.sub("[ _]", "-", name.strip().lower()) for name in channels})


def refusal(shopper: Shopper, time_ms: int, newest_ms: int, now_ms: int) -> str:
    """The rule that forbids a push before anything is ranked, or nothing.

    ``time_ms`` is the event's, or when the timer was due; ``newest_ms`` is of the user, before it.
    """
    standing, sent = shopper.standing or Standing(), [at for at, *_ in shopper.sent]
    channels = spelled(standing.word("channels"))
    if standing.opted_out:
        return "consent"
    if channels is not None and not set(channels) & set(CHANNELS):
        return "channel"
    if time_ms < newest_ms:
        return "out_of_order"
    if time_ms + HOUR_MS <= now_ms:
        return "expired"
    if quiet(standing, now_ms):
        return "quiet_hours"
    if sent and now_ms - sent[-1] < 30 * MINUTE_MS * 2 ** min(standing.dismissals, 6):
        return "min_gap"
    if sum(at > now_ms - HOUR_MS for at in sent) >= 1:
        return "hour_cap"
    if sum(at > now_ms - DAY_MS for at in sent) >= 4:
        return "day_cap"
    return ""


def room(shopper: Shopper, due_ms: int, now_ms: int) -> int | None:
    """When every cap would let one more push pass; None if what was due then has expired by that time."""
    sent = [at for at, *_ in shopper.sent]
    dismissals = (shopper.standing or Standing()).dismissals
    moments = [now_ms, sent[-1] + 30 * MINUTE_MS * 2 ** min(dismissals, 6), sent[-1] + HOUR_MS]
    if len(sent) >= 4:
        moments.append(sent[-4] + DAY_MS)
    return max(moments) if max(moments) < due_ms + HOUR_MS else None


def quiet(standing: Standing, now_ms: int) -> bool:
    """Whether stream time lies in the shopper's quiet hours."""
    hours = standing.word("quiet_hours")
    if not hours or hours[0] == hours[1]:
        return False
    return _quiet_at(tuple(hours), standing.word("time_zone") or "+00:00", now_ms // MINUTE_MS)


@lru_cache(1 << 20)
def _quiet_at(hours: tuple[str, str], zone: str, minute: int) -> bool:
    """Whether it is quiet in a minute since 1970. Each is asked for again and again."""
    fixed = re.fullmatch(r"([+-])(\d\d):(\d\d)", zone)
    if fixed is None:
        local = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
        clock = local.hour * 60 + local.minute
    else:
        offset = (int(fixed[2]) * 60 + int(fixed[3])) * (-1 if fixed[1] == "-" else 1)
        clock = (minute + offset) % (24 * 60)
    start, end = (int(h[:2]) * 60 + int(h[3:]) for h in hours)
    return start <= clock < end if start < end else clock >= start or clock < end


def belongs(rec: Rec, said: Said, partitions: int) -> bool:
    """Whether the record lies under its subject's key, on that key's partition."""
    user = said.user.encode()
    return rec.key == user and rec.partition == partition_of(user, partitions)
