"""Stage ②: a micro-batch's events are folded in order, and what is to be ranked is noted down as of each event.

An event that was folded before is a duplicate. One that is older than its user's newest by more than the allowed
lateness, or not newer than the user's erasure, is late. Both are counted and change nothing. A word about pushes
(preferences, an unsubscription) is never too late to be heard.

Campaigns ask with an event, or at a tick, when a timer that an event armed is due. All that is asked of one shopper at
one event or tick is an *occasion*: the asks compete, and one push at most comes of them. Timers follow from events,
ticks and the item index, which stands still, and from what was sent only where a timer asks and has to wait for room
under the caps: at a tick, before which all has been decided. So they too are the same wherever a batch is cut. Of
timers that compete all are armed anew, for the moment at which a push of now leaves room again; as they fire it is
known which of them was sent, and whether any was. A tick may also tell of changes of the catalog, which arm timers of
those who watch the items (``campaigns/watching.py``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core import profile as profiles
from streamer.core.ask import Ask, Lesson
from streamer.core.campaigns import arming, watching
from streamer.core.campaigns.cycles import Cycles
from streamer.core.campaigns.due import Times
from streamer.core.campaigns.firing import armed_by, fire
from streamer.core.campaigns.watching import Swept, Watching, sweep
from streamer.core.effects import DeadLetter, Touch
from streamer.core.events import EVENT_TYPES, Event
from streamer.core.intake import Reset, Tick
from streamer.core.items.deltas import touched_before
from streamer.core.items.leads import leads_of
from streamer.core.occasion import Occasions
from streamer.core.packed import RECENT
from streamer.core.policy import state as states
from streamer.core.policy.quiet_hours import quiet_for
from streamer.core.policy.rule import Case
from streamer.core.policy.state import PolicyState
from streamer.core.predictions.example import outcome_of
from streamer.core.predictions.pending import Pending, keys_of
from streamer.core.queries import Queries
from streamer.core.sampling import draw
from streamer.core.seen import check_and_add
from streamer.core.segments.portrait import portrait_of
from streamer.core.segments.served import NO_NODE
from streamer.core.timers import due_key, is_of_slates, read_due_key
from streamer.core.uplift.joining import Told, purchase
from streamer.core.vectors.step import step_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.effects import Effects
    from streamer.core.events import EventType
    from streamer.core.policy.state import Armed, Sent
    from streamer.core.policy.verdict import Policy
    from streamer.core.predictions.pending import Settled
    from streamer.core.profile import Profile
    from streamer.core.record import Record
    from streamer.core.segments.portrait import Portrait
    from streamer.core.settings import CoreSettings
    from streamer.core.vectors.step import Step
    from streamer.core.views import Views

_NO_STATE: Final = PolicyState()
_NOT_SWEPT: Final = Swept({}, [], None)


class Batch:
    """A micro-batch while it is folded, and what the later stages take from it.

    ``asks``, ``lessons`` and ``told``, what the shoppers' slates are to hear, are in event order. Rows are read
    once; those in ``dirty`` are to be written.
    """

    def __init__(
        self,
        events: Sequence[Event | Reset | Tick],
        views: Views,
        now: int,
        policy: Policy,
        settings: CoreSettings,
        *,
        broken: frozenset[str] = frozenset(),
    ) -> None:
        """``events``: only the first may be a tick. ``broken``: shoppers whose timers raise, and are dropped."""
        users = list(dict.fromkeys(event.user for event in events if not isinstance(event, Tick)))
        self.reached: list[str] = []
        self.swept = _NOT_SWEPT
        if events and isinstance(events[0], Tick):
            tick = events[0]
            now_ms = max(now, tick.time)
            self.reached = views.due.first(now_ms, settings.timers.fired_per_tick)
            if tick.changes:
                limit = settings.timers.told_per_tick
                self.swept = sweep(
                    views.watch, views.items, policy.book, now_ms=now_ms, until=tick.changes, limit=limit
                )
            due = [read_due_key(key)[1] for key in self.reached]
            users = list(dict.fromkeys([*(news.user for news in self.swept.news), *due, *users]))
        self.profiles: dict[str, Profile | None] = dict(zip(users, views.profiles.get_many(users), strict=True))
        self.seen: dict[str, bytes | None] = dict(zip(users, views.seen.get_many(users), strict=True))
        self.policy: dict[str, PolicyState | None] = dict(zip(users, views.policy.get_many(users), strict=True))
        self.due: dict[str, bytes | None] = {}
        self._watches = bool(policy.book.watching)
        # While there are rows, those that go are taken out, also if no campaign asks for them any more.
        self._unwatches = self._watches or views.watch.count > 0
        self.watching = Watching(views.watch, views.items.changes.position, self.swept)
        if self._unwatches:
            self.watching.know(watching.keys_of(event for event in events if isinstance(event, Event)))
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
        self.portraits: list[Portrait] = []
        self.told: list[Told] = []
        self.erased: dict[str, None] = {}
        self.settled: list[Settled] = []
        self.pending: Pending | None = None
        if settings.predictions.learn_rate > 0.0:
            looked_at = [(e.user, e.fingerprint) for e in events if isinstance(e, Event)]
            keys = keys_of(looked_at, settings.predictions.slots)
            self.pending = Pending(dict(zip(keys, views.pending.get_many(keys), strict=True)), settings)
        self.firing = ""
        self._foreseeing, self._index, self._segments = views.foreseeing, views.items, views.segments
        self._cycles = Cycles(views.items, settings.items)
        self._settings, self._policy, self._broken = settings, policy, broken
        self._occasions = Occasions(views, settings, self.queries, self.watching)

    def fold(self, event: Event | Reset | Tick) -> None:
        """Fold one event, or drop it as a duplicate or late; either way count it. A tick fires timers."""
        if isinstance(event, Tick):
            self._tick(event.time)
            return
        user = event.user
        state = self.policy[user]
        if isinstance(event, Reset):
            self.counts["applied"] += 1
            # Also of a user unknown so far: an older word that arrives later is unsaid too.
            self._stand(user, states.reset(self._state(user).standing, event.time))
            return
        time = event.time
        if state is not None and time <= state.standing.erased_ms:
            # Nothing of before comes back, but a no, which is never too old.
            no = states.only_a_no(event)
            if no is None:
                self.counts["late"] += 1
                return
            event = no
        profile = self.profiles[user]
        event_type = EVENT_TYPES[event.type]
        says_no = event_type.kind == "preference" or event.type == "push_unsubscribed"
        lateness = self._settings.profile.allowed_lateness_ms
        if profile is not None and time < profile.last_ms - lateness and not says_no:
            self.counts["late"] += 1
            if event_type.kind == "purchase":
                self._bought_long_ago(event, profile)
            return
        row = check_and_add(self.seen[user], event.fingerprint, time)
        if row is None:
            self.counts["duplicate"] += 1
            return
        self.counts["applied"] += 1
        self.seen[user] = row
        self.dirty_seen[user] = None
        if event_type.kind not in {"feedback", "preference"}:
            # What is said about pushes is read ahead of everything else, and tells nothing of how late it is for that:
            # after an outage timers would fire before the purchases that take them back were read.
            self.now = max(self.now, time)
        if event.preferences is not None and event.preferences.erase:
            self._erase(user, event)
        elif event_type.kind in {"feedback", "preference"}:
            self._stand(user, states.fold(self._state(user).standing, event))
            if event_type.kind == "feedback":
                self.told.append(Told("feedback", user, time, event))
            elif event.preferences is not None and event.preferences.consent is False:
                self.told.append(Told("opted_out", user, time))
        else:
            self._behaved(event, event_type, profile)

    def _behaved(self, event: Event, event_type: EventType, before: Profile | None) -> None:
        settings, user, time = self._settings, event.user, event.time
        newest_ms = before.last_ms if before is not None else 0
        node = self._segments.node(before, time) if event.lines else NO_NODE
        if (
            before is not None
            and event.lines
            and event_type.weight > 0
            and time >= newest_ms
            and draw(event.fingerprint, 2 * settings.seed) < settings.learning.learn_rate
        ):
            self.lessons.append(Lesson(event, self.queries.add(before, time, user=user, segment=node)))
        if event.lines:
            leads = leads_of(event, before, settings.items, segment=node)
            if (step := step_of(event, before, settings.vectors)) is not None:
                self.steps.append(step)
            if (portrait := portrait_of(event, before, settings.segments)) is not None:
                self.portraits.append(portrait)
            self.touches.append(Touch(event, touched_before(before, time, settings.items), leads))
        if event_type.kind == "purchase":
            self.told.append(purchase(event, before, settings.uplift))
        after = self.profiles[user] = profiles.fold(before, event, settings.profile)
        self.dirty_profiles[user] = None
        if self.pending is not None:
            self.settled += self.pending.see(event, before, after, self.now)
        reactions = self._policy.book.reactions.get(event.type)
        if self._unwatches and event.lines:
            self._watch(event, event_type, before, after, watch=reactions is not None and reactions.watch)
        if reactions is None:
            return
        if reactions.timed:
            timers = self._state(user).armed
            items = settings.timers.items
            timers = arming.after_event(timers, event, reactions, after, times=self._times(user), most_items=items)
            self._arm(user, timers)
        if reactions.ask:
            keys, terms = tuple([line.key for line in event.lines]), self._policy.of(user)
            asks = [Ask(event, self._case(campaign, event, time, newest_ms), terms, keys) for campaign in reactions.ask]
            self._ask(asks, after, time)

    def _bought_long_ago(self, event: Event, profile: Profile) -> None:
        """An order that is read too late to tell what the shopper is about still says what they have."""
        user = event.user
        row = check_and_add(self.seen[user], event.fingerprint, event.time)
        if row is None:
            return
        self.seen[user] = row
        self.dirty_seen[user] = None
        self.profiles[user] = profiles.with_purchases(profile, event, self._settings.profile)
        self.dirty_profiles[user] = None

    # -- asking

    def _case(self, campaign: Campaign, event: Event, time_ms: int, newest_ms: int) -> Case:
        drawn, state = draw(event.fingerprint, 2 * self._settings.seed + 1), self._state(event.user)
        case = Case(campaign, time_ms, self.now, newest_ms, drawn, state.standing, state.sent)
        case.zones = self._policy.zones
        return case

    def _ask(self, asks: list[Ask], profile: Profile, now_ms: int) -> None:
        """An occasion; what is asked again later is armed."""
        for ask, until_ms, waited, asked_ms in self._occasions.ask(asks, profile, now_ms, len(self.told)):
            event, name = ask.event, ask.case.campaign.name
            timer = arming.arm(name, until_ms, event, ask.keys, ask.timer, waits=True, prices=ask.prices)
            timer = msgspec.structs.replace(timer, waited=waited, asked_ms=asked_ms)
            self._arm(event.user, arming.with_timer(self._state(event.user).armed, timer))
        self.asks += asks

    # -- timers

    def _tick(self, time_ms: int) -> None:
        """Tell of changes; then look at those shoppers whose live row of table ``due`` is reached. Rows that are not
        live any more go.
        """
        self.now = max(self.now, time_ms)
        for news in self.swept.news:
            self.firing = news.user
            if news.user not in self._broken:
                self._tell(news)
        for key in self.reached:
            due_ms, user = read_due_key(key)
            self.firing = user
            self.due[key] = None
            if is_of_slates(key):
                self.told.append(Told("reached", user, self.now))
                continue
            state = self._state(user)
            if due_ms == state.wake_ms:
                self._fire(user, state)

    def _times(self, user: str) -> Times:
        standing, settings, zones = self._state(user).standing, self._policy.of(user).settings, self._policy.zones
        return Times(self._cycles, lambda at_ms: quiet_for(standing, settings, zones, at_ms) > 0)

    def _fire(self, user: str, state: PolicyState) -> None:
        """Ask for the timers that are due; the others, and what is due again later, get a new row."""
        profile = self.profiles[user]
        self._put(user, state.standing, state.sent, (), 0)
        if profile is None or user in self._broken:
            return
        fired, waiting = fire(state.armed, profile, self._policy.book, self.now, self._times(user))
        self._arm(user, waiting)
        asks, terms = [], self._policy.of(user)
        for campaign, timer, keys in fired:
            if not timer.to_be_asked(state.sent):
                continue
            event = armed_by(timer, user)
            # No event is newer than the timer's moment: the profile is as of now.
            case = self._case(campaign, event, timer.due_ms, 0)
            prices: tuple[int, ...] = ()
            if campaign.triggers.watches:
                keys, prices = watching.holds(timer, campaign, self._index)  # noqa: PLW2901 - what is true of them still
                self._untold(user, campaign.name, set(timer.keys).difference(keys))
            ask = Ask(event, case, terms, keys, timer.due_ms, timer.timer, prices=prices)
            ask.may_wait = not timer.waited
            asks.append(ask)
        if asks:
            self._ask(asks, profile, self.now)

    def _tell(self, news: watching.News) -> None:
        """Arm the timer of a campaign for what a shopper watches."""
        index, timers = self._index, self._state(news.user).armed
        item = index.id_of(index.dense(news.change.key))
        self._arm(news.user, watching.armed(timers, news, item, self.now, self._settings.timers.items))

    def _untold(self, user: str, campaign: str, keys: Iterable[int]) -> None:
        """Of what news were not told, the next drop counts from where it did before."""
        for key in sorted(keys):
            row = self.watching.get(watching.watch_key(key, user))
            if row is not None and row.told:
                self.watching.put(watching.watch_key(key, user), row.telling(campaign, None))

    def _watch(
        self, event: Event, event_type: EventType, before: Profile | None, after: Profile, *, watch: bool
    ) -> None:
        """Have a shopper watch the items of an event; what was bought, or is remembered no more, is watched no more."""
        user, rows = event.user, self.watching
        for line in event.lines:
            key = watching.watch_key(line.key, user)
            if event_type.kind == "purchase":
                rows.put(key, None)
            elif watch and self._watches and RECENT.find(after.items, line.key) != -1:
                earlier = rows.get(key)
                if earlier is None or earlier.time_ms <= event.time:
                    rows.put(key, watching.watched(earlier, event, line, self._index))
        if before is None or len(after.items) < self._settings.profile.recent_items * RECENT.size:
            return
        if any(RECENT.find(before.items, line.key) == -1 for line in event.lines):  # what is new takes a place
            for item in set(RECENT.keys(before.items)).difference(RECENT.keys(after.items)):
                rows.put(watching.watch_key(item, user), None)

    def _arm(self, user: str, timers: tuple[Armed, ...]) -> None:
        """Have these timers, and a row of table ``due`` if one is due before the shopper would be looked at."""
        state = self._state(user)
        if timers == state.armed:
            return
        wake_ms = state.wake_ms
        if timers and not 0 < wake_ms <= timers[0].due_ms:
            if wake_ms:
                self.due[due_key(wake_ms, user)] = None
            wake_ms = timers[0].due_ms
            self.due[due_key(wake_ms, user)] = b""
        self._put(user, state.standing, state.sent, timers, wake_ms)

    # -- rows

    def _state(self, user: str) -> PolicyState:
        return self.policy[user] or _NO_STATE

    def _put(
        self, user: str, standing: states.Standing, sent: tuple[Sent, ...], timers: tuple[Armed, ...], wake_ms: int
    ) -> None:
        self.policy[user] = PolicyState(standing, sent, timers, wake_ms)
        self.dirty_policy[user] = None

    def _stand(self, user: str, standing: states.Standing) -> None:
        state = self._state(user)
        self._put(user, standing, state.sent, state.armed, state.wake_ms)

    def pushed(self, user: str, erased_ms: int, sent: tuple[Sent, ...]) -> None:
        """What was sent to a user, up to and with this batch's latest push.

        ``erased_ms`` tells as of which standing: of pushes before an erasure nothing stays behind.
        """
        state = self._state(user)
        if state.standing.erased_ms == erased_ms:
            self._put(user, state.standing, sent, state.armed, state.wake_ms)

    def _erase(self, user: str, event: Event) -> None:
        if self._unwatches and (profile := self.profiles[user]) is not None:
            keys = [watching.watch_key(recent.key, user) for recent in profile.recents()]
            self.watching.know(keys)
            for key in keys:
                self.watching.put(key, None)
        self.profiles[user] = self.seen[user] = None
        self.erased[user] = None
        self.told.append(Told("erased", user, event.time))
        if self.pending is not None:
            self.pending.forget(user)
        state = self._state(user)
        if state.wake_ms:
            self.due[due_key(state.wake_ms, user)] = None  # it names the shopper, and may be due in months
        self.policy[user] = states.erased(states.fold(state.standing, event), event.time)
        self.dirty_profiles[user] = self.dirty_seen[user] = self.dirty_policy[user] = None

    def store(self, effects: Effects) -> None:
        """Hand over the rows to write, the counts and the stream time."""
        effects.profiles |= {user: self.profiles[user] for user in self.dirty_profiles}
        effects.seen |= {user: self.seen[user] for user in self.dirty_seen}
        effects.policy |= {user: self.policy[user] for user in self.dirty_policy}
        effects.due |= self.due
        if self._unwatches:
            effects.watch |= self.watching.dirty
            effects.watching = self.watching.count, *self.watching.swept
        if self.pending is not None:
            effects.pending |= {key: self.pending.rows[key] for key in self.pending.dirty}
            effects.outcomes += [outcome_of(waited, told, self._foreseeing) for waited, told in self.settled]
        effects.touches += self.touches
        effects.steps += self.steps
        effects.portraits += self.portraits
        effects.erased += self.erased
        effects.counts.update(self.counts)
        effects.now = self.now


def fold_batch(
    readable: Sequence[tuple[Record, Event | Reset | Tick]],
    views: Views,
    policy: Policy,
    settings: CoreSettings,
    effects: Effects,
) -> Batch:
    """The folded batch, from the stream time that ``effects`` have reached. A tick may only come first.

    An event whose folding raises is a dead letter; the batch is then folded anew without it. So are the timers of a
    shopper whose firing raises, under the tick they were to fire at.
    """
    left = list(readable)
    broken: frozenset[str] = frozenset()
    while True:
        batch = Batch([event for _, event in left], views, effects.now, policy, settings, broken=broken)
        at = 0
        try:
            for at, (_, event) in enumerate(left):  # noqa: B007 -- the place is for the handler
                batch.fold(event)
        except Exception as exc:  # noqa: BLE001 -- one event must not stop the stream, whatever it set off
            record, event = left[at]
            if isinstance(event, Tick):
                broken |= {batch.firing}
                record = msgspec.structs.replace(record, key=batch.firing.encode())
            else:
                del left[at]
                effects.counts["dead_letter"] += 1
            effects.dead_letters.append(DeadLetter(record, "handler_error", f"{type(exc).__name__}: {exc}"[:200]))
        else:
            return batch
