"""How often off-policy intervals hold in the simulated shops, over many logs of rounds whose truth is known.

``load_tests.off_policy_shops`` left behind the rounds of a shop: real decisions, each with what would have come of
every choice. **The true value** of a policy is the mean, over these rounds, of what a round is expected to earn if the
policy makes the choice in it: with the contexts as they were logged, so that what a policy would change later is not in
it. A log is drawn so: shoppers anew, with all their rounds; whom the holdout holds back; what is tried; what is
explored; and what each shopper makes of it, all by the exact chances. It then goes through ``streamer.ope`` as a log of
the topics does: joined, weighed by the settings, refused or judged.

    python -m load_tests.off_policy_coverage --shops fashion --logs 400
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from load_tests.harness import machine
from load_tests.off_policy_shops import REWARDS, TARGETS, WINDOW_MS, ShopRuns, target_of
from streamer.ope.chances import Chances
from streamer.ope.decisions import SENT, Told, join
from streamer.ope.items import join_items
from streamer.ope.judge import judge
from streamer.ope.log import unsettled
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from load_tests.shop.rounds import Option, Round
    from streamer.ope.log import Log

    Floats = NDArray[np.float64]

ESTIMATORS: Final = ("ips", "snips", "clipped", "dr")
NOISE: Final = 7
"""Numbers that are drawn for a round."""


class Pool:
    """The rounds of a run, by shopper, and what the run's policy left to chance."""

    def __init__(self, rounds: Sequence[Round], settings: Sequence[str]) -> None:
        core = load(None, {}, flags(settings)).core
        self.chances, self.policy = Chances.of(core), core.policy
        by_user: dict[str, list[Round]] = {}
        for each in rounds:
            if each.row.a:
                by_user.setdefault(each.user, []).append(each)
        self.shoppers = [by_user[user] for user in sorted(by_user)]

    def draw(self, chosen: Sequence[int], choice: str, rng: np.random.Generator) -> tuple[Log, dict[str, Floats]]:
        """A log of the shoppers ``chosen``, and the rewards of its rounds by name."""
        told = Told(last_ms=1 << 60)
        earned: dict[str, list[float]] = {reward: [] for reward in REWARDS[choice]}
        for copy, shopper in enumerate(chosen):
            held = rng.random() < self.policy.holdout_share
            noise = rng.random((len(self.shoppers[shopper]), NOISE)).tolist()
            for at, (each, u) in enumerate(zip(self.shoppers[shopper], noise, strict=True)):
                row, place = each.row, f"{copy}{at:06d}"
                k = _drawn(each, u[0]) if choice == "item" else _logged(each)
                item, score, p = row.a[k]
                tried = score < self.policy.least_worth and u[1] < self.policy.try_share
                passed = tried or score >= self.policy.least_worth
                reason = "not_worth_it" if not passed else "holdout" if held else SENT
                p *= self.policy.try_share if tried else 1.0
                row = msgspec.structs.replace(
                    row, o=f"browse:{place}", t=0, d=place, r=reason, i=(item, *row.i[1:]), s=score, p=p
                )
                told.times["browse", 0, int(place)] = each.time_ms
                told.decide(f"{each.user}.{copy}", 0, row)
                for reward, value in _outcome(each, each.options[k], u, sent=reason == SENT).items():
                    if reward in earned:
                        earned[reward].append(value)
        how: dict[str, Any] = {"window_ms": WINDOW_MS, "chances": self.chances}
        joined = join(told, "clicked", **how) if choice == "push" else join_items(told, "clicked", **how)
        return joined.log, {reward: np.array(values) for reward, values in earned.items()}

    def truths(self, choice: str) -> dict[tuple[str, str], float]:
        """By reward and target, its true value."""
        every = range(len(self.shoppers))
        log, _ = self.draw(every, choice, np.random.Generator(np.random.PCG64(0)))
        rounds = [each for shopper in every for each in self.shoppers[shopper]]
        found: dict[tuple[str, str], float] = {}
        for reward in REWARDS[choice]:
            expected = np.zeros((len(rounds), len(log.names)))
            for at, each in enumerate(rounds):
                if choice == "push":
                    expected[at] = _expected(each, None, reward), _expected(each, each.options[_logged(each)], reward)
                    continue
                for k, option in enumerate(each.options):
                    sent = self._sent(each.row.a[k][1])
                    expected[at, k] = sent * _expected(each, option, reward)
                    expected[at, k] += (1 - sent) * _expected(each, None, reward)
            for name in TARGETS[choice]:
                target = target_of(log, name)
                found[reward, name] = float((target.table[target.rows] * expected).sum(axis=1).mean())
        return found

    def _sent(self, score: float) -> float:
        tried = 1.0 if score >= self.policy.least_worth else self.policy.try_share
        return (1 - self.policy.holdout_share) * tried


def _logged(each: Round) -> int:
    return next(k for k, (item, _, _) in enumerate(each.row.a) if item == each.row.i[0])


def _drawn(each: Round, u: float) -> int:
    for k, (_, _, p) in enumerate(each.row.a):
        u -= p
        if u < 0:
            return k
    return 0


def _outcome(each: Round, option: Option, u: list[float], *, sent: bool) -> dict[str, float]:
    """What the shopper makes of it, by reward; chances as ``World.react`` takes them."""
    if not sent:
        return {"clicked": 0.0, "converted": 0.0, "spent": each.spends}
    clicked = u[2] < option.click
    sells = clicked and u[3] < option.buy
    forward = clicked and not sells and u[4] < option.forward
    spent = each.spends - (each.loses if u[5] < each.lost else 0.0)
    spent += option.price if sells else option.price - option.ahead if forward else 0.0
    return {"clicked": float(clicked), "converted": float(sells or forward), "spent": spent}


def _expected(each: Round, option: Option | None, reward: str) -> float:
    """The mean of ``_outcome``; without an option nothing is pushed."""
    if option is None:
        return each.spends if reward == "spent" else 0.0
    if reward == "spent":
        return each.spends + option.adds - each.lost * each.loses
    return option.click if reward == "clicked" else option.converts


def logs(task: tuple[Path, str, range, float, dict[str, Any]]) -> list[tuple[str, str, str, int, dict[str, Any]]]:
    """Of some logs (choice, reward, target, number of the log, what ``judge`` says of it)."""
    path, choice, numbers, times, how = task
    pool = _pool(path)
    found = []
    for number in numbers:
        rng = np.random.Generator(np.random.PCG64([number, len(choice)]))
        count = len(pool.shoppers)
        log, earned = pool.draw(rng.integers(0, count, round(times * count)).tolist(), choice, rng)
        for reward, values in earned.items():
            settled = unsettled(len(log.names)) if reward == "spent" else log.settled
            made = dataclasses.replace(log, rewards=values, settled=settled)
            targets = [target_of(made, name) for name in TARGETS[choice]]
            for name, one in zip(TARGETS[choice], judge(made, targets, seed=number, **how)["policies"], strict=True):
                found.append((choice, reward, name, number, one))
    return found


@cache
def _pool(path: Path) -> Pool:
    logging = msgspec.json.decode(path.read_bytes(), type=ShopRuns).runs["logging"]
    return Pool(logging.rounds, logging.settings)


def summary(judged: list[dict[str, Any]], truth: float) -> dict[str, Any]:
    """Of one policy and reward over all logs: how many were answered, and by estimator how often intervals hold."""
    answered = [one for one in judged if not one["refused"]]
    found: dict[str, Any] = {"truth": truth, "logs": len(judged), "answered": len(answered)}
    if not answered:
        return found
    for of in ("effective_rounds", "effective_rewards"):
        found[of] = float(np.median([one["support"][of] for one in answered]))
    for name in ESTIMATORS:
        each = [one["estimates"][name] for one in answered]
        value, low, high = (np.array([one[key] for one in each]) for key in ("value", "low", "high"))
        found[name] = {
            "covered": float(((low <= truth) & (truth <= high)).mean()),
            "above": float((low > truth).mean()),
            "below": float((high < truth).mean()),
            "bias": float(value.mean() - truth),
            "spread": float(value.std()),
            "width": float((high - low).mean()),
        }
    return found


def main() -> None:
    """Draw the logs, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", default="fashion,grocery,electronics", help="by commas")
    parser.add_argument("--runs", type=Path, default=Path("bench/off-policy"), help="the folder of the shops' runs")
    parser.add_argument("--logs", type=int, default=240)
    parser.add_argument("--times", type=float, default=1.0, help="shoppers of a log, as a multiple of the run's")
    parser.add_argument("--choices", default="push,item", help="by commas")
    parser.add_argument("--interval", default="bootstrap")
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    how = {"kind": given.interval, "replicates": given.replicates}
    told: dict[str, Any] = {"machine": machine(), "logs": given.logs, "times": given.times, **how, "shops": {}}
    for shop in given.shops.split(","):
        began = time.perf_counter()
        path = given.runs / f"{shop}.json"
        pool = _pool(path)
        rounds = sum(map(len, pool.shoppers))
        print(f"{shop}: {len(pool.shoppers)} shoppers, {rounds:,} rounds, {given.logs} logs", flush=True)
        told["shops"][shop] = {"shoppers": len(pool.shoppers), "rounds": rounds, "judged": {}}
        for choice in given.choices.split(","):
            truths = pool.truths(choice)
            tasks = [
                (path, choice, range(n, min(n + 10, given.logs)), given.times, how) for n in range(0, given.logs, 10)
            ]
            with ProcessPoolExecutor(given.processes) as workers:
                judged = [one for part in workers.map(logs, tasks) for one in part]
            for (reward, target), truth in truths.items():
                if not truth:  # of what is never pushed nothing is clicked, which every log says
                    continue
                found = summary([one for _, r, name, _, one in judged if (r, name) == (reward, target)], truth)
                told["shops"][shop]["judged"][f"{choice} {reward} {target}"] = found
                _print(f"{reward} {target}", found)
        print(f"  {time.perf_counter() - began:.0f} s", flush=True)
        if given.json is not None:
            given.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _print(name: str, found: dict[str, Any]) -> None:
    head = f"  {name:28} truth {found['truth']:<9.5g} answered {found['answered']}/{found['logs']}"
    if found["answered"]:
        head += f" effective {found['effective_rounds']:.0f}, {found['effective_rewards']:.0f}"
        each = [
            f"{of} {found[of]['covered']:.1%} ({found[of]['above']:.1%} above) width {found[of]['width']:.3g} "
            f"bias {found[of]['bias'] / max(found[of]['spread'], 1e-12):+.2f} sd"
            for of in ESTIMATORS
        ]
        head += " | " + " | ".join(each)
    print(head, flush=True)


if __name__ == "__main__":
    main()
