"""What an ask would send, before it is known whether it is the best of its occasion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from streamer.core.ask import Ask
    from streamer.core.effects import Decision
    from streamer.core.policy.rule import Case
    from streamer.core.uplift.model import Forecast


class Proposal(msgspec.Struct, gc=False):
    """A push that no rule of case or item refused.

    ``decision`` has its items, score and propensity. ``rows``: the ranked rows to show, first to last. ``item``: the
    key of the first, ``cents`` its price (0: unknown). ``channel``: where it would be sent. ``worth``: what it is
    worth, for comparison within the occasion and with sending nothing. ``row``: the features of the moment, by which
    ``expected`` was foretold (``uplift/appraise.py``). ``tried``: it is not worth it, and is to be sent to find out.
    ``gain``: the money that it is expected to bring, less what a coupon is expected to cost: of ``about_cents``, the
    price of all that the push is about. ``coupon_cents``: the most that it may cost (0: there is no coupon);
    ``left_cents``: what may still be spent.
    """

    ask: Ask
    decision: Decision
    rows: list[int]
    item: int = 0
    cents: int = 0
    about_cents: int = 0
    channel: str = ""
    worth: float = 0.0
    row: bytes = b""
    expected: Forecast | None = None
    tried: bool = False
    coupon_cents: int = 0
    gain: float = 0.0
    left_cents: int = 0

    @property
    def case(self) -> Case:
        """The case of its ask."""
        return self.ask.case
