"""Who is held back to compare with: groups of shoppers, drawn by a stable hash.

A comparison is fair only if those held back are like those who were pushed, at the moment of the push. So the groups
are asked last, of what would have been sent; and what was held back counts as a push from then on (a *ghost*), as
otherwise no cap and no gap would bind the one group as it does the other (Johnson, Lewis, Nubbemeyer, "Ghost ads:
improving the economics of measuring online ad effectiveness", Journal of Marketing Research 54, 2017).
"""

from __future__ import annotations

from streamer.core.events import key64
from streamer.core.sampling import CONTROL, HOLDOUT, share


def held_out(user: str, part: float, seed: int) -> bool:
    """Whether a shopper is of the part (from 0 to 1) that no campaign pushes anything."""
    return part > 0.0 and share(key64(user), HOLDOUT + seed) < part


def controls(user: str, campaign: str, part: float, seed: int) -> bool:
    """Whether a shopper is of the part (from 0 to 1) that a campaign leaves alone; each campaign draws its own."""
    return part > 0.0 and share(key64(user) ^ key64(campaign), CONTROL + seed) < part
