"""What a shopper is to the clustering of shoppers: whole numbers about one in size, and their record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.core.events import Event, Line, group_key, item_key
from streamer.core.models.example import Example
from streamer.core.packed import AFFINITY, Affinity
from streamer.core.profile import Profile
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.portrait import FEATURES_ID, NAMES, ONE, Portrait, numbers, portrait_of
from streamer.core.settings import DAY_MS, HOUR_MS
from streamer.core.vectors.step import Step
from tests.core.segmented import BASE, SMALL, portrait
from tests.core.task_shop import T0

profiles = st.builds(
    Profile,
    st.integers(0, T0),
    st.integers(T0, T0 + DAY_MS),
    counts=st.tuples(*[st.integers(0, 10**6)] * 5),
    sessions=st.integers(1, 10**5),
    session_start_ms=st.integers(0, T0),
    session_events=st.integers(0, 10**6),
    categories=st.lists(st.builds(Affinity, st.integers(1, 2**32 - 1), st.integers(1, 2**62)), max_size=4).map(
        AFFINITY.packed
    ),
    price_weight=st.integers(0, 32),
    price_mean=st.floats(0, 40),
)


@given(st.none() | profiles, st.integers(0, 2 * T0))
def test_the_numbers_of_any_shopper_are_whole_and_about_one_in_size(profile: Profile | None, now_ms: int) -> None:
    """So that no feature drowns the others, and all fit a record that is read back."""
    found = numbers(profile, now_ms)
    assert len(found) == len(NAMES)
    assert all(type(value) is int for value in found)
    assert max(map(abs, found)) <= ONE
    made = portrait(found)
    read = Portrait.decode(made.encode())
    assert read == made
    assert read.numbers() == found


def test_of_who_was_never_seen_there_is_the_hour_and_the_day() -> None:
    """Noon is farther from midnight than the evening is; Saturday is no Friday; the rest is 0."""
    midnight = T0 - T0 % DAY_MS
    at = dict(zip(NAMES, numbers(None, midnight), strict=True))
    assert at["hour_midnight"] == ONE // 2
    assert numbers(None, midnight + 12 * HOUR_MS)[0] == -ONE // 2
    assert numbers(None, midnight + 6 * HOUR_MS)[1] == ONE // 2
    assert not any(numbers(None, midnight)[3:])
    saturday = 1_700_265_600_000  # 2023-11-18
    names = NAMES.index("weekend")
    assert [bool(numbers(None, saturday + days * DAY_MS)[names]) for days in (-1, 0, 1, 2)] == [
        False,
        True,
        True,
        False,
    ]


def test_shoppers_of_one_category_lie_in_one_corner_and_prices_apart() -> None:
    """The category of most interest decides."""

    def shopper(name: str, price: float = 0.0, *, weight: int = 0) -> Profile:
        rows = [Affinity(group_key(name), 100), Affinity(group_key("hats"), 50)]
        return Profile(0, 0, categories=AFFINITY.packed(rows), price_weight=weight, price_mean=price)

    assert numbers(shopper("shoes"), 0) == numbers(shopper("shoes"), 0) != numbers(shopper("phones"), 0)
    cheap, dear, unknown = (numbers(shopper("shoes", price, weight=w), 0)[3] for price, w in ((8, 5), (16, 5), (16, 0)))
    assert cheap == -dear == -ONE
    assert unknown == 0


def test_a_share_of_the_events_of_items_in_order_is_shown_to_the_clustering() -> None:
    """Drawn by the event; of what is out of order nothing, and nothing at all where there are no segments."""
    events = [
        Event("u", str(n), "t", "view", T0, n * 0x9E37_79B9_7F4A_7C15 % 2**64, (Line("a", item_key("a")),))
        for n in range(2000)
    ]
    half = [portrait_of(event, None, SegmentSettings(learn_rate=0.5)) for event in events]
    assert 900 < sum(one is not None for one in half) < 1100
    assert all(portrait_of(event, None, SegmentSettings()) is None for event in events)
    assert portrait_of(events[0], Profile(T0, T0 + 1), SMALL) is None
    assert portrait_of(Event("u", "s", "t", "search", T0, 1, query="a"), None, SMALL) is None


def test_what_is_no_portrait_is_not_read_as_one() -> None:
    """Nor is a portrait read as a record of another learner."""
    made = portrait(BASE).encode()
    assert Example.decode(made) is None
    assert Step.decode(made) is None
    assert Portrait.decode(Portrait(FEATURES_ID, b"\0\0").encode()) is None
    assert Portrait.decode(Portrait(FEATURES_ID, b"\xff\x7f" * len(NAMES)).encode()) is None
    assert Portrait.decode(b"") is None
    assert Portrait.decode(b"\x92\xa1x\x00") is None
