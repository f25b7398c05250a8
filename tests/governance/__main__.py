"""``make governance``: whole runs of the simulated shops with killed workers, held to every rule."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from load_tests.shop.file import read
from tests.governance.simulated import governed


def main() -> int:
    """1 if a rule was broken in a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--shops", default="fashion,grocery,electronics", help="names or TOML files, by commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, help="instead of the shop's")
    parser.add_argument("--every", type=int, default=20, help="a worker is killed in every so-manieth step")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the engine")
    given = parser.parse_args()
    broken = 0
    for name in given.shops.split(","):
        changes: dict[str, Any] = {"days": given.days} if given.days else {}
        found = governed(msgspec.structs.replace(read(name), **changes), given.seed, every=given.every, given=given.set)
        verdict = found.verdict
        told = f"{verdict.decisions} decisions, {verdict.pushes} pushes, {found.truth.total('opt_outs'):.0f} opt-outs"
        broke = f"{len(verdict.violations)} violations {verdict.counts or ''}"
        sys.stdout.write(f"{name}: {told}, {found.kills} kills, {broke}\n")
        for violation in verdict.violations[:20]:
            sys.stdout.write(f"  {violation}\n")
        sys.stdout.flush()
        broken += len(verdict.violations)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
