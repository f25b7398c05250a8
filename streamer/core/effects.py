"""What the core asks of the shell: rows to write and records to send. Plain data, no behaviour."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from streamer.core.names import NONE

if TYPE_CHECKING:
    from streamer.core.campaigns.budget import Spent
    from streamer.core.campaigns.watching import Watch
    from streamer.core.events import Event
    from streamer.core.items.leads import Leads
    from streamer.core.models.example import Example
    from streamer.core.policy.state import PolicyState
    from streamer.core.predictions.example import Outcome
    from streamer.core.predictions.pending import Slot
    from streamer.core.profile import Profile
    from streamer.core.record import Record
    from streamer.core.segments.portrait import Portrait
    from streamer.core.uplift.response import Response
    from streamer.core.uplift.slates import Slates
    from streamer.core.vectors.step import Step


class Trigger(msgspec.Struct, frozen=True):
    """The event that caused a candidate, and where it lies."""

    type: str
    event_id: str
    topic: str
    partition: int
    offset: int


class Template(msgspec.Struct, frozen=True):
    """The message the notification service renders: its id, locale and variables."""

    id: str
    locale: str
    vars: dict[str, str]


class SlateItem(msgspec.Struct, frozen=True):
    """One item of a push, with its score and the generator that proposed it first."""

    id: str
    score: float
    generator: str


class Experiment(msgspec.Struct, frozen=True):
    """An experiment the decision was part of, and the arm drawn."""

    id: str
    arm: str


class Candidate(msgspec.Struct, frozen=True):
    """One push-notification candidate: the product. Times are RFC 3339 UTC with milliseconds.

    ``candidate_id`` is BLAKE2b-128 over length-prefixed user, trigger (source, id) and campaign: the
    same after a replay. ``dedupe_key`` and ``collapse_key`` are for the channel. A candidate emitted is valid
    until ``expires_at``. ``contributions``: what each of ``reasons`` adds to the log-odds of ``score``, and last what
    everything else does; they sum to the log-odds.
    """

    schema_version: int
    candidate_id: str
    dedupe_key: str
    collapse_key: str
    user_id: str
    trigger: Trigger
    event_time: str
    decided_at: str
    campaign: str
    channel: str
    template: Template
    items: tuple[SlateItem, ...]
    deep_link: str
    priority: str
    expires_at: str
    score: float
    propensity: float
    experiments: tuple[Experiment, ...]
    model_version: int
    policy_version: str
    reasons: tuple[str, ...]
    contributions: tuple[float, ...] = ()


class Outgoing(msgspec.Struct, frozen=True):
    """A candidate on its way out, with the header that lets a consumer measure latency."""

    candidate: Candidate
    produced_at: bytes


class Alternative(msgspec.Struct, frozen=True, array_like=True):
    """An item that exploration could have drawn to be the first of a push: its score, and how probable it was."""

    id: str
    score: float
    propensity: float


class Decision(msgspec.Struct, frozen=True):
    """One verdict of one campaign on one event or timer.

    ``reason`` is ``sent`` or the name of the rule that refused. A refusal before ranking carries nothing else, so
    that its row stays under 80 bytes; ``origin`` is ``topic:offset`` on the decision's own partition, of the event that
    asked or that armed the timer. ``due_ms``: when the timer was due, 0 without one. ``worth`` is what the push was
    compared by, if not by its score. ``arms``: of each experiment, as ``experiment:arm``.
    ``coupon_cents``: what the coupon that was sent may cost.
    ``alternatives``: where exploration drew, all that it could have drawn, best first, the one drawn among them; their
    propensities sum to 1. Empty where it did not, or the decision is not of the share that logs them.
    ``segment``: the shopper's, where it was ranked, ``NONE`` without one.
    """

    user: str
    origin: str
    campaign: str
    reason: str
    propensity: float
    model_version: int
    policy_version: str
    event_id: str = ""
    candidate_id: str = ""
    score: float = 0.0
    items: tuple[str, ...] = ()
    features: tuple[float, ...] = ()
    due_ms: int = 0
    worth: float | None = None
    arms: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    coupon_cents: int = 0
    segment: int = NONE


class Touch(NamedTuple):
    """An event of items, the keys of those its user touched not long before, newest last, and what led to them.

    For ``ItemDeltas.add``; the shell adds up a whole commit's, so the core does not add up each batch's.
    """

    event: Event
    before: list[int]
    leads: Leads


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be folded, with the reason code and its origin."""

    record: Record
    reason: str
    detail: str


@dataclass(slots=True)
class Effects:
    """Everything one micro-batch asks for.

    Rows in ``profiles``, ``seen``, ``policy``, ``pending``, ``due`` and ``watch`` replace what the tables hold;
    ``None`` deletes the row. ``watching``: how many rows ``watch`` has then, and up to where they have been told of
    changes of the catalog (``Swept.until``); ``None``: as before.
    ``slates`` likewise: pushes that wait for their responses; ``responses``: of those whose time is over;
    ``slates_counts``: of both, and of the feedback on them (``uplift.joining.COUNTED``).
    ``spent``: by campaign, what its coupons have cost with those of the batch.
    ``outcomes``: predictions of which it is known what came of them. ``steps``: what vectors are learned from;
    ``portraits``: what segments are.
    ``counts`` tells where every record went: ``applied``, ``duplicate``, ``late``, ``rekeyed``, ``dead_letter``; they
    sum to the records of the batch, ticks left out.
    ``erased``: users who asked to be forgotten, even if they came back since.
    ``now`` is the task's stream time after the batch, milliseconds.
    """

    now: int
    profiles: dict[str, Profile | None] = field(default_factory=dict)
    seen: dict[str, bytes | None] = field(default_factory=dict)
    policy: dict[str, PolicyState | None] = field(default_factory=dict)
    pending: dict[str, Slot | None] = field(default_factory=dict)
    due: dict[str, bytes | None] = field(default_factory=dict)
    watch: dict[str, Watch | None] = field(default_factory=dict)
    watching: tuple[int, int, str] | None = None
    candidates: list[Outgoing] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    slates: dict[str, Slates | None] = field(default_factory=dict)
    responses: list[Response] = field(default_factory=list)
    slates_counts: Counter[str] = field(default_factory=Counter)
    spent: dict[str, Spent] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    portraits: list[Portrait] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    rekeyed: list[tuple[Record, str]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    ranked: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict)
