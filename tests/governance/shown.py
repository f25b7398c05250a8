"""What a push may show: what can be had, and the shopper has not, nor waved away, nor was shown not long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.moment import Moment, Rule


def bought(moment: Moment) -> Iterator[str]:
    """Nothing that was bought, if the campaign does not say so. One that tells of what the shopper's own acts or news
    singled out may show what was put into the cart, or on the wish list, since it was bought.
    """
    push, shopper = moment.push, moment.shopper
    if push.campaign in moment.rules.again:
        return
    for item in push.items:
        since_ms = shopper.chosen.get(item, 0) if push.campaign in moment.rules.singled_out else 0
        if shopper.bought.get(item, -1) >= since_ms:
            yield f"shows {item}, which {push.user} has bought"


def dismissed(moment: Moment) -> Iterator[str]:
    """Nothing of a push that was dismissed."""
    push, window_ms = moment.push, moment.rules.dismissed_ms
    for item in push.items:
        if push.at_ms - moment.shopper.dismissed.get(item, push.at_ms - window_ms) < window_ms:
            yield f"shows {item}, which {push.user} dismissed"


def out_of_stock(moment: Moment) -> Iterator[str]:
    """Nothing that cannot be had."""
    for item in moment.push.items:
        if not moment.goods.can_be_had(item):
            yield f"shows {item}, which cannot be had"


def repeat(moment: Moment) -> Iterator[str]:
    """Nothing that was pushed not long ago. What the shopper's own acts or news singled out is not less so for another
    campaign's having shown it; what never reached the shopper showed nothing.
    """
    push, shopper, rules = moment.push, moment.shopper, moment.rules
    own = push.campaign in rules.singled_out
    since_ms = push.at_ms - rules.repeat_ms
    lately = [
        other.items
        for other in moment.before
        if other.at_ms > since_ms and other.id not in shopper.failed and (not own or other.campaign == push.campaign)
    ]
    if again := set(push.items) & set().union(*lately):
        yield f"shows {sorted(again)} again"


def news(moment: Moment) -> Iterator[str]:
    """What the catalog set off follows from what it has said by now, of what the shopper wanted."""
    push, goods, trigger = moment.push, moment.goods, moment.push.trigger
    if trigger.get("topic") != "catalog":
        return
    if unwanted := set(push.items) - moment.shopper.wanted.keys():
        yield f"tells of {sorted(unwanted)}, which {push.user} did not look at"
    if trigger["offset"] >= goods.read:
        yield f"follows from catalog:{trigger['offset']}, read up to {goods.read}"
    first = push.items[0]
    *before, now = goods.said[first] or [{}]
    if trigger["type"] == "price_drop":
        assert push.candidate is not None
        told = push.candidate["template"]["vars"]
        was, price = float(told["price_was"]), float(told["price"])
        most = max((entry.get("price", 0) for entry in before), default=0)
        if price != now.get("price") or not price < was <= most:
            yield f"says {was} is now {price}; the catalog said {most}, then {now}"
    elif trigger["type"] != "back_in_stock" or all(entry.get("stock", 1) for entry in before):
        yield f"says {first} is back, which was never gone"


CHECKS: Final[dict[str, Rule]] = {
    "bought": bought,
    "dismissed": dismissed,
    "out_of_stock": out_of_stock,
    "repeat": repeat,
    "news": news,
}
