"""The Open Bandit Dataset's small version as arrays, read without our own reader.

``data/open_bandit.csv.gz`` is it, cut to the columns used: 10,000 impressions in each of two campaigns (men's and
women's clothes) by each of two policies (uniformly random; Bernoulli Thompson sampling), 207 clicks in all, of
ZOZOTOWN, 24 to 30 November 2019. © ZOZO Research, CC BY 4.0 (https://research.zozo.com/data.html; Saito et al.,
arXiv:2008.07146); user features renamed.
"""

from __future__ import annotations

import csv
import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DATA = Path(__file__).parent / "data"
CAMPAIGNS = {"men": 34, "women": 46}
FILE = DATA / "open_bandit.csv.gz"


class Rounds(NamedTuple):
    item: Ints
    position: Ints
    click: Ints
    propensity: Floats


@cache
def rounds(campaign: str, policy: str) -> Rounds:
    """One campaign under one policy; positions from 0."""
    with gzip.open(FILE, "rt") as text:
        rows = [row for row in csv.DictReader(text) if (row["campaign"], row["policy"]) == (campaign, policy)]
    return Rounds(
        np.array([int(row["item_id"]) for row in rows]),
        np.array([int(row["position"]) - 1 for row in rows]),
        np.array([int(row["click"]) for row in rows]),
        np.array([float(row["propensity_score"]) for row in rows]),
    )


def expected(items: int) -> Floats:
    """[items, 3]: a made-up reward model, so that both sides are given the same."""
    return 0.003 + 0.0005 * (np.arange(items)[:, None] % 7) + 0.001 * np.arange(3)[None, :]
