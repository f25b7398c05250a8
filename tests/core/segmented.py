"""Shoppers of a few kinds, and segments learned of them: what the tests of segments share."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from agents.clusters import kmeans
from streamer.core.learners import Learners
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.portrait import FEATURES_ID, NAMES, Portrait
from streamer.core.segments.served import ServedSegments
from streamer.core.segments.trainer import SegmentTrainer
from streamer.core.settings import MINUTE_MS, CoreSettings
from tests.core.task_shop import T0, Shop, record

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL = SegmentSettings(learn_rate=1.0, count=3, first=30, step=0.05)
ON = CoreSettings(segments=SMALL)
BASE = (0,) * len(NAMES)
SHOPS = ("shoes", "phones")


def portrait(x: Sequence[int]) -> Portrait:
    return Portrait(FEATURES_ID, np.array(x, "<i2").tobytes())


def three_kinds(count: int, seed: int = 1) -> list[Portrait]:
    """Shoppers around three places, a hundredth of the way between them apart."""
    rng = random.Random(seed)
    places = [(900, 0, 0), (0, 900, 0), (0, 0, 900)]
    return [
        portrait([v + rng.randint(-9, 9) for v in rng.choice(places)] + [0] * (len(NAMES) - 3)) for _ in range(count)
    ]


def taught(portraits: Sequence[Portrait], told: SegmentSettings = SMALL) -> SegmentTrainer:
    learner = SegmentTrainer(told, kmeans)
    assert all(learner.learn(one) for one in portraits)
    return learner


def served(learner: SegmentTrainer, told: SegmentSettings = SMALL) -> ServedSegments:
    """A worker's, as the topic's blocks make it."""
    found = ServedSegments(told)
    for key, block in learner.blocks().items():
        assert found.apply(key, block)
    return found


def told_apart() -> Shop:
    """Two kinds of shoppers, one of cheap shoes and one of dear phones, and segments learned of them."""
    rng = random.Random(3)
    shop, learners = Shop(ON), Learners(ON, clusters=kmeans)
    shop.views = replace(shop.views, segments=ServedSegments(SMALL))
    for n in range(300):
        kind = rng.randrange(2)
        user, name = f"{SHOPS[kind]}-{rng.randrange(10)}", f"{SHOPS[kind]}-item-{rng.randrange(6)}"
        words = {"category": SHOPS[kind], "price": (9.0, 900.0)[kind]}
        effects = shop.step([record(user, "view", T0 + n * MINUTE_MS, id=str(n), item=name, **words)])
        assert all(learners.learn(one.encode()) for one in effects.portraits)
        for key, block in learners.published().items():
            shop.views.segments.apply(key, block)
    shop.publish()
    return shop


@cache
def whole_shop() -> Shop:
    """Read-only."""
    return told_apart()


def segment_at(shop: Shop, user: str) -> int:
    (profile,) = shop.profiles.get_many([user])
    assert profile is not None
    return shop.views.segments.segment(profile, shop.total.now)
