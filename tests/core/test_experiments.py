"""Experiments: who is in which arm, what an arm changes, and what decisions tell of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.core.encode import decision as encode_decision
from streamer.core.policy.experiments import Arm, Experiment, Splits
from streamer.core.policy.verdict import Policy
from streamer.core.settings import CoreSettings, PolicySettings
from tests.core.task_shop import Shop, browsing

USERS = [f"user-{n}" for n in range(20_000)]
HALVES = Experiment("halves", (Arm("as-now", 0.5), Arm("silent", 0.5, (("score_threshold", 1.1),))))
THIRDS = Experiment("thirds", (Arm("one", 0.2), Arm("two", 0.3, (("per_day", 9),)), Arm("three", 0.5)))


def arms(experiment: Experiment) -> dict[str, str]:
    return {user: experiment.arm(user).name for user in USERS}


def test_arms_have_their_shares_and_experiments_do_not_depend_on_one_another() -> None:
    """The same arm each time; another salt draws all anew."""
    drawn, others = arms(THIRDS), arms(HALVES)
    assert drawn == arms(THIRDS)
    for name, share in (("one", 0.2), ("two", 0.3), ("three", 0.5)):
        assert sum(arm == name for arm in drawn.values()) / len(USERS) == pytest.approx(share, abs=0.012)
    both = sum(drawn[user] == "two" and others[user] == "silent" for user in USERS) / len(USERS)
    assert both == pytest.approx(0.15, abs=0.01)
    again = arms(Experiment("thirds", THIRDS.arms, salt="again"))
    same = sum(drawn[user] == again[user] for user in USERS) / len(USERS)
    assert same == pytest.approx(0.2**2 + 0.3**2 + 0.5**2, abs=0.015)


def test_a_shopper_is_decided_by_the_settings_of_all_their_arms() -> None:
    """What an arm does not say is as it was."""
    settings = PolicySettings(per_hour=2)
    of = Splits(settings, (HALVES, THIRDS)).of
    for user in USERS[:200]:
        expected = settings
        if HALVES.arm(user).name == "silent":
            expected = replace(expected, score_threshold=1.1)
        if THIRDS.arm(user).name == "two":
            expected = replace(expected, per_day=9)
        terms = of(user)
        assert terms.settings == expected
        assert terms.arms == (("halves", HALVES.arm(user).name), ("thirds", THIRDS.arm(user).name))
    assert Splits(settings).of("anybody") == (settings, ())


def test_settings_that_cannot_be_are_refused_before_anybody_is_decided_by_them() -> None:
    """Also in an arm that nobody is in yet."""
    wrong = Experiment("wrong", (Arm("one", 1.0), Arm("two", 0.0, (("explore_share", 2.0),))))
    with pytest.raises(ValueError, match="explore_share"):
        Policy(PolicySettings(), experiments=(wrong,))


def test_what_is_decided_follows_the_arm_and_says_which_it_was() -> None:
    """In the silent arm nothing scores high enough; ranked decisions and candidates name their arm, others do not."""
    shop = Shop(CoreSettings(experiments=(HALVES,))).run(browsing(150, users=20))
    shop.publish()
    shop.run(browsing(600, users=20, seed=8))
    ranked = [decision for decision in shop.total.decisions if decision.candidate_id]
    assert {decision.reason for decision in ranked} >= {"sent", "low_score"}
    for decision in shop.total.decisions:
        arm = HALVES.arm(decision.user).name
        if decision.candidate_id:
            assert decision.arms == (f"halves:{arm}",)
            assert f'"x":["halves:{arm}"]' in encode_decision(decision).decode()
        else:
            assert decision.arms == ()
        if arm == "silent":
            assert decision.reason != "sent"
    sent = [out.candidate for out in shop.total.candidates]
    assert sent
    assert {(one.id, one.arm) for candidate in sent for one in candidate.experiments} == {("halves", "as-now")}


def test_an_arm_may_rank_by_popularity() -> None:
    """What most look at comes first there, whatever the model says; elsewhere nothing changes."""
    popular = Experiment("order", (Arm("model", 0.5), Arm("popular", 0.5, (("rank_by", "popularity"),))))
    split = Shop(CoreSettings(experiments=(popular,)))
    plain = Shop(CoreSettings())
    for shop in (split, plain):
        shop.run(browsing(300, users=20))
        shop.publish()
        shop.run(browsing(300, users=20, seed=9))
    assert plain.total.decisions
    pairs = list(zip(plain.total.decisions, split.total.decisions, strict=True))
    of_model = [(one.items, other.items) for one, other in pairs if popular.arm(one.user).name == "model"]
    of_popularity = [(one.items, other.items) for one, other in pairs if popular.arm(one.user).name == "popular"]
    assert all(one == other for one, other in of_model)
    assert any(one != other for one, other in of_popularity)


def test_the_policy_version_tells_experiments_apart() -> None:
    """Else a log could not be judged arm by arm."""
    versions = {Policy(PolicySettings(), experiments=some).version for some in ((), (HALVES,), (HALVES, THIRDS))}
    assert len(versions) == 3
