"""The nodes of an item index: where in it, by what they lead to items from (``items/leads.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.core.items.leads import bought_with
from streamer.core.names import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex

    Dense = NDArray[np.int64]


class Nodes:
    """Dense ids of nodes. Looking one up by item is remembered, since dense ids stay."""

    __slots__ = ("_bought", "_index")

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._bought = np.full(64, NONE, np.int32)

    def bought_with(self, items: Dense) -> Dense:
        """Of each item (dense) the node of what it was bought with, ``NONE`` if it has none so far."""
        index = self._index
        if len(index) > len(self._bought):
            grown = np.full(index.capacity, NONE, np.int32)
            grown[: len(self._bought)] = self._bought
            self._bought = grown
        found = self._bought.take(items)
        missing = (found == NONE).nonzero()[0]
        if len(missing):
            new = items.take(missing)
            nodes = index.dense_many([bought_with(key) for key in index.keys.take(new).tolist()])
            self._bought[new] = nodes
            found[missing] = nodes
        return found.astype(np.int64)
