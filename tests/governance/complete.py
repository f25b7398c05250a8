"""Whether every campaign that reacts to an event at once has decided, once, and no other.

Timers are not counted so: when one is due hangs on what a model of the shopper's habits says, and on what took it back.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.events import Event
    from tests.governance.rules import Rules


def missing(event: Event | None, decided: list[str], rules: Rules, *, counts: bool) -> Iterator[str]:
    """Campaigns that said nothing. ``counts``: whether the event was folded; ``decided``: campaigns that decided."""
    if event is not None and counts:
        for campaign in sorted(rules.at_once.get(event.type, frozenset()) - set(decided)):
            yield f"{campaign} did not decide on the {event.type} of {event.user}"


def surplus(event: Event | None, decided: list[str], rules: Rules, *, counts: bool) -> Iterator[str]:
    """Campaigns that decided twice, or had nothing to decide. What an event is that cannot be read nobody knows."""
    for campaign, times in Counter(decided).items():
        if times > 1:
            yield f"{campaign} decided {times} times"
    if event is None or event.type not in rules.at_once:
        return
    for campaign in sorted(set(decided) - (rules.at_once[event.type] if counts else frozenset())):
        why = f"which it does not react to, being a {event.type}" if counts else "which was dropped"
        yield f"{campaign} decided on an event of {event.user} {why}"
