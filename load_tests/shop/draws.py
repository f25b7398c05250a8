"""Random numbers by name: the same parts give the same draws, whatever else was drawn before.

So what a shopper does of their own accord is the same in every arm, and so is what they make of the same push.
"""

from __future__ import annotations

import random
from hashlib import blake2b

import numpy as np


def _number(parts: tuple[object, ...]) -> int:
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")


def draws(*parts: object) -> random.Random:
    """A generator of the standard library of its own for these parts."""
    return random.Random(_number(parts))


def arrays(*parts: object) -> np.random.Generator:
    """The same of numpy's, for whole arrays."""
    return np.random.Generator(np.random.PCG64(_number(parts)))
