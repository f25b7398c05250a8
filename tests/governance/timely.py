"""Whether a push comes at its time: by the stream's clock, on what is new, and out of date when it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.moment import Moment, Rule


def clock(moment: Moment) -> Iterator[str]:
    """Decided at the task's stream time."""
    if moment.push.candidate is not None and moment.push.at_ms != moment.now_ms:
        yield f"decided at {moment.push.candidate['decided_at']}, stream time was {moment.now_ms}"


def out_of_order(moment: Moment) -> Iterator[str]:
    """Not on an event that is older than what the shopper did before it was read."""
    push = moment.push
    if not push.timed and push.asked_ms is not None and push.asked_ms < push.newest_ms:
        yield f"follows from what happened {push.newest_ms - push.asked_ms} ms before {push.user}'s newest event"


def expired(moment: Moment) -> Iterator[str]:
    """Not out of date as it is decided."""
    push = moment.push
    ends_ms = _should_end(moment) if push.candidate is None else push.expires_ms
    if ends_ms is not None and ends_ms <= push.at_ms:
        yield f"expired at {ends_ms}, decided at {push.at_ms}"


def expiry(moment: Moment) -> Iterator[str]:
    """Out of date so long after its event, or after its timer was due, as the campaign says or else the policy."""
    push, ends_ms = moment.push, _should_end(moment)
    if push.candidate is not None and ends_ms is not None and push.at_ms < push.expires_ms != ends_ms:
        yield f"expires at {push.candidate['expires_at']}, {push.expires_ms - ends_ms} ms after it should"


def collapse_key(moment: Moment) -> Iterator[str]:
    """It replaces those of its own campaign alone."""
    push = moment.push
    if push.candidate is not None and push.candidate.get("collapse_key") != push.campaign:
        yield f"of {push.campaign} would replace {push.candidate.get('collapse_key')!r}"


def _should_end(moment: Moment) -> int | None:
    push, rules = moment.push, moment.rules
    if push.asked_ms is None or not rules.expiry_ms:
        return None
    return push.asked_ms + (rules.expiries.get(push.campaign) or rules.expiry_ms)


CHECKS: Final[dict[str, Rule]] = {
    "clock": clock,
    "out_of_order": out_of_order,
    "expired": expired,
    "expiry": expiry,
    "collapse_key": collapse_key,
}
