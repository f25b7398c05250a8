"""A short run of faults breaks nothing; and with a bug planted in its evidence, the invariant concerned does break."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.bugs import BUGS
from tests.faults.campaigns import ON
from tests.faults.checker import CHECKS, first_breaches, header
from tests.faults.doctor import doctored
from tests.faults.kinds import FAULTS
from tests.faults.responses import response
from tests.faults.rounds import play
from tests.faults.site import site
from tests.faults.walk import READ, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence
    from tests.faults.walk import Walked

pytestmark = [pytest.mark.e2e, pytest.mark.kafka]

#: Of the short run of `make test`: each role killed at named points, everything killed at once.
SEED = 11
SHORT = ("user-at-points", "kill-all", "item-at-points", "clock", "producer-clock", "poison")


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """What a sound run left behind. That it is sound is asserted here, so by every test of this module."""
    kept: list[Evidence] = []
    known = {fault.name: fault for fault in FAULTS}
    with site() as where:
        report = play(where, SEED, [known[name] for name in SHORT], keep=kept.append)
    assert report.broken == []
    assert report.injected >= 16
    assert kept[0].shadow is not None
    assert report.lost == report.doubled == report.unsent == 0
    return kept[0]


@pytest.fixture(scope="module")
def walked(evidence: Evidence) -> Walked:
    """The walk through it."""
    return walk(evidence)


def test_a_short_run_of_faults_loses_doubles_and_breaks_nothing(evidence: Evidence):
    decisions = [json.loads(rec.value or b"{}") for rec in evidence.all("decisions")]
    kinds = {body["r"] for body in decisions}
    assert len(evidence.all("push-candidates")) > 50
    assert {"sent", "min_gap", "consent"} <= kinds
    assert {body["c"] for body in decisions} == set(ON)
    assert {"next", "basket", "cheaper", "thanks"} <= {body["c"] for body in decisions if body["r"] == "sent"}
    told = [body for rec in evidence.all("examples") if (body := response(rec)) is not None]
    assert any(body[8] for body in told)
    assert any(body[10] for body in told)
    assert len({header(rec, "dl_reason") for rec in evidence.all("dead-letters")}) > 8
    assert evidence.all("ingress")
    assert [rec for rec in evidence.all("model") if (rec.key or b"").startswith(b"champion/")]
    assert {store.role for store in evidence.stores} == {"user", "item", "trainer"}


@pytest.mark.parametrize(("invariant", "plant"), [pytest.param(n, plant, id=plant.__name__) for n, plant in BUGS])
def test_an_engine_that(evidence: Evidence, walked: Walked, invariant: int, plant: Callable[[Evidence], None]):
    bad = doctored(evidence)
    plant(bad)
    # Most bugs change nothing of what is walked through, which takes the longest.
    same = all(bad.topics[topic] == evidence.topics[topic] for topic in READ)
    broken = first_breaches(invariant, bad, walked if same else None)
    assert broken
    assert all(breach.where and breach.what for breach in broken)


def test_every_invariant_that_is_checked_has_a_bug_planted():
    assert {invariant for invariant, _ in BUGS} == CHECKS.keys()
