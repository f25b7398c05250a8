"""What each family of candidates earns: left out, with its features, and the net learned anew, on kept lists.

As ``streamer evaluate --ablate`` does it, but in seconds a family: the lists come from one replay (``kept.py``), and a
family is left out by taking away the candidates that it alone proposed and putting its features at 0. What the whole
list shares (``choices``, ``rivals``) is counted again; which rows are drawn to learn from may differ. Vectors propose
nothing: they are two features, learned once beside the lists. Told of each family: what is lost without it, paired,
95 % by bootstrap over users; how many candidates a list are its own; and the share of all targets that it proposed,
and that it alone proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.harness import machine, write
from load_tests.kept import ROW, Lists, Places
from load_tests.vectors import Learned, lists_of, of_lists
from streamer.core.candidates.registry import GENERATORS
from streamer.core.exactmath import LOG2_E, exp2, log2, log2_1p
from streamer.core.features import FEATURES, rows_of
from streamer.core.models.trainer import Trainer
from streamer.core.settings import CoreSettings
from streamer.evaluation.ablate import families

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIORS = np.array([feature.prior * LOG2_E for feature in FEATURES])
SHARED = [ROW["choices"], ROW["rivals"]]
NAMES = [generator.name for generator in GENERATORS]


def vectors(lists: Lists) -> Floats:
    """The two features of each candidate [2, rows], learned as the settings say."""
    learned, found = Learned(lists, CoreSettings().vectors, "float16"), np.zeros((2, len(lists.key)))
    for n in range(len(lists)):
        x = np.zeros((len(FEATURES), lists.rows(n).stop - lists.rows(n).start))
        learned.until(int(lists.steps[n]))
        learned.fill(n, x)
        found[:, lists.rows(n)] = x[[ROW["vectors"], ROW["vectors_cosine"]]]
    return found


class Without:
    """A ranker that does without a family; ``""`` for the whole."""

    def __init__(self, lists: Lists, family: str) -> None:
        self._lists, self.family = lists, family
        self._bit = np.uint32(1 << NAMES.index(family)) if family in NAMES else np.uint32(0)
        self._rows = rows_of((family,))
        self.places, self._trainer = Places(lists), Trainer(CoreSettings().learning)
        self.alone = self.proposed = 0

    def list(self, n: int, whole: Floats) -> Floats:
        """Rank list ``n`` of features [F, rows] and learn. Probabilities of all rows, -inf of those left out."""
        by = self._lists.by[self._lists.rows(n)]
        kept = np.flatnonzero(by & ~self._bit) if self._bit else np.arange(len(by))
        self.alone += len(by) - len(kept)
        self.proposed += int(np.count_nonzero(by & self._bit))
        x = whole[:, kept]
        if self.family:
            x[self._rows] = 0.0
            x[SHARED[0]] = log2_1p(np.array([float(len(kept))]))[0] * 0.25
            total = float(exp2(PRIORS @ x).sum())
            x[SHARED[1]] = np.clip(log2(np.array([max(total, 1e-6)]))[0] * 0.25, -5.0, 8.0)
        p = np.full(len(by), -np.inf)
        p[kept] = self._trainer.champion.predict_many(x)
        self.places.add(n, p)
        # Of what was left out nothing can be learned.
        example = self._lists.example(n, x, p[kept], kept=kept)
        if example is not None:
            self._trainer.learn_one(example)
        return p


def main() -> None:
    """Measure and report."""
    parser = of_lists(__doc__ or "")
    parser.add_argument("--families", help="only these, with commas between them")
    given = parser.parse_args()
    lists = lists_of(given)
    of_vectors = vectors(lists)
    names = given.families.split(",") if given.families else families()
    runs = [Without(lists, name) for name in ("", *names)]
    for n in range(len(lists)):
        x = lists.features(n)
        x[[ROW["vectors"], ROW["vectors_cosine"]]] = of_vectors[:, lists.rows(n)]
        for each in runs:
            each.list(n, x)
    taken = lists.row[lists.row >= 0] + np.repeat(lists.offsets[:-1], np.diff(lists.asked))[lists.row >= 0]
    by = lists.by[taken]
    found: dict[str, Any] = {}
    for each in runs[1:]:
        bit = each._bit  # noqa: SLF001 - of its own kind
        found[each.family] = {
            "lost": runs[0].places.above(each.places),
            "candidates": round(each.proposed / len(lists), 2),
            "alone": round(each.alone / len(lists), 2),
            "targets": round(float(np.count_nonzero(by & bit)) / len(lists.row), 4),
            "targets_alone": round(float(np.count_nonzero((by == bit) & (bit > 0))) / len(lists.row), 4),
        }
        print(each.family, found[each.family], flush=True)
    whole = runs[0].places.figures() | {"pool": round(len(lists.key) / len(lists), 1)}
    write({"lists": len(lists), "whole": whole, "families": found, **machine()}, given.json)


if __name__ == "__main__":
    main()
