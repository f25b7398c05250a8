"""Policies against one another in simulated shops: clicks, conversions, what pushes really added, opt-outs, regret.

Each arm is an engine of its own on a topic prefix of its own; the arms of a seed run side by side in the same world,
with the same draws. Volume is made equal in each: a least score is searched at which an arm pushes as often as the
first one does in the same world; a broadcast sends as many pushes as the first arm did, at the same times. What volumes
came out is in the report, and rates a push are, too.

What has been run is kept in ``--out`` and not run again: an experiment that was stopped goes on (``shop/runs.py``).

    python -m load_tests.experiment --shops fashion --seeds 2 --days 4     a look
    python -m load_tests.experiment --in-process                           without Kafka: to study a policy
    python -m load_tests.experiment                                        three shops, five seeds (make experiment)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from load_tests.harness import machine
from load_tests.shop import arms as arm_files
from load_tests.shop import file
from load_tests.shop.arms import matched
from load_tests.shop.compare import FIGURES, compare, curves, tiredness
from load_tests.shop.play import play_alone
from load_tests.shop.report import page
from load_tests.shop.runs import InProcess, Kept, OnKafka
from load_tests.shop.wire import BROKER
from load_tests.shop.world import World
from streamer.broker import EmbeddedBroker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load_tests.shop.arms import Arms
    from load_tests.shop.file import Shop
    from load_tests.shop.runs import Way
    from load_tests.shop.truth import Truth

BEGIN: Final = 0.5
"""The least score that is tried first; in the next world it is the one that was found."""
VOLUME: Final = (
    "Volume: in each world the least score of an arm is searched at which it pushes as often as the first arm; a "
    "broadcast sends as many pushes as the first arm did, at the same times, to whoever had fewest."
)


class Experiment:
    """One shop's runs."""

    def __init__(self, shop: Shop, arms: Arms, kept: Kept) -> None:
        self._shop, self._arms, self._kept = shop, arms, kept

    async def run(self, seeds: Sequence[int], *, tries: int) -> tuple[dict[str, list[Truth]], dict[str, Any]]:
        """By arm a truth a seed, and how volumes were made equal."""
        arms, first = self._arms.arms, self._arms.first
        runs: dict[str, list[Truth]] = {name: [] for name in arms}
        volumes: dict[str, list[dict[str, Any]]] = {name: [] for name, arm in arms.items() if arm.volume_by}
        free = {name: arm.set for name, arm in arms.items() if not arm.broadcast and not arm.volume_by}
        for seed in seeds:
            found = await self._engines(seed, free)
            for name, told in volumes.items():
                begin = told[-1]["score"] if told else BEGIN
                found[name], score = await self._as_often(seed, name, found[first].total("pushes"), tries, begin)
                told.append({"seed": seed, "score": score, "pushes": found[name].total("pushes")})
            times = [push["time_ms"] for push in found[first].pushes]
            found |= {name: play_alone(World(self._shop, seed, name), times) for name in arms if arms[name].broadcast}
            for name, truths in runs.items():
                truths.append(found[name])
            pushes = ", ".join(f"{name} {found[name].total('pushes'):.0f}" for name in runs)
            print(f"{self._shop.name} seed {seed}: pushes {pushes}", flush=True)
        return runs, volumes

    async def _as_often(self, seed: int, name: str, volume: float, tries: int, begin: float) -> tuple[Truth, float]:
        """The run of an arm that pushes nearest to ``volume`` in this world, and by which least score."""
        arm = self._arms.arms[name]
        truths: dict[float, Truth] = {}

        async def pushes(score: float) -> float:
            given = (*arm.set, f"{arm.volume_by}={score!r}")
            truths[score] = (await self._engines(seed, {name: given}))[name]
            return truths[score].total("pushes")

        score, seen = await matched(volume, pushes, tries=tries, begin=begin)
        print(f"{self._shop.name} seed {seed}: {name} pushes {seen:.0f} from {score:.4g} on", flush=True)
        return truths[score], score

    async def _engines(self, seed: int, engines: dict[str, tuple[str, ...]]) -> dict[str, Truth]:
        """A run of each, with what is common to all."""
        return await self._kept.run(seed, {arm: (*self._arms.common.set, *given) for arm, given in engines.items()})


def main() -> None:
    """Run all, report, and leave the truths behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", default="fashion,grocery,electronics", help="names or TOML files, by commas")
    parser.add_argument("--arms", type=Path, default=arm_files.SHIPPED, help="a TOML file of arms")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", type=int, help="of simulated time, instead of the shop's")
    parser.add_argument("--shoppers", type=int, help="instead of the shop's")
    parser.add_argument("--tries", type=int, default=5, help="runs of a world to make an arm's volume equal, at most")
    parser.add_argument("--in-process", action="store_true", help="no Kafka: an engine in this process, to study")
    parser.add_argument("--out", type=Path, default=Path("bench/experiment"), help="a folder for the report")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of all arms")
    given = parser.parse_args()
    arms = arm_files.read(given.arms)
    arms = msgspec.structs.replace(arms, common=arm_files.Common((*arms.common.set, *given.set)))
    report: dict[str, Any] = {"machine": machine(), "volume": VOLUME, "shops": {}}
    report["arms"] = {name: arm.says for name, arm in arms.arms.items()}
    report["settings"] = {name: [*arms.common.set, *arm.set] for name, arm in arms.arms.items()}
    for source in given.shops.split(","):
        changes = {name: value for name in ("days", "shoppers") if (value := getattr(given, name))}
        shop = msgspec.structs.replace(file.read(source), **changes)
        report["shops"][shop.name] = _of_shop(shop, arms, given)
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        (given.out / "report.html").write_text(page(report))
    print(f"written: {given.out}/report.json, {given.out}/report.html")


def _of_shop(shop: Shop, arms: Arms, given: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    with ExitStack() as stack:
        way: Way = InProcess()
        if not given.in_process:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamer-experiment-"))
            way = OnKafka(stack.enter_context(EmbeddedBroker(config=BROKER)), Path(folder))
        kept = Kept(way, shop, given.out / "truth")
        experiment = Experiment(shop, arms, kept)
        runs, volumes = asyncio.run(experiment.run(range(1, given.seeds + 1), tries=given.tries))
    made_by = sorted({truth.made_by for truths in runs.values() for truth in truths if truth.made_by})
    told = {"way": way.name, "made_by": made_by, "kept": kept.found, "seconds": round(time.monotonic() - began, 1)}
    found = compare(runs) | {"curves": curves(runs), "volumes": volumes} | told
    found["tiredness"] = {arm: tiredness(truths, shop.push) for arm, truths in runs.items()}
    _print(shop.name, found)
    return found


def _print(shop: str, found: dict[str, Any]) -> None:
    print(f"\n{shop}, {found['seconds']:.0f} s")
    for name, says in FIGURES.items():
        row = [f"{arm} {_interval(figures[name])}" for arm, figures in found["arms"].items()]
        print(f"  {says}: {'; '.join(row)}")
    print(
        f"  at stake, a thousand pushes: {'; '.join(f'{arm} {chances}' for arm, chances in found['at_stake'].items())}"
    )
    for arm, weeks in found["at_stake_by_week"].items():
        print(f"  the same of {arm} by week: {'; '.join(map(str, weeks))}")
    print(f"  opt-outs, of those if nobody were tired of pushes: {found['tiredness']}")
    for arm, against in found["against"].items():
        lifts = [f"{name} {_interval(both['lift'])}" for name, both in against.items()]
        print(f"  lift over {arm}: {'; '.join(lifts)}")


def _interval(ends: list[float | None]) -> str:
    value, low, high = ("-" if end is None else f"{end:.4g}" for end in ends)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main()
