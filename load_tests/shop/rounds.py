"""Each decision of a run with what would have come of every choice: the truth that off-policy estimates are held to.

A shopper's response hangs on the moment: what they looked at, how tired they are, what they were going to buy. So it is
written down as the run reaches a decision, before what was pushed has its effect, for the item decided on and for all
that exploration could have drawn instead; of pushes that were held back as of those that were sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from load_tests.shop.file import DAY_MS
from load_tests.shop.people import kind_of
from streamer.ope.decisions import Decided, place, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from load_tests.shop.action import Action
    from load_tests.shop.direct import Direct
    from load_tests.shop.wire import Logged, Wire
    from load_tests.shop.world import Push, World

WINDOW_MS: Final = DAY_MS
"""How long what a shopper spends is counted from a decision on."""
_decode: Final = msgspec.json.Decoder(Decided).decode


class Option(msgspec.Struct, frozen=True, array_like=True):
    """What would come of pushing one item: ``click`` and ``leave`` are chances; of a click, ``buy`` is the chance that
    it sells what would not have been bought, and ``forward`` that otherwise it brings forward what would have been.
    ``price``: of the item; ``ahead``: of the line brought forward, if that would have been bought within the window.
    """

    click: float
    buy: float
    forward: float
    price: float
    ahead: float
    leave: float

    @property
    def converts(self) -> float:
        """The chance that a purchase follows a click."""
        return self.click * (self.buy + (1 - self.buy) * self.forward)

    @property
    def adds(self) -> float:
        """What it is expected to add to what is spent within the window."""
        return self.click * (self.buy * self.price + (1 - self.buy) * self.forward * (self.price - self.ahead))


class Round(msgspec.Struct, frozen=True):
    """A decision, when it was made, and its options: one for each of its alternatives, or for its item alone.

    ``spends``: what the shopper would pay within the window without any push from now on; of that, what is paid before
    the end of the step is left out, as no push changes it any more. ``lost`` is the chance that any push loses the next
    order, of which ``loses`` would have been paid within the window.
    """

    user: str
    time_ms: int
    row: Decided
    options: tuple[Option, ...]
    spends: float
    lost: float
    loses: float


async def play_watched(world: World, wire: Wire) -> list[Round]:
    """Go through a run as ``play`` does; its rounds, in time order.

    Pushes must show one item, or what comes of one that was not sent is not known.
    """
    rounds: list[Round] = []
    while not world.over:
        pushes = await wire.exchange(world.step())
        rounds += _step(world, pushes, await wire.decisions(), wire.times)
    return rounds


def play_watched_directly(world: World, engine: Direct) -> list[Round]:
    """The same against an engine in this process."""
    rounds: list[Round] = []
    while not world.over:
        pushes = engine.exchange(world.step())
        rounds += _step(world, pushes, engine.decisions(), engine.times)
    return rounds


def _step(
    world: World, sent: Sequence[Push], logged: Sequence[Logged], times: Mapping[tuple[str, int, int], int]
) -> Iterator[Round]:
    """The rounds of a step; each push has its effect after its own decision was looked at."""
    pushes = {push.id: push for push in sent}
    found = []
    for record in logged:
        row = _decode(record.value)
        if wanted(row) or row.a:
            time_ms = row.t or times[place(row.o, record.partition)]
            found.append((time_ms, record.offset, record.user, row))
    for time_ms, _, user, row in sorted(found, key=lambda each: each[:2]):
        yield _round(world, user, time_ms, row)
        if (push := pushes.pop(row.d, None)) is not None:
            world.react(push)
    if pushes:
        raise ValueError(f"{len(pushes)} pushes have no decision, the first is {next(iter(pushes))}")


def _round(world: World, user: str, time_ms: int, row: Decided) -> Round:
    shopper = int(user.rpartition("-")[2])
    items = [item for item, _, _ in row.a] or list(row.i[:1])
    chances, kind = world.minds.chances(shopper, time_ms), kind_of(world.shop, world.people, shopper)
    since, until_ms = max(time_ms, world.now_ms), time_ms + WINDOW_MS
    options = []
    for name in items:
        item = int(name.rpartition("-")[2])
        ahead = world.ahead(shopper, item, since)
        inside = ahead is not None and ahead[0].time_ms <= until_ms
        options.append(
            Option(
                float(chances.click[item]),
                kind.buy,
                kind.forward if ahead is not None else 0.0,
                world.goods.price_of(item, time_ms),
                world.goods.price_of(ahead[1], ahead[0].time_ms) if ahead is not None and inside else 0.0,
                float(chances.leave[item]),
            )
        )
    spends = sum(_paid(world, order) for order in world.to_come(shopper, since, until_ms + 1))
    suppressed_ms = time_ms + int(world.shop.push.suppress_days * DAY_MS)
    following = next(world.to_come(shopper, since, suppressed_ms), None)
    loses = _paid(world, following) if following is not None and following[0].time_ms <= until_ms else 0.0
    return Round(user, time_ms, row, tuple(options), spends, float(chances.lost), loses)


def _paid(world: World, order: tuple[Action, list[int]]) -> float:
    return sum(world.goods.price_of(line, order[0].time_ms) for line in order[1])
