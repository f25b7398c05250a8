"""Stage ⑤: ranked lists become decisions, and candidates where no rule refuses; or examples to learn from.

The asks of an occasion compete. Each that no rule of case or item refuses is a proposal; the one that is worth most
goes on to the final rules, and if they refuse it, the next. What was not needed any more was outbid.

What all asks of a batch would send is worked out first, and appraised together; only for a shopper who was pushed
something in the batch it is worked out anew. The bits are the same.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec.structs import replace

from streamer.core.ask import NOT_RANKED
from streamer.core.campaigns.listing import listed
from streamer.core.campaigns.words import category_of, price_cents, words
from streamer.core.effects import Alternative, Decision, Outgoing, SlateItem
from streamer.core.features import ROW
from streamer.core.models.example import build_example, label
from streamer.core.models.registry import FEATURES_ID
from streamer.core.policy import explore
from streamer.core.policy.candidate import build_candidate, candidate_id, fitting
from streamer.core.policy.diversity import diversify
from streamer.core.policy.proposal import Proposal
from streamer.core.policy.registry import OUTBID, SENT
from streamer.core.policy.rule import Offer
from streamer.core.policy.state import Sent, mark_of, remember
from streamer.core.policy.verdict import cheap_refusal, choose, final_refusal
from streamer.core.reasons import explain
from streamer.core.sampling import ALTERNATIVES, EXPLORED, mixed, share
from streamer.core.uplift.appraise import appraise, impression_of
from streamer.core.uplift.joining import Joining

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.core.ask import Ask
    from streamer.core.batch import Batch
    from streamer.core.campaigns.budget import Budgets
    from streamer.core.effects import Effects
    from streamer.core.index import ItemIndex
    from streamer.core.policy.verdict import Policy
    from streamer.core.rank import Ranked
    from streamer.core.settings import CoreSettings, PolicySettings
    from streamer.core.uplift_settings import UpliftSettings
    from streamer.core.views import Views

    Ints = NDArray[np.int64]

_POPULARITY: Final = ROW["popularity"]


class Deciding:
    """What the decisions of a batch share. ``pushed``: by user, as of which life, what was sent until now."""

    def __init__(
        self,
        batch: Batch,
        ranked: Ranked | None,
        views: Views,
        policy: Policy,
        effects: Effects,
        *,
        uplift: UpliftSettings,
        budgets: Budgets,
    ) -> None:
        """``ranked`` is ``None`` if the batch had no queries."""
        self.batch, self._ranked, self.views, self.policy, self.effects = batch, ranked, views, policy, effects
        self.pushed: dict[str, tuple[int, tuple[Sent, ...]]] = {}
        self._uplift, self._budgets = uplift, budgets
        self.slates = Joining(batch.told, views.slates, uplift)

    def run(self) -> None:
        """Decide on all occasions in event order: each push changes what the user's next one may get."""
        asked = zip(self.batch.asks, self.propose(self.batch.asks), strict=True)
        for _, competing in groupby(asked, key=lambda one: one[0].occasion):
            self.occasion(list(competing))
        self.slates.hear(len(self.batch.told))
        self.slates.store(self.effects)
        self.effects.spent |= self._budgets.changed

    @property
    def ranked(self) -> Ranked:
        """Where there are proposals there were queries."""
        assert self._ranked is not None
        return self._ranked

    def propose(self, asks: Sequence[Ask]) -> list[Proposal | None]:
        """What each ask would send, appraised; ``None`` for one that a cheap rule refuses."""
        proposals = [self._propose(ask) if ask.refusal is None else None for ask in asks]
        priced = [proposal for proposal in proposals if proposal is not None and proposal.decision.reason == SENT]
        settings = [proposal.ask.terms.settings for proposal in priced]
        appraise(priced, settings, self.views.uplift, self._uplift)
        for proposal, terms in zip(priced, settings, strict=True):
            decision = proposal.decision
            # What is sent only to find out is sent that seldom.
            propensity = decision.propensity * (terms.try_share if proposal.tried else 1.0)
            worth = None if proposal.worth == decision.score else proposal.worth
            proposal.decision = replace(decision, worth=worth, propensity=propensity)
        return proposals

    def occasion(self, asks: list[tuple[Ask, Proposal | None]]) -> None:
        """One decision for each ask, and one push at most. An ask comes with what it proposed before the batch."""
        self.slates.hear(asks[0][0].told)
        decisions: list[Decision] = []
        proposals: list[tuple[int, Proposal]] = []
        for ask, before in asks:
            proposal, user, case = before, ask.event.user, ask.case
            if user in self.pushed and self.pushed[user][0] == case.standing.erased_ms:
                # The rules are pure: only a push in between can make them say something else.
                case.sent = self.pushed[user][1]
                ask.refusal = cheap_refusal(case, ask.terms.settings)
                (proposal,) = self.propose([ask])
            if ask.refusal is not None:
                decisions.append(self._unranked(ask))
                continue
            # Cheap rules only ever refuse more in the end, so what passes them now passed before and was ranked.
            assert proposal is not None
            if proposal.decision.reason == SENT:
                proposals.append((len(decisions), proposal))
            decisions.append(proposal.decision)
        if proposals:
            proposals.sort(key=_best_first)
            self._choose(proposals, decisions)
        self.effects.decisions += decisions

    def _unranked(self, ask: Ask) -> Decision:
        """As far as it is known before ranking."""
        event = ask.event
        return Decision(
            user=event.user,
            origin=f"{event.topic}:{event.offset}",
            campaign=ask.case.campaign.name,
            reason=ask.refusal or "",
            propensity=1.0,
            model_version=self.views.ranks(ask.terms.settings.rank_by).version,
            policy_version=self.policy.version,
            due_ms=ask.due_ms,
            arms=tuple([f"{experiment}:{arm}" for experiment, arm in ask.terms.arms]),
        )

    def _propose(self, ask: Ask) -> Proposal:
        """What the ask would send, ``SENT`` so far and not appraised; or its best item, with what refuses it."""
        assert ask.query != NOT_RANKED
        event, case, ranked, index = ask.event, ask.case, self.ranked, self.views.items
        campaign, settings = case.campaign, ask.terms.settings
        by = ranked.x[_POPULARITY] if settings.rank_by == "popularity" else ranked.p
        rows = listed(ranked, ask.query, campaign.listing, keys=ask.keys, index=index, count=settings.pool_items, by=by)
        count, propensity = (settings.slate_items if settings.best_first else len(rows)), 1.0
        alternatives: tuple[Alternative, ...] = ()
        reason, places = choose(
            _offers(rows, ranked, index, by_category=settings.category_per_day > 0), case, settings, max(count, 1)
        )
        if places and not settings.best_first:
            places, propensity, alternatives = _slate(
                ask, np.array(rows), places, (ranked, index), settings=settings, seed=self.policy.seed
            )
        shown = [rows[place] for place in places] or rows[:1]
        items = [index.id_of(int(ranked.items[row])) for row in shown]
        items = fitting(items, event, campaign.name, ask.terms)
        shown = shown[: len(items)]
        score = float(ranked.p[shown[0]]) if shown else 0.0
        decision = replace(
            self._unranked(ask),
            reason=reason,
            propensity=propensity,
            event_id=event.id,
            candidate_id=candidate_id(event.user, event.source, event.id, campaign.name, ask.timer),
            score=score,
            items=tuple(items),
            features=tuple(ranked.x[:, shown[0]].tolist()) if shown else (),
            segment=ask.segment,
            alternatives=alternatives,
        )
        proposal = Proposal(ask, decision, shown)
        if reason == SENT:
            proposal.item = int(ranked.keys[shown[0]])
            proposal.cents = proposal.about_cents = price_cents(int(ranked.items[shown[0]]), index)
            if campaign.coupon is not None and campaign.listing.source == "trigger":
                proposal.about_cents = sum(price_cents(index.dense(key), index) for key in ask.keys)
            proposal.channel = campaign.channel(case.standing.channels) or campaign.message.channels[0]
        return proposal

    def _choose(self, proposals: list[tuple[int, Proposal]], decisions: list[Decision]) -> None:
        """Send the first proposal that the final rules let pass; each tells its place in ``decisions`` what became of
        it.
        """
        settled = False
        for place, proposal in proposals:
            settings = proposal.ask.terms.settings
            campaign, now_ms = proposal.case.campaign, proposal.case.now_ms
            proposal.left_cents = self._budgets.left(campaign, now_ms)
            rule = None if settled else final_refusal(proposal, settings)
            reason = OUTBID if settled else SENT if rule is None else rule.name
            proposal.decision = decisions[place] = replace(proposal.decision, reason=reason)
            if settled or (rule is not None and not rule.ghost):
                continue
            settled = True
            if rule is None:
                if proposal.coupon_cents:
                    self._budgets.spend(campaign.name, proposal.coupon_cents, now_ms)
                    given = replace(proposal.decision, coupon_cents=proposal.coupon_cents)
                    proposal.decision = decisions[place] = given
                self._send(proposal)
            self._remember(proposal, ghost=rule is not None)

    def _send(self, proposal: Proposal) -> None:
        ask, decision, rows, ranked, index = (
            proposal.ask,
            proposal.decision,
            proposal.rows,
            self.ranked,
            self.views.items,
        )
        first = rows[0]
        slate = [
            SlateItem(item, float(ranked.p[row]), ranked.generator(row))
            for item, row in zip(decision.items, rows, strict=True)
        ]
        candidate = build_candidate(
            ask.event,
            ask.case,
            slate,
            words(int(ranked.items[first]), index, ask.case.campaign, ask.price_before(int(ranked.keys[first]))),
            explain(ranked, first, ask.query, index, self.views.ranks(ask.terms.settings.rank_by)),
            identity=decision.candidate_id,
            model_version=decision.model_version,
            policy_version=decision.policy_version,
            propensity=decision.propensity,
            terms=ask.terms,
        )
        # Of a timer, how long ago its event was sent says nothing about this system's latency.
        self.effects.candidates.append(Outgoing(candidate, b"" if ask.due_ms else ask.event.produced_at))

    def _remember(self, proposal: Proposal, *, ghost: bool) -> None:
        ask, case = proposal.ask, proposal.case
        ranked, index, settings = self.ranked, self.views.items, ask.terms.settings
        keys = tuple([int(ranked.keys[row]) for row in proposal.rows])
        groups = dict.fromkeys(category_of(int(ranked.items[row]), index) for row in proposal.rows)
        mark = mark_of(proposal.decision.candidate_id)
        push = Sent(case.now_ms, case.campaign.name, keys, tuple([g for g in groups if g]), ghost, mark)
        sent = remember(case.sent, push, settings, self.policy.book.caps_ms)
        user, life = ask.event.user, case.standing.erased_ms
        self.pushed[user] = life, sent
        self.batch.pushed(user, life, sent)
        impression = impression_of(proposal, keys, push.categories, settings, pushed=not ghost)
        if impression is not None and self._uplift.open_slates:
            self.slates.keep(user, impression)


def _best_first(placed: tuple[int, Proposal]) -> tuple[float, int, str]:
    proposal = placed[1]
    campaign = proposal.case.campaign
    return -proposal.worth, -campaign.priority, campaign.name


def _slate(
    ask: Ask, rows: Ints, places: list[int], among: tuple[Ranked, ItemIndex], *, settings: PolicySettings, seed: int
) -> tuple[list[int], float, tuple[Alternative, ...]]:
    """Of the places that passed the rules those to show, the probability of the first, and what else it could be."""
    ranked, index = among
    passed = np.array(places)
    p = ranked.p.take(rows.take(passed))
    first, propensity = 0, 1.0
    alternatives: tuple[Alternative, ...] = ()
    if settings.explore_share:
        best = rows.take(passed[: settings.explore_items])
        weights = explore.chances(ranked.p.take(best), explore.sightings_of(ranked.x[_POPULARITY].take(best)))
        first, propensity = explore.draw(weights, settings.explore_share, mixed(ask.mark, EXPLORED + seed))
        if share(ask.mark, ALTERNATIVES + seed) < settings.log_alternatives:
            probable = explore.propensities(weights, settings.explore_share)
            alternatives = tuple([
                Alternative(index.id_of(int(ranked.items[row])), float(ranked.p[row]), each)
                for row, each in zip(best, probable, strict=True)
            ])  # fmt: skip
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
    return passed.take(order).tolist(), propensity, alternatives


def _offers(rows: list[int], ranked: Ranked, index: ItemIndex, *, by_category: bool) -> Iterator[Offer]:
    for row in rows:
        in_stock = bool(index.in_stock[ranked.items[row]])
        category = category_of(int(ranked.items[row]), index) if by_category else 0
        yield Offer(int(ranked.keys[row]), float(ranked.p[row]), in_stock, category)


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
