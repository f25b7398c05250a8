"""Local time and quiet hours in real zones, through both changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import zones as shell
from streamer.core.campaigns.campaign import NEXT
from streamer.core.engine import Engine
from streamer.core.policy.quiet_hours import refuses, until
from streamer.core.policy.rule import Case
from streamer.core.policy.state import Standing
from streamer.core.settings import HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from streamer.core.zones import NO_ZONES, Zones
from tests.core.task_shop import T0, Shop, browsing, record, tick

ZONES = shell.load()
SETTINGS = PolicySettings()
NAMES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo", "UTC"]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def case(now_ms: int, quiet: tuple[str, str], zone: str | None) -> Case:
    hours = [int(text[:2]) * 60 + int(text[3:]) for text in quiet]
    standing = Standing(quiet_hours=(hours[0], hours[1]), time_zone=zone)
    return Case(NEXT, now_ms, now_ms, 0, 0.0, standing, (), zones=ZONES)


@given(st.sampled_from(NAMES), st.integers(ms("2001-01-01"), ms("2037-12-31")))
def test_an_offset_is_what_the_zone_database_says(name: str, at_ms: int) -> None:
    """Of any zone, at any moment of these decades."""
    there = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(name))
    offset = there.utcoffset()
    assert offset is not None
    assert ZONES.offset_ms(name, at_ms) == offset.total_seconds() * 1000
    assert ZONES.minute(name, at_ms) == there.hour * 60 + there.minute


@pytest.mark.parametrize(
    ("zone", "hours"), [(None, 0), ("", 0), ("UTC", 0), ("+02:00", 2), ("UTC-5", -5), ("GMT+0530", 5.5), ("Z", 0)]
)
def test_a_fixed_offset_needs_no_database(zone: str | None, hours: float) -> None:
    """As producers write it where no zone has a name."""
    assert NO_ZONES.offset_ms(zone, T0) == hours * HOUR_MS


@pytest.mark.parametrize("name", ["Mars/Olympus", "europe/berlin", "../etc/passwd", "+2:0:0", "\x00"])
def test_a_zone_nobody_knows_has_no_local_time(name: str) -> None:
    """Nor one whose file is none."""
    assert ZONES.offset_ms(name, T0) is None
    assert Zones({name: b"TZif and nothing more"}).offset_ms(name, T0) is None


@pytest.mark.parametrize(
    ("zone", "quiet", "now", "end"),
    [
        ("Europe/Berlin", ("22:00", "07:00"), "2026-01-10 22:30:10", "2026-01-11 06:00"),
        ("Europe/Berlin", ("22:00", "07:00"), "2026-07-10 20:30", "2026-07-11 05:00"),
        # Put forward at 01:00 UTC on 29 March: the night is an hour shorter.
        ("Europe/Berlin", ("22:00", "07:00"), "2026-03-28 22:00", "2026-03-29 05:00"),
        # The hour from 2 to 3 does not exist: what ends in it is over when the clocks are put forward.
        ("Europe/Berlin", ("22:00", "02:30"), "2026-03-28 22:00", "2026-03-29 01:00"),
        # Put back at 01:00 UTC on 25 October: the night is an hour longer.
        ("Europe/Berlin", ("22:00", "07:00"), "2026-10-24 21:00", "2026-10-25 06:00"),
        # The hour from 2 to 3 comes twice, and what is quiet in it is quiet twice.
        ("Europe/Berlin", ("02:00", "02:30"), "2026-10-25 00:10", "2026-10-25 00:30"),
        ("Europe/Berlin", ("02:00", "02:30"), "2026-10-25 01:10", "2026-10-25 01:30"),
        ("America/New_York", ("21:00", "09:00"), "2026-03-08 03:00", "2026-03-08 13:00"),
        # Half an hour, on the first Sunday of April and of October.
        ("Australia/Lord_Howe", ("22:00", "07:00"), "2026-04-04 12:00", "2026-04-04 20:30"),
        ("Australia/Lord_Howe", ("22:00", "07:00"), "2026-10-03 12:00", "2026-10-03 20:00"),
        ("Asia/Kolkata", ("23:15", "06:45"), "2026-05-01 20:00", "2026-05-02 01:15"),
        ("+02:00", ("22:00", "07:00"), "2026-05-01 21:00", "2026-05-02 05:00"),
    ],
)
def test_quiet_hours_end_when_they_do_by_the_clock_on_the_shoppers_wall(
    zone: str, quiet: tuple[str, str], now: str, end: str
) -> None:
    """Times are UTC but for the quiet hours themselves."""
    asked = case(ms(now), quiet, zone)
    assert refuses(asked, SETTINGS)
    assert until(asked, SETTINGS) == ms(end)


@given(
    st.sampled_from(NAMES),
    st.integers(ms("2025-01-01") // MINUTE_MS, ms("2028-01-01") // MINUTE_MS),
    st.integers(0, 1439),
    st.integers(0, 1439),
)
def test_the_end_is_the_first_minute_that_is_not_quiet(zone: str, at: int, start: int, end: int) -> None:
    """Found by asking of every minute in between."""
    quiet = (f"{start // 60:02d}:{start % 60:02d}", f"{end // 60:02d}:{end % 60:02d}")
    asked = case(at * MINUTE_MS, quiet, zone)
    found = until(asked, SETTINGS)
    assert found is not None
    assert not refuses(case(found, quiet, zone), SETTINGS)
    for minute in range(at, found // MINUTE_MS):
        assert refuses(case(minute * MINUTE_MS, quiet, zone), SETTINGS)


def test_in_a_zone_nobody_knows_it_is_quiet_and_no_end_is_known() -> None:
    """A push cannot be taken back."""
    asked = case(T0, ("22:00", "07:00"), "Mars/Olympus")
    assert refuses(asked, SETTINGS)
    assert until(asked, SETTINGS) is None


def test_every_zone_of_the_database_can_be_read() -> None:
    """Some six hundred names."""
    assert len(ZONES) > 400
    assert ZONES.version >= "2025"
    names = (name for name in NAMES if name != "UTC")
    assert all(ZONES.offset_ms(name, T0) is not None for name in names)


def test_who_said_nothing_of_quiet_hours_has_the_shops_by_the_shops_clock() -> None:
    """And who said there were none, or lives elsewhere, goes by that."""
    shops = PolicySettings(quiet_hours=("22:00", "08:00"), time_zone="Asia/Tokyo")
    night = ms("2026-10-24 15:00")  # midnight in Tokyo

    def asked(standing: Standing) -> Case:
        return Case(NEXT, night, night, 0, 0.0, standing, (), zones=ZONES)

    assert refuses(asked(Standing()), shops)
    assert until(asked(Standing()), shops) == ms("2026-10-24 23:00")
    assert not refuses(asked(Standing()), SETTINGS)
    assert not refuses(asked(Standing(quiet_hours=(0, 0))), shops)
    assert not refuses(asked(Standing(time_zone="Europe/Berlin")), shops)
    assert refuses(asked(Standing(quiet_hours=(23 * 60, 60))), shops)


def test_a_decision_in_quiet_hours_is_taken_when_they_are_over() -> None:
    """Nothing is sent at night; at their end all rules are asked anew, once, and it is sent then."""
    night = ms("2026-10-24 21:00")
    shop = Shop(CoreSettings())
    shop.run(browsing(300, users=10))
    shop.publish()
    shop.engine = Engine(shop.settings, zones=ZONES)
    wishes = {"quiet_hours": ["22:00", "07:00"], "time_zone": "Europe/Berlin"}
    shop.step([record("night-owl", "preferences", night - HOUR_MS, preferences=wishes)])
    sent = shop.step([record("night-owl", "view", night, item="item-1")])
    assert [decision.reason for decision in sent.decisions] == ["quiet_hours"]
    over = ms("2026-10-25 06:00")

    early, due, again = (shop.step([tick(at)]) for at in (over - 1, over, over + HOUR_MS))
    assert early.decisions == again.decisions == []
    assert [decision.reason for decision in due.decisions] == ["sent"]
    assert [out.candidate.user_id for out in due.candidates] == ["night-owl"]
    assert due.candidates[0].candidate.decided_at == "2026-10-25T06:00:00.000Z"
