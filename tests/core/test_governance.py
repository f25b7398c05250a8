"""Caps, fatigue and groups, over sequences of pushes: what holds in every window, and for every shopper."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.campaigns.campaign import NEXT, Caps, Listing
from streamer.core.events import Event
from streamer.core.policy.fatigue import price, tired_of
from streamer.core.policy.groups import controls, held_out
from streamer.core.policy.rule import Case, Offer
from streamer.core.policy.state import Sent, Standing, fold, mark_of, remember
from streamer.core.policy.verdict import cheap_refusal, choose
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS, PolicySettings

NOON = 1_700_000_000_000 // DAY_MS * DAY_MS + 12 * HOUR_MS
CAMPAIGNS = tuple(
    msgspec.structs.replace(NEXT, name=name, caps=caps)
    for name, caps in (("free", Caps()), ("capped", Caps(per_day=2, per_week=5, min_gap_ms=3 * HOUR_MS)))
)
OPEN = PolicySettings(per_hour=3, per_day=20, per_week=60, category_per_day=4, min_gap_ms=MINUTE_MS, repeat_window_ms=0)


def case(now_ms: int, sent: tuple[Sent, ...] = (), standing: Standing = Standing(), which: int = 0) -> Case:  # noqa: B008 - it is frozen
    return Case(CAMPAIGNS[which], now_ms, now_ms, 0, 0.0, standing, sent)


asks = st.lists(
    st.tuples(st.integers(1, 10 * HOUR_MS), st.integers(0, 1), st.integers(1, 2)), min_size=20, max_size=220
)


def pushed(given_asks: list[tuple[int, int, int]], settings: PolicySettings) -> list[Sent]:
    """Everything that was sent, asking again and again; what is remembered between is what the row holds."""
    row: tuple[Sent, ...] = ()
    now_ms, all_sent = NOON, []
    for wait_ms, which, category in given_asks:
        now_ms += wait_ms
        ask = case(now_ms, row, which=which)
        if cheap_refusal(ask, settings) is None and choose([Offer(1, 1.0, True, category)], ask, settings)[1]:
            push = Sent(now_ms, ask.campaign.name, (1,), (category,))
            row = remember(row, push, settings, 3 * HOUR_MS)
            all_sent.append(push)
    return all_sent


def most_in_any(window_ms: int, times: list[int]) -> int:
    return max((sum(end - window_ms < time <= end for time in times) for end in times), default=0)


@given(asks)
def test_no_window_wherever_it_lies_holds_more_pushes_than_its_cap(given_asks: list[tuple[int, int, int]]) -> None:
    """Global, of a campaign and of a category, whatever the row has let go by then."""
    sent = pushed(given_asks, OPEN)
    times = [push.time_ms for push in sent]
    capped = [push.time_ms for push in sent if push.campaign == "capped"]
    assert most_in_any(HOUR_MS, times) <= 3
    assert most_in_any(DAY_MS, times) <= 20
    assert most_in_any(WEEK_MS, times) <= 60
    assert most_in_any(DAY_MS, capped) <= 2
    assert most_in_any(WEEK_MS, capped) <= 5
    assert most_in_any(3 * HOUR_MS, capped) <= 1
    for category in (1, 2):
        assert most_in_any(DAY_MS, [push.time_ms for push in sent if category in push.categories]) <= 4


def test_a_week_of_many_pushes_a_day_is_remembered_whole() -> None:
    """More than the usual bound of a row: else a cap of a week would forget its beginning."""
    settings = replace(OPEN, per_hour=100, per_day=30, per_week=180, min_gap_ms=0)
    row: tuple[Sent, ...] = ()
    for n in range(7 * 30):
        row = remember(row, Sent(NOON + n * 48 * MINUTE_MS, "free", ()), settings)
    assert cheap_refusal(case(NOON + 7 * 30 * 48 * MINUTE_MS, row), settings) == "week_cap"


def test_a_push_that_was_dismissed_is_remembered_for_longer_than_others() -> None:
    """Its item stays suppressed for a month, also if it is dismissed when others were sent since."""
    settings = PolicySettings()
    row = remember((), Sent(NOON, "next", (1,), mark=9), settings)
    row = remember(row, Sent(NOON, "next", (2,), mark=8), settings)
    row = remember(row, Sent(NOON + 20 * DAY_MS, "next", (3,)), settings)
    later = case(NOON + 29 * DAY_MS, row, Standing(dismissed_marks=(9,)))
    assert choose([Offer(1, 1.0, True)], later, settings) == ("dismissed", [])
    assert choose([Offer(2, 1.0, True)], later, settings)[0] == "sent"
    assert [push.items for push in remember(row, Sent(NOON + 31 * DAY_MS, "next", (4,)), settings)] == [(3,), (4,)]


def test_what_was_ignored_long_ago_tires_no_more() -> None:
    """A week after it counted first, however long it is remembered."""
    settings = PolicySettings()
    row = (Sent(NOON, "next", ()),)
    first_ms = NOON + settings.ignored_after_ms
    tired = [tired_of(case(at_ms, row), settings) for at_ms in (first_ms - 1, first_ms, first_ms + WEEK_MS - 1)]
    assert [*tired, tired_of(case(first_ms + WEEK_MS, row), settings)] == [0, 1, 1, 0]


@pytest.mark.parametrize(("given_id", "mark"), [("ff00ff00" + "0" * 24, 0xFF00FF00), ("of somebody else", 0), ("", 0)])
def test_a_mark_is_of_the_beginning_of_our_own_ids(given_id: str, mark: int) -> None:
    """What is none of ours marks nothing that was sent."""
    assert mark_of(given_id) == mark


def test_feedback_on_somebody_elses_id_suppresses_nothing() -> None:
    """Its mark is none, as is that of pushes from before there were marks."""
    for given_id in ("of somebody else", "00000000" + "f" * 24):
        dismissed = Event("u", "1", "s", "push_dismissed", NOON, 1, candidate_id=given_id)
        standing = fold(Standing(), dismissed)
        assert (standing.dismissals, standing.dismissed_marks) == (1, ())
        old = case(NOON + 20 * DAY_MS, (Sent(NOON, "next", (1,)),), standing)
        assert choose([Offer(1, 1.0, True)], old, PolicySettings())[0] == "sent"


def test_each_push_ignored_makes_the_next_one_dearer_until_something_is_opened() -> None:
    """A quarter of a doubling each, eight times the threshold at most; an opening makes good."""
    settings = PolicySettings()
    row = tuple(Sent(NOON + n * DAY_MS, "next", ()) for n in range(4))
    now_ms = NOON + 4 * DAY_MS
    assert tired_of(case(now_ms, row), settings) == 4
    assert price(case(now_ms, row), settings) == pytest.approx(2.0, abs=1e-12)
    assert price(case(now_ms, row, Standing(engaged_ms=NOON + DAY_MS)), settings) == pytest.approx(2**0.5, abs=1e-12)
    assert price(case(now_ms, row, Standing(dismissals=40)), settings) == pytest.approx(8.0, abs=1e-12)
    assert choose([Offer(1, 0.03, True)], case(now_ms, row), settings) == ("low_score", [])
    assert choose([Offer(1, 0.03, True)], case(now_ms, row, Standing(engaged_ms=now_ms)), settings)[0] == "sent"


def test_what_was_only_held_back_tires_nobody() -> None:
    """A ghost was not seen, and is too young to be ignored before its time."""
    settings = PolicySettings()
    ghosts = tuple(Sent(NOON + n * DAY_MS, "next", (), ghost=True) for n in range(4))
    young = (Sent(NOON + 4 * DAY_MS - 1, "next", ()),)
    assert price(case(NOON + 4 * DAY_MS, ghosts + young), settings) == 1.0


def test_groups_have_their_shares_and_are_drawn_apart() -> None:
    """The same shopper each time; holdout and controls do not depend on one another; another seed draws anew."""
    users = [f"user-{n}" for n in range(20_000)]
    held = {user for user in users if held_out(user, 0.1, 1)}
    first, second = ({user for user in users if controls(user, name, 0.3, 1)} for name in ("first", "second"))
    again = {user for user in users if held_out(user, 0.1, 2)}
    assert held == {user for user in users if held_out(user, 0.1, 1)}
    assert held < {user for user in users if held_out(user, 0.2, 1)}
    for group, share in ((held, 0.1), (first, 0.3), (second, 0.3), (again, 0.1)):
        assert len(group) / len(users) == pytest.approx(share, abs=0.01)
    for one, other, share in ((held, first, 0.03), (first, second, 0.09), (held, again, 0.01)):
        assert len(one & other) / len(users) == pytest.approx(share, abs=0.006)
    assert not any(held_out(user, 0.0, 1) or controls(user, "first", 0.0, 1) for user in users)


def test_tiredness_counts_also_where_a_campaign_asks_for_no_score() -> None:
    """A multiple of nothing would be nothing: it asks for as much more as the policy's threshold would have risen."""
    settings = PolicySettings()
    any_score = msgspec.structs.replace(NEXT, listing=Listing(least_score=0.0))
    row = tuple(Sent(NOON + (12 + n) * DAY_MS // 2, "next", ()) for n in range(12))
    tired, rested = (case(NOON + 13 * DAY_MS, row, Standing(engaged_ms=at)) for at in (0, NOON + 13 * DAY_MS))
    for each in (tired, rested):
        each.campaign = any_score
    assert choose([Offer(1, 0.139, True)], tired, settings) == ("low_score", [])
    assert choose([Offer(1, 0.141, True)], tired, settings)[0] == "sent"
    assert choose([Offer(1, 0.0, True)], rested, settings)[0] == "sent"


def test_what_is_about_the_shoppers_own_items_repeats_only_its_own_pushes() -> None:
    """A cart may be brought up though the next item's push had it; not twice."""
    own = msgspec.structs.replace(NEXT, name="cart", listing=Listing(source="trigger"))
    later = NOON + DAY_MS
    for campaign, by, expected in ((own, "next", "sent"), (own, "cart", "repeat"), (NEXT, "cart", "repeat")):
        asked = case(later, (Sent(NOON, by, (1,)),))
        asked.campaign = campaign
        assert choose([Offer(1, 1.0, True)], asked, PolicySettings())[0] == expected


def test_seventeen_dismissed_pushes_are_all_remembered() -> None:
    """An item that was dismissed first stays away as long as the last."""
    standing = Standing()
    for n in range(1, 18):
        dismissed = Event("u", str(n), "s", "push_dismissed", NOON + n, n, candidate_id=f"{n:08x}" + "0" * 24)
        standing = fold(standing, dismissed)
    row = (Sent(NOON, "next", (1,), mark=1),)
    assert choose([Offer(1, 1.0, True)], case(NOON + 20 * DAY_MS, row, standing), PolicySettings()) == ("dismissed", [])


def test_a_push_that_never_reached_the_shopper_tires_nobody_and_showed_nothing() -> None:
    """It was told of as failed, once or more often; for the caps it counts all the same."""
    settings = PolicySettings()
    row = tuple(Sent(NOON + n * DAY_MS, "next", (n,), mark=n + 1) for n in range(4))
    failed = [Event("u", "1", "s", "push_failed", NOON, 1, candidate_id="00000002" + "0" * 24)] * 2
    standing = Standing()
    for event in failed:
        standing = fold(standing, event)
    assert standing.failed_marks == (2,)
    now_ms = NOON + 4 * DAY_MS
    assert tired_of(case(now_ms, row, standing), settings) == 3
    assert choose([Offer(1, 1.0, True)], case(now_ms, row, standing), settings)[0] == "sent"
    assert choose([Offer(2, 1.0, True)], case(now_ms, row, standing), settings) == ("repeat", [])
    assert cheap_refusal(case(NOON + DAY_MS + 1, row[:2], standing), settings) == "min_gap"


@pytest.mark.parametrize("kind", ["opened", "clicked", "converted"])
def test_an_answer_counts_once_for_a_push_under_whatever_ids_it_is_told(kind: str) -> None:
    """A service that tells twice what was done once makes nobody keener; another push is another answer."""
    standing = Standing()
    for n, push in enumerate(["0000000a", "0000000a", "0000000b", "0000000a"]):
        told = Event("u", str(n), "s", f"push_{kind}", NOON + n, n, candidate_id=push + "0" * 24)
        standing = fold(standing, told)
    assert getattr(standing, kind) == 2
    assert standing.engaged_ms == NOON + 2
