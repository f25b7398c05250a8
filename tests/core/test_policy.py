"""The rules, each by itself and as the registry's contract."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamer.core.policy as folder
from streamer.core.campaigns.campaign import NEXT, Caps
from streamer.core.effects import SlateItem
from streamer.core.encode import candidate as encode_candidate
from streamer.core.events import EVENT_TYPES, Event, Preferences
from streamer.core.policy import min_gap, quiet_hours, registry, state
from streamer.core.policy.candidate import build_candidate, candidate_id
from streamer.core.policy.experiments import Terms
from streamer.core.policy.rule import Case, CheapRule, ItemRule, Offer
from streamer.core.policy.state import PolicyState, Sent, Standing
from streamer.core.policy.verdict import cheap_refusal, choose, policy_version
from streamer.core.reasons import Explanation
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, PolicySettings

SETTINGS = PolicySettings(category_per_day=2)
CAPPED = msgspec.structs.replace(NEXT, caps=Caps(per_day=1, per_week=2))
NOW = 1_700_000_000_000 // DAY_MS * DAY_MS + 12 * HOUR_MS
"""A noon, UTC."""


def case(**changes: object) -> Case:
    fields: dict[str, object] = {
        "campaign": NEXT,
        "time_ms": NOW,
        "now_ms": NOW,
        "newest_ms": NOW - HOUR_MS,
        "draw": 0.5,
        "standing": Standing(),
        "sent": (),
    }
    return Case(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def sent(ago_ms: int, *items: int) -> Sent:
    return Sent(NOW - ago_ms, "next", items)


def other(ago_ms: int) -> Sent:
    return Sent(NOW - ago_ms, "other", ())


def marked(ago_ms: int, mark: int, *items: int) -> Sent:
    return Sent(NOW - ago_ms, "next", items, mark=mark)


def of_category(ago_ms: int, *categories: int) -> Sent:
    return Sent(NOW - ago_ms, "next", (), categories)


def offer(key: int = 1, score: float = 0.9, in_stock: bool = True) -> Offer:
    return Offer(key, score, in_stock)


REFUSED: dict[str, tuple[Case, PolicySettings]] = {
    "consent": (case(standing=Standing(consent=False)), SETTINGS),
    "channel": (case(standing=Standing(channels=())), SETTINGS),
    "out_of_order": (case(newest_ms=NOW + 1), SETTINGS),
    "expired": (case(now_ms=NOW + HOUR_MS), SETTINGS),
    "audience": (case(member=False), SETTINGS),
    "quiet_hours": (case(standing=Standing(quiet_hours=(11 * 60, 13 * 60))), SETTINGS),
    "min_gap": (case(sent=(sent(29 * MINUTE_MS),)), SETTINGS),
    "hour_cap": (case(sent=(sent(59 * MINUTE_MS),)), SETTINGS),
    "day_cap": (case(sent=tuple(sent(n * 5 * HOUR_MS) for n in (4, 3, 2, 1))), SETTINGS),
    "week_cap": (case(sent=(sent(7 * DAY_MS - 1), sent(2 * DAY_MS))), PolicySettings(per_week=2)),
    "campaign_cap": (case(campaign=CAPPED, sent=(sent(7 * DAY_MS - 1), sent(25 * HOUR_MS))), SETTINGS),
    "not_sampled": (case(draw=0.5), PolicySettings(rank_rate=0.5)),
}
ALLOWED: dict[str, tuple[Case, PolicySettings]] = {
    "consent": (case(), SETTINGS),
    "channel": (case(standing=Standing(channels=("email",))), SETTINGS),
    "out_of_order": (case(newest_ms=NOW), SETTINGS),
    "expired": (case(now_ms=NOW + HOUR_MS - 1), SETTINGS),
    "audience": (case(member=True), SETTINGS),
    "quiet_hours": (case(standing=Standing(quiet_hours=(13 * 60, 12 * 60))), SETTINGS),
    "min_gap": (case(sent=(sent(30 * MINUTE_MS),)), SETTINGS),
    "hour_cap": (case(sent=(sent(60 * MINUTE_MS),)), SETTINGS),
    "day_cap": (case(sent=tuple(sent(n * 6 * HOUR_MS) for n in (4, 3, 2, 1))), SETTINGS),
    "week_cap": (case(sent=(sent(7 * DAY_MS), sent(2 * DAY_MS))), PolicySettings(per_week=2)),
    "campaign_cap": (case(campaign=CAPPED, sent=(sent(7 * DAY_MS), other(25 * HOUR_MS), sent(24 * HOUR_MS))), SETTINGS),
    "not_sampled": (case(draw=0.49), PolicySettings(rank_rate=0.5)),
}
REFUSED_ITEM: dict[str, tuple[Offer, Case]] = {
    "bought": (offer(), case(bought=frozenset({1}))),
    "out_of_stock": (offer(in_stock=False), case()),
    "repeat": (offer(), case(sent=(sent(7 * DAY_MS - 1, 2, 1),))),
    "dismissed": (offer(), case(standing=Standing(dismissed_marks=(7,)), sent=(marked(30 * DAY_MS - 1, 7, 2, 1),))),
    "category_day_cap": (Offer(1, 0.9, True, 5), case(sent=(of_category(23 * HOUR_MS, 5), of_category(HOUR_MS, 4, 5)))),
    "low_score": (offer(score=0.0199), case()),
}
ALLOWED_ITEM: dict[str, tuple[Offer, Case]] = {
    "bought": (offer(), case(bought=frozenset({2}))),
    "out_of_stock": (offer(), case()),
    "repeat": (offer(), case(sent=(sent(7 * DAY_MS, 1), sent(DAY_MS, 2)))),
    "dismissed": (offer(), case(standing=Standing(dismissed_marks=(7,)), sent=(marked(HOUR_MS, 8, 1),))),
    "category_day_cap": (Offer(1, 0.9, True, 5), case(sent=(of_category(24 * HOUR_MS, 5), of_category(HOUR_MS, 5)))),
    "low_score": (offer(score=0.02), case()),
}


@pytest.mark.parametrize("rule", registry.CHEAP_RULES, ids=lambda rule: rule.name)
def test_each_cheap_rule_refuses_its_example_and_lets_its_near_miss_pass(rule: CheapRule) -> None:
    assert rule.refuses(*REFUSED[rule.name])
    assert not rule.refuses(*ALLOWED[rule.name])


@pytest.mark.parametrize("rule", registry.ITEM_RULES, ids=lambda rule: rule.name)
def test_each_item_rule_refuses_its_example_and_lets_its_near_miss_pass(rule: ItemRule) -> None:
    assert rule.refuses(*REFUSED_ITEM[rule.name], SETTINGS)
    assert not rule.refuses(*ALLOWED_ITEM[rule.name], SETTINGS)


@pytest.mark.parametrize("rule", registry.CHEAP_RULES, ids=lambda rule: rule.name)
def test_no_cheap_rule_refuses_a_first_event_on_default_settings(rule: CheapRule) -> None:
    assert not rule.refuses(case(newest_ms=0), SETTINGS)


def test_every_rule_is_a_file_of_its_name_and_every_reason_has_words() -> None:
    names = [rule.name for rule in registry.RULES]
    assert len(set(names)) == len(names)
    files = {path.stem for path in Path(next(iter(folder.__path__))).glob("*.py")}
    assert set(names) <= files
    assert set(registry.REASONS) == {*names, registry.SENT, registry.NO_CANDIDATES, registry.OUTBID}
    assert all(registry.REASONS.values())


times = st.integers(0, 10 * DAY_MS).map(lambda ago: NOW - ago)
pushes = st.lists(times, max_size=8).map(lambda ts: [Sent(t, "next", (1,)) for t in sorted(ts)])
cases = st.tuples(
    st.just(NEXT),
    times,
    st.just(NOW),
    times,
    st.floats(0, 1, exclude_max=True),
    st.builds(
        Standing,
        consent=st.sampled_from([None, True, False]),
        channels=st.sampled_from([None, (), ("push",)]),
        quiet_hours=st.none() | st.tuples(st.integers(0, 1439), st.integers(0, 1439)),
        time_zone=st.sampled_from([None, "+02:00", "Asia/Tokyo"]),
        dismissals=st.integers(0, 20),
    ),
    pushes,
).map(lambda fields: Case(*fields))


@given(cases, st.sampled_from(registry.CHEAP_RULES))
def test_rules_are_pure_and_a_push_more_never_turns_a_no_into_a_yes(asked: Case, rule: CheapRule) -> None:
    before = msgspec.msgpack.encode(asked.sent)
    first = rule.refuses(asked, SETTINGS)
    assert rule.refuses(asked, SETTINGS) == first
    assert msgspec.msgpack.encode(asked.sent) == before
    asked.sent = (*asked.sent, Sent(NOW, "next", (2,)))
    assert rule.refuses(asked, SETTINGS) >= first


def test_the_first_rule_that_refuses_names_the_reason() -> None:
    both = case(standing=Standing(consent=False), sent=(sent(0),))
    assert cheap_refusal(both, SETTINGS) == "consent"
    assert cheap_refusal(case(), SETTINGS) is None


def test_each_dismissal_doubles_the_gap_up_to_a_bound() -> None:
    for dismissals, minutes in ((1, 60), (2, 120), (6, 30 * 64), (50, 30 * 64)):
        standing = Standing(dismissals=dismissals)
        gap = minutes * MINUTE_MS
        refuses = min_gap.RULE.refuses
        assert refuses(case(standing=standing, sent=(sent(gap - 1),)), SETTINGS)
        assert not refuses(case(standing=standing, sent=(sent(gap),)), SETTINGS)


def test_where_consent_is_required_silence_is_no_yes() -> None:
    strict = PolicySettings(require_consent=True)
    assert cheap_refusal(case(), strict) == "consent"
    assert cheap_refusal(case(standing=Standing(consent=True, consent_ms=1)), strict) is None


def test_quiet_hours_are_local_go_over_midnight_and_a_zone_nobody_knows_is_silent_all_day() -> None:
    night = (22 * 60, 8 * 60)
    refuses = quiet_hours.RULE.refuses
    assert not refuses(case(standing=Standing(quiet_hours=night)), SETTINGS)
    assert refuses(case(standing=Standing(quiet_hours=night, time_zone="+11:00")), SETTINGS)
    assert refuses(case(standing=Standing(quiet_hours=night, time_zone="-05:00")), SETTINGS)
    assert refuses(case(standing=Standing(quiet_hours=night, time_zone="Mars/Olympus")), SETTINGS)
    assert not refuses(case(standing=Standing(time_zone="Mars/Olympus")), SETTINGS)


# --- choosing items


def test_the_slate_holds_the_best_items_that_pass() -> None:
    offers = [offer(1), offer(2), offer(3, in_stock=False), offer(4), offer(5)]
    assert choose(offers, case(bought=frozenset({1})), SETTINGS) == ("sent", [1, 3, 4])


def test_without_an_item_left_the_reason_is_the_best_items() -> None:
    offers = [offer(1, in_stock=False), offer(2, score=0.0)]
    assert choose(offers, case(), SETTINGS) == ("out_of_stock", [])
    assert choose([offer(2, score=0.0)], case(), SETTINGS) == ("low_score", [])
    assert choose([], case(), SETTINGS) == ("no_candidates", [])


# --- the state


def said(time: int, **words: object) -> Event:
    return Event("u", str(time), "t", "preferences", time, time, preferences=Preferences(**words))  # type: ignore[arg-type]  # fields by name


def feedback(name: str, time: int, of: str = "c") -> Event:
    return Event("u", name, "t", name, time, time, candidate_id=of)


def standing_after(*events: Event) -> Standing:
    standing = Standing()
    for event in events:
        standing = state.fold(standing, event)
    return standing


@given(st.permutations([said(1, consent=True), said(2, channels=("sms",)), said(3, consent=False, time_zone="UTC")]))
def test_the_newest_word_of_each_preference_stands_in_whatever_order(events: list[Event]) -> None:
    standing = standing_after(*events)
    assert (standing.consent, standing.channels, standing.time_zone) == (False, ("sms",), "UTC")
    assert standing.opted_out


def test_an_unsubscription_holds_until_a_later_yes() -> None:
    out = standing_after(said(1, consent=True), feedback("push_unsubscribed", 5))
    assert out.opted_out
    assert state.fold(out, said(4, consent=True)).opted_out
    assert not state.fold(out, said(6, consent=True)).opted_out
    assert state.reset(out, 9).opted_out


def test_a_reset_unsays_preferences_but_not_those_said_later() -> None:
    standing = state.reset(standing_after(said(5, consent=True, channels=("sms",))), 7)
    assert (standing.consent, standing.channels) == (None, None)
    assert state.fold(standing, said(6, channels=("email",))).channels is None
    assert state.fold(standing, said(8, channels=("email",))).channels == ("email",)


def test_a_reset_leaves_newer_words_alone() -> None:
    """Re-keyed, it comes with the time it had."""
    standing = state.reset(standing_after(said(5, channels=("sms",)), said(8, consent=True)), 7)
    assert (standing.consent, standing.channels) == (True, None)


def test_neither_a_reset_nor_an_erasure_takes_back_a_no() -> None:
    """Who deletes an account does not ask for pushes; a later yes does."""
    out = standing_after(said(5, consent=False, channels=(), time_zone="UTC"))
    for left in (state.reset(out, 7), state.erased(out, 7).standing):
        assert (left.consent, left.channels, left.time_zone) == (False, (), None)
        assert left.opted_out
        back = state.fold(left, said(8, consent=True, channels=("push",)))
        assert (back.consent, back.channels) == (True, ("push",))


@pytest.mark.parametrize("no", [said(3, consent=False), said(5, consent=False), feedback("push_unsubscribed", 3)])
def test_a_no_holds_from_where_it_was_read_however_old_its_time_is(no: Event) -> None:
    """A phone's clock may be slow; what is said later, by any clock, takes it back."""
    standing = standing_after(said(5, consent=True), no)
    assert standing.opted_out
    assert state.fold(standing, said(4, consent=True)).opted_out
    assert state.fold(standing, said(5, consent=True)).opted_out
    assert not state.fold(standing, said(6, consent=True)).opted_out


def test_dismissals_count_until_a_click() -> None:
    """Each push once, however often it is told of."""
    standing = standing_after(feedback("push_dismissed", 1, "a"), *[feedback("push_dismissed", 2, "b")] * 3)
    assert standing.dismissals == 2
    standing = state.fold(standing, feedback("push_clicked", 3))
    assert (standing.dismissals, standing.dismissed, standing.clicked) == (0, 2, 1)


def test_every_feedback_type_changes_the_standing() -> None:
    for name, event_type in EVENT_TYPES.items():
        if event_type.kind == "feedback":
            assert standing_after(feedback(name, 1)) != Standing()


def test_an_erased_users_no_outlives_the_erasure_and_nothing_else_does() -> None:
    kept = state.erased(standing_after(feedback("push_unsubscribed", 5), feedback("push_clicked", 6)), 9)
    assert kept.standing.opted_out
    assert kept == PolicyState(Standing(consent=False, consent_ms=5, erased_ms=9))
    assert state.erased(standing_after(said(1, consent=True)), 9) == PolicyState(Standing(erased_ms=9))


def test_pushes_are_remembered_for_the_window_and_never_more_than_a_bound() -> None:
    pushed: tuple[Sent, ...] = ()
    for n in range(200):
        pushed = state.remember(pushed, Sent(n * DAY_MS, "c", (n,)), SETTINGS)
    assert [s.items[0] for s in pushed] == list(range(170, 200))
    for n in range(200):
        pushed = state.remember(pushed, Sent(200 * DAY_MS + n, "c", (n,)), SETTINGS)
    assert len(pushed) == max(state.MAX_SENT, 31 * SETTINGS.per_day)


def test_pushes_are_remembered_for_the_caps_even_if_repeats_are_allowed() -> None:
    free = PolicySettings(repeat_window_ms=0, min_gap_ms=0, per_hour=100, per_day=100)
    pushed: tuple[Sent, ...] = ()
    for n in range(100):
        assert cheap_refusal(case(sent=pushed), free) is None
        pushed = state.remember(pushed, Sent(NOW - HOUR_MS + n, "c", (n,)), free)
    assert cheap_refusal(case(sent=pushed), free) == "day_cap"


def test_the_policy_row_survives_its_encoding() -> None:
    row = PolicyState(standing_after(said(1, consent=True, channels=("sms",), quiet_hours=(1, 2))), (sent(3, 4, 5),))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=PolicyState) == row


def test_the_policy_version_tells_settings_apart() -> None:
    assert policy_version(SETTINGS) == policy_version(replace(SETTINGS))
    assert policy_version(SETTINGS) != policy_version(replace(SETTINGS, per_day=5))
    assert re.fullmatch("[0-9a-f]{6}", policy_version(SETTINGS))


# --- campaigns and candidates


def test_lengths_keep_the_parts_of_a_candidate_id_apart() -> None:
    assert candidate_id("ab", "c", "d", "e") != candidate_id("a", "bc", "d", "e")
    assert candidate_id("u", "shop", "1", "next") == "1dbb52ad29cc927877bc8f548ff1e6db"


def test_a_candidate_has_every_field_filled() -> None:
    event = Event("u", "e-1", "shop", "cart", NOW, 7, topic="purchase", partition=3, offset=42)
    identity = candidate_id("u", "shop", "e-1", "next")
    candidate = build_candidate(
        event,
        case(standing=Standing(channels=("sms", "email"))),
        (SlateItem("a/b c", 0.5, "recent"), SlateItem("d", 0.25, "trending")),
        {"title": "Shoe"},
        Explanation((("it is trending", 1.5),), -1.5, 0.0),
        identity=identity,
        model_version=9,
        policy_version="cafe0001",
        terms=Terms(SETTINGS, (("autumn", "bolder"),)),
    )
    sent_out = json.loads(encode_candidate(candidate))
    assert sent_out["candidate_id"] == identity
    assert identity.startswith(sent_out["dedupe_key"])
    assert sent_out["trigger"] == {
        "type": "cart",
        "event_id": "e-1",
        "topic": "purchase",
        "partition": 3,
        "offset": 42,
    }
    assert sent_out["channel"] == "email"
    assert sent_out["deep_link"] == "shop://item/a%2Fb%20c?campaign=next"
    assert sent_out["event_time"] == "2023-11-14T12:00:00.000Z"
    assert sent_out["expires_at"] == "2023-11-14T13:00:00.000Z"
    assert (sent_out["score"], sent_out["propensity"], sent_out["model_version"]) == (0.5, 1.0, 9)
    assert sent_out["policy_version"] == "cafe0001"
    assert sent_out["experiments"] == [{"id": "autumn", "arm": "bolder"}]
    assert (sent_out["reasons"], sent_out["contributions"]) == (["it is trending"], [1.5, -1.5])
