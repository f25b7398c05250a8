"""Settings of what is learned from the responses to pushes."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

_DAY_MS: Final = 86_400_000
_MOST_OPEN: Final = 16


@dataclass(frozen=True, slots=True)
class UpliftSettings:
    """What a push is worth, and how that is learned.

    ``conversion_value``: what a purchase that would not have been made is worth, in the currency of the prices;
    ``margin``: and what share of the first item's price beyond that. ``opt_out_cost``: what is lost with a shopper
    who wants no more pushes, in the same currency; ``push_cost``: what one more push costs, whatever comes of it.
    ``open_window_ms``, ``click_window_ms``, ``conversion_window_ms``, ``opt_out_window_ms``: for so long after a push
    what the shopper does is a response to it. ``grace_ms``: responses are waited for so much longer, by the stream
    time, as they may arrive late. ``forward_ms``: who would have bought unasked within that time after a push bought
    earlier, and not more (``uplift/forward.py``); 0: whoever buys within the window after a push bought more.
    ``attribution``: a purchase within the window converts a push if it is of one of the
    ``item``s shown, of the ``category`` of one, or of ``any`` item.
    ``open_slates``: so many pushes of a shopper wait for their responses at most, 16 at the most; 0 for none, and then
    nothing is learned. ``closed_ms``: a push whose time is over is remembered for so long, to tell feedback that comes
    late from feedback on something that was never sent.
    ``main_variance``, ``sent_variance``, ``effect_variance``: how far the weights of what a shopper does anyway, of how
    what was sent is answered (clicks, opt-outs), and of what a push changes beyond its clicks may lie from their
    priors: variances, in log-odds squared. The last is small, as few are held back: raise it where tens of thousands
    are. ``memory``: about so many of the newest responses are learned from, before the priors come through again.
    ``metrics_memory``: about how many of the newest responses the figures tell of; 0 for all.
    """

    conversion_value: float = 10.0
    margin: float = 0.0
    opt_out_cost: float = 10.0
    push_cost: float = 0.0
    open_window_ms: int = _DAY_MS
    click_window_ms: int = _DAY_MS
    conversion_window_ms: int = _DAY_MS
    opt_out_window_ms: int = _DAY_MS
    grace_ms: int = 600_000
    forward_ms: int = 7 * _DAY_MS
    attribution: Literal["item", "category", "any"] = "any"
    open_slates: int = 8
    closed_ms: int = 7 * _DAY_MS
    main_variance: float = 1.0
    sent_variance: float = 0.03
    effect_variance: float = 0.002
    memory: int = 100_000
    metrics_memory: int = 20_000

    def __post_init__(self) -> None:
        """Raise ValueError, with a line for each, for what cannot be used."""
        problems = []
        for name in ("conversion_value", "margin", "opt_out_cost", "push_cost"):
            if not (isfinite(value := getattr(self, name)) and value >= 0):
                problems.append(f"{name} must be at least 0, not {value}")
        for name in ("main_variance", "sent_variance", "effect_variance"):
            if not 0 < (value := getattr(self, name)) <= 100:
                problems.append(f"{name} must be above 0 and at most 100, not {value}")
        if min(self.open_window_ms, self.click_window_ms, self.conversion_window_ms, self.opt_out_window_ms) < 1:
            problems.append("windows must be at least a millisecond long")
        if self.forward_ms < 0:
            problems.append(f"forward_ms must be at least 0, not {self.forward_ms}")
        if not 0 <= self.open_slates <= _MOST_OPEN:
            problems.append(f"open_slates must be from 0 to {_MOST_OPEN}, not {self.open_slates}")
        if self.memory < 100:
            problems.append(f"memory must be at least 100, not {self.memory}")
        if self.metrics_memory < 0:
            problems.append(f"metrics_memory must be at least 0, not {self.metrics_memory}")
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def window_ms(self) -> int:
        """When the last of the windows is over, and the grace with it."""
        windows = (self.open_window_ms, self.click_window_ms, self.conversion_window_ms, self.opt_out_window_ms)
        return max(windows) + self.grace_ms
