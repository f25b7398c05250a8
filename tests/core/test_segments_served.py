"""Segments of a task's shoppers: what each is offered, what is counted for it, and campaigns for some of them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core import encode
from streamer.core.campaigns.campaign import Audience
from streamer.core.candidates import segment
from streamer.core.events import Event, Line, item_key
from streamer.core.items.leads import leads_of
from streamer.core.profile import Profile
from streamer.core.segments.served import ServedSegments
from streamer.core.settings import DAY_MS, MINUTE_MS, PolicySettings
from tests.core.segmented import ON, SHOPS, segment_at, told_apart, whole_shop
from tests.core.shop import ITEMS, RETRIEVAL
from tests.core.task_shop import T0, Shop, browsing, record, tick
from tests.core.test_schemas import valid

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_kinds_of_shoppers_are_told_apart_by_a_task() -> None:
    """All of one kind are in one segment, those of the other in another."""
    shop = whole_shop()
    of_kind = [{segment_at(shop, user) for user in shop.profiles.rows if user.startswith(kind)} for kind in SHOPS]
    assert all(of_kind)
    assert of_kind[0].isdisjoint(of_kind[1])


def proposed(shop: Shop, node: int) -> list[str]:
    """What a shopper of whom nothing is known but the segment is offered."""
    from streamer.core.queries import Queries

    queries = Queries(RETRIEVAL)
    queries.add(None, shop.total.now, segment=node)
    made = segment.propose(queries.asked(shop.index), shop.index, RETRIEVAL)
    assert (np.diff(made.scores[0]) <= 0).all()
    assert 0.0 < made.scores[0].sum() <= 1.0
    return [shop.index.id_of(item) for item in made.item.tolist()]


def test_a_newcomer_is_offered_what_their_segment_takes_and_nothing_of_the_others() -> None:
    """After a single event of a kind."""
    shop = told_apart()
    shop.step([record("new", "view", shop.total.now + 1000, item="shoes-item-0", category="shoes", price=9.0)])
    (profile,) = shop.profiles.get_many(["new"])
    found = proposed(shop, shop.views.segments.node(profile, shop.total.now))
    assert len(found) > 3
    assert all(name.startswith("shoes") for name in found)


def test_who_has_no_segment_is_offered_nothing_by_it() -> None:
    """Before the first centres."""
    from streamer.core.queries import Queries

    shop = whole_shop()
    queries = Queries(RETRIEVAL)
    queries.add(None, shop.total.now)
    queries.add(None, shop.total.now, segment=1)  # of a node that nothing led to
    assert len(segment.propose(queries.asked(shop.index), shop.index, RETRIEVAL).item) == 0


def test_what_leads_to_an_item_counts_for_a_segment_if_there_is_one() -> None:
    """Out of order it counts for none."""
    event = Event("u", "1", "t", "cart", T0, 1, (Line("a", item_key("a")),))
    found = [(node, list(items)) for node, items, _ in leads_of(event, None, ITEMS, segment=77).pairs]
    assert (77, [item_key("a")]) in found
    assert all(node != 77 for node, _, _ in leads_of(event, Profile(T0, T0 + 1), ITEMS, segment=77).pairs)
    assert all(node != 0 for node, _, _ in leads_of(event, None, ITEMS).pairs)


def test_what_a_shopper_takes_counts_for_the_segment_they_were_in_before() -> None:
    """As they are asked about: it is the profile before the event, of a newcomer the context, that led there."""
    shop = told_apart()
    now = shop.total.now
    before = shop.views.segments.node(None, now + 1000)
    dear = record("new", "view", now + 1000, item="phones-item-0", category="phones", price=900.0)
    cheap = record("new", "view", now + 2000, item="phones-item-1", category="phones", price=900.0)
    for event in (dear, cheap):
        (touch,) = shop.step([event]).touches
        counted = {node for node, _ in touch.leads.counted} & set(nodes_of(shop))
        assert counted == {before}
        (profile,) = shop.profiles.get_many(["new"])
        before = shop.views.segments.node(profile, now + 2000)
    assert before != shop.views.segments.node(None, now + 1000)


def nodes_of(shop: Shop) -> Sequence[int]:
    return shop.views.segments.nodes


@settings(max_examples=10)
@given(st.sets(st.integers(1, 119), max_size=12))
def test_with_segments_too_nothing_hangs_on_where_a_batch_was_cut(cuts: set[int]) -> None:
    """Rows, candidates, decisions, item deltas and portraits, byte for byte."""
    assert cut_at(frozenset(cuts)) == cut_at(frozenset())


@cache
def cut_at(cuts: frozenset[int]) -> tuple[bytes, list[bytes]]:
    shop = Shop(ON, whole_shop().index)
    shop.views = replace(shop.views, segments=whole_shop().views.segments)
    portraits: list[bytes] = []
    records = browsing(120, users=12)
    edges = [0, *sorted(cuts), len(records)]
    for start, end in pairwise(edges):
        portraits += [one.encode() for one in shop.step(records[start:end]).portraits]
    assert len(portraits) > 50
    return shop.result(), portraits


# -- campaigns


OPEN = PolicySettings(per_hour=100, per_day=100, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0)


def with_campaign(name: str, audience: Audience | None = None) -> Shop:
    """The shop of two kinds, with a campaign on from now on."""
    (campaign,) = load(CampaignSettings(on=(name,)))
    if audience is not None:
        campaign = msgspec.structs.replace(campaign, audience=audience)
    known = whole_shop()
    made = Shop(replace(ON, policy=OPEN, campaigns=(campaign,)), known.index)
    made.views = replace(made.views, segments=known.views.segments)
    made.total.now = known.total.now
    return made


@pytest.mark.parametrize("meant", [True, False])
def test_a_campaign_for_segments_asks_of_them_and_of_nobody_else(meant: bool) -> None:
    """By the segment at the moment of the asking, the event included."""
    at = whole_shop().total.now + 1000
    view = record("ann", "view", at, item="shoes-item-1", category="shoes", price=9.0)
    alone = with_campaign("next")
    alone.step([view])
    mine = segment_at(alone, "ann")
    chosen = tuple([n for n in range(3) if (n == mine) == meant])
    made = with_campaign("next", Audience(segments=chosen))
    made.step([view])
    assert ("audience" in made.reasons()) != meant


def test_what_trends_in_a_segment_is_told_to_its_newcomers_a_day_later() -> None:
    """And only what shoppers alike took, which they had not seen."""
    made = with_campaign("segment-trending")
    at = made.total.now + 1000
    made.step([record("ann", "view", at, item="shoes-item-1", category="shoes", price=9.0)])
    made.step([tick(at + DAY_MS + MINUTE_MS)])
    (out,) = made.total.candidates
    assert out.candidate.campaign == "segment-trending"
    names = [item.id for item in out.candidate.items]
    assert names
    assert "shoes-item-1" not in names
    assert all(name.startswith("shoes") for name in names)


def test_a_decision_that_was_ranked_tells_the_segment_and_where_there_are_none_it_does_not() -> None:
    """As the schema has it."""
    view = record("ann", "view", whole_shop().total.now + 1000, item="shoes-item-1", category="shoes", price=9.0)
    made, plain = with_campaign("next"), with_campaign("next")
    plain.views = replace(plain.views, segments=ServedSegments())
    rows = []
    for shop in (made, plain):
        shop.step([view])
        (decision,) = shop.total.decisions
        assert decision.features
        rows.append(json.loads(encode.decision(decision)))
        assert valid("decision", rows[-1])
    assert rows[0]["g"] == segment_at(made, "ann")
    assert "g" not in rows[1]
