"""A short run of faults breaks nothing; and with a bug planted in its evidence, the invariant concerned does break."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.bugs import BUGS
from tests.faults.checker import check, header
from tests.faults.doctor import doctored
from tests.faults.kinds import FAULTS
from tests.faults.rounds import play
from tests.faults.site import site

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence

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


def test_a_short_run_of_faults_loses_doubles_and_breaks_nothing(evidence: Evidence):
    kinds = {json.loads(rec.value or b"{}")["r"] for rec in evidence.all("decisions")}
    assert len(evidence.all("push-candidates")) > 50
    assert {"sent", "min_gap", "consent"} <= kinds
    assert len({header(rec, "dl_reason") for rec in evidence.all("dead-letters")}) > 8
    assert evidence.all("ingress")
    assert [rec for rec in evidence.all("model") if (rec.key or b"").startswith(b"champion/")]
    assert {store.role for store in evidence.stores} == {"user", "item", "trainer"}


@pytest.mark.parametrize(("invariant", "plant"), [pytest.param(n, plant, id=plant.__name__) for n, plant in BUGS])
def test_an_engine_that(evidence: Evidence, invariant: int, plant: Callable[[Evidence], None]):
    bad = doctored(evidence)
    plant(bad)
    broken = [breach for breach in check(bad) if breach.invariant == invariant]
    assert broken
    assert all(breach.where and breach.what for breach in broken)


def test_every_invariant_that_is_checked_has_a_bug_planted():
    assert {invariant for invariant, _ in BUGS} == {*range(1, 12), 13}
