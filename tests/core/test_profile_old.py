"""Rows that earlier releases wrote are read by this one."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from agents.roles.user import UserRole
from streamer.core.campaigns.campaign import NEXT
from streamer.core.packed import AFFINITY, BOUGHT
from streamer.core.policy.rule import Case
from streamer.core.policy.state import Standing
from streamer.core.policy.verdict import cheap_refusal
from streamer.core.profile import fold
from streamer.core.settings import HOUR_MS, PolicySettings, ProfileSettings
from tests.core.test_profile import synthetic

ROWS_FOLDER = Path(__file__).parent / "rows"
OLD = {version: json.loads((ROWS_FOLDER / f"profile_v{version}.json").read_text()) for version in (1, 2, 3)}
ROWS = [told for rows in OLD.values() for told in rows]
CODEC = UserRole.tables[0].codec
POLICY = next(table.codec for table in UserRole.tables if table.name == "policy")


@pytest.mark.parametrize("told", ROWS)
def test_an_old_row_says_what_it_said(told) -> None:
    profile = CODEC.decode(b64decode(told["row"]))
    assert list(profile.counts) == told["counts"]
    assert (profile.last_ms, profile.sessions, profile.era) == (told["last_ms"], told["sessions"], told["era"])
    assert [list(row) for row in profile.recents()] == told["items"]
    # What was bought had no first time and no count before version 3: it was bought once.
    bought = [row if len(row) == 4 else [*row, row[1], 1] for row in told["purchased"]]
    assert [list(row) for row in profile.bought()] == bought
    assert profile.hours == b""
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
    told = halfway.bought() if version > 2 else [b._replace(first_s=b.time_s, orders=1) for b in halfway.bought()]
    assert upgraded == msgspec.structs.replace(halfway, purchased=BOUGHT.packed(told), hours=b"")
    assert CODEC.decode(CODEC.encode(upgraded)) == upgraded


@pytest.mark.parametrize("told", json.loads((ROWS_FOLDER / "policy_before_timers.json").read_text()))
def test_a_policy_row_of_before_timers_says_what_it_said_and_nothing_more(told) -> None:
    """Fields were added at its ends: the version is the same, and each has the value of never."""
    state = POLICY.decode(b64decode(told["row"]))
    standing = {**msgspec.structs.asdict(Standing()), **told["standing"]}
    assert msgspec.json.decode(msgspec.json.encode(msgspec.structs.asdict(state.standing))) == {
        name: list(value) if isinstance(value, tuple) else value for name, value in standing.items()
    }
    assert [[push.time_ms, push.campaign, list(push.items)] for push in state.sent] == told["sent"]
    assert {(push.categories, push.ghost, push.mark) for push in state.sent} <= {((), False, 0)}
    assert (state.armed, state.wake_ms) == ((), 0)
    assert state.standing.opted_out == told["opted_out"]
    assert POLICY.decode(POLICY.encode(state)) == state


def test_pushes_of_an_old_row_count_for_caps_and_bind_the_next() -> None:
    """An upgrade forgets nothing that was sent."""
    told = json.loads((ROWS_FOLDER / "policy_before_timers.json").read_text())[1]
    state = POLICY.decode(b64decode(told["row"]))
    now_ms = state.sent[-1].time_ms + HOUR_MS
    case = Case(NEXT, now_ms, now_ms, 0, 0.0, state.standing, state.sent)
    weekly = PolicySettings(min_gap_ms=0, per_hour=100, per_day=100, per_week=len(state.sent))
    assert cheap_refusal(case, weekly) == "week_cap"
    assert cheap_refusal(case, replace(weekly, per_week=len(state.sent) + 1)) is None
