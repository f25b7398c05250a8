"""Whom a push may go to: who allows it, at that hour, by that channel, and is one of those it is for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.moment import Moment, Rule


def consent(moment: Moment) -> Iterator[str]:
    """Nobody who said no, and nobody who did not say yes where that is asked for."""
    if moment.shopper.opted_out:
        yield f"goes to {moment.push.user}, who opted out"
    elif moment.rules.must_consent and not moment.shopper.word("consent"):
        yield f"goes to {moment.push.user}, who never said yes"


def channel(moment: Moment) -> Iterator[str]:
    """By a channel that the shopper takes. What was held back says of none; there has to be one."""
    push, channels = moment.push, moment.shopper.word("channels")
    taken = {re.sub("[ _]", "-", name.strip().lower()) for name in channels or ()}
    if channels is not None and push.candidate is not None and push.candidate["channel"] not in taken:
        yield f"goes by {push.candidate['channel']}, {push.user} takes {channels}"
    elif channels == []:
        yield f"goes to {push.user}, who takes no channel"


def quiet_hours(moment: Moment) -> Iterator[str]:
    """Not in the hours that the shopper wants quiet."""
    shopper, rules, at_ms = moment.shopper, moment.rules, moment.push.at_ms
    if shopper.quiet(at_ms, rules.quiet_hours, rules.time_zone):
        yield f"at {at_ms}, quiet are {shopper.word('quiet_hours')} in {shopper.word('time_zone')}"


def audience(moment: Moment) -> Iterator[str]:
    """To whom the campaign is for, by purchases, visits, tags and categories.

    Not looked at: segments and the chance of leaving, which are models' to tell, and on no topic; tags of prices and
    brands. Of categories no more is asked than that the shopper did something with one.
    """
    push, shopper = moment.push, moment.shopper
    audience = moment.rules.audiences.get(push.campaign)
    if audience is None:
        return
    counted = {"purchases": shopper.counts["purchase"], "visits": shopper.visits}
    for what, (least, most) in {"purchases": audience.purchases, "visits": audience.visits}.items():
        if counted[what] < least or (most is not None and counted[what] > most):
            yield f"goes to {push.user}, of {counted[what]} {what}; {push.campaign} asks for {least} to {most}"
    now_ms = push.at_ms if push.timed or push.asked_ms is None else push.asked_ms
    tags = shopper.tags(now_ms)
    if audience.tags and not any(tags.get(tag, True) for tag in audience.tags):
        yield f"goes to {push.user}, who is none of {sorted(audience.tags)}"
    if wrong := sorted(tag for tag in audience.without_tags if tags.get(tag)):
        yield f"goes to {push.user}, who is {wrong}"
    if audience.categories and audience.categories.isdisjoint(shopper.liked):
        yield f"goes to {push.user}, who did nothing in {sorted(audience.categories)}"


CHECKS: Final[dict[str, Rule]] = {
    "consent": consent,
    "channel": channel,
    "quiet_hours": quiet_hours,
    "audience": audience,
}
