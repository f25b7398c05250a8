"""The engine's own log: topic ``decisions``, and what came of each from ``feedback`` and ``purchase``.

A round is a decision that came as far as the question whether to push at all: it was ``sent``, or held back by chance
(a control group), or refused for its score, its worth or the gain of its coupon. What other rules refuse stays refused
under any policy judged here. There are two actions, ``send`` and ``hold``; what is pushed is part of the context, as is
all that was known.

Of what is refused for its worth a share is tried, by chance, and what a rule makes of it after that draw must not
decide whether it is a round, or the log would lack what was tried and keep what was not. So a coupon that was
``over_budget`` is a round too: it counts as sent if it would have been but for the budget, which no policy judged here
has more of, and earns what came of that. ``buys_anyway`` is asked before the draw, and is no round.

The reward is what a shopper did within a **window** after the event that was decided on:

=================  ===================================================================================================
``clicked``        the push was clicked; ``opened``, ``dismissed``, ``unsubscribed`` likewise. A push not sent earns 0
                   (and what is told of it more than five minutes before it was decided on is not of it)
``converted``      feedback says so; a push not sent earns 0
``bought``         they bought something, pushed or not
``bought-item``    they bought one of the items decided on, pushed or not
``spent``          what they paid, pushed or not
=================  ===================================================================================================

What a push that was held back would have led to is known only where pushes are held back, or sent, by chance.
Decisions whose window had not ended when the log did are left out: their noes are not yet noes. Events are read as the
engine reads them: one that was sent again, or on through ``ingress``, counts once, and feedback counts for the shopper
who was pushed.

**What such an estimate is of**: decisions one by one, among those that were logged. A policy that pushes less leaves
more room under caps and gaps and tires people less; that is not in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec
import numpy as np

from streamer.ope.alike import uneven
from streamer.ope.log import Log, LogError, single, unsettled
from streamer.ope.policies import HOLD, SCORE, SEND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.ope.chances import Chances

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Timed = tuple[str, int, "Decided"]

Reward = Literal[
    "clicked", "opened", "dismissed", "unsubscribed", "converted", "bought", "bought-item", "spent"
]  # fmt: skip
REWARDS: Final[tuple[Reward, ...]] = get_args(Reward)
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000

SENT: Final = "sent"
WORTH: Final = "worth"
CONTROL: Final = "control"
HOLDOUT: Final = "holdout"
CHANCE: Final = frozenset({CONTROL, HOLDOUT})
"""Reasons for which what would have been sent was held back by chance."""
LOW_SCORE: Final = "low_score"
NOT_WORTH_IT: Final = "not_worth_it"
NO_GAIN: Final = "no_gain"
OVER_BUDGET: Final = "over_budget"
JUDGED: Final = frozenset({LOW_SCORE, NOT_WORTH_IT, NO_GAIN, OVER_BUDGET})
"""Reasons for which it was held back for its score, for certain, or its worth, but for what is tried, or after that."""
PROPOSED: Final = frozenset({SENT, "buys_anyway", NO_GAIN, NOT_WORTH_IT, OVER_BUDGET, "outbid"}) | CHANCE
"""Reasons of what came as far as to be proposed, beside others of its occasion if they did."""
EARLY_MS: Final = 300_000
"""As much sooner than the event decided on feedback may be said to have come: clocks differ."""
Between = tuple[int, int]
ANY_TIME: Final[Between] = (0, 1 << 62)
OUTBID: Final = "outbid by another campaign"
UNTOLD: Final = "whether it was tried is not told: coupons compared by score, explored without logging alternatives"

_FEEDBACK: Final[Mapping[str, str]] = {
    "clicked": "push_clicked",
    "opened": "push_opened",
    "dismissed": "push_dismissed",
    "unsubscribed": "push_unsubscribed",
    "converted": "push_converted",
}


class Decided(msgspec.Struct, frozen=True):
    """A row of ``decisions``, as much of it as is needed; ``docs/contracts.md`` has the names."""

    o: str
    c: str
    r: str
    e: str = ""
    d: str = ""
    s: float = 0.0
    w: float | None = None
    i: tuple[str, ...] = ()
    f: tuple[float, ...] = ()
    x: tuple[str, ...] = ()
    a: tuple[tuple[str, float, float], ...] = ()
    t: int = 0
    p: float = 1.0
    v: str = ""

    @property
    def worth(self) -> float:
        """What it was compared by."""
        return self.s if self.w is None else self.w

    def arm(self, experiment: str) -> str:
        """The arm of ``experiment`` it was made in, "" if none."""
        return next((each.partition(":")[2] for each in self.x if each.partition(":")[0] == experiment), "")


@dataclass(slots=True)
class Told:
    """What the topics say, before it is put together.

    ``decided``: user, partition and row. ``times``: event time in ms by (topic, partition, offset). ``outcomes``:
    (type, user, candidate) to the times of such feedback. ``purchases``: by user, in any order. ``last_ms``: the
    latest event time seen, ``complete_ms``: from when on nothing of what came of decisions has left the topics.
    ``competed``: candidates that another campaign's stood beside, by the ids.
    """

    decided: list[tuple[str, int, Decided]] = field(default_factory=list)
    times: dict[tuple[str, int, int], int] = field(default_factory=dict)
    outcomes: dict[tuple[str, str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    purchases: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    last_ms: int = 0
    complete_ms: int = 0
    competed: set[str] = field(default_factory=set)
    _open: dict[str, tuple[Decided, list[str]]] = field(default_factory=dict)
    _seen: set[tuple[str, int]] = field(default_factory=set)

    def decide(self, user: str, partition: int, row: Decided, *, keep: bool = True) -> None:
        """A decision, in the order of its partition; it is a round if ``keep`` says so."""
        if keep and (wanted(row) or row.a):
            self.decided.append((user, partition, row))
        before = self._open.get(user)
        if before is None or not _beside(before[0], row):
            before = self._open[user] = row, []
        if row.r in PROPOSED:
            before[1].append(row.d)
            if len(before[1]) > 1:
                self.competed.update(before[1])

    def add(self, event: Event) -> None:
        """An inbound event: its time, and, the first time it is there, what it says of a candidate or of an order."""
        self.last_ms = max(self.last_ms, event.time)
        if not event.candidate_id and event.type != "purchase":
            return
        mark = (event.user, event.fingerprint)
        if mark in self._seen:
            return
        self._seen.add(mark)
        if event.candidate_id:
            self.outcomes[event.type, event.user, event.candidate_id].append(event.time)
        else:
            self.purchases[event.user].append(event)


@dataclass(frozen=True, slots=True)
class Joined:
    """Rounds, what was left out of them, by why, and sentences on what could not be checked."""

    log: Log
    left_out: dict[str, int]
    notes: tuple[str, ...] = ()


def wanted(row: Decided) -> bool:
    """Whether a decision is a round, as the module has it."""
    return row.r == SENT or row.r in CHANCE or row.r in JUDGED


def _beside(one: Decided, other: Decided) -> bool:
    """Whether they may be of one occasion: asked by the same event, or by timers that were due within an hour."""
    if one.t and other.t:
        return abs(one.t - other.t) <= HOUR_MS
    return not one.t and not other.t and one.o == other.o


def place(origin: str, partition: int) -> tuple[str, int, int]:
    """Topic, partition and offset of the event decided on."""
    topic, _, offset = origin.rpartition(":")
    return topic, partition, int(offset)


def join(
    found: Told,
    reward: Reward,
    *,
    window_ms: int,
    chances: Chances,
    experiment: str = "",
    between: Between = ANY_TIME,
) -> Joined:
    """The rounds ``between`` two times with their rewards.

    With ``experiment``, the actions are
    its arms instead, for all rounds of users who are in it, and an arm's probability is its share of those users.
    Raises ``LogError``, also if the settings that ``chances`` are of would never decide as the log did.
    """

    def refused(user: str, row: Decided) -> str:
        if not wanted(row):
            return OUTBID
        if experiment:
            return "" if row.arm(experiment) else "not in the experiment"
        return UNTOLD if chances.untold(user, row) else ""

    kept, left = in_time(found, window_ms, refused, between)
    rows = [row for _, _, row in kept]
    shared = {
        **common(found, kept, reward, window_ms),
        "context": standardised([row.f for row in rows]),
        "scores": {SCORE: np.array([row.s for row in rows]), WORTH: np.array([row.worth for row in rows])},
    }
    if experiment:
        return Joined(_by_arm(rows, experiment, shared), left)
    chances.check([(user, row) for user, _, row in kept])
    return Joined(_by_sending(kept, chances, shared, settled=reward in _FEEDBACK), left, chances.notes(rows))


def in_time(
    found: Told, window_ms: int, refused: Callable[[str, Decided], str], between: Between = ANY_TIME
) -> tuple[list[Timed], dict[str, int]]:
    """The decisions ``between`` two times (the second is not among them) whose window has ended, and of the others how
    many are left out, by why.

    ``refused`` says why a decision is no round, "" if it is one. One whose feedback and orders may be gone is left out:
    to take them for noes would be wrong. Raises ``LogError`` if none is left.
    """
    left: Counter[str] = Counter()
    kept: list[Timed] = []
    for user, partition, row in found.decided:
        # A timer's decision is made when it was due, not when it was armed.
        time_ms = row.t or found.times.get(place(row.o, partition))
        if why := refused(user, row):
            left[why] += 1
        elif time_ms is None:
            left["the event decided on is no longer in its topic"] += 1
        elif not between[0] <= time_ms < between[1]:
            left["not of the time that is asked about"] += 1
        elif time_ms - EARLY_MS < found.complete_ms:
            left["what came of it is no longer in topics feedback and purchase"] += 1
        elif time_ms + window_ms > found.last_ms:
            left["the window for its reward has not ended"] += 1
        else:
            kept.append((user, time_ms, row))
    if not kept:
        why = "; ".join(f"{reason}: {count:,}" for reason, count in left.items()) or "there are none in the topic"
        raise LogError(f"no decision can be used ({why})")
    return kept, dict(left)


def common(found: Told, kept: Sequence[Timed], reward: Reward, window_ms: int) -> dict[str, Any]:
    """The fields of a ``Log`` that do not hang on what was chosen between."""
    users = {user: n for n, user in enumerate(sorted({user for user, _, _ in kept}))}
    return {
        "users": np.array([users[user] for user, _, _ in kept], np.int64),
        "rewards": np.array([_reward(found, reward, each, window_ms) for each in kept]),
        "positions": single(len(kept)),
        "ids": tuple(row.d for _, _, row in kept),
    }


def _by_sending(kept: Sequence[Timed], chances: Chances, shared: Mapping[str, Any], *, settled: bool) -> Log:
    sent = np.array([row.r == SENT or chances.meant(user, row) for user, _, row in kept])
    send = np.array([chances.send(user, row) for user, _, row in kept])
    offered = np.column_stack([1.0 - send, send])
    return Log(
        actions=sent.astype(np.int64),
        propensities=np.where(sent, send, 1.0 - send),
        names=(HOLD, SEND),
        settled=np.array([0.0, np.nan]) if settled else unsettled(2),
        offered=offered,
        uneven=_uneven_by_sending(kept, shared["users"]),
        **shared,
    )


def _uneven_by_sending(kept: Sequence[Timed], users: Ints) -> str:
    """Of shoppers whom a campaign would have sent something, those it held back against those it did not."""
    of = np.array([row.c for _, _, row in kept])
    sides = np.array([1 if row.r in CHANCE else 0 if row.r == SENT else -1 for _, _, row in kept])
    return uneven(users, sides, ("pushed", "held back"), of)


def _by_arm(rows: Sequence[Decided], experiment: str, shared: Mapping[str, Any]) -> Log:
    arms = [row.arm(experiment) for row in rows]
    names = tuple(sorted(set(arms)))
    actions = np.array([names.index(arm) for arm in arms], np.int64)
    users: Ints = shared["users"]
    _, first = np.unique(users, return_index=True)
    share = np.bincount(actions[first], minlength=len(names)) / len(first)
    return Log(
        actions=actions,
        propensities=share[actions],
        names=names,
        settled=unsettled(len(names)),
        offered=np.broadcast_to(share, (len(rows), len(names))),
        uneven=uneven(users, actions, tuple(f"in arm {name}" for name in names)),
        **shared,
    )


def _reward(found: Told, reward: Reward, decided: Timed, window_ms: int) -> float:
    user, time_ms, row = decided
    if reward in _FEEDBACK:
        told = found.outcomes.get((_FEEDBACK[reward], user, row.d), ())
        return float(row.r == SENT and any(time_ms - EARLY_MS <= at <= time_ms + window_ms for at in told))
    orders = [event for event in found.purchases.get(user, ()) if time_ms < event.time <= time_ms + window_ms]
    if reward == "spent":
        paid: Iterable[float] = (line.price * line.quantity for event in orders for line in event.lines)
        return sum(each for each in paid if each == each)  # noqa: PLR0124 -- NaN: a price not told
    if reward == "bought-item":
        return float(any(line.item in row.i for event in orders for line in event.lines))
    return float(bool(orders))


def standardised(features: Sequence[Sequence[float]]) -> Floats:
    """[n, d]: mean 0 and deviation 1; what never varies is left out, and what a row lacks is 0."""
    width = max(map(len, features))
    table = np.zeros((len(features), width))
    for at, row in enumerate(features):
        table[at, : len(row)] = row
    table = table[:, table.std(axis=0) > 1e-9]
    return (table - table.mean(axis=0)) / table.std(axis=0) if table.size else table
