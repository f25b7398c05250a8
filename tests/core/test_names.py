"""Names under ids of their own, met again by their keys."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.events import group_key
from streamer.core.names import NONE, Names


def colliding() -> tuple[str, str]:
    """Two names with one key, the smaller first; among some 80,000 there is a pair."""
    seen: dict[int, str] = {}
    for number in range(1_000_000):
        name = f"brand {number}"
        other = seen.setdefault(group_key(name), name)
        if other != name:
            return min(other, name), max(other, name)
    raise AssertionError("no two names share a key")


def test_a_name_keeps_its_id_and_is_found_by_its_key() -> None:
    names = Names()
    ids = [names.id(name) for name in ("acme", "zeta", "acme", "")]
    assert ids == [0, 1, 0, NONE]
    assert len(names) == 2
    assert names.ids([group_key("zeta"), group_key("unheard of"), 0]).tolist() == [1, NONE, NONE]
    assert (names.name(group_key("zeta")), names.name(1), names.name(0)) == ("zeta", "", "")
    assert names.keys_of(np.array([1, 0])).tolist() == [group_key("zeta"), group_key("acme")]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_names_with_one_key_the_smaller_stands_for_both_whichever_was_met_first(order: int) -> None:
    """Replicas meet them in different orders, and must rank alike."""
    names = Names()
    smaller, greater = colliding()
    ids = {name: names.id(name) for name in (smaller, greater)[::order]}
    assert ids[smaller] != ids[greater]
    assert names.name(group_key(greater)) == smaller
    assert names.ids([group_key(greater)]).tolist() == [ids[smaller]]
