"""When a shopper is there, and when a message that has time is best sent."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns.read import CampaignError, read_campaign
from streamer.core.events import Event
from streamer.core.hours import KNOWN, at_best_hour, visits, with_visit
from streamer.core.profile import fold
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings, ProfileSettings
from tests.core.task_shop import T0, Shop, browsing, record, tick

if TYPE_CHECKING:
    from streamer.core.campaigns.campaign import Campaign

MIDNIGHT = (T0 // DAY_MS + 1) * DAY_MS
SETTINGS = ProfileSettings()
hours_of_day = st.integers(0, 23)


def seen(*at_hours: int, most: int = 255) -> bytes:
    """The hours of a shopper who was there once a day, at these hours in turn."""
    hours = b""
    for day, hour in enumerate(at_hours):
        hours = with_visit(hours, MIDNIGHT + day * DAY_MS + hour * HOUR_MS, most)
    return hours


def best(hours: bytes, at_ms: int, within_ms: int, quiet: range = range(0)) -> int:
    return at_best_hour(hours, at_ms, within_ms, lambda moment: moment // HOUR_MS % 24 in quiet)


@given(st.lists(hours_of_day, max_size=200))
def test_every_visit_is_counted_at_its_hour(at_hours: list[int]) -> None:
    """As many as there were, as long as none are too many."""
    assert visits(seen(*at_hours)) == dict(sorted(Counter(at_hours).items()))


@given(st.lists(st.integers(0, 3), max_size=600), st.integers(1, 400))
def test_an_hour_never_has_more_visits_than_it_may_and_a_row_stays_small(at_hours: list[int], most: int) -> None:
    """A byte holds them, and two bytes an hour are all there is."""
    hours = seen(*at_hours, most=most)
    assert max(visits(hours).values(), default=0) <= min(most, 255)
    assert len(hours) == 2 * len(visits(hours)) <= 8


def test_an_old_habit_fades() -> None:
    """Who came at eight for a year and comes at twenty now is one of the evening before two months are over."""
    hours = seen(*[8] * 365, *[20] * 60, most=SETTINGS.hour_visits)
    assert best(hours, MIDNIGHT, DAY_MS) == MIDNIGHT + 20 * HOUR_MS


def test_an_hour_counts_once_however_much_is_done_in_it_and_late_events_count_for_none() -> None:
    """A shopper who looks at fifty items was there once."""
    profile = None
    minutes = [0, 1, 2, 59, 61, 62, 30]
    for n, minute in enumerate(minutes):
        event = Event("u", str(n), "test", "view", MIDNIGHT + 9 * HOUR_MS + minute * MINUTE_MS, n)
        profile = fold(profile, event, SETTINGS)
    assert profile is not None
    assert visits(profile.hours) == {9: 1, 10: 1}


def plainly(known: dict[int, int], at_ms: int, within_ms: int) -> int:
    """The best moment, looked for minute by minute where that is whole hours away."""
    best, most = at_ms, -1
    for minutes in range(0, min(within_ms, DAY_MS - 1) // MINUTE_MS + 1, 60):
        moment = at_ms + minutes * MINUTE_MS
        hour = moment // HOUR_MS % 24
        likely = 2 * known.get(hour, 0) + known.get((hour - 1) % 24, 0) + known.get((hour + 1) % 24, 0)
        if likely > most:
            best, most = moment, likely
    return best


@given(st.lists(hours_of_day, min_size=KNOWN, max_size=60), hours_of_day, st.integers(0, 59), st.integers(0, 24))
@example([3] * 5 + [9] * 4 + [10] * 4 + [11] * 4, 0, 30, 24)
def test_the_best_hour_is_the_first_of_the_likeliest_and_within_the_time_there_is(
    at_hours: list[int], hour: int, minute: int, within_hours: int
) -> None:
    """Whole hours later, never sooner, never later than allowed; good neighbours count."""
    at_ms, within_ms = MIDNIGHT + hour * HOUR_MS + minute * MINUTE_MS, within_hours * HOUR_MS
    found = best(seen(*at_hours), at_ms, within_ms)
    assert found == plainly(Counter(at_hours), at_ms, within_ms)
    assert 0 <= found - at_ms <= within_ms
    assert (found - at_ms) % HOUR_MS == 0


def test_of_a_shopper_hardly_known_nothing_is_concluded() -> None:
    """One visit less than it takes, and the message goes at its time."""
    assert best(seen(*[20] * (KNOWN - 1)), MIDNIGHT, DAY_MS) == MIDNIGHT
    assert best(seen(*[20] * KNOWN), MIDNIGHT, DAY_MS) == MIDNIGHT + 20 * HOUR_MS
    assert best(b"", MIDNIGHT, DAY_MS) == MIDNIGHT


def test_of_quiet_hours_none_is_the_best() -> None:
    """Who comes at eleven at night and wants quiet from ten on is told at their next best hour."""
    hours = seen(*[23] * 20, *[19] * 10)
    noon = MIDNIGHT + 12 * HOUR_MS
    assert best(hours, noon, DAY_MS // 2) == MIDNIGHT + 23 * HOUR_MS
    assert best(hours, noon, DAY_MS // 2, quiet=range(22, 24)) == MIDNIGHT + 19 * HOUR_MS
    assert best(hours, noon, DAY_MS // 2, quiet=range(24)) == noon


def campaign(**triggers: Any) -> Campaign:
    return read_campaign("mine", {"triggers": triggers, "message": {"template": "mine.v1"}}, "mine.toml")


def shop(*campaigns: Campaign) -> Shop:
    """Items are known, and ann has been there at eight in the evening (UTC), ten days in a row; nothing is pending."""
    policy = PolicySettings(per_hour=100, per_day=100, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0)
    made = Shop(CoreSettings(policy=policy, campaigns=campaigns))
    made.run(browsing(600, users=40, step_ms=1000))
    made.publish()
    for day in range(10):
        made.step([record("ann", "view", MIDNIGHT + day * DAY_MS + 20 * HOUR_MS, item="item-1")])
    made.step([tick(MORNING - HOUR_MS)])
    made.total.decisions.clear()
    return made


MORNING = MIDNIGHT + 10 * DAY_MS + 9 * HOUR_MS + 30 * MINUTE_MS
"""The eleventh day, half past nine."""


def asked(made: Shop, *ticks: int) -> list[int]:
    """Of these moments, those at which ann's timers asked."""
    when = []
    for moment in ticks:
        effects = made.step([tick(moment)])
        when += [moment for decision in effects.decisions if decision.user == "ann"]
    return when


def test_a_message_that_has_time_waits_for_the_hour_at_which_the_shopper_is_there() -> None:
    """Two hours after a search in the morning, or by the evening; by noon there is no better hour."""
    later = (MORNING + 2 * HOUR_MS, MORNING + 11 * HOUR_MS - 1, MORNING + 11 * HOUR_MS, MORNING + DAY_MS)
    for within, moment in (("12h", later[2]), ("1h", later[0]), (None, later[0])):
        keys = {} if within is None else {"best_hour_within": within}
        made = shop(campaign(on=["search"], after="2h", **keys))
        made.step([record("ann", "search", MORNING, query="thing 3")])
        assert asked(made, *later) == [moment]


def test_what_would_be_said_at_once_waits_too_and_can_be_taken_back() -> None:
    """Without a time of its own; bea, of whom nothing is known, is asked at the next tick."""
    made = shop(campaign(on=["search"], best_hour_within="24h", cancel_on=["purchase"]))
    made.step([record("ann", "search", MORNING, query="thing 3"), record("bea", "search", MORNING, query="thing 3")])
    made.step([tick(MORNING)])
    assert [decision.user for decision in made.total.decisions] == ["bea"]
    made.step([record("ann", "purchase", MORNING + HOUR_MS, item="item-1"), tick(MORNING + DAY_MS)])
    assert [decision.user for decision in made.total.decisions] == ["bea"]


def test_a_silence_ends_at_the_best_hour_and_fires_once() -> None:
    """What is worked out anew as its timer fires comes to the same."""
    silent = {"on": ["view"], "due": "silence", "first": "2d", "at_least": "36h", "at_most": "36h"}
    over = MORNING + 36 * HOUR_MS  # half past nine in the evening
    made = shop(campaign(**silent, best_hour_within="24h"))
    made.step([record("ann", "view", MORNING, item="item-2")])
    assert asked(made, over, over + 23 * HOUR_MS - 1, over + 23 * HOUR_MS, over + 9 * DAY_MS) == [over + 23 * HOUR_MS]


@pytest.mark.parametrize("wait", ["30m", "25h", "2d", 12])
def test_a_wait_in_which_no_hour_can_be_chosen_is_refused(wait: object) -> None:
    """In words, with its key."""
    with pytest.raises(CampaignError, match=r"mine\.toml: triggers\.best_hour_within"):
        campaign(on=["view"], after="1h", best_hour_within=wait)


def test_shipped_campaigns_that_are_in_no_hurry_wait_for_the_best_hour() -> None:
    """Those of a silence, and what is bought again; not what helps somebody who is there now."""
    waiting = {c.name for c in load(CampaignSettings(on=("all",))) if c.triggers.best_within_ms}
    assert waiting == {"new-arrivals", "trending-now", "win-back", "buy-again"}


def test_hours_are_part_of_a_profile_and_told_with_it() -> None:
    """The row has them last, so that a row without them is one of before."""
    made = shop()
    (profile,) = made.profiles.get_many(["ann"])
    assert profile is not None
    assert msgspec.to_builtins(profile)[-1] is not None
    assert visits(profile.hours) == {20: 10}
