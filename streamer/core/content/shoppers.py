"""A shopper in terms of content: the newest few items, of which the newer counts more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

NEWEST: Final = 8
BY_PLACE: Final = np.array([0.75**n for n in range(NEWEST)])


def runs_of(query: Ints, shoppers: int) -> list[slice]:
    """The rows of each shopper, where ``query`` tells each row's and is sorted.

    What is looked up for one shopper after the other stays in the processor's cache, and need not be told apart.
    """
    ends = query.searchsorted(np.arange(shoppers), side="right").tolist()
    return list(map(slice, [0, *ends[:-1]], ends))


def ratio(product: Floats, lengths: Floats) -> Floats:
    """Cosines out of products and of products of lengths, which are 0 or at least 1; 0 for those."""
    found: Floats = product / np.maximum(lengths, 1.0)
    return found
