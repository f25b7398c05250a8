"""Pushes wait for their responses: what joins, by whose time, and what is told of them when that is over."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from streamer.core.events import Event, Line, group_key, item_key
from streamer.core.settings import DAY_MS, HOUR_MS
from streamer.core.timers import read_due_key
from streamer.core.uplift.features import FEATURES
from streamer.core.uplift.joining import COUNTED, Joining, Told, purchase
from streamer.core.uplift.slates import MAX_BYTES, Impression, Slates
from streamer.core.uplift_settings import UpliftSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.uplift.response import Response

NOW = 1_700_000_000_000
SETTINGS = UpliftSettings(
    open_window_ms=2 * HOUR_MS,
    click_window_ms=4 * HOUR_MS,
    conversion_window_ms=24 * HOUR_MS,
    opt_out_window_ms=48 * HOUR_MS,
    grace_ms=HOUR_MS,
)
END = 49 * HOUR_MS


def name(n: int) -> str:
    return f"{n:032x}"


def impression(n: int = 1, at: int = NOW, *, pushed: bool = True, items: Sequence[str] = ("a", "b")) -> Impression:
    return Impression(
        bytes.fromhex(name(n)),
        at,
        "next",
        tuple(item_key(item) for item in items),
        (group_key("shoes"),),
        7,
        b"\x00\x3c" * len(FEATURES),
        pushed,
        0.9,
        1.0,
        (0.1, 0.05, 0.2, 0.001),
        3,
        "abc123",
    )


def feedback(kind: str, n: int = 1, at: int = NOW) -> Told:
    event = Event("ann", f"{kind}{n}{at}", "s", kind, at, item_key(f"{kind}{n}{at}"), candidate_id=name(n))
    return Told("feedback", "ann", at, event)


def bought(at: int, item: str = "a", category: str = "", settings: UpliftSettings = SETTINGS) -> Told:
    line = Line(item, item_key(item), category=category)
    return purchase(Event("ann", str(at), "s", "purchase", at, at, (line,)), None, settings)


class Table:
    """Slates by user, as bytes."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def get_many(self, keys: Sequence[str]) -> list[Slates | None]:
        return [msgspec.msgpack.decode(self.rows[k], type=Slates) if k in self.rows else None for k in keys]


class World:
    """What happens to Ann's pushes, each thing in a stretch of its own or several together."""

    def __init__(self, settings: UpliftSettings = SETTINGS) -> None:
        self.settings, self.table = settings, Table()
        self.due: set[tuple[int, str]] = set()
        self.responses: list[Response] = []
        self.counts: dict[str, int] = dict.fromkeys(COUNTED, 0)

    def happen(self, *things: Told | Impression) -> World:
        """Of things told in one stretch, and pushes among them."""
        told = [each for each in things if isinstance(each, Told)]
        joining = Joining(told, self.table, self.settings)
        so_far = 0
        for each in things:
            if isinstance(each, Impression):
                joining.hear(so_far)
                joining.keep("ann", each)
            else:
                so_far += 1
        joining.hear(len(told))
        for user in joining.dirty:
            if (row := joining.rows[user]) is None:
                self.table.rows.pop(user, None)
            else:
                self.table.rows[user] = msgspec.msgpack.encode(row)
        self.due -= {read_due_key(key) for key, row in joining.due.items() if row is None}
        self.due |= {read_due_key(key) for key, row in joining.due.items() if row is not None}
        self.responses += joining.responses
        for what, count in joining.counts.items():
            self.counts[what] += count
        return self

    def tick(self, now: int) -> World:
        """Reach what is due, as a tick does."""
        reached = sorted(row for row in self.due if row[0] <= now)
        self.due -= set(reached)
        return self.happen(*[Told("reached", user, now) for _, user in reached])

    def counted(self) -> dict[str, int]:
        return {what: count for what, count in self.counts.items() if count}


# --- what joins


def test_feedback_joins_its_push_and_is_told_of_when_the_last_window_is_over() -> None:
    world = World().happen(
        impression(), feedback("push_opened", at=NOW + 1000), feedback("push_clicked", at=NOW + 2000)
    )
    world.tick(NOW + END - 1)
    assert world.responses == []
    (response,) = world.tick(NOW + END).responses
    assert (response.opened, response.clicked, response.bought, response.opted_out) == (True, True, False, False)
    assert response.pushed
    assert response.chance == 0.9
    assert response.expected == (0.1, 0.05, 0.2, 0.001)
    assert world.counted() == {"kept": 1, "joined": 2, "settled": 1}


def test_what_is_known_at_once_is_told_no_earlier_than_what_takes_the_whole_window() -> None:
    """The buyer's yes comes when the other's no does, or a young model would know buyers only."""
    world = World().happen(impression(1), impression(2, NOW + HOUR_MS), bought(NOW + 2 * HOUR_MS))
    # A timer of hers is reached before, and the first push's time is over before the second's.
    world.happen(Told("reached", "ann", NOW + 3 * HOUR_MS))
    assert world.responses == []
    assert len(world.tick(NOW + END).responses) == 1
    world = World().happen(impression(), bought(NOW + 1000))
    world.tick(NOW + END - 1)
    assert world.responses == []
    assert [each.bought for each in world.tick(NOW + END).responses] == [True]


@pytest.mark.parametrize(
    ("kind", "window"),
    [
        ("push_delivered", SETTINGS.open_window_ms),
        ("push_opened", SETTINGS.open_window_ms),
        ("push_dismissed", SETTINGS.open_window_ms),
        ("push_clicked", SETTINGS.click_window_ms),
        ("push_converted", SETTINGS.conversion_window_ms),
        ("push_unsubscribed", SETTINGS.opt_out_window_ms),
    ],
)
def test_each_window_ends_when_its_setting_says_by_the_time_of_the_event(kind: str, window: int) -> None:
    in_time = World().happen(impression(), feedback(kind, at=NOW + window))
    assert in_time.counted() == {"kept": 1, "joined": 1}
    late = World().happen(impression(), feedback(kind, at=NOW + window + 1))
    assert late.counted() == {"kept": 1, "late": 1}


def test_feedback_is_late_after_the_push_was_settled_orphan_if_it_was_never_sent_and_duplicate_if_it_was_known() -> (
    None
):
    world = World().happen(impression(), feedback("push_opened"), feedback("push_opened", at=NOW + 5))
    world.happen(feedback("push_opened", 2)).tick(NOW + END).happen(feedback("push_clicked"))
    assert world.counted() == {"kept": 1, "joined": 1, "duplicate": 1, "orphan": 1, "late": 1, "settled": 1}


def test_all_feedback_is_counted_once_whatever_it_is() -> None:
    rng = random.Random(4)
    kinds = ["push_delivered", "push_opened", "push_clicked", "push_dismissed", "push_converted", "push_unsubscribed"]
    world, count = World(), 0
    for n in range(400):
        now = NOW + n * HOUR_MS
        if not n % 5:
            world.happen(impression(n, now))
        else:
            about = rng.randrange(max(0, n - 60), n + 5) // 5 * 5
            told = max(NOW + about * HOUR_MS, now - rng.randrange(40) * HOUR_MS)
            world.happen(feedback(rng.choice(kinds), about, told))
            count += 1
        world.tick(now)
    counted = world.counted()
    assert sum(counted[what] for what in ("joined", "late", "duplicate", "orphan")) == count
    assert min(counted.values()) > 0


def test_a_push_held_back_is_measured_by_purchases_and_hears_no_feedback() -> None:
    """Nobody can click on what was not sent; and what the notification service claims is no purchase for either."""
    held = World().happen(impression(pushed=False), feedback("push_converted"), bought(NOW + HOUR_MS)).tick(NOW + END)
    assert held.counted() == {"kept": 1, "orphan": 1, "settled": 1}
    assert [(each.pushed, each.bought) for each in held.responses] == [(False, True)]
    claimed = World().happen(impression(), feedback("push_converted")).tick(NOW + END)
    assert [(each.pushed, each.bought) for each in claimed.responses] == [(True, False)]


def test_a_purchase_counts_for_the_newest_push_in_whose_window_it_falls_sent_or_held_back() -> None:
    """For all of them it would be told of each what all of a day change together."""
    day = SETTINGS.conversion_window_ms
    for at, told in ((0, False), (1, True), (day, True), (day + 1, False), (-5, False)):
        world = World().happen(impression(), bought(NOW + at)).tick(NOW + END)
        assert [each.bought for each in world.responses] == [told]
    both = World().happen(impression(1), impression(2, NOW + HOUR_MS), bought(NOW + 2 * HOUR_MS))
    both.tick(NOW + END).tick(NOW + END + HOUR_MS)
    assert [each.bought for each in both.responses] == [False, True]
    ghost = World().happen(impression(1), impression(2, NOW + HOUR_MS, pushed=False), bought(NOW + 2 * HOUR_MS))
    ghost.tick(NOW + END).tick(NOW + END + HOUR_MS)
    assert [each.bought for each in ghost.responses] == [False, True]
    before = World().happen(impression(1), impression(2, NOW + HOUR_MS), bought(NOW + HOUR_MS))
    before.tick(NOW + END).tick(NOW + END + HOUR_MS)
    assert [each.bought for each in before.responses] == [True, False]


def test_what_the_groups_differ_by_is_what_one_push_changes_however_many_there_are_a_day() -> None:
    """Four pushes a day add a purchase each with a chance of .05, within the hour; one in ten days has one anyway."""
    rng, bought_of = random.Random(5), {True: [0, 0], False: [0, 0]}
    for day in range(4000):
        pushed, now = day % 2 == 0, NOW
        things: list[tuple[int, Told | Impression]] = []
        for n, hour in enumerate((8, 11, 14, 17)):
            at = now + hour * HOUR_MS
            things.append((at, impression(n + 1, at, pushed=pushed)))
            if pushed and rng.random() < 0.05:
                things.append((sold := at + rng.randrange(1, HOUR_MS), bought(sold)))
        if rng.random() < 0.1:
            things.append((anyway := now + rng.randrange(8, 24) * HOUR_MS + 1, bought(anyway)))
        world = World()
        for _, thing in sorted(things, key=lambda each: each[0]):
            world.happen(thing)
        world.tick(now + 4 * DAY_MS)
        assert len(world.responses) == 4
        bought_of[pushed][0] += sum(each.bought for each in world.responses)
        bought_of[pushed][1] += 4
    (sold, of), (anyway, held) = bought_of[True], bought_of[False]
    assert sold / of - anyway / held == pytest.approx(0.05, abs=0.01)


def test_of_attributed_purchases_the_newest_push_that_may_have_led_to_it_counts() -> None:
    """One about something else came in between."""
    told = UpliftSettings(attribution="item")
    first, second = impression(1), impression(2, NOW + HOUR_MS, items=("z",))
    world = World(told).happen(first, second, bought(NOW + 2 * HOUR_MS, "b", "", told))
    world.tick(NOW + told.window_ms).tick(NOW + told.window_ms + HOUR_MS)
    assert [each.bought for each in world.responses] == [True, False]


def test_of_a_push_that_never_reached_the_shopper_it_counts_what_was_bought() -> None:
    """As of those held back, of whom nobody knows whom a push would have reached; nobody refused it."""
    world = World().happen(impression(1), impression(2), feedback("push_failed", 2), bought(NOW + 1)).tick(NOW + END)
    assert world.counted() == {"kept": 2, "joined": 1, "settled": 2}
    assert [(each.reached, each.bought) for each in world.responses] == [(True, False), (False, True)]
    assert not world.happen(feedback("push_opened", 2)).responses[2:]
    assert world.counted()["late"] == 1


def test_feedback_on_what_was_not_sent_yet_is_an_orphan() -> None:
    """But for what clocks differ by."""
    grace = SETTINGS.grace_ms
    for at, became in ((NOW - grace, "joined"), (NOW - grace - 1, "orphan")):
        assert World().happen(impression(), feedback("push_clicked", at=at)).counted()[became] == 1


def test_attribution_says_which_purchases_count() -> None:
    def converts(attribution: str, item: str, category: str) -> bool:
        told = UpliftSettings(attribution=attribution)  # type: ignore[arg-type]
        world = World(told).happen(impression(), bought(NOW + 1, item, category, told)).tick(NOW + told.window_ms)
        return world.responses[0].bought

    assert converts("any", "z", "hats")
    assert not converts("category", "z", "hats")
    assert converts("category", "z", "shoes")
    assert converts("category", "b", "")
    assert not converts("item", "z", "shoes")
    assert converts("item", "b", "")


def test_a_no_in_the_preferences_is_an_opt_out_of_the_newest_push() -> None:
    world = World().happen(impression(1), impression(2, NOW + 5), Told("opted_out", "ann", NOW + HOUR_MS))
    world.tick(NOW + END).tick(NOW + END + 5)
    assert [each.opted_out for each in world.responses] == [False, True]
    ghost = World().happen(impression(1), impression(2, NOW + 5, pushed=False), Told("opted_out", "ann", NOW + 9))
    ghost.tick(NOW + END).tick(NOW + END + 5)
    assert [each.opted_out for each in ghost.responses] == [True, False]
    both = World().happen(impression(1), impression(2, NOW + 5), feedback("push_unsubscribed", 1, NOW + 9))
    both.happen(Told("opted_out", "ann", NOW + 9)).tick(NOW + END).tick(NOW + END + 5)
    assert [each.opted_out for each in both.responses] == [True, False]
    assert not World().happen(Told("opted_out", "ann", NOW)).table.rows
    late = World().happen(impression(), Told("opted_out", "ann", NOW + 3 * DAY_MS)).tick(NOW + END)
    assert not late.responses[0].opted_out


# --- time, room and oblivion


def test_each_push_is_settled_at_its_own_time_and_once() -> None:
    world = World()
    for n in range(5):
        world.happen(impression(n, NOW + n * HOUR_MS))
    told = []
    for hour in range(60):
        world.tick(NOW + hour * HOUR_MS)
        told.append(len(world.responses))
    assert told[48] == 0
    assert told[49:55] == [1, 2, 3, 4, 5, 5]


def test_one_late_tick_settles_all_that_it_has_overtaken() -> None:
    world = World().happen(impression(1), impression(2, NOW + 1), impression(3, NOW + DAY_MS)).tick(NOW + END + 1)
    assert len(world.responses) == 2
    assert world.due == {(NOW + DAY_MS + END, "ann")}


def test_nothing_of_a_shopper_stays_once_what_was_settled_is_forgotten() -> None:
    world = World().happen(impression()).tick(NOW + END)
    assert len(world.table.rows) == 1
    world.tick(NOW + END + SETTINGS.closed_ms - 1)
    assert world.happen(feedback("push_clicked")).counts["late"] == 1
    world.tick(NOW + END + SETTINGS.closed_ms)
    assert world.table.rows == {}
    assert world.due == set()
    assert world.happen(feedback("push_clicked")).counts["orphan"] == 1


def test_of_an_erased_shopper_nothing_is_left_and_nothing_is_learned() -> None:
    world = World().happen(impression(), bought(NOW + 1), Told("erased", "ann", NOW + 2))
    assert world.table.rows == {}
    assert world.tick(NOW + 10 * END).responses == []
    # Who comes back is not settled by the time of what was erased.
    world.happen(impression(2, NOW + DAY_MS)).tick(NOW + END)
    assert world.responses == []
    assert len(world.tick(NOW + DAY_MS + END).responses) == 1


def test_who_finds_no_room_is_not_kept_and_that_is_counted() -> None:
    world = World(UpliftSettings(open_slates=2))
    for n in range(3):
        world.happen(impression(n))
    assert world.counted() == {"kept": 2, "unkept": 1}
    assert World(UpliftSettings(open_slates=0)).happen(impression()).table.rows == {}


def test_what_is_bought_after_a_push_that_found_no_room_is_not_said_to_come_of_an_older_one() -> None:
    """Or what a day's pushes change together would be told of those that were kept; until its window is over."""
    window_ms = SETTINGS.conversion_window_ms
    one = UpliftSettings(open_slates=1, conversion_window_ms=3 * window_ms, opt_out_window_ms=3 * window_ms)
    for settings, at_ms, counts in ((one, NOW + HOUR_MS + 1, False), (SETTINGS, NOW + HOUR_MS + 1, True)):
        world = World(settings).happen(impression(0), impression(1, NOW + HOUR_MS))
        world.happen(bought(at_ms, settings=settings)).tick(NOW + 9 * DAY_MS)
        assert any(each.bought for each in world.responses) == counts
        assert world.happen(impression(2, NOW + 9 * DAY_MS)).counts["kept"] == 2 + (settings is SETTINGS)


def test_nobody_opts_out_twice() -> None:
    """Said in the preferences and then told of an older push, it is one opt-out."""
    world = World().happen(impression(1, NOW), impression(2, NOW + HOUR_MS))
    world.happen(Told("opted_out", "ann", NOW + 2 * HOUR_MS), feedback("push_unsubscribed", 1, NOW + 2 * HOUR_MS))
    world.tick(NOW + HOUR_MS + END)
    assert [each.opted_out for each in world.responses] == [False, True]
    assert world.counted()["duplicate"] == 1


def test_a_row_is_never_larger_than_four_kibibytes() -> None:
    world = World(UpliftSettings(open_slates=16))
    for n in range(100):
        world.happen(impression(n, NOW + n * HOUR_MS, items=[f"{n}{k}" for k in range(50)])).tick(NOW + n * HOUR_MS)
        assert all(len(row) <= MAX_BYTES for row in world.table.rows.values())
    assert world.counts["kept"] > 20
    assert world.counts["unkept"] > 20


def test_feedback_with_an_id_that_is_none_is_an_orphan() -> None:
    event = Event("ann", "1", "s", "push_clicked", NOW, 1, candidate_id="not hex")
    world = World().happen(impression()).tick(NOW + END).happen(Told("feedback", "ann", NOW, event))
    assert world.counts["orphan"] == 1


def test_it_is_the_same_wherever_the_stream_is_cut() -> None:
    """A push and what follows it in one stretch, or each alone."""
    rng = random.Random(8)
    things: list[Told | Impression] = []
    for n in range(200):
        at = NOW + n * 600_000
        kind = rng.choice(["push", "feedback", "bought", "opted_out"])
        if kind == "push":
            things.append(impression(n, at, pushed=rng.random() < 0.7))
        elif kind == "feedback":
            things.append(feedback(rng.choice(["push_opened", "push_clicked"]), rng.randrange(n + 1), at))
        else:
            things.append(bought(at) if kind == "bought" else Told("opted_out", "ann", at))
    whole = World().happen(*things).tick(NOW + 10 * END)
    one_by_one = World()
    for each in things:
        one_by_one.happen(each)
    one_by_one.tick(NOW + 10 * END)
    assert whole.table.rows == one_by_one.table.rows
    assert whole.responses == one_by_one.responses != []
    assert whole.counted() == one_by_one.counted()
    assert whole.due == one_by_one.due


def test_a_response_says_whether_what_was_shown_was_bought_however_purchases_are_attributed() -> None:
    """Of any purchase in the window it says that there was one; of what was shown, also that."""
    shown = impression().items[0]
    for item, key in (("a", item_key("a")), ("z", item_key("z"))):
        world = World().happen(impression(), bought(NOW + 1, item)).tick(NOW + END)
        assert [(each.bought, each.taken) for each in world.responses] == [(True, key == shown)]
    late = World().happen(impression(), bought(NOW + SETTINGS.conversion_window_ms + 1, "a")).tick(NOW + END)
    assert [(each.bought, each.taken) for each in late.responses] == [(False, False)]
