"""Searching: texts into words, items by what they are called, and what other searchers chose."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest

from streamer.core.candidates import search
from streamer.core.events import Event, Line, item_key
from streamer.core.index import ItemIndex
from streamer.core.titles import TitleIndex, word_key
from streamer.core.words import words_of
from tests.core.shop import RETRIEVAL, START_MS, Shop
from tests.core.test_leads import event, shop_of
from tests.core.test_neighbours import offered


def called(titles: dict[str, str], query: str) -> dict[str, float]:
    """What a catalog of titles offers to one who searches: item and score, best first."""
    shop = shop_of(event("me", "search", "", 0, query))
    index = shop.index()
    for item, title in titles.items():
        assert index.apply_catalog(item, json.dumps({"title": title}).encode())
    made = search.propose(shop.queries(["me"]).asked(index), index, RETRIEVAL)
    return {index.id_of(item): score for item, score in zip(made.item.tolist(), made.scores[1].tolist(), strict=True)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Water-heater_2000, AQUA", ["water", "heater", "2000", "aqua"]),
        ("Straße \ufb01ne \uff37\uff49\uff44\uff45", ["strasse", "fine", "wide"]),
        ("红色连衣裙", ["红色", "色连", "连衣", "衣裙"]),
        ("Nike跑步鞋 42码", ["nike", "跑步", "步鞋", "42", "码"]),
        ("ワンピース", ["ワン", "ンピ", "ピー", "ース"]),
        ("a a A", ["a"]),
        ("… !", []),
    ],
)
def test_texts_become_words_and_unspaced_ones_pairs_of_characters(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_words_are_bounded() -> None:
    assert len(words_of(" ".join(str(n) for n in range(1000)), 24)) == 24
    assert len(words_of("".join(chr(0x4E00 + n) for n in range(1000)), 24)) == 24


def test_what_has_all_words_goes_first_then_what_has_the_rarer_one() -> None:
    titles = {"both": "red shoes", "rare": "purple shoes", "often": "red hat", "other": "blue hat"}
    titles |= {f"red {n}": "red scarf" for n in range(9)} | {"p": "purple red shoes very comfortable indeed"}
    assert list(called(titles, "purple shoes"))[:3] == ["rare", "p", "both"]
    assert list(called(titles, "red shoes"))[:1] == ["both"]
    assert list(called(titles, "shoes red")) == list(called(titles, "red shoes"))
    assert called(titles, "green") == {}


def test_chinese_titles_are_found_by_part_of_what_they_say() -> None:
    """No spaces on either side; simplified titles as shops write them."""
    titles = {
        "dress": "夏季新款红色连衣裙女",
        "skirt": "半身裙女夏季高腰",
        "shoes": "耐克男子跑步鞋透气",
        "phone": "华为手机官方旗舰店",
        "shirt": "红色衬衫",
    }
    assert next(iter(called(titles, "连衣裙"))) == "dress"
    assert "skirt" not in called(titles, "连衣裙")
    assert next(iter(called(titles, "红色裙子 连衣裙"))) == "dress"
    assert list(called(titles, "跑步鞋")) == ["shoes"]
    assert list(called(titles, "华为")) == ["phone"]
    assert set(called(titles, "红色")) == {"dress", "shirt"}


def test_tags_and_descriptions_are_found_behind_what_is_called_so() -> None:
    shop = shop_of(event("me", "search", "", 0, "waterproof"))
    index = shop.index()
    entries = {"title": {"title": "waterproof"}, "tag": {"title": "Boot of leather", "tags": ["waterproof", "men"]}}
    entries["described"] = {"title": "Coat of wool", "description": "It is waterproof, warm and light."}
    for item, entry in (entries | {"other": {"title": "Hat"}}).items():
        assert index.apply_catalog(item, json.dumps(entry).encode())
    made = search.propose(shop.queries(["me"]).asked(index), index, RETRIEVAL)
    assert [index.id_of(item) for item in made.item.tolist()] == ["title", "tag", "described"]


def test_what_searchers_chose_first_counts_most_and_only_for_their_words() -> None:
    shop = shop_of(
        event("a", "search", "", 0, "Trail running"),
        event("a", "view", "x", 10),
        event("a", "view", "y", 20),
        event("b", "search", "", 30, "running trail"),
        event("b", "view", "x", 40),
        event("c", "search", "", 50, "hats"),
        event("c", "view", "z", 60),
        event("me", "search", "", 70, "trail running"),
    )
    found = offered(search.propose, shop, "me")
    assert list(found) == ["x", "y"]
    assert found["x"][0] > 2 * found["y"][0] > 0.0


def test_a_search_counts_less_with_each_item_touched_and_not_in_the_next_session() -> None:
    first = [event("a", "search", "", 0, "hat"), event("a", "view", "z", 10), event("me", "search", "", 20, "hat")]
    just = offered(search.propose, shop_of(*first), "me")["z"][0]
    later = offered(search.propose, shop_of(*first, event("me", "view", "y", 30)), "me")["z"][0]
    assert 0.0 < later <= 0.76 * just
    assert offered(search.propose, shop_of(*first, event("me", "view", "y", 86_400)), "me") == {}


def test_what_is_touched_long_after_a_search_was_not_searched_for() -> None:
    shop = shop_of(
        event("a", "search", "", 0, "hat"), event("a", "view", "z", 7200), event("me", "search", "", 7300, "hat")
    )
    assert offered(search.propose, shop, "me") == {}


def test_the_catalog_and_events_say_what_an_item_is_called_and_may_take_it_back() -> None:
    shop = Shop()
    line = Line("i", item_key("i"), title="Old name", brand="Acme", category="home.garden_tools")
    shop.happen(Event("u", "1", "t", "view", START_MS, 1, (line,)))
    shop.happen(event("me", "search", "", 5, "acme garden new"))
    index = shop.index()
    asked = shop.queries(["me"]).asked(index)

    def score() -> float:
        return float(search.propose(asked, index, RETRIEVAL).scores[1].sum())

    before = score()
    assert before > 0.0
    index.apply_catalog("i", b'{"title": "New name"}')
    assert score() > before
    index.apply_catalog("i", None)
    assert score() == before


@pytest.mark.parametrize("seed", range(3))
def test_words_find_what_a_plain_search_through_all_titles_finds(seed: int) -> None:
    """Named, renamed and taken back, in any order, with questions in between."""
    rng = Random(seed)
    titles, plain = TitleIndex(), dict[int, str]()
    for n in range(4000):
        item, text = rng.randrange(900), " ".join(rng.choice("abcdefghij") for _ in range(rng.randrange(4)))
        titles.tell(item, text)
        plain[item] = text
        if n % 131 == 0:
            word = rng.choice("abcdefghij")
            found = sorted(titles.holding(word_key(word)).tolist())
            assert found == sorted(i for i, t in plain.items() if word in t.split())
    assert len(titles.holding(word_key("k"))) == 0
    assert titles.named == sum(bool(text) for text in plain.values())
    assert titles.total == sum(len(set(text.split())) for text in plain.values())


def test_nothing_is_looked_up_for_shoppers_who_do_not_search() -> None:
    shop = shop_of(event("a", "view", "x"))
    index = shop.index()
    index.apply_catalog("x", b'{"title": "words"}')
    made = search.propose(shop.queries(["a"]).asked(index), index, RETRIEVAL)
    assert len(made.item) == 0
    assert index.titles._pending
    assert len(search.propose(shop.queries([]).asked(ItemIndex()), ItemIndex(), RETRIEVAL).item) == 0
    assert not np.any(index.titles.lengths)
