"""Pushes that are not worth sending, by what is said of them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from tests.governance.hashes import is_sampled, is_tried, named
from tests.governance.run import DAY_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _low_score(run: Made) -> None:
    run.red_rules(score_threshold=0.5)
    run.push(0, said={"s": 0.49})


def _low_score_of_a_second_item(run: Made) -> None:
    run.red_rules(score_threshold=0.5)
    run.push(0, said={"s": 0.9}, items=[{"id": "a", "score": 0.9}, {"id": "b", "score": 0.49}])


def _low_score_by_the_campaigns_own_word(run: Made) -> None:
    run.red_rules(least_scores={"next": 0.5})
    run.push(0, said={"s": 0.49})


def _low_score_of_what_is_held_back(run: Made) -> None:
    run.red_rules(score_threshold=0.5)
    run.decide(run.event(0, "view"), "control", s=0.49)


def _tired(run: Made) -> None:
    """Two dismissals make a threshold of 0.1 one of 0.2, at half a bit each."""
    run.red_rules(score_threshold=0.1, fatigue_bits=0.5, fatigue_most_bits=3.0, ignored_ms=DAY_MS)
    for n in range(2):
        about = run.push(n * DAY_MS, [f"i{n}"], said={"s": 0.5})
        run.event(n * DAY_MS + 1, "push_dismissed", topic="feedback", candidate_id=about)
    run.push(3 * DAY_MS, ["z"], said={"s": 0.19}, campaign="other")


def _tired_of_what_was_ignored(run: Made) -> None:
    run.red_rules(score_threshold=0.1, fatigue_bits=0.5, fatigue_most_bits=3.0, ignored_ms=DAY_MS)
    for n in range(2):
        run.push(n * DAY_MS, [f"i{n}"], said={"s": 0.5})
    run.push(3 * DAY_MS, ["z"], said={"s": 0.19})


def _tired_of_a_campaign_that_asks_for_nothing(run: Made) -> None:
    run.red_rules(
        score_threshold=0.1, least_scores={"other": 0.0}, fatigue_bits=1.0, fatigue_most_bits=3.0, ignored_ms=DAY_MS
    )
    about = run.push(0, said={"s": 0.5})
    run.event(1, "push_dismissed", topic="feedback", candidate_id=about)
    run.push(3 * DAY_MS, ["z"], said={"s": 0.09}, campaign="other")


def _not_worth_it(run: Made) -> None:
    run.red_rules(least_worth=0.0)
    run.push(0, said={"s": 0.5, "w": -0.01})


def _tried_too_often(run: Made) -> None:
    """Drawn to be tried, but sent as if that had been certain."""
    run.red_rules(least_worth=0.0, try_share=0.5)
    # The first of the run's next event, by its name.
    mark = named(f"1:s{len(run.next_id('browse'))}:{run.next_id('browse')}")
    campaign = next(name for name in map("c{}".format, count()) if is_tried(mark, name, 0.5, 1))
    run.push(0, said={"s": 0.5, "w": -0.01}, campaign=campaign)


def _by_its_score_but_told_another_worth(run: Made) -> None:
    run.red_rules(worth_by="score")
    run.push(0, said={"s": 0.5, "w": 0.7})


def _coupon_that_gains_nothing(run: Made) -> None:
    run.red_rules(worth_by="uplift")
    run.push(0, campaign="five", cents=500, said={"s": 0.5, "w": -0.01})


def _not_sampled(run: Made) -> None:
    run.red_rules(rank_rate=0.5)
    at = 0
    while is_sampled(named(f"1:s{len(run.next_id('browse'))}:{run.next_id('browse')}"), 0.5, 1):
        at += 1
        run.event(at, "view")
    run.push(at + 1)


PLANTED: Final[Plants] = {
    "low score": ("low_score", _low_score),
    "low score of a second item": ("low_score", _low_score_of_a_second_item),
    "low score by the campaign's own word": ("low_score", _low_score_by_the_campaigns_own_word),
    "low score of what is held back": ("low_score", _low_score_of_what_is_held_back),
    "tired": ("low_score", _tired),
    "tired of what was ignored": ("low_score", _tired_of_what_was_ignored),
    "tired of a campaign that asks for nothing": ("low_score", _tired_of_a_campaign_that_asks_for_nothing),
    "not worth it": ("not_worth_it", _not_worth_it),
    "tried too often": ("not_worth_it", _tried_too_often),
    "by its score but told another worth": ("not_worth_it", _by_its_score_but_told_another_worth),
    "a coupon that gains nothing": ("no_gain", _coupon_that_gains_nothing),
    "not sampled": ("not_sampled", _not_sampled),
}
