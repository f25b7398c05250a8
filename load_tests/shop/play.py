"""One run of the simulated shop against an engine, from the first day to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from load_tests.shop.broadcast import Broadcast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from load_tests.shop.direct import Direct
    from load_tests.shop.truth import Truth
    from load_tests.shop.wire import Wire
    from load_tests.shop.world import World


async def play(world: World, wire: Wire, *, progress: Callable[[World], None] | None = None) -> Truth:
    """Go through the run in steps, each published and passed by the engine before the next one begins.

    Raises ``StuckError`` if the engine does not go on.
    """
    while not world.over:
        for push in await wire.exchange(world.step()):
            world.react(push)
        if progress is not None:
            progress(world)
    return world.truth


def play_directly(world: World, engine: Direct) -> Truth:
    """The same against an engine in this process."""
    while not world.over:
        for push in engine.exchange(world.step()):
            world.react(push)
    return world.truth


def play_alone(world: World, times_ms: Iterable[int]) -> Truth:
    """The same without an engine: the most popular item to everyone, a push at each of the times."""
    broadcast = Broadcast(world, times_ms)
    while not world.over:
        world.step()
        broadcast.saw(world.latest)
        for push in broadcast.pushes():
            world.react(push)
    return world.truth
