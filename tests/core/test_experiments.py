"""Experiments: who is in which arm, what an arm changes, and what decisions tell of it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from streamer.core.encode import decision as encode_decision
from streamer.core.learning_settings import KINDS, LearningSettings
from streamer.core.models.logistic import Logistic
from streamer.core.models.registry import FEATURE_NAMES
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
    """In the silent arm nothing scores high enough; decisions and candidates name their arm, refused early or late."""
    shop = Shop(CoreSettings(experiments=(HALVES,))).run(browsing(150, users=20))
    shop.publish()
    shop.run(browsing(600, users=20, seed=8))
    ranked = [decision for decision in shop.total.decisions if decision.candidate_id]
    assert {decision.reason for decision in ranked} >= {"sent", "low_score"}
    assert {decision.reason for decision in shop.total.decisions if not decision.candidate_id} >= {"min_gap"}
    for decision in shop.total.decisions:
        arm = HALVES.arm(decision.user).name
        assert decision.arms == (f"halves:{arm}",)
        assert f'"x":["halves:{arm}"]' in encode_decision(decision).decode()
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


def test_an_arm_may_rank_by_a_challenger() -> None:
    """As if it were the champion, which goes on to rank in all other arms; until it is published, there too."""
    order = Experiment("order", (Arm("champion", 0.5), Arm("challenger", 0.5, (("rank_by", "logistic"),))))
    split = Shop(CoreSettings(learning=LearningSettings(challengers=("logistic",)), experiments=(order,)))
    by_prior, by_other = Shop(CoreSettings()), Shop(CoreSettings())
    other = Logistic(FEATURE_NAMES, [(-1.0) ** n for n in range(len(FEATURE_NAMES))], -1.0, version=7).block()
    for shop in (split, by_prior, by_other):
        shop.run(browsing(300, users=20))
        shop.publish()
    assert [decision.score for decision in split.total.decisions] == [each.score for each in by_prior.total.decisions]
    begun = len(split.total.decisions)
    assert split.model.apply("challenger/logistic", other)
    assert by_other.model.apply("champion/logistic", other)
    for shop in (split, by_prior, by_other):
        shop.run(browsing(300, users=20, seed=9))
    ranked = 0
    for one, prior, rival in zip(*[each.total.decisions[begun:] for each in (split, by_prior, by_other)], strict=True):
        as_in = rival if order.arm(one.user).name == "challenger" else prior
        assert (one.items, one.score, one.model_version) == (as_in.items, as_in.score, as_in.model_version)
        ranked += one.items != (prior if as_in is rival else rival).items
    assert ranked
    reasons = {out.candidate.candidate_id: out.candidate.contributions for out in by_other.total.candidates}
    for out in split.total.candidates:
        if out.candidate.model_version == 7 and out.candidate.candidate_id in reasons:
            assert out.candidate.contributions == reasons[out.candidate.candidate_id]


def test_an_arm_may_name_every_kind_of_model_that_there_is() -> None:
    """The setting spells them out, as settings are read by their types."""
    hint = get_type_hints(PolicySettings)["rank_by"]
    assert set(get_args(hint)) == {"model", "popularity", *KINDS}


def test_a_model_that_nobody_learns_cannot_rank_an_arm() -> None:
    """It would never come; said at the start."""
    order = Experiment("order", (Arm("one", 0.5), Arm("two", 0.5, (("rank_by", "fm"),))))
    with pytest.raises(ValueError, match=r"fm is not learned: name it in core\.learning\.challengers"):
        CoreSettings(experiments=(order,))


def test_the_policy_version_tells_experiments_apart() -> None:
    """Else a log could not be judged arm by arm."""
    versions = {Policy(PolicySettings(), experiments=some).version for some in ((), (HALVES,), (HALVES, THIRDS))}
    assert len(versions) == 3
