"""Words for a shopper."""

from __future__ import annotations

from streamer.core.events import Event, Line, group_key, item_key
from streamer.core.profile import Profile, fold
from streamer.core.settings import DAY_MS, ProfileSettings
from streamer.core.tags import tags

SETTINGS = ProfileSettings()
T0 = 1_700_000_000_000
NAMES = {group_key("acme"): "acme"}


def shopper(kinds: str, price: float = 50.0, brand: str = "acme", gap_ms: int = 1000) -> Profile:
    """A profile after one event a letter: v(iew), c(art), p(urchase), s(earch)."""
    names = {"v": "view", "c": "cart", "p": "purchase", "s": "search"}
    profile = None
    for n, letter in enumerate(kinds):
        item = str(n % 3)
        lines = () if letter == "s" else (Line(item, item_key(item), 1, price, "", brand),)
        event = Event("u", str(n), "test", names[letter], T0 + n * gap_ms, n, lines, "shoes" if letter == "s" else "")
        profile = fold(profile, event, SETTINGS)
    assert profile is not None
    return profile


def of(profile: Profile, later_ms: int = 0) -> set[str]:
    return set(tags(profile, profile.last_ms + later_ms, lambda key: NAMES.get(key, "")))


def test_a_newcomer_is_new_and_nothing_else() -> None:
    assert of(shopper("v")) == {"new"}


def test_who_views_much_and_takes_nothing_is_a_window_shopper() -> None:
    assert "window-shopper" in of(shopper("v" * 25))
    assert "window-shopper" not in of(shopper("v" * 25 + "c"))


def test_who_left_a_cart_is_a_cart_abandoner_until_the_item_is_bought() -> None:
    assert "cart-abandoner" in of(shopper("vvc"))
    assert "cart-abandoner" not in of(shopper("vvcvvp"))
    assert "buyer" in of(shopper("vvcvvp"))


def test_prices_make_bargain_hunters_and_big_spenders() -> None:
    assert "bargain-hunter" in of(shopper("vvvvvv", price=9.99))
    assert "big-spender" in of(shopper("vvvvvv", price=400.0))
    assert not {"bargain-hunter", "big-spender"} & of(shopper("vvvvvv", price=50.0))


def test_loyalty_is_to_a_brand_with_a_name() -> None:
    assert "loyal:acme" in of(shopper("vvvvvv"))
    assert not any(t.startswith("loyal") for t in of(shopper("vvvvvv", brand="unheard-of")))
    assert "loyal:acme" not in of(shopper("v"))


def test_who_comes_back_is_returning_and_who_stays_away_has_lapsed() -> None:
    profile = shopper("vvv", gap_ms=DAY_MS)
    assert "returning" in of(profile)
    assert "lapsed" not in of(profile)
    assert "lapsed" in of(profile, 31 * DAY_MS)


def test_who_searches_often_is_a_searcher() -> None:
    assert "searcher" in of(shopper("sss" + "v" * 6))
    assert "searcher" not in of(shopper("v" * 30))
