"""Is what was bought bought again when campaign `buy-again` says? On a log of real purchases.

Of each item of an order it is foretold when it is due again, as of then, in three ways: by the shopper's own gaps alone
(so nothing is said of what was bought once), with the item's own cycle where there are none, and by a fixed time that
is the log's own median gap. It is right if the shopper's next purchase of it is less than a week, or less than a
quarter of the gap, from there. The last ``--horizon`` days are not foretold for, as nobody knows what came of those.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from load_tests.harness import machine, write
from streamer.core.campaigns.cycles import Cycles
from streamer.core.index import ItemIndex
from streamer.core.items.deltas import ItemDeltas
from streamer.core.items.fold import apply_deltas
from streamer.core.items.gaps import GAPS, SHORTEST_S
from streamer.core.items.leads import Leads, leads_of
from streamer.core.items.state import ItemState, row_key
from streamer.core.packed import BOUGHT
from streamer.core.profile import Profile, fold
from streamer.core.retrieval_settings import ItemSettings
from streamer.core.settings import DAY_MS, ProfileSettings
from streamer.readers.registry import open_events

WEEK_MS = 7 * DAY_MS
LEAST_MS, MOST_MS = 3 * DAY_MS, 120 * DAY_MS
WAYS = ("own", "own and item's", "fixed")
_PLACES = frozenset(GAPS)


class Rows(dict[str, ItemState]):
    """Table ``items``."""

    def get_many(self, keys: Any) -> list[ItemState | None]:
        """The rows of keys, in that order."""
        return [self.get(key) for key in keys]


class Learned:
    """The cycles of a log as of the newest day."""

    def __init__(self) -> None:
        self.settings, self.index, self._rows, self._deltas = ItemSettings(), ItemIndex(), Rows(), ItemDeltas()
        self.cycles = Cycles(self.index, self.settings)

    def see(self, event: Any, before: Profile | None) -> None:
        """The gaps that an order closes; what it was bought with is no matter here."""
        leads = leads_of(event, before, self.settings)
        pairs = [pair for pair in leads.pairs if pair[1] and pair[1][0] in _PLACES]
        self._deltas.add(event, [], self.settings, Leads(leads.counted, pairs))

    def publish(self) -> None:
        """Let the index know."""
        for key, state in apply_deltas(self._deltas, self._rows, self.settings).items():
            self._rows[row_key(key)] = state
            self.index.apply_state(state)
        self._deltas = ItemDeltas()


def foretold(path: Path, fixed_ms: float) -> tuple[list[tuple[str, float, float, float, float]], int]:
    """(user, gap that followed or -1, gap by each of ``WAYS`` or 0) of each item of each order; when the log ends."""
    settings, profiles, learned, day, last_ms = ProfileSettings(), dict[str, Profile](), Learned(), 0, 0
    told: list[list[Any]] = []
    waiting: dict[tuple[str, int], list[Any]] = {}
    for event in open_events(path):
        if event.type != "purchase":
            continue
        if event.time // DAY_MS != day:
            day = event.time // DAY_MS
            learned.publish()
        last_ms, before = event.time, profiles.get(event.user)
        learned.see(event, before)
        after = profiles[event.user] = fold(before, event, settings)
        keys = list(dict.fromkeys(line.key for line in event.lines))
        usual = learned.cycles.of(keys, event.time)
        for key, usual_ms in zip(keys, usual, strict=True):
            # Of an order of more lines than a profile remembers some are gone already.
            if (at := BOUGHT.find(after.purchased, key)) == -1:
                continue
            _, last_s, first_s, orders = BOUGHT.unpack_from(after.purchased, at)
            own_ms, gaps = (last_s - first_s) * 1000, orders - 1
            own = own_ms / gaps if gaps else 0.0
            both = own or usual_ms
            if (open_one := waiting.get((event.user, key))) is not None:
                if event.time - open_one[1] < SHORTEST_S * 1000:
                    continue
                open_one[2] = event.time - open_one[1]
            by = [min(max(gap, LEAST_MS), MOST_MS) if gap else 0.0 for gap in (own, both, fixed_ms)]
            waiting[event.user, key] = one = [event.user, event.time, -1.0, *by]
            told.append(one)
    return [tuple(one) for one in told], last_ms


def judged(path: Path, horizon_ms: int, draws: int, seed: int) -> dict[str, Any]:
    """By way: how many were foretold, the share of right ones, and how many of those bought again it got right."""
    told, last_ms = foretold(path, 30.0 * DAY_MS)
    users = np.unique([one[0] for one in told], return_inverse=True)[1]
    numbers = np.array([one[1:] for one in told], dtype=np.float64)
    kept = numbers[:, 0] < last_ms - horizon_ms
    users, numbers = users[kept], numbers[kept]
    gap = numbers[:, 1]
    again = gap > 0
    fixed_ms = float(np.median(gap[again]))
    numbers[:, 4] = fixed_ms
    right = np.array(
        [again & (by > 0) & (np.abs(gap - by) <= np.maximum(WEEK_MS, gap / 4)) for by in numbers[:, 2:].T], np.float64
    )
    made = np.array([by > 0 for by in numbers[:, 2:].T], np.float64)
    figures: dict[str, Any] = {
        "items_of_orders": len(gap),
        "bought_again": int(again.sum()),
        "fixed_days": round(fixed_ms / DAY_MS, 1),
    }
    for n, way in enumerate(WAYS):
        both_known = again & (made[n] > 0)
        off = np.abs(np.log2(numbers[both_known, 2 + n] / gap[both_known]))
        figures[way] = {
            "foretold": int(made[n].sum()),
            "right_pct": round(100 * right[n].sum() / made[n].sum(), 2),
            "of_bought_again_pct": round(100 * right[n].sum() / again.sum(), 2),
            "median_off_octaves": round(float(np.median(off)), 2),
        }
    sums = np.array([np.bincount(users, each) for each in (*right, *made)])
    chosen = np.random.default_rng(seed).integers(0, sums.shape[1], (draws, sums.shape[1]))
    drawn = np.array([each[chosen].sum(axis=1) for each in sums])
    for n in (0, 2):
        gained = 100 * (drawn[1] / drawn[4] - drawn[n] / drawn[3 + n])
        figures[f"{WAYS[1]} above {WAYS[n]}, right_pct"] = np.round(np.percentile(gained, (2.5, 50, 97.5)), 2).tolist()
    # Where the shopper has gaps of their own, so that both say something.
    own = made[0] > 0
    figures["where both say something, right_pct"] = [
        round(100 * float(right[n][own].mean()), 2) for n in range(len(WAYS))
    ]
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a log of events, of any format that is read")
    parser.add_argument("--horizon", type=int, default=60, help="days at the end that are not foretold for")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write(judged(given.file, given.horizon * DAY_MS, given.draws, given.seed) | machine(), given.json)


if __name__ == "__main__":
    main()
