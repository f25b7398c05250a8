"""How often a shopper is pushed. What is held back to compare with counts like what is sent, and is held to the same.

Where it is not known to the millisecond when something was held back, no more is said than is true of all moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.moment import Moment, Rule


def cap(moment: Moment) -> Iterator[str]:
    """So many in each window that ends with the push."""
    for most, window_ms in moment.rules.caps:
        if (count := _within(moment, window_ms)) > most:
            yield f"is the push {count} to {moment.push.user} within {window_ms} ms, of {most}"


def campaign_cap(moment: Moment) -> Iterator[str]:
    """So many of the campaign."""
    campaign = moment.push.campaign
    for most, window_ms in moment.rules.campaign_caps.get(campaign, ()):
        if (count := _within(moment, window_ms, campaign=campaign)) > most:
            yield f"is the push {count} of {campaign} within {window_ms} ms, of {most}"


def category_cap(moment: Moment) -> Iterator[str]:
    """So many with an item of a category."""
    for most, window_ms in moment.rules.category_caps:
        for category in sorted(moment.push.categories):
            if (count := _within(moment, window_ms, category=category)) > most:
                yield f"is the push {count} of {category} within {window_ms} ms, of {most}"


def min_gap(moment: Moment) -> Iterator[str]:
    """Two keep a distance, which each dismissal since the last click doubles."""
    gap_ms = moment.rules.gap_ms << min(moment.shopper.dismissals, moment.rules.doublings)
    if moment.before and (gone_ms := moment.push.until_ms - moment.before[-1].at_ms) < gap_ms:
        yield f"comes {gone_ms} ms after the last one, the gap is {gap_ms}"


def _within(moment: Moment, window_ms: int, *, campaign: str = "", category: str = "") -> int:
    """The pushes in the window, with the newest, of the campaign or with an item of the category if one is given."""
    after_ms = moment.push.until_ms - window_ms
    return 1 + sum(
        push.at_ms > after_ms and campaign in {"", push.campaign} and (not category or category in push.categories)
        for push in moment.before
    )


CHECKS: Final[dict[str, Rule]] = {
    "cap": cap,
    "campaign_cap": campaign_cap,
    "category_cap": category_cap,
    "min_gap": min_gap,
}
