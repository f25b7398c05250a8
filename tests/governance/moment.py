"""All that is known as a push is decided, which a rule may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.governance.goods import Goods
    from tests.governance.groups import Groups
    from tests.governance.push import Push
    from tests.governance.rules import Rules
    from tests.governance.standing import Standing


@dataclass(frozen=True)
class Moment:
    """``shopper``: whose newest push it is; ``rules``: what is asked of pushes to them; ``now_ms``: stream time."""

    push: Push
    shopper: Standing
    rules: Rules
    goods: Goods
    groups: Groups
    now_ms: int

    @property
    def before(self) -> list[Push]:
        """What the shopper was sent before, or would have been."""
        return self.shopper.sent[:-1]


Rule = Callable[[Moment], Iterator[str]]
"""Says of a push how it breaks the rule, if it does."""
