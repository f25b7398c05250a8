"""``python -m tests.faults --rounds 5 --seed 1``: rounds of faults on real Kafka, and a report that says what broke."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.kinds import FAULTS
from tests.faults.rounds import chosen, play
from tests.faults.site import site

if TYPE_CHECKING:
    from tests.faults.rounds import Report


def main() -> int:
    """The exit code: 1 if anything was lost, doubled or broken."""
    asked = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    asked.add_argument("--rounds", type=int, default=3, help="how many; each has the next seed")
    asked.add_argument("--seed", type=int, default=1, help="of the first round")
    asked.add_argument("--faults", type=int, default=6, help="how many kinds of faults a round; many inject several")
    asked.add_argument("--only", help=f"these kinds, in this order: {', '.join(fault.name for fault in FAULTS)}")
    asked.add_argument("--json", type=Path, help="write the reports there")
    options = asked.parse_args()
    # The harness's own clients are cut off as often as the workers; what they say of it is no news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    known = {fault.name: fault for fault in FAULTS}
    only = [known[name] for name in options.only.split(",")] if options.only else None
    reports: list[Report] = []
    with site() as where:
        for seed in range(options.seed, options.seed + options.rounds):
            _say(f"seed {seed}")
            report = play(where, seed, only or chosen(seed, options.faults), tell=_say)
            reports.append(report)
            _say(_line(report))
            for broken in report.broken:
                _say(f"  BROKEN {broken}")
            if options.json is not None:
                options.json.write_text(json.dumps(_summary(reports), indent=1))
    summary = _summary(reports)
    _say(json.dumps({name: value for name, value in summary.items() if name != "rounds"}))
    return 0 if summary["sound"] else 1


def _line(report: Report) -> str:
    slowest = max(report.recovery_s, default=0.0)
    return (
        f"  {report.injected} faults, {report.events} events, {report.unsent} not sent, {report.candidates} pushes, "
        f"{report.aborted} records aborted, lost {report.lost}, doubled {report.doubled}, broken {len(report.broken)}, "
        f"recovery {slowest:.1f} s at most, drained in {report.drain_s:.1f} s, {report.seconds:.0f} s in all"
    )


def _summary(reports: list[Report]) -> dict[str, object]:
    times = sorted(took for report in reports for took in report.recovery_s)
    kinds = Counter(name for report in reports for name in report.faults)
    return {
        "sound": all(report.sound for report in reports),
        "seeds": [report.seed for report in reports],
        "faults": sum(report.injected for report in reports),
        "events": sum(report.events for report in reports),
        "candidates": sum(report.candidates for report in reports),
        "aborted_records": sum(report.aborted for report in reports),
        "replayed": sum(report.replayed for report in reports),
        "lost": sum(report.lost for report in reports),
        "doubled": sum(report.doubled for report in reports),
        "broken": sum(len(report.broken) for report in reports),
        "skipped": [skipped for report in reports for skipped in report.skipped],
        "recovery_s": {"median": times[len(times) // 2], "max": times[-1]} if times else {},
        "kinds": dict(sorted(kinds.items())),
        "rounds": [report.row() for report in reports],
    }


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
