"""Stage ②: a micro-batch's events are folded in order, and what is to be ranked is noted down as of each event.

An event that was folded before is a duplicate. One that is older than its user's newest by more than the allowed
lateness, or not newer than the user's erasure, is late. Both are counted and change nothing. A word about pushes
(preferences, an unsubscription) is never too late to be heard.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core import profile as profiles
from streamer.core.effects import DeadLetter, Touch
from streamer.core.events import EVENT_TYPES
from streamer.core.intake import Reset
from streamer.core.items.deltas import touched_before
from streamer.core.items.leads import leads_of
from streamer.core.policy import state as states
from streamer.core.policy.campaign import CAMPAIGNS
from streamer.core.policy.rule import Case
from streamer.core.policy.state import PolicyState
from streamer.core.policy.verdict import cheap_refusal
from streamer.core.predictions.example import outcome_of
from streamer.core.predictions.pending import Pending, keys_of
from streamer.core.predictions.served import Foresight
from streamer.core.queries import Queries
from streamer.core.sampling import draw
from streamer.core.seen import check_and_add
from streamer.core.vectors.step import step_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.effects import Effects
    from streamer.core.events import Event, EventType
    from streamer.core.policy.state import Sent
    from streamer.core.predictions.pending import Settled
    from streamer.core.profile import Profile
    from streamer.core.record import Record
    from streamer.core.settings import CoreSettings
    from streamer.core.vectors.step import Step
    from streamer.core.views import Views

NOT_RANKED: Final = -1
_NO_STATE: Final = PolicyState()
_NOTHING: Final[frozenset[int]] = frozenset()


class Ask(msgspec.Struct, gc=False):
    """May this campaign push on this event?

    ``refusal`` is the cheap rule that says no before any push of this batch, if one does. ``query`` is its place
    among the queries, or ``NOT_RANKED``.
    """

    event: Event
    case: Case
    refusal: str | None
    query: int


class Lesson(msgspec.Struct, gc=False):
    """An event that labels the list ranked from the state just before it."""

    event: Event
    query: int


class Batch:
    """A micro-batch while it is folded, and what the later stages take from it.

    ``asks`` and ``lessons`` are in event order. Rows are read once; those in ``dirty`` are to be written.
    """

    def __init__(self, events: Sequence[Event | Reset], views: Views, now: int, settings: CoreSettings) -> None:
        users = list(dict.fromkeys(event.user for event in events))
        self.profiles: dict[str, Profile | None] = dict(zip(users, views.profiles.get_many(users), strict=True))
        self.seen: dict[str, bytes | None] = dict(zip(users, views.seen.get_many(users), strict=True))
        self.policy: dict[str, PolicyState | None] = dict(zip(users, views.policy.get_many(users), strict=True))
        self.dirty_profiles: dict[str, None] = {}
        self.dirty_seen: dict[str, None] = {}
        self.dirty_policy: dict[str, None] = {}
        self.now = now
        self.counts: Counter[str] = Counter()
        self.queries = Queries(settings.retrieval)
        self.asks: list[Ask] = []
        self.lessons: list[Lesson] = []
        self.touches: list[Touch] = []
        self.steps: list[Step] = []
        self.erased: dict[str, None] = {}
        self.settled: list[Settled] = []
        self.pending: Pending | None = None
        if settings.predictions.learn_rate > 0.0:
            looked_at = [(e.user, e.fingerprint) for e in events if not isinstance(e, Reset)]
            keys = keys_of(looked_at, settings.predictions.slots)
            self.pending = Pending(dict(zip(keys, views.pending.get_many(keys), strict=True)), settings)
        self._foreseeing = views.foreseeing
        self._settings = settings

    def fold(self, event: Event | Reset) -> None:
        """Fold one event, or drop it as a duplicate or late; either way count it."""
        user = event.user
        state = self.policy[user]
        if isinstance(event, Reset):
            self.counts["applied"] += 1
            # Also of a user unknown so far: an older word that arrives later is unsaid too.
            self._stand(user, states.reset(self._state(user).standing, event.time))
            return
        time = event.time
        if state is not None and time <= state.standing.erased_ms:
            self.counts["late"] += 1
            return
        profile = self.profiles[user]
        event_type = EVENT_TYPES[event.type]
        says_no = event_type.kind == "preference" or event.type == "push_unsubscribed"
        lateness = self._settings.profile.allowed_lateness_ms
        if profile is not None and time < profile.last_ms - lateness and not says_no:
            self.counts["late"] += 1
            return
        row = check_and_add(self.seen[user], event.fingerprint, time)
        if row is None:
            self.counts["duplicate"] += 1
            return
        self.counts["applied"] += 1
        self.seen[user] = row
        self.dirty_seen[user] = None
        self.now = max(self.now, time)
        if event.preferences is not None and event.preferences.erase:
            self._erase(user, event)
        elif event_type.kind in {"feedback", "preference"}:
            self._stand(user, states.fold(self._state(user).standing, event))
        else:
            self._behaved(event, event_type, profile)

    def _behaved(self, event: Event, event_type: EventType, before: Profile | None) -> None:
        settings, user, time = self._settings, event.user, event.time
        newest_ms = before.last_ms if before is not None else 0
        if (
            before is not None
            and event.lines
            and event_type.weight > 0
            and time >= newest_ms
            and draw(event.fingerprint, 2 * settings.seed) < settings.learning.learn_rate
        ):
            self.lessons.append(Lesson(event, self.queries.add(before, time, user=user)))
        if event.lines:
            leads = leads_of(event, before, settings.items)
            if (step := step_of(event, before, settings.vectors)) is not None:
                self.steps.append(step)
            self.touches.append(Touch(event, touched_before(before, time, settings.items), leads))
        after = self.profiles[user] = profiles.fold(before, event, settings.profile)
        self.dirty_profiles[user] = None
        if self.pending is not None:
            self.settled += self.pending.see(event, before, after, self.now)
        if event_type.triggers:
            self._ask(event, newest_ms, after)

    def _ask(self, event: Event, newest_ms: int, profile: Profile) -> None:
        settings, state = self._settings, self._state(event.user)
        drawn = draw(event.fingerprint, 2 * settings.seed + 1)
        foresight = Foresight(profile, event.time, self._foreseeing, settings)
        for campaign in CAMPAIGNS:
            if event.type not in campaign.triggers:
                continue
            case = Case(campaign, event.time, self.now, newest_ms, drawn, state.standing, state.sent)
            case.foresight = foresight
            query = NOT_RANKED
            refusal = cheap_refusal(case, settings.policy)
            if refusal is None:
                case.bought = frozenset([b.key for b in profile.bought()]) if profile.purchased else _NOTHING
                query = self.queries.add(profile, event.time, event, event.user)
            self.asks.append(Ask(event, case, refusal, query))

    def _state(self, user: str) -> PolicyState:
        return self.policy[user] or _NO_STATE

    def _stand(self, user: str, standing: states.Standing) -> None:
        self.policy[user] = PolicyState(standing, self._state(user).sent)
        self.dirty_policy[user] = None

    def pushed(self, user: str, erased_ms: int, sent: tuple[Sent, ...]) -> None:
        """What was sent to a user, up to and with this batch's latest push.

        ``erased_ms`` tells as of which standing: of pushes before an erasure nothing stays behind.
        """
        standing = self._state(user).standing
        if standing.erased_ms == erased_ms:
            self.policy[user] = PolicyState(standing, sent)
            self.dirty_policy[user] = None

    def _erase(self, user: str, event: Event) -> None:
        self.profiles[user] = self.seen[user] = None
        self.erased[user] = None
        if self.pending is not None:
            self.pending.forget(user)
        self.policy[user] = states.erased(states.fold(self._state(user).standing, event), event.time)
        self.dirty_profiles[user] = self.dirty_seen[user] = self.dirty_policy[user] = None

    def store(self, effects: Effects) -> None:
        """Hand over the rows to write, the counts and the stream time."""
        effects.profiles = {user: self.profiles[user] for user in self.dirty_profiles}
        effects.seen = {user: self.seen[user] for user in self.dirty_seen}
        effects.policy = {user: self.policy[user] for user in self.dirty_policy}
        if self.pending is not None:
            effects.pending = {key: self.pending.rows[key] for key in self.pending.dirty}
            effects.outcomes = [outcome_of(waited, told, self._foreseeing) for waited, told in self.settled]
        effects.touches = self.touches
        effects.steps = self.steps
        effects.erased = list(self.erased)
        effects.counts.update(self.counts)
        effects.now = self.now


def fold_batch(
    readable: Sequence[tuple[Record, Event | Reset]], views: Views, now: int, settings: CoreSettings, effects: Effects
) -> Batch:
    """The folded batch. An event whose folding raises is a dead letter; the batch is then folded anew without it."""
    left = list(readable)
    while True:
        batch = Batch([event for _, event in left], views, now, settings)
        at = 0
        try:
            for at, (_, event) in enumerate(left):  # noqa: B007 -- the place is for the handler
                batch.fold(event)
        except Exception as exc:  # noqa: BLE001 -- one event must not stop the stream, whatever it set off
            record, _ = left.pop(at)
            effects.dead_letters.append(DeadLetter(record, "handler_error", f"{type(exc).__name__}: {exc}"[:200]))
            effects.counts["dead_letter"] += 1
        else:
            return batch
