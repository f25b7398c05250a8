"""Beyond accuracy: how new to people, how wide over the catalogue, how even, and how diverse lists are.

- *novelty*: the mean self-information of what is listed, -log2 of the share of all sightings that were of the item, in
  bits (Zhou et al., PNAS 107, 2010; Vargas, Castells, RecSys 2011). Higher: rarer.
- *coverage*: of the items seen so far at the end, the share that was listed at least once (Ge et al., RecSys 2010).
- *gini*: of how often items were listed, over all items seen: 0 all alike, 1 one item always.
- *diversity*: intra-list diversity, the mean over the pairs of a list of 1 - cosine of the users who saw the two
  (Ziegler et al., WWW 2005). The cosine is estimated from 64 random signs a user summed over an item's users
  (Charikar, STOC 2002; Alon, Matias, Szegedy, STOC 1996), without bias, with an error of about 1/8 a pair.

Sightings are counted up to the end of the block of 256 lists that a list is in; nothing is ranked by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

_SIGNS: Final = 64
_SEED: Final = 0x9E37_79B9_7F4A_7C15
NAMES: Final = ("novelty", "coverage", "gini", "diversity")


class Sightings:
    """Which items there are, how often each was seen, and by whom as a sketch."""

    def __init__(self) -> None:
        self.items = 0
        self.counts = np.zeros(1024, np.int64)
        self.sketches: NDArray[np.float32] = np.zeros((1024, _SIGNS), np.float32)

    def see(self, user: int, items: Iterable[int], first: Sequence[int]) -> None:
        """Count a user's sighting of ``items``, of which they saw those in ``first`` for the first time."""
        for item in items:
            if item >= self.items:
                self.items = item + 1
                if item >= len(self.counts):
                    self.counts = np.concatenate((self.counts, np.zeros_like(self.counts)))
                    self.sketches = np.concatenate((self.sketches, np.zeros_like(self.sketches)))
            self.counts[item] += 1
        if first:
            self.sketches[first] += _signs(user)


def _signs(user: int) -> NDArray[np.float32]:
    """64 signs, 1 or -1, drawn by SplitMix64 of the user's number."""
    z = (user + 1) * _SEED & 0xFFFF_FFFF_FFFF_FFFF
    z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9 & 0xFFFF_FFFF_FFFF_FFFF
    z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB & 0xFFFF_FFFF_FFFF_FFFF
    bits = np.unpackbits(np.frombuffer((z ^ (z >> 31)).to_bytes(8, "little"), np.uint8))
    signs: NDArray[np.float32] = bits.astype(np.float32) * 2 - 1
    return signs


class Beyond:
    """Adds up lists of one ranking."""

    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings
        self._block: list[list[int]] = []
        self._listed = np.zeros(0, np.int64)
        self._bits = self._apart = 0.0
        self._slots = self._pairs = 0

    def add(self, items: list[int]) -> None:
        """A list of distinct items. -1, what a catalog names and nobody has seen, counts for nothing."""
        self._block.append([item for item in items if item >= 0])
        if len(self._block) >= 256:
            self._flush()

    def _flush(self) -> None:
        sizes = np.array([len(items) for items in self._block], np.int64)
        items = np.array([item for each in self._block for item in each], np.int64)
        self._block = []
        if not len(items):
            return
        seen = self._sightings
        listed = np.bincount(items, minlength=seen.items)
        listed[: len(self._listed)] += self._listed
        self._listed = listed
        self._slots += len(items)
        total = seen.counts[: seen.items].sum()
        self._bits -= float(np.log2(np.maximum(seen.counts[items], 1) / total).sum())
        unit = seen.sketches[items].astype(np.float64)
        unit /= np.maximum(np.sqrt((unit * unit).sum(axis=1)), 1e-12)[:, None]
        # The sum of the cosines of all pairs is the square of the sum of the vectors, less each with itself.
        each = np.repeat(np.arange(len(sizes)), sizes)
        sums = np.zeros((len(sizes), _SIGNS))
        np.add.at(sums, each, unit)
        pairs = sizes * (sizes - 1)
        self._apart += float((pairs - ((sums * sums).sum(axis=1) - sizes)).sum())
        self._pairs += int(pairs.sum())

    def figures(self) -> dict[str, float]:
        """By the names of ``NAMES``; 0 of nothing."""
        self._flush()
        items = self._sightings.items
        if not self._slots or not items:
            return dict.fromkeys(NAMES, 0.0)
        listed = np.zeros(items)
        listed[: len(self._listed)] = np.sort(self._listed)
        listed.sort()
        place = np.arange(1, items + 1)
        gini = float(((2 * place - items - 1) * listed).sum() / (items * listed.sum()))
        values = (
            self._bits / self._slots,
            float((listed > 0).mean()),
            gini,
            self._apart / self._pairs if self._pairs else 0.0,
        )
        return dict(zip(NAMES, (round(value, 6) for value in values), strict=True))
