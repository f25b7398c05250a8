"""Pushes that show what they must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.governance.run import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _bought(run: Made) -> None:
    run.event(0, "purchase", topic="purchase", items=[{"id": "b"}, {"id": "a"}])
    run.push(HOUR_MS)


def _dismissed(run: Made) -> None:
    first = run.push(0)
    run.event(1, "push_dismissed", topic="feedback", candidate_id=first)
    run.push(20 * DAY_MS)


def _repeat(run: Made) -> None:
    run.push(0, ["a", "b"])
    run.push(3 * DAY_MS, ["b"])


def _repeat_of_another(run: Made) -> None:
    run.push(0, campaign="reminder")
    run.push(3 * DAY_MS)


def _repeat_of_a_reminder(run: Made) -> None:
    run.push(0, campaign="reminder")
    run.push(3 * DAY_MS, campaign="reminder")


def _out_of_stock(run: Made) -> None:
    run.item("a", stock=3)
    run.item("a", stock=0)
    run.push(0)


def _drop(run: Made, item: str, was: str, price: str, offset: int = 0) -> None:
    run.item("a", price=20.0)
    run.item("a", price=15.0)
    run.event(0, "view", item=item)
    trigger = {"type": "price_drop", "topic": "catalog", "offset": offset}
    run.push(HOUR_MS, trigger=trigger, template={"vars": {"price_was": was, "price": price}})


def _drop_to_another_price(run: Made) -> None:
    _drop(run, "a", "20.00", "14.00")


def _drop_from_another_price(run: Made) -> None:
    _drop(run, "a", "25.00", "15.00")


def _drop_of_what_nobody_wanted(run: Made) -> None:
    _drop(run, "b", "20.00", "15.00")


def _drop_that_is_yet_to_be_read(run: Made) -> None:
    _drop(run, "a", "20.00", "15.00", offset=99)


def _back_but_never_gone(run: Made) -> None:
    run.item("a", stock=3)
    run.item("a", stock=4)
    run.event(0, "cart", topic="purchase", item="a")
    run.push(HOUR_MS, trigger={"type": "back_in_stock", "topic": "catalog", "offset": 0})


def _bought_long_ago(run: Made) -> None:
    """The order is read ten days late."""
    run.event(0, "view")
    run.event(1, "purchase", topic="purchase", fast_ms=-10 * DAY_MS, item="a")
    run.push(HOUR_MS)


def _bought_and_held_back(run: Made) -> None:
    run.event(0, "purchase", topic="purchase", item="a")
    run.decide(run.event(1, "view"), "control", i=["a"])


def _bought_after_it_was_put_into_the_cart(run: Made) -> None:
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.event(1, "purchase", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "sent", campaign="reminder", d="late", t=run.start_ms + HOUR_MS)
    run.candidate("late", campaign="reminder")


def _bought_and_looked_at_since(run: Made) -> None:
    """Who has just bought it looks where the parcel is."""
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.event(1, "purchase", topic="purchase", item="a")
    run.event(2, "view", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "sent", campaign="reminder", d="late", t=run.start_ms + HOUR_MS)
    run.candidate("late", campaign="reminder")


def _bought_again_after_a_refund(run: Made) -> None:
    for n, kind in enumerate(("purchase", "refund", "purchase")):
        run.event(n, kind, topic="purchase", item="a")
    run.push(HOUR_MS)


def _dismissed_weeks_later(run: Made) -> None:
    first = run.push(0)
    run.event(20 * DAY_MS, "push_dismissed", topic="feedback", candidate_id=first)
    run.push(29 * DAY_MS)


def _repeat_of_what_was_held_back(run: Made) -> None:
    run.decide(run.event(0, "view"), "control", campaign="another", i=["a"])
    run.push(3 * DAY_MS)


def _taken_out_of_the_catalog(run: Made) -> None:
    run.item("a", stock=3)
    run.no_item("a")
    run.push(0)


PLANTED: Final[Plants] = {
    "bought": ("bought", _bought),
    "dismissed": ("dismissed", _dismissed),
    "repeat": ("repeat", _repeat),
    "repeat of another campaign": ("repeat", _repeat_of_another),
    "repeat of a reminder": ("repeat", _repeat_of_a_reminder),
    "out of stock": ("out_of_stock", _out_of_stock),
    "drop to another price": ("news", _drop_to_another_price),
    "drop from another price": ("news", _drop_from_another_price),
    "drop of another item": ("news", _drop_of_what_nobody_wanted),
    "drop to come": ("news", _drop_that_is_yet_to_be_read),
    "never gone": ("news", _back_but_never_gone),
    "bought long ago": ("bought", _bought_long_ago),
    "bought and held back": ("bought", _bought_and_held_back),
    "bought after it was put into the cart": ("bought", _bought_after_it_was_put_into_the_cart),
    "bought and looked at since": ("bought", _bought_and_looked_at_since),
    "bought again after a refund": ("bought", _bought_again_after_a_refund),
    "dismissed weeks later": ("dismissed", _dismissed_weeks_later),
    "repeat of what was held back": ("repeat", _repeat_of_what_was_held_back),
    "taken out of the catalog": ("out_of_stock", _taken_out_of_the_catalog),
}
