"""Runs of equal numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def begins(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal numbers begins."""
    new = np.empty(len(numbers), np.bool_)
    new[:1] = True
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return new.nonzero()[0]
