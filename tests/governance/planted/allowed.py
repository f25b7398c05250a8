"""Pushes to who does not allow them, or is not one of those they are for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from tests.governance.made import MINUTE_MS
from tests.governance.rules import Audience
from tests.governance.run import HOUR_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _opted_out(run: Made) -> None:
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.push(HOUR_MS)


def _opted_out_by_a_slow_clock(run: Made) -> None:
    run.prefers(HOUR_MS, consent=True)
    run.prefers(0, consent=False)
    run.push(2 * HOUR_MS)


def _opted_out_at_the_time_of_a_yes(run: Made) -> None:
    run.prefers(0, consent=False)
    run.prefers(0, consent=True)
    run.push(HOUR_MS)


def _unsubscribed_by_a_slow_clock(run: Made) -> None:
    run.prefers(HOUR_MS, consent=True)
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.push(2 * HOUR_MS)


def _opted_out_before_a_yes_that_was_taken_back(run: Made) -> None:
    """The no is as new as the yes that it took back: another one from in between is older."""
    run.prefers(HOUR_MS, consent=True)
    run.prefers(0, consent=False)
    run.prefers(HOUR_MS // 2, consent=True)
    run.push(2 * HOUR_MS)


def _no_that_is_newer_than_what_unsays(run: Made) -> None:
    run.prefers(HOUR_MS, consent=False)
    run.unsays(0)
    run.push(2 * HOUR_MS)


def _unsubscribed_and_unsaid(run: Made) -> None:
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.unsays(HOUR_MS)
    run.push(2 * HOUR_MS)


def _yes_of_before_it_was_unsaid(run: Made) -> None:
    run.run.rules = dataclasses.replace(run.run.rules, must_consent=True)
    run.unsays(HOUR_MS)
    run.prefers(0, consent=True)
    run.push(2 * HOUR_MS)


def _forgotten_with_a_no(run: Made) -> None:
    run.prefers(0, erase=True, consent=False)
    run.push(HOUR_MS)


def _forgotten_with_a_yes(run: Made) -> None:
    run.run.rules = dataclasses.replace(run.run.rules, must_consent=True)
    run.prefers(0, erase=True, consent=True)
    run.push(HOUR_MS)


def _no_of_one_who_is_forgotten(run: Made) -> None:
    run.prefers(HOUR_MS, erase=True)
    run.prefers(0, consent=False)
    run.push(2 * HOUR_MS)


def _unsubscription_of_one_who_is_forgotten(run: Made) -> None:
    run.prefers(HOUR_MS, erase=True)
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.push(2 * HOUR_MS)


def _channel(run: Made) -> None:
    run.prefers(0, channels=["email"])
    run.push(HOUR_MS)


def _channel_that_is_newer_than_what_unsays(run: Made) -> None:
    run.prefers(0, consent=True)
    run.prefers(HOUR_MS, channels=["email"])
    run.unsays(HOUR_MS - 1)
    run.push(2 * HOUR_MS)


def _quiet(run: Made) -> None:
    # 22:40 UTC is 23:40 in Berlin, in winter.
    run.prefers(0, quiet_hours=["23:00", "07:00"], time_zone="Europe/Berlin")
    run.push(MINUTE_MS)


def _no_that_is_unsaid(run: Made) -> None:
    """Who deletes their account does not ask for pushes."""
    run.prefers(0, consent=False)
    run.unsays(HOUR_MS)
    run.push(2 * HOUR_MS)


def _silence(run: Made) -> None:
    run.red_rules(must_consent=True)
    run.push(0)


def _no_channel_that_is_unsaid(run: Made) -> None:
    run.prefers(0, channels=[])
    run.unsays(HOUR_MS)
    run.push(2 * HOUR_MS)


def _no_channel_of_one_who_is_forgotten(run: Made) -> None:
    run.prefers(0, channels=[])
    run.prefers(1, erase=True)
    run.push(HOUR_MS)


def _no_channel_of_what_is_held_back(run: Made) -> None:
    run.prefers(0, channels=[])
    run.decide(run.event(1, "view"), "control")


def _usual_quiet(run: Made) -> None:
    # 22:41 UTC is 7:41 in Tokyo.
    run.red_rules(quiet_hours=("07:00", "09:00"), time_zone="Asia/Tokyo")
    run.push(MINUTE_MS)


def _for_buyers(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(purchases=(1, None))})
    run.push(0)


def _for_new_buyers(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(purchases=(0, 1))})
    for n in range(2):
        run.event(n, "purchase", topic="purchase", item=f"i{n}")
    run.push(HOUR_MS)


def _for_those_who_came_back(run: Made) -> None:
    """Half an hour without a sound ends a visit; this is none."""
    run.red_rules(audiences={"next": Audience(visits=(2, None))})
    run.event(0, "view")
    run.push(30 * MINUTE_MS)


def _for_a_first_visit(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(visits=(0, 1))})
    run.event(0, "view")
    run.push(30 * MINUTE_MS + 1)


def _for_searchers(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(tags=frozenset({"searcher", "lapsed"}))})
    run.push(0)


def _not_for_buyers(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(without_tags=frozenset({"buyer"}))})
    run.event(0, "purchase", topic="purchase", item="b")
    run.push(HOUR_MS)


def _not_for_who_left_a_cart(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(without_tags=frozenset({"cart-abandoner"}))})
    run.event(0, "cart", topic="purchase", item="b")
    run.push(HOUR_MS)


def _for_who_likes_hats(run: Made) -> None:
    run.red_rules(audiences={"next": Audience(categories=frozenset({"hats"}))})
    run.event(0, "view", item="b", category="shoes")
    run.push(HOUR_MS)


PLANTED: Final[Plants] = {
    "opt-out": ("consent", _opted_out),
    "opt-out by a slow clock": ("consent", _opted_out_by_a_slow_clock),
    "opt-out at the time of a yes": ("consent", _opted_out_at_the_time_of_a_yes),
    "unsubscription by a slow clock": ("consent", _unsubscribed_by_a_slow_clock),
    "yes older than the one taken back": ("consent", _opted_out_before_a_yes_that_was_taken_back),
    "no newer than what unsays": ("consent", _no_that_is_newer_than_what_unsays),
    "unsubscribed and unsaid": ("consent", _unsubscribed_and_unsaid),
    "yes of before it was unsaid": ("consent", _yes_of_before_it_was_unsaid),
    "forgotten with a no": ("consent", _forgotten_with_a_no),
    "forgotten with a yes": ("consent", _forgotten_with_a_yes),
    "no of one who is forgotten": ("consent", _no_of_one_who_is_forgotten),
    "unsubscription of one who is forgotten": ("consent", _unsubscription_of_one_who_is_forgotten),
    "channel": ("channel", _channel),
    "channel newer than what unsays": ("channel", _channel_that_is_newer_than_what_unsays),
    "quiet hours": ("quiet_hours", _quiet),
    "a no that is unsaid": ("consent", _no_that_is_unsaid),
    "silence in an arm that asks": ("consent", _silence),
    "no channel that is unsaid": ("channel", _no_channel_that_is_unsaid),
    "no channel of one who is forgotten": ("channel", _no_channel_of_one_who_is_forgotten),
    "no channel of what is held back": ("channel", _no_channel_of_what_is_held_back),
    "the shop's quiet hours": ("quiet_hours", _usual_quiet),
    "for buyers": ("audience", _for_buyers),
    "for new buyers": ("audience", _for_new_buyers),
    "for those who came back": ("audience", _for_those_who_came_back),
    "for a first visit": ("audience", _for_a_first_visit),
    "for searchers": ("audience", _for_searchers),
    "not for buyers": ("audience", _not_for_buyers),
    "not for who left a cart": ("audience", _not_for_who_left_a_cart),
    "for who likes hats": ("audience", _for_who_likes_hats),
}
