"""Stage ⑤: ranked lists become decisions, and candidates where no rule refuses; or examples to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.batch import NOT_RANKED
from streamer.core.effects import Decision, Outgoing, SlateItem
from streamer.core.events import item_key, key64
from streamer.core.exactmath import exp2
from streamer.core.features import ROW
from streamer.core.models.example import build_example, label
from streamer.core.models.registry import FEATURES_ID
from streamer.core.names import NONE
from streamer.core.policy import explore
from streamer.core.policy.candidate import build_candidate, candidate_id
from streamer.core.policy.diversity import diversify
from streamer.core.policy.registry import SENT
from streamer.core.policy.rule import Offer
from streamer.core.policy.state import Sent, remember
from streamer.core.policy.verdict import cheap_refusal, choose
from streamer.core.rank import top
from streamer.core.reasons import explain
from streamer.core.sampling import EXPLORED, mixed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from streamer.core.batch import Ask, Batch
    from streamer.core.effects import Candidate, Effects
    from streamer.core.index import ItemIndex
    from streamer.core.policy.verdict import Policy
    from streamer.core.rank import Ranked
    from streamer.core.settings import CoreSettings
    from streamer.core.views import Views

    Ints = NDArray[np.int64]

_POPULARITY: Final = ROW["popularity"]


def decide(batch: Batch, ranked: Ranked | None, views: Views, policy: Policy, effects: Effects) -> None:
    """Decide on all asks in event order: each push changes what the user's next ask may get.

    ``ranked`` is ``None`` if the batch had no queries.
    """
    settings = policy.settings
    pushed: dict[str, tuple[int, tuple[Sent, ...]]] = {}
    model_version = views.model.version
    for ask in batch.asks:
        event, case = ask.event, ask.case
        refusal = ask.refusal
        life = case.standing.erased_ms
        if event.user in pushed and pushed[event.user][0] == life:
            # The rules are pure: only a push in between can make them say something else.
            case.sent = pushed[event.user][1]
            refusal = cheap_refusal(case, settings)
        decision = Decision(
            user=event.user,
            origin=f"{event.topic}:{event.offset}",
            campaign=case.campaign.name,
            reason=refusal or "",
            propensity=1.0,
            model_version=model_version,
            policy_version=policy.version,
        )
        if refusal is None:
            # Cheap rules only ever refuse more in the end, so what passes them now passed before and was ranked.
            assert ranked is not None
            assert ask.query != NOT_RANKED
            decision, candidate = _decide_ranked(ask, decision, ranked, views, policy)
            if candidate is not None:
                push = Sent(case.now_ms, case.campaign.name, tuple([item_key(item) for item in decision.items]))
                sent = remember(case.sent, push, settings)
                pushed[event.user] = life, sent
                batch.pushed(event.user, life, sent)
                effects.candidates.append(Outgoing(candidate, event.produced_at))
        effects.decisions.append(decision)


def _decide_ranked(
    ask: Ask, decision: Decision, ranked: Ranked, views: Views, policy: Policy
) -> tuple[Decision, Candidate | None]:
    event, case, index, settings = ask.event, ask.case, views.items, policy.settings
    rows: list[int] = top(ranked, ask.query, settings.pool_items).tolist()
    count, propensity = (settings.slate_items if settings.best_first else len(rows)), 1.0
    reason, places = choose(_offers(rows, ranked, index), case, settings, max(count, 1))
    if places and not settings.best_first:
        places, propensity = _slate(ask, np.array(rows), places, (ranked, index), policy)
    shown = [rows[place] for place in places] or rows[:1]
    decision = msgspec.structs.replace(
        decision,
        reason=reason,
        propensity=propensity,
        event_id=event.id,
        candidate_id=candidate_id(event.user, event.source, event.id, case.campaign.name),
        score=float(ranked.p[shown[0]]) if shown else 0.0,
        items=tuple(index.id_of(int(ranked.items[row])) for row in shown),
        features=tuple(ranked.x[:, shown[0]].tolist()) if shown else (),
    )
    if reason != SENT:
        return decision, None
    slate = [
        SlateItem(item, float(ranked.p[row]), ranked.generator(row))
        for item, row in zip(decision.items, shown, strict=True)
    ]
    candidate = build_candidate(
        event,
        case,
        slate,
        words(int(ranked.items[shown[0]]), index),
        explain(ranked, shown[0], ask.query, index, views.model),
        identity=decision.candidate_id,
        model_version=decision.model_version,
        policy_version=decision.policy_version,
        propensity=propensity,
        settings=settings,
    )
    return decision, candidate


def _slate(
    ask: Ask, rows: Ints, places: list[int], among: tuple[Ranked, ItemIndex], policy: Policy
) -> tuple[list[int], float]:
    """Of the places that passed the rules those to show, and the probability of the first."""
    settings, (ranked, index) = policy.settings, among
    passed = np.array(places)
    p = ranked.p.take(rows.take(passed))
    first, propensity = 0, 1.0
    if settings.explore_share:
        best = rows.take(passed[: settings.explore_items])
        weights = explore.chances(ranked.p.take(best), explore.sightings_of(ranked.x[_POPULARITY].take(best)))
        # Two campaigns of one event draw for themselves.
        drawn = mixed(ask.event.fingerprint ^ key64(ask.case.campaign.name), EXPLORED + policy.seed)
        first, propensity = explore.draw(weights, settings.explore_share, drawn)
    items = ranked.items.take(rows.take(passed))
    order = diversify(
        items,
        p,
        index,
        settings.slate_items,
        bits=settings.diversity_bits,
        cap=settings.category_cap,
        first=first,
    )
    return passed.take(order).tolist(), propensity


def _offers(rows: list[int], ranked: Ranked, index: ItemIndex) -> Iterator[Offer]:
    for row in rows:
        in_stock = bool(index.in_stock[ranked.items[row]])
        yield Offer(int(ranked.keys[row]), float(ranked.p[row]), in_stock)


def words(dense: int, index: ItemIndex) -> dict[str, str]:
    """What the message says of its first item: title (its id if it has none), brand and price, "" where unknown."""
    brand = int(index.brand[dense])
    entry, log_price = index.entry(dense), float(index.price[dense])
    cents = entry.price_cents if entry is not None else 0
    if not cents and log_price == log_price:  # noqa: PLR0124 -- NaN
        cents = round(float(exp2(log_price)))
    return {
        "title": index.title(dense) or index.id_of(dense),
        "brand": "" if brand == NONE else index.brands.names[brand],
        "price": f"{cents // 100}.{cents % 100:02d}" if cents else "",
    }


def learn(batch: Batch, ranked: Ranked | None, views: Views, settings: CoreSettings, effects: Effects) -> None:
    """Label the lists of the events drawn to learn from by the items those events touched."""
    if ranked is None:
        return
    for lesson in batch.lessons:
        event, rows = lesson.event, ranked.rows(lesson.query)
        taken = views.items.dense_many([line.key for line in event.lines])
        example = build_example(
            ranked.x[:, rows],
            label(ranked.items[rows], taken.tolist()),
            ranked.p[rows],
            event.fingerprint,
            time_ms=event.time,
            features_id=FEATURES_ID,
            model_version=ranked.model_version,
            max_negatives=settings.learning.max_negatives,
            seed=settings.seed,
        )
        if example is not None:
            effects.examples.append(example)
    effects.ranked += len(batch.queries)
