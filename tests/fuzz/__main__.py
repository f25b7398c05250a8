"""``python -m tests.fuzz --inputs 1000000 --seed 1``: contracts under fire, at length."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.run import TARGETS, Run, one, rounds

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVERY_S = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, report, and answer 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=TARGETS, default="", help="this one alone")
    parser.add_argument("--round", type=int, help="one round of the target again, as a finding names it")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    if options.round is not None:
        run = one(options.seed, options.target or TARGETS[0], options.round)
    else:
        run, said = Run(), began
        for run in rounds(options.seed, options.inputs, options.target):
            if time.monotonic() - said > _EVERY_S:
                said = time.monotonic()
                _say(f"{run.tally.inputs:,} inputs, {len(run.findings)} findings")
    seconds = time.monotonic() - began
    _report(run, options.seed, seconds)
    if options.json:
        figures = {"seed": options.seed, "seconds": round(seconds, 1), **run.tally.as_json()}
        options.json.write_text(json.dumps(figures | {"findings": [f.what for f in run.findings]}, indent=1) + "\n")
    return 1 if run.findings else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _report(run: Run, seed: int, seconds: float) -> None:
    for finding in run.findings:
        _say(f"\n=== {finding.target}, round {finding.number}: {finding.what}\n{finding.trace}")
        _say(f"again: python -m tests.fuzz --seed {seed} --target {finding.target} --round {finding.number}")
    _say(f"\n{run.tally.inputs:,} inputs in {seconds:.0f} s, {len(run.findings)} findings")
    for outcome, count in run.tally.by_outcome().items():
        _say(f"{count:10,}  {outcome}")
    for check, count in sorted(run.tally.checks.items()):
        _say(f"{count:10,}  {check}")


if __name__ == "__main__":
    sys.exit(main())
