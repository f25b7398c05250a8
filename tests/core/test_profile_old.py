"""Rows that earlier releases wrote are read by this one."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest

from agents.roles.user import UserRole
from streamer.core.packed import AFFINITY, BOUGHT
from streamer.core.profile import fold
from streamer.core.settings import ProfileSettings
from tests.core.test_profile import synthetic

OLD = {
    version: json.loads((Path(__file__).parent / "rows" / f"profile_v{version}.json").read_text()) for version in (1, 2)
}
ROWS = [told for rows in OLD.values() for told in rows]
CODEC = UserRole.tables[0].codec


@pytest.mark.parametrize("told", ROWS)
def test_an_old_row_says_what_it_said(told) -> None:
    profile = CODEC.decode(b64decode(told["row"]))
    assert list(profile.counts) == told["counts"]
    assert (profile.last_ms, profile.sessions, profile.era) == (told["last_ms"], told["sessions"], told["era"])
    assert [list(row) for row in profile.recents()] == told["items"]
    # What was bought had no first time and no count: it was bought once.
    assert [list(row) for row in profile.bought()] == [[key, at, at, 1] for key, at in told["purchased"]]
    assert [[s.text, s.time_s] for s in profile.searches] == told["searches"]
    assert [profile.price_weight, profile.price_mean, profile.price_var] == told["price"]
    for part in ("categories", "brands"):
        assert [list(row) for row in AFFINITY.rows(getattr(profile, part))] == told[part]


@pytest.mark.parametrize("version", OLD)
def test_a_profile_that_was_upgraded_goes_on_as_if_it_had_always_been_of_this_version(version) -> None:
    settings, halfway = ProfileSettings(), None
    events = [e for e in synthetic(600, users=8) if e.user == "user-0"]
    for event in events:
        halfway = fold(halfway, event, settings)
    upgraded = CODEC.decode(b64decode(OLD[version][0]["row"]))
    assert halfway is not None
    # All but what the old row did not count.
    told = [b._replace(first_s=b.time_s, orders=1) for b in halfway.bought()]
    assert upgraded == msgspec.structs.replace(halfway, purchased=BOUGHT.packed(told))
    assert CODEC.decode(CODEC.encode(upgraded)) == upgraded
