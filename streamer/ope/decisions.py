"""The engine's own log: topic ``decisions``, and what came of each from ``feedback`` and ``purchase``.

A round is a decision that came as far as the question whether to push at all: it was ``sent``, or held back by chance
(a control group), or refused for its score or its worth. What other rules refuse stays refused under any policy judged
here. There are two actions, ``send`` and ``hold``; what is pushed is part of the context, as is all that was known.

The reward is what a shopper did within a **window** after the event that was decided on:

=================  ===================================================================================================
``clicked``        the push was clicked; ``opened``, ``dismissed``, ``unsubscribed`` likewise. A push not sent earns 0
``converted``      feedback says so; a push not sent earns 0
``bought``         they bought something, pushed or not
``bought-item``    they bought one of the items decided on, pushed or not
``spent``          what they paid, pushed or not
=================  ===================================================================================================

What a push that was held back would have led to is known only where pushes are held back, or sent, by chance.
Decisions whose window had not ended when the log did are left out: their noes are not yet noes.

**What such an estimate is of**: decisions one by one, among those that were logged. A policy that pushes less leaves
more room under caps and gaps and tires people less; that is not in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import msgspec
import numpy as np

from streamer.core.policy.experiments import Splits
from streamer.ope.log import Log, LogError, single, unsettled
from streamer.ope.policies import HOLD, SCORE, SEND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.settings import CoreSettings, PolicySettings

    Floats = NDArray[np.float64]
    Timed = tuple[str, int, "Decided"]

Reward = Literal[
    "clicked", "opened", "dismissed", "unsubscribed", "converted", "bought", "bought-item", "spent"
]  # fmt: skip
REWARDS: Final[tuple[Reward, ...]] = get_args(Reward)
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000

SENT: Final = "sent"
WORTH: Final = "worth"
CHANCE: Final = frozenset({"control", "holdout"})
"""Reasons for which what would have been sent was held back by chance."""
LOW_SCORE: Final = "low_score"
JUDGED: Final = frozenset({LOW_SCORE, "not_worth_it"})
"""Reasons for which it was held back for its score, for certain, or its worth, but for what is tried."""
PROPOSED: Final = frozenset({SENT, "not_worth_it", "outbid"}) | CHANCE
"""Reasons of what came as far as to be proposed, beside others of its occasion if they did."""
OUTBID: Final = "outbid by another campaign"

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

    @property
    def worth(self) -> float:
        """What it was compared by."""
        return self.s if self.w is None else self.w

    def arm(self, experiment: str) -> str:
        """The arm of ``experiment`` it was made in, "" if none."""
        return next((each.partition(":")[2] for each in self.x if each.partition(":")[0] == experiment), "")


@dataclass(frozen=True, slots=True)
class Chances:
    """What the logging policy left to chance: the settings it had, without which a log cannot be weighed.

    ``terms`` has the settings that a shopper is decided by, as the arms of experiments change them; ``control``: by
    campaign, the share of shoppers that its control group holds back.
    """

    terms: Splits
    control: Mapping[str, float]

    @classmethod
    def of(cls, core: CoreSettings) -> Chances:
        """As the settings say."""
        return cls(Splits(core.policy, core.experiments), {each.name: each.control_share for each in core.campaigns})

    def policy(self, user: str) -> PolicySettings:
        """What ``user`` is decided by."""
        return self.terms.of(user).settings

    def send(self, user: str, row: Decided) -> float:
        """How probable it was that what ``row`` decided on is sent. Raises ``LogError`` for what cannot be."""
        if row.r == LOW_SCORE:
            return 0.0
        policy = self.policy(user)
        passed = (1 - policy.holdout_share) * (1 - self.control.get(row.c, 0.0))
        chance = passed * (policy.try_share if row.worth < policy.least_worth else 1.0)
        if not (chance > 0 if row.r == SENT else chance < 1):
            raise LogError(
                f"a decision of campaign {row.c} says {row.r}, which these settings would never do: give the settings "
                "that the log was made under (core.policy.holdout_share, least_worth and try_share, campaigns, "
                "experiments)"
            )
        return chance


@dataclass(slots=True)
class Told:
    """What the topics say, before it is put together.

    ``decided``: user, partition and row. ``times``: event time in ms by (topic, partition, offset). ``outcomes``:
    (type, candidate) to the time of the first such feedback. ``purchases``: by user, in any order. ``last_ms``: the
    latest event time seen. ``competed``: candidates that another campaign's stood beside, by the ids.
    """

    decided: list[tuple[str, int, Decided]] = field(default_factory=list)
    times: dict[tuple[str, int, int], int] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    purchases: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    last_ms: int = 0
    competed: set[str] = field(default_factory=set)
    _open: dict[str, tuple[Decided, list[str]]] = field(default_factory=dict)

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
        """An inbound event: its time, and what it says of a candidate or of an order."""
        self.last_ms = max(self.last_ms, event.time)
        if event.candidate_id:
            key = (event.type, event.candidate_id)
            self.outcomes[key] = min(event.time, self.outcomes.get(key, event.time))
        elif event.type == "purchase":
            self.purchases[event.user].append(event)


@dataclass(frozen=True, slots=True)
class Joined:
    """Rounds and what was left out of them, by why."""

    log: Log
    left_out: dict[str, int]


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


def join(found: Told, reward: Reward, *, window_ms: int, chances: Chances, experiment: str = "") -> Joined:
    """The rounds with their rewards.

    With ``experiment``, the actions are
    its arms instead, for all rounds of users who are in it, and an arm's probability is its share of those users.
    Raises ``LogError``.
    """

    def refused(row: Decided) -> str:
        if not wanted(row):
            return OUTBID
        return "not in the experiment" if experiment and not row.arm(experiment) else ""

    kept, left = in_time(found, window_ms, refused)
    rows = [row for _, _, row in kept]
    shared = {
        **common(found, kept, reward, window_ms),
        "context": standardised([row.f for row in rows]),
        "scores": {SCORE: np.array([row.s for row in rows]), WORTH: np.array([row.worth for row in rows])},
    }
    if experiment:
        return Joined(_by_arm(rows, experiment, shared), left)
    return Joined(_by_sending(kept, chances, shared, settled=reward in _FEEDBACK), left)


def in_time(found: Told, window_ms: int, refused: Callable[[Decided], str]) -> tuple[list[Timed], dict[str, int]]:
    """The decisions whose window has ended, and of the others how many are left out, by why.

    ``refused`` says why a decision is no round, "" if it is one. Raises ``LogError`` if none is.
    """
    left: Counter[str] = Counter()
    kept: list[Timed] = []
    for user, partition, row in found.decided:
        # A timer's decision is made when it was due, not when it was armed.
        time_ms = row.t or found.times.get(place(row.o, partition))
        if why := refused(row):
            left[why] += 1
        elif time_ms is None:
            left["the event decided on is no longer in its topic"] += 1
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
    sent = np.array([row.r == SENT for _, _, row in kept])
    send = np.array([chances.send(user, row) for user, _, row in kept])
    offered = np.column_stack([1.0 - send, send])
    return Log(
        actions=sent.astype(np.int64),
        propensities=np.where(sent, send, 1.0 - send),
        names=(HOLD, SEND),
        settled=np.array([0.0, np.nan]) if settled else unsettled(2),
        offered=offered,
        **shared,
    )


def _by_arm(rows: Sequence[Decided], experiment: str, shared: Mapping[str, Any]) -> Log:
    arms = [row.arm(experiment) for row in rows]
    names = tuple(sorted(set(arms)))
    actions = np.array([names.index(arm) for arm in arms], np.int64)
    users: NDArray[np.int64] = shared["users"]
    _, first = np.unique(users, return_index=True)
    share = np.bincount(actions[first], minlength=len(names)) / len(first)
    return Log(
        actions=actions,
        propensities=share[actions],
        names=names,
        settled=unsettled(len(names)),
        offered=np.broadcast_to(share, (len(rows), len(names))),
        **shared,
    )


def _reward(found: Told, reward: Reward, decided: Timed, window_ms: int) -> float:
    user, time_ms, row = decided
    if reward in _FEEDBACK:
        at = found.outcomes.get((_FEEDBACK[reward], row.d))
        return float(row.r == SENT and at is not None and at <= time_ms + window_ms)
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
