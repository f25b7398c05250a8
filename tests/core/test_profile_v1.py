"""Rows that release 0.1 wrote are read by this one."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest

from agents.roles.user import UserRole
from streamer.core.packed import AFFINITY
from streamer.core.profile import fold
from streamer.core.settings import ProfileSettings
from tests.core.test_profile import synthetic

ROWS = json.loads((Path(__file__).parent / "rows" / "profile_v1.json").read_text())
CODEC = UserRole.tables[0].codec


@pytest.mark.parametrize("told", ROWS)
def test_a_row_of_version_1_says_what_it_said(told) -> None:
    profile = CODEC.decode(b64decode(told["row"]))
    assert list(profile.counts) == told["counts"]
    assert (profile.last_ms, profile.sessions, profile.era) == (told["last_ms"], told["sessions"], told["era"])
    assert [list(row) for row in profile.recents()] == told["items"]
    assert [list(row) for row in profile.bought()] == told["purchased"]
    assert [[s.text, s.time_s] for s in profile.searches] == told["searches"]
    assert [profile.price_weight, profile.price_mean, profile.price_var] == told["price"]
    for part in ("categories", "brands"):
        assert [list(row) for row in AFFINITY.rows(getattr(profile, part))] == told[part]


def test_a_profile_that_was_upgraded_goes_on_as_if_it_had_always_been_of_this_version() -> None:
    settings, halfway = ProfileSettings(), None
    events = [e for e in synthetic(600, users=8) if e.user == "user-0"]
    for event in events:
        halfway = fold(halfway, event, settings)
    upgraded = CODEC.decode(b64decode(ROWS[0]["row"]))
    assert upgraded == halfway
    assert CODEC.decode(CODEC.encode(upgraded)) == upgraded
