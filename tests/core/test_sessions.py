"""Sessions: read off the profile, sent as rows, held by every worker, the newest ones only."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgspec
import numpy as np
import pytest

from streamer.core.events import Event, Line, item_key
from streamer.core.index import ItemIndex
from streamer.core.profile import Profile, fold
from streamer.core.retrieval_settings import SessionSettings
from streamer.core.sessions.rows import SESSION_ROW_VERSION, SessionRow, decode, session_key, session_keys, session_row
from streamer.core.settings import ProfileSettings

T0_S = 1_700_000_000
SETTINGS = SessionSettings()
SMALL = SessionSettings(items=4, kept=24, per_item=3)


def profile_of(*moments: tuple[int, str]) -> Profile:
    """A shopper who touched items, all named in one word, at so many seconds."""
    profile = None
    for at, names in moments:
        lines = tuple(Line(name, item_key(name)) for name in names)
        profile = fold(profile, Event("u", str(at), "t", "view", (T0_S + at) * 1000, at, lines), ProfileSettings())
    assert profile is not None
    return profile


def told(row: bytes | None, names: str = "abcdefgh") -> tuple[str, list[int]]:
    assert row is not None
    session = decode(row)
    by_key = {item_key(name): name for name in names}
    return "".join(by_key[key] for key in np.frombuffer(session.keys, "<u8").tolist()), list(session.steps)


def test_a_session_holds_its_items_in_the_order_last_touched() -> None:
    assert told(session_row(profile_of((0, "a"), (5, "b"), (9, "c"), (12, "a")), SETTINGS)) == ("bca", [0, 1, 2])


def test_items_of_one_moment_have_one_step() -> None:
    assert told(session_row(profile_of((0, "abc"), (5, "de")), SETTINGS)) == ("abcde", [0, 0, 0, 1, 1])


def test_a_session_begins_after_a_silence() -> None:
    assert told(session_row(profile_of((0, "ab"), (7200, "c"), (7201, "d")), SETTINGS)) == ("cd", [0, 1])


def test_a_session_of_one_item_is_not_told() -> None:
    assert session_row(profile_of((0, "ab"), (7200, "c")), SETTINGS) is None


def test_a_long_session_keeps_its_newest_items() -> None:
    assert told(session_row(profile_of((0, "ab"), (1, "c"), (2, "def")), SMALL)) == ("cdef", [0, 1, 1, 1])


def test_the_newest_sessions_of_a_shopper_take_turns() -> None:
    keys = [session_key("a/b", number, SETTINGS) for number in range(9)]
    assert set(keys) == set(session_keys("a/b", SETTINGS))
    assert len(set(keys)) == SETTINGS.per_user
    assert keys[0] == keys[SETTINGS.per_user]


def rows_of(random: Random, count: int, users: int = 20, items: int = 6) -> list[tuple[str, bytes]]:
    """Rows in the order written: sessions grow and are replaced, and time goes on."""
    rows = []
    for n in range(count):
        names = random.sample(range(items), random.randint(2, 4))
        keys = np.array([item_key(f"item {name}") for name in names], "<u8").tobytes()
        row = SessionRow(SESSION_ROW_VERSION, T0_S + n // 3, keys, bytes(range(len(names))))
        rows.append((f"{random.randrange(2)}/{random.randrange(users)}", msgspec.msgpack.encode(row)))
    return rows


def held(index: ItemIndex) -> dict[str, list[int]]:
    return {key: index.keys[items].tolist() for key, items, _ in index.sessions.held()}


def found(index: ItemIndex, item: int) -> set[str]:
    """The keys of the sessions an item finds."""
    assert len(index.sessions)  # puts in what is pending, so that the item is mentioned
    _, slots = index.sessions.holding(np.array([index.dense(item)]))
    return {index.sessions._key[slot] for slot in slots.tolist()}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_is_the_newest_however_the_rows_came(seed: int) -> None:
    """Against a dict: rows of one key in order, those of different keys in any, and asked at any moment."""
    random = Random(seed)
    rows = rows_of(random, 240)
    newest = dict(rows)
    by_time = sorted(newest, key=lambda key: -decode(newest[key]).last_s)
    last_kept = decode(newest[by_time[SMALL.kept - 1]]).last_s
    for _ in range(3):
        # Any order that leaves rows of one key in theirs, as partitions read one after another would.
        places = [random.random() for _ in rows]
        mine: dict[str, list[float]] = {}
        for (key, _), place in zip(rows, places, strict=True):
            mine.setdefault(key, []).append(place)
        queues = {key: iter(sorted(of_key)) for key, of_key in mine.items()}
        order = sorted(((next(queues[key]), n) for n, (key, _) in enumerate(rows)))
        index = ItemIndex(capacity=2, sessions=SMALL)
        for _, n in order:
            index.sessions.apply(*rows[n])
            if random.random() < 0.3:
                len(index.sessions)
        kept = held(index)
        assert len(kept) == SMALL.kept
        assert {key for key in newest if decode(newest[key]).last_s > last_kept} <= set(kept)
        for key, items in kept.items():
            assert items == np.frombuffer(decode(newest[key]).keys, "<u8").tolist()
        for item in {item for items in kept.values() for item in items}:
            holders = [key for key, items in kept.items() if item in items]
            finds = found(index, item)
            assert len(finds) == min(len(holders), SMALL.per_item)
            assert finds <= set(holders)
            oldest = min(decode(newest[key]).last_s for key in finds)
            assert {key for key in holders if decode(newest[key]).last_s > oldest} <= finds


def test_older_sessions_count_again_once_the_newer_ones_have_lost_the_item() -> None:
    """More than the slack: six of ten shoppers begin a session without it, in the turn of the one that had it."""
    index = ItemIndex(sessions=SMALL)

    def write(user: int, last_s: int, *items: int) -> None:
        keys = np.array(items, "<u8").tobytes()
        index.sessions.apply(f"0/{user}", msgspec.msgpack.encode(SessionRow(1, last_s, keys, bytes(len(items)))))

    for user in range(10):
        write(user, T0_S + user, 1, 100 + user)
    assert found(index, 1) == {"0/7", "0/8", "0/9"}
    for user in range(4, 10):
        write(user, T0_S + 100 + user, 2, 100 + user)
    assert found(index, 1) == {"0/1", "0/2", "0/3"}
    assert found(index, 2) == {"0/7", "0/8", "0/9"}


def test_a_tombstone_forgets_a_session_and_its_slot_is_used_again() -> None:
    index = ItemIndex(sessions=SMALL)
    rows = dict(rows_of(Random(1), 10))
    for key, row in rows.items():
        index.sessions.apply(key, row)
    before = held(index)
    gone = next(iter(before))
    index.sessions.apply(gone, None)
    index.sessions.apply("0/nobody", None)
    assert held(index) == {key: items for key, items in before.items() if key != gone}
    assert all(gone not in found(index, item) for item in before[gone] if index.dense(item) != -1)
    for _ in range(200):
        index.sessions.apply(gone, None)
        len(index.sessions)
        index.sessions.apply(gone, rows[gone])
        len(index.sessions)
    assert held(index) == before
    assert index.sessions.slots == 64


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"\xc1",
        b"\x91" * 4000,
        msgspec.msgpack.encode(SessionRow(SESSION_ROW_VERSION + 1, T0_S, b"12345678", b"\0")),
        msgspec.msgpack.encode(SessionRow(SESSION_ROW_VERSION, T0_S, b"1234567", b"\0")),
        msgspec.msgpack.encode(SessionRow(SESSION_ROW_VERSION, T0_S, b"", b"")),
        msgspec.msgpack.encode(SessionRow(SESSION_ROW_VERSION, T0_S, b"8bytes.." * 65, bytes(65))),
        msgspec.msgpack.encode([SESSION_ROW_VERSION, 2**32, b"8bytes..", b"\0"]),
        msgspec.msgpack.encode([SESSION_ROW_VERSION, -1, b"8bytes..", b"\0"]),
    ],
)
def test_a_damaged_row_is_refused_and_nothing_changes(row: bytes) -> None:
    index = ItemIndex(sessions=SMALL)
    for key, good in rows_of(Random(2), 8):
        index.sessions.apply(key, good)
    before = held(index)
    with pytest.raises(ValueError):  # noqa: PT011 -- several kinds, one base
        index.sessions.apply("0/1", row)
    assert held(index) == before


def test_a_row_that_names_an_item_twice_or_is_too_long_for_here_can_be_held_and_forgotten() -> None:
    index = ItemIndex(sessions=SMALL)
    twice = np.array([1, 2, 1, 3, 3, 4], "<u8").tobytes()
    for _ in range(3):
        index.sessions.apply("0/x", msgspec.msgpack.encode(SessionRow(1, T0_S, twice, bytes(6))))
        assert held(index) == {"0/x": [1, 3, 3, 4]}
        index.sessions.apply("0/x", None)
        assert held(index) == {}


@pytest.mark.parametrize("change", [{"items": 1}, {"items": 65}, {"kept": 0}, {"per_item": 0}, {"per_user": 0}])
def test_settings_that_keep_nothing_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(SETTINGS, **change)
