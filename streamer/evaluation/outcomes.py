"""What happened to each target of a run, small enough to keep, so that two runs can be compared target by target.

Arrays are little-endian bytes, deflated, as base64: some 0.3 bytes a target and ranking.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING
from zlib import compress, decompress

import msgspec

from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.judge import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.evaluation.bootstrap import Difference


class Outcomes(msgspec.Struct, frozen=True):
    """One list's protocol of a run. ``lists`` identifies users, times and targets: equal runs judged the same lists.

    ``users``, ``sizes``, ``new`` as in ``judge.Asked``; ``places`` as in ``judge.Judge``, by ranking.
    """

    lists: str
    users: str
    sizes: str
    new: str
    places: dict[str, str]


class NotTheSameLists(ValueError):  # noqa: N818 - says what it is
    """Two runs that judged different lists: another file, limit or ``every``."""


def keep(lists: str, asked: Asked, places: Mapping[str, Sequence[int]]) -> Outcomes:
    """The outcomes, packed."""
    packed = {name: _packed(array("B", each)) for name, each in places.items()}
    return Outcomes(lists, _packed(asked.users), _packed(asked.sizes), _packed(asked.new), packed)


def compare(one: Outcomes, two: Outcomes, name: str, replicates: int, seed: int = 1) -> dict[str, Difference]:
    """By how much ranking ``name`` of ``one`` is above that of ``two``, with intervals, by metric.

    Raises ``NotTheSameLists``.
    """
    if one.lists != two.lists:
        raise NotTheSameLists("the two runs judged different lists: compare runs of one file, --limit and --every")
    asked = Asked()
    asked.users, asked.sizes, asked.new = (
        _unpacked(kind, text) for kind, text in (("I", one.users), ("I", one.sizes), ("B", one.new))
    )
    places = {"one": _unpacked("B", one.places[name]), "two": _unpacked("B", two.places[name])}
    return Draws(asked, places, replicates, seed).difference("one", "two")


def _packed(values: array[int]) -> str:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return b64encode(compress(values.tobytes(), 9)).decode()


def _unpacked(kind: str, text: str) -> array[int]:
    values: array[int] = array(kind, decompress(b64decode(text)))
    if sys.byteorder == "big":
        values.byteswap()
    return values
