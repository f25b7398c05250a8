"""Does a message that waits for the shopper's best hour come when they are there? On a log of real visits.

Before each visit of a known shopper a message is imagined that waits for a silence, as campaign `new-arrivals` does,
and three moments for it: its usual time, the hour within 12 at which the whole shop is busiest so far, and the
shopper's own best. The moment is right if the visit that follows, whatever day it comes, is within an hour of it by the
clock.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from load_tests.harness import machine, write
from streamer.core.campaigns.campaign import Triggers
from streamer.core.campaigns.cycles import Cycles
from streamer.core.campaigns.due import Times, due
from streamer.core.events import EVENT_TYPES
from streamer.core.hours import HOUR_MS, KNOWN, at_best_hour, with_visit
from streamer.core.index import ItemIndex
from streamer.core.profile import Profile, fold
from streamer.core.retrieval_settings import ItemSettings
from streamer.core.settings import DAY_MS, ProfileSettings
from streamer.readers.registry import open_events

TRIGGERS = Triggers(on=("view",), due="silence", first_ms=2 * DAY_MS, least_ms=2 * DAY_MS, most_ms=14 * DAY_MS)
TIMES = Times(Cycles(ItemIndex(), ItemSettings()), lambda _: False)
WITHIN_MS = 12 * HOUR_MS
MOMENTS = ("usual time", "shop's busiest hour", "shopper's best hour")


def right(moment_ms: int, visit_ms: int) -> bool:
    """Whether a visit begins within an hour of a moment, by the clock alone."""
    apart = (visit_ms - moment_ms) % DAY_MS
    return min(apart, DAY_MS - apart) <= HOUR_MS


def judged(path: Path) -> tuple[dict[str, list[list[bool]]], dict[str, Profile], int]:
    """By shopper and visit, which of its moments were right; the profiles; how many visits there were in all."""
    settings, profiles, shop, visits = ProfileSettings(), dict[str, Profile](), b"", 0
    found: dict[str, list[list[bool]]] = {}
    for event in open_events(path):
        before = profiles.get(event.user)
        begins = before is None or event.time > before.last_ms + settings.session_gap_ms
        if EVENT_TYPES[event.type].kind not in {"feedback", "preference"} and begins:
            visits += 1
            if before is not None and sum(before.hours[1::2]) >= KNOWN and event.time > before.last_ms + DAY_MS:
                usual = due(TRIGGERS, before, before.last_ms, TIMES)
                assert usual is not None
                by_hours = [at_best_hour(hours, usual.at_ms, WITHIN_MS, TIMES.closed) for hours in (shop, before.hours)]
                rights = [right(moment, event.time) for moment in (usual.at_ms, *by_hours)]
                found.setdefault(event.user, []).append(rights)
            shop = with_visit(shop, event.time, 255)
        profiles[event.user] = fold(before, event, settings)
    return found, profiles, visits


def differences(found: dict[str, list[list[bool]]], draws: int, seed: int) -> dict[str, Any]:
    """The share of right moments of each kind, and what the own gains, in %; 95 % by bootstrap of shoppers."""
    sums = np.array([np.sum(moments, axis=0) for moments in found.values()], dtype=np.float64)
    sizes = np.array([len(moments) for moments in found.values()], dtype=np.float64)
    chosen = np.random.default_rng(seed).integers(0, len(sizes), (draws, len(sizes)))
    shares = 100 * sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)[:, None]
    told: dict[str, Any] = dict(zip(MOMENTS, np.round(100 * sums.sum(axis=0) / sizes.sum(), 1).tolist(), strict=True))
    for n, name in enumerate(MOMENTS[:-1]):
        gained = shares[:, -1] - shares[:, n]
        told[f"own above {name}"] = np.round(np.percentile(gained, (2.5, 50, 97.5)), 1).tolist()
    return told


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a log of events, of any format that is read")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found, profiles, visits = judged(given.file)
    sizes = sorted(len(profile.hours) for profile in profiles.values())
    told = {
        "shoppers": len(profiles),
        "visits": visits,
        "judged_shoppers": len(found),
        "judged_visits": sum(map(len, found.values())),
        "row_bytes_median_and_largest": [sizes[len(sizes) // 2], sizes[-1]],
    }
    write(told | (differences(found, given.draws, given.seed) if found else {}) | machine(), given.json)


if __name__ == "__main__":
    main()
