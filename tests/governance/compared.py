"""Who is held back to compare with gets nothing, and nobody else is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.moment import Moment, Rule


def holdout(moment: Moment) -> Iterator[str]:
    """Of all pushes."""
    push, held = moment.push, moment.groups.is_held_out(moment.push.user)
    if held and not push.held_back:
        yield f"goes to {push.user}, who is held out"
    elif not held and push.decision["r"] == "holdout":
        yield f"holds out {push.user}, who is not of the holdout"


def control(moment: Moment) -> Iterator[str]:
    """Of a campaign's."""
    push, is_one = moment.push, moment.groups.is_control(moment.push.user, moment.push.campaign)
    if is_one and not push.held_back:
        yield f"goes to {push.user}, who is a control of {push.campaign}"
    elif not is_one and push.decision["r"] == "control":
        yield f"is kept from {push.user}, who is no control of {push.campaign}"


CHECKS: Final[dict[str, Rule]] = {"holdout": holdout, "control": control}
