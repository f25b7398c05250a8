"""All that is asked of one shopper at one event or tick: what of it is to be ranked, and what asks again later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streamer.core.campaigns.audience import belongs
from streamer.core.campaigns.owned import owned_by
from streamer.core.names import NONE
from streamer.core.policy.verdict import cheap_refusal, open_again, room_after_push, room_again
from streamer.core.predictions.served import Foresight

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streamer.core.ask import Ask
    from streamer.core.campaigns.watching import Watching
    from streamer.core.profile import Profile
    from streamer.core.queries import Queries
    from streamer.core.settings import CoreSettings
    from streamer.core.views import Views

_NOTHING: Final[frozenset[int]] = frozenset()

_Asked = dict[tuple[int, str, tuple[int, ...]], int]
"""The queries of an occasion: by as of when the shopper searches, and by the campaign's own items and what for."""


class Later(NamedTuple):
    """An ask that is asked again at a stream time. ``waited`` and ``asked_ms``: as ``Armed`` has them then."""

    ask: Ask
    until_ms: int
    waited: bool
    asked_ms: int = 0


class Occasions:
    """The occasions of a batch, of which ``queries`` are to be ranked."""

    def __init__(self, views: Views, settings: CoreSettings, queries: Queries, watching: Watching) -> None:
        self._foreseeing, self._index, self._segments = views.foreseeing, views.items, views.segments
        self._settings, self._queries, self._watching = settings, queries, watching
        self._count = 0

    def ask(self, asks: Sequence[Ask], profile: Profile, now_ms: int, told: int) -> list[Later]:
        """What passes the cheap rules is to be ranked, once for all that are about the same; what may wait is asked
        again. ``told``: as ``Ask`` has it.
        """
        settings = self._settings
        foresight = Foresight(profile, now_ms, self._foreseeing, settings)
        queries: _Asked = {}
        bought, segment = _NOTHING, NONE
        self._count += 1
        for ask in asks:
            case, campaign = ask.case, ask.case.campaign
            case.profile, case.foresight = profile, foresight
            case.member = belongs(
                profile,
                campaign.audience,
                now_ms,
                foresight=foresight,
                segments=self._segments,
                index=self._index,
                settings=settings.profile,
            )
            ask.occasion, ask.told = self._count, told
            ask.refusal = cheap_refusal(case, ask.terms.settings)
            if ask.refusal is None:
                if not queries:
                    segment = self._segments.segment(profile, now_ms)
                    bought = frozenset([b.key for b in profile.bought()]) if profile.purchased else _NOTHING
                ask.segment = segment
                case.bought = owned_by(ask, bought, profile, self._watching) if bought else bought
                ask.query = self._query(ask, profile, now_ms, queries)
        return [later for later in _later(asks) if later.until_ms > later.ask.case.now_ms]

    def _query(self, ask: Ask, profile: Profile, now_ms: int, queries: _Asked) -> int:
        """The query that ranks for an ask, among ``queries`` of its occasion so far; nearly always it is one for all.

        A timer that a search armed asks about that search, however long ago it was.
        """
        event, terms = ask.event, ask.terms
        searched_ms = event.time if event.type == "search" else now_ms
        source = ask.case.campaign.listing.source
        key = (searched_ms, source, ask.keys) if source in {"trigger", "complements"} else (searched_ms, "", ())
        if key not in queries:
            queries[key] = self._queries.add(
                profile,
                now_ms,
                user=event.user,
                segment=self._segments.node_of(ask.segment),
                searched_ms=searched_ms,
                about=ask.keys if source == "complements" else None,
                wanted=ask.keys if source == "trigger" else None,
                by=terms.settings.rank_by,
            )
        return queries[key]


def _later(asks: Sequence[Ask]) -> Iterator[Later]:
    """What asks again: after quiet hours; once there is room under the caps; and of several that compete all, since
    which of them is sent is decided later, and the others are to have their turn.
    """
    for ask in asks:
        if ask.refusal is None:
            continue
        case, settings = ask.case, ask.terms.settings
        if (until := open_again(ask.refusal, case, settings)) is not None:
            yield Later(ask, until, not ask.may_wait)
        elif ask.may_wait and (until := room_again(ask.refusal, case, settings)) is not None:
            yield Later(ask, until, waited=True)
    competing = [ask for ask in asks if ask.refusal is None]
    for ask in competing if len(competing) > 1 else ():
        if ask.may_wait and (until := room_after_push(ask.case, ask.terms.settings)) is not None:
            yield Later(ask, until, waited=True, asked_ms=ask.case.now_ms)
