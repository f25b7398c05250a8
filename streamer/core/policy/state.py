"""What the policy remembers of one shopper: what they allow, how they took our pushes, and what was sent.

Nothing is changed in place, so a decision holds on to the standing as of its own event. ``Standing`` is folded from
events, ``sent`` grows by decisions alone; the two never wait for one another, which is what makes a micro-batch's
result independent of its cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.events import Preferences
from streamer.core.settings import DAY_MS, WEEK_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.events import Event
    from streamer.core.settings import PolicySettings

MAX_SENT: Final = 64
MAX_MARKS: Final = 64
"""Dismissed pushes that are remembered: more than the gaps that dismissals double let come about in a month. And those
that failed.
"""
_MARK_DIGITS: Final = 8


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a shopper said and did about pushes. Times are event times in milliseconds, 0 for never.

    Each preference is the newest word by event time, whatever order the words arrived in; but a no holds from where it
    was read on, also against a yes of a later time, and is dated at that yes then: a clock may be wrong, and a push
    cannot be taken back. ``dismissals`` counts those since the last click; ``dismissed_marks`` are marks (``mark_of``)
    of the candidates dismissed last, newest last; ``answered_marks``: likewise of those opened, clicked and converted,
    each apart. ``engaged_ms``: the newest time that a push was opened, clicked or
    acted upon. ``erased_ms``: the user asked to be forgotten then; what is not newer is dropped. ``failed_marks``: as
    ``dismissed_marks``, of pushes that never reached the shopper.
    """

    consent: bool | None = None
    consent_ms: int = 0
    channels: tuple[str, ...] | None = None
    channels_ms: int = 0
    quiet_hours: tuple[int, int] | None = None
    quiet_hours_ms: int = 0
    time_zone: str | None = None
    time_zone_ms: int = 0
    unsubscribed_ms: int = 0
    erased_ms: int = 0
    dismissals: int = 0
    dismissed: int = 0
    delivered: int = 0
    opened: int = 0
    clicked: int = 0
    converted: int = 0
    engaged_ms: int = 0
    dismissed_marks: tuple[int, ...] = ()
    failed_marks: tuple[int, ...] = ()
    answered_marks: tuple[int, ...] = ()

    @property
    def opted_out(self) -> bool:
        """A no to consent, or an unsubscription that no later yes took back."""
        if self.consent is False:
            return True
        return self.unsubscribed_ms > 0 and not (self.consent and self.consent_ms >= self.unsubscribed_ms)


class Sent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A push decided at stream time ``time_ms``, and the keys of its items.

    ``categories``: ``group_key`` of those of its items, each once. ``ghost``: it was held back, to compare with, and
    counts like one that was sent. ``mark``: ``mark_of`` its candidate.
    """

    time_ms: int
    campaign: str
    items: tuple[int, ...]
    categories: tuple[int, ...] = ()
    ghost: bool = False
    mark: int = 0


def mark_of(candidate_id: str) -> int:
    """32 bits of a candidate's id, as far as it is one of ours; else 0."""
    try:
        return int(candidate_id[:_MARK_DIGITS], 16)
    except ValueError:
        return 0


class Armed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A timer of one campaign, due at stream time ``due_ms``, and the event that armed it.

    ``time_ms`` to ``fingerprint`` are the event's; ``source``, ``id`` and ``timer`` make the candidate's identity.
    ``keys``: the items that it is about, newest last. ``waits``: it was asked, and is to be asked again, whatever its
    campaign's triggers say (a deferral). ``prices``: of a timer that news armed, what each of ``keys`` cost before,
    cents; 0 where that is not what it is about. ``waited``: it waits for room under the caps, which it does once.
    ``asked_ms``: the stream time at which it competed with others; it is asked again only if one of these was sent
    then. 0: it is, whatever happened.
    """

    campaign: str
    due_ms: int
    time_ms: int
    id: str
    source: str
    type: str
    topic: str
    partition: int
    offset: int
    fingerprint: int
    keys: tuple[int, ...] = ()
    timer: str = ""
    waits: bool = False
    prices: tuple[int, ...] = ()
    waited: bool = False
    asked_ms: int = 0

    def to_be_asked(self, sent: Iterable[Sent]) -> bool:
        """Whether it is, after what was sent: if it competed, another campaign's push has to have taken its place."""
        at_once = {push.campaign for push in sent if push.time_ms == self.asked_ms}
        return not self.asked_ms or (bool(at_once) and self.campaign not in at_once)

    @property
    def items(self) -> list[tuple[int, int]]:
        """``keys`` with ``prices``."""
        return list(zip(self.keys, self.prices, strict=True)) if self.prices else [(key, 0) for key in self.keys]


class PolicyState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The row of table ``policy``. ``sent`` is oldest first.

    ``armed``: the timers, one a campaign at most, the earliest due first; they are the truth. ``wake_ms``: the time of
    the shopper's one live row in table ``due`` (0: none), which is never later than the earliest timer. Both are folded
    from events and ticks alone.
    """

    standing: Standing = Standing()
    sent: tuple[Sent, ...] = ()
    armed: tuple[Armed, ...] = ()
    wake_ms: int = 0


def fold(standing: Standing, event: Event) -> Standing:
    """The standing with a feedback or preferences event in it; an erase is ``erased``'s."""
    time = event.time
    match event.type:
        case "push_delivered":
            return msgspec.structs.replace(standing, delivered=standing.delivered + 1)
        case "push_opened" | "push_clicked" | "push_converted":
            return _answered(standing, event)
        case "push_dismissed":
            mark = mark_of(event.candidate_id)
            if mark in standing.dismissed_marks:
                return standing  # the same push once more, under an id of its own
            return msgspec.structs.replace(
                standing,
                dismissed=standing.dismissed + 1,
                dismissals=standing.dismissals + 1,
                dismissed_marks=_marked(standing.dismissed_marks, mark),
            )
        case "push_failed":
            marks = _marked(standing.failed_marks, mark_of(event.candidate_id))
            return msgspec.structs.replace(standing, failed_marks=marks)
        case "push_unsubscribed":
            said_yes = standing.consent is True and standing.consent_ms >= time
            newest = max(standing.unsubscribed_ms, time, standing.consent_ms + 1 if said_yes else 0)
            return msgspec.structs.replace(standing, unsubscribed_ms=newest)
        case "preferences" if event.preferences is not None:
            return _heard(standing, event.preferences, time)
        case _:
            return standing


def only_a_no(event: Event) -> Event | None:
    """The event as far as it says no to all pushes, or to all channels; ``None`` if it does not."""
    said = event.preferences
    if said is None:
        return event if event.type == "push_unsubscribed" else None
    no = Preferences(consent=False if said.consent is False else None, channels=() if said.channels == () else None)
    return msgspec.structs.replace(event, preferences=no) if no != Preferences() else None


_ANSWERS: Final = ("opened", "clicked", "converted")


def _answered(standing: Standing, event: Event) -> Standing:
    """Each counts once for a push, however often and under whatever ids it is told."""
    what, mark = event.type.removeprefix("push_"), mark_of(event.candidate_id)
    told = mark * len(_ANSWERS) + _ANSWERS.index(what) if mark else 0
    if told in standing.answered_marks:
        return standing
    changes: dict[str, object] = {what: getattr(standing, what) + 1} | ({} if what == "opened" else {"dismissals": 0})
    engaged_ms, marks = max(standing.engaged_ms, event.time), _marked(standing.answered_marks, told)
    return msgspec.structs.replace(standing, engaged_ms=engaged_ms, answered_marks=marks, **changes)


def _marked(marks: tuple[int, ...], mark: int) -> tuple[int, ...]:
    # That of somebody else's id, 0, is also that of pushes from before there were marks.
    return (*marks, mark)[-MAX_MARKS:] if mark and mark not in marks else marks


def _heard(standing: Standing, said: Preferences, time_ms: int) -> Standing:
    changes: dict[str, object] = {}
    for name in ("channels", "quiet_hours", "time_zone"):
        word = getattr(said, name)
        if word is not None and time_ms >= getattr(standing, f"{name}_ms"):
            changes |= {name: word, f"{name}_ms": time_ms}
    before_ms = standing.consent_ms
    if said.consent is False:
        changes |= {"consent": False, "consent_ms": max(time_ms, before_ms)}
    elif said.consent and (time_ms > before_ms or (time_ms == before_ms and standing.consent is not False)):
        changes |= {"consent": True, "consent_ms": time_ms}
    return msgspec.structs.replace(standing, **changes)


def erased(standing: Standing, time_ms: int) -> PolicyState:
    """What is left of an erased user: the mark that drops older input, and a no, which outlives everything."""
    kept = Standing(erased_ms=max(standing.erased_ms, time_ms))
    if standing.opted_out:
        no_ms = max(standing.consent_ms, standing.unsubscribed_ms)
        kept = msgspec.structs.replace(kept, consent=False, consent_ms=no_ms)
    if standing.channels == ():
        kept = msgspec.structs.replace(kept, channels=(), channels_ms=standing.channels_ms)
    return PolicyState(kept)


def reset(standing: Standing, time_ms: int) -> Standing:
    """All preferences unsaid as of then (a tombstone), but for newer ones, and for a no: no consent, or no channel. Who
    deletes an account does not ask for pushes. An unsubscription stays, too: it is no preference.
    """
    changes: dict[str, object] = {}
    for name in ("consent", "channels", "quiet_hours", "time_zone"):
        says_no = name in {"consent", "channels"} and getattr(standing, name) in (False, ())
        if getattr(standing, f"{name}_ms") <= time_ms and not says_no:
            changes |= {name: None, f"{name}_ms": time_ms}
    return msgspec.structs.replace(standing, **changes)


def remember(sent: tuple[Sent, ...], push: Sent, settings: PolicySettings, caps_ms: int = 0) -> tuple[Sent, ...]:
    """With one push more; those that no rule looks back to any more are let go.

    ``caps_ms``: how far the campaigns' own caps look back. A row holds as many as the caps of a day allow over the time
    that is looked back, so that it stays bounded, and no rule is ever broken for want of memory.
    """
    longest_gap = settings.min_gap_ms << settings.dismissal_doublings
    # A push may be waved away weeks after it was sent: until then nobody knows that it will be.
    shown_ms = max(settings.repeat_window_ms, settings.dismissed_window_ms)
    back_ms = max(shown_ms, WEEK_MS, longest_gap, settings.ignored_after_ms + WEEK_MS, caps_ms)
    horizon = push.time_ms - back_ms
    kept = [s for s in sent if s.time_ms > horizon]
    most = max(MAX_SENT, settings.per_day * (-(-back_ms // DAY_MS) + 1))
    return (*kept, push)[-most:]
