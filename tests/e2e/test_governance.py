"""A few days of the simulated shop on real Kafka with killed workers: no rule of governance is broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace as replace_rules

from msgspec.structs import replace

from load_tests.shop.file import DAY_MS, HOUR_MS, read
from tests.governance.checker import check
from tests.governance.simulated import governed

RULES = ("core.policy.holdout_share=0.15", "core.policy.category_per_day=1", "core.policy.per_week=9")
NEWS = ("campaigns.on=price-drop,back-in-stock,cart-reminder",)


def test_no_rule_is_broken_in_a_shop_whose_workers_are_killed():
    """Shoppers of all kinds who change their minds, opt out, buy and want quiet; checked apart from the engine."""
    shop = read("fashion")
    minds = replace(shop.preferences, changes_per_month=2.0, quiet=0.4)
    kinds = {name: replace(kind, leave=5 * kind.leave) for name, kind in shop.types.items()}
    shop = replace(shop, days=3, shoppers=120, step_minutes=60, preferences=minds, types=kinds)
    found = governed(shop, 3, every=12, given=RULES)
    assert not found.verdict.violations, "\n".join(map(str, found.verdict.violations[:20]))
    assert found.kills >= 4
    assert found.verdict.pushes == found.truth.total("pushes") > 20
    assert found.verdict.decisions > 10 * found.verdict.pushes
    assert found.truth.total("opt_outs") > 0
    assert found.verdict.reasons.keys() >= {"consent", "quiet_hours", "min_gap", "holdout"}
    # The same run held to rules that it was not told of: it does come to what they forbid.
    found.run.rules = replace_rules(found.run.rules, caps=((1, 2 * DAY_MS),), gap_ms=20 * HOUR_MS, must_consent=True)
    assert check(found.run).counts.keys() == {"cap", "min_gap", "consent"}


def test_news_from_the_catalog_are_true_and_keep_to_the_rules_in_a_shop_whose_workers_are_killed():
    """More of its goods get cheaper and lack than in life, so that a few days are enough."""
    shop = read("fashion")
    catalog = replace(shop.catalog, price_drops=0.15, out_of_stock=0.2)
    shop = replace(shop, days=5, shoppers=120, step_minutes=60, catalog=catalog)
    found = governed(shop, 5, every=15, given=NEWS)
    assert not found.verdict.violations, "\n".join(map(str, found.verdict.violations[:20]))
    assert found.kills >= 4
    assert found.verdict.pushes == found.truth.total("pushes")
    told = Counter(push["campaign"] for push in found.truth.pushes)
    assert told["price-drop"] > 10, told
    assert told["back-in-stock"] > 10, told
