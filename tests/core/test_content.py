"""What items are like by words and by catalog vectors: as plain formulas have it, in whatever order it was told."""

from __future__ import annotations

import json
import math
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.candidates import embedding, fresh, text
from streamer.core.candidates.pool import retrieve
from streamer.core.content.shoppers import BY_PLACE
from streamer.core.content.texts import Said, TextIndex
from streamer.core.events import Event, Line, item_key
from streamer.core.features import ROW, compute
from streamer.core.index import ItemIndex
from streamer.core.profile import fold
from streamer.core.queries import Queries
from streamer.core.retrieval_settings import ContentSettings, RetrievalSettings
from streamer.core.words import words_of
from tests.core.shop import PROFILES, RETRIEVAL, START_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.profile import Profile
    from streamer.core.queries import Asked

WORDS = ["red", "blue", "green", "trail", "road", "shoe", "boot", "lamp", "desk", "chair", "oak", "steel", "wool"]
TEXT = ContentSettings(text_words=16)
FOUR = ContentSettings(text_words=16, vector_numbers=4)


def shopper(*items: str) -> Profile:
    """Somebody who looked at these, one after the other."""
    profile = None
    for n, item in enumerate(items):
        event = Event("me", f"e{n}", "t", "view", START_MS + n * 1000, n, (Line(item, item_key(item)),))
        profile = fold(profile, event, PROFILES)
    assert profile is not None
    return profile


def index_of(catalog: Mapping[str, dict[str, Any]], content: ContentSettings = TEXT) -> ItemIndex:
    index = ItemIndex(capacity=8, content=content)
    for item, entry in catalog.items():
        assert index.apply_catalog(item, json.dumps(entry).encode())
    return index


def asked_by(index: ItemIndex, *profiles: Profile) -> Asked:
    queries = Queries(RETRIEVAL)
    for profile in profiles:
        queries.add(profile, START_MS + 60_000)
    return queries.asked(index)


def cosines(index: ItemIndex, asked: Asked, items: Sequence[str], kind: str) -> np.ndarray:
    """Of all newest items and of the newest alone [2, queries, items], 0 if there are none to be had."""
    query = np.repeat(np.arange(asked.count), len(items))
    item = np.array([index.dense(item_key(name)) for name in items] * asked.count)
    if kind == "text":
        assert asked.tastes is not None
        found = index.texts.likeness(asked.tastes, query, item)
    else:
        assert asked.directions is not None
        found = index.embeddings.likeness(asked.directions, query, item)
    return np.array(found).reshape(2, asked.count, len(items))


def a_catalog(seed: int, items: int = 60) -> dict[str, dict[str, Any]]:
    rng = Random(seed)
    return {
        f"i{n}": {
            "title": " ".join(rng.sample(WORDS, rng.randint(0, 5))),
            "category": rng.choice(("", "home.lighting", "shoes.running", "shoes.trail.men")),
            "brand": rng.choice(("", "acme", "Zeta")),
            "tags": rng.sample(WORDS, rng.randint(0, 2)),
            "price": rng.choice((0, 10, 11, 90)),
            "vector": [rng.gauss() for _ in range(4)] if rng.random() < 0.8 else None,
        }
        for n in range(items)
    }


def plain_words(entry: dict[str, Any]) -> set[str]:
    """As the module's docstring tells them."""
    steps = entry["category"].split(".") if entry["category"] else []
    found = {f"c {'.'.join(steps[: n + 1])}" for n in range(len(steps))}
    found |= {f"b {entry['brand'].casefold()}"} if entry["brand"] else set()
    found |= {f"p {int(2 * math.log2(100 * entry['price']))}"} if entry["price"] else set()
    return found | set(words_of(f"{entry['title']} {' '.join(entry['tags'])}"))


def plain_cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    lengths = math.sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))
    return sum(weight * other.get(word, 0.0) for word, weight in one.items()) / lengths if lengths else 0.0


def unit(vector: Mapping[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(w * w for w in vector.values()))
    return {word: weight / length for word, weight in vector.items()}


@pytest.mark.parametrize("seed", range(4))
def test_likeness_of_texts_is_the_cosine_of_tf_idf(seed: int) -> None:
    """Against dicts of words, not hashed and not rounded."""
    catalog = a_catalog(seed)
    index, viewed = index_of(catalog), [f"i{n}" for n in Random(seed).sample(range(60), 10)]
    found = cosines(index, asked_by(index, shopper(*viewed)), list(catalog), "text")[:, 0]
    words = {item: plain_words(entry) for item, entry in catalog.items()}
    having = Counter(word for each in words.values() for word in each)
    count = sum(bool(each) for each in words.values())
    worth = {word: math.log2(count + 1) + 1 - math.log2(n) for word, n in having.items()}
    vectors = {item: {word: worth[word] for word in each} for item, each in words.items()}
    together = dict[str, float]()
    for place, item in enumerate(viewed[::-1][:8]):
        for word, weight in unit(vectors[item]).items() if vectors[item] else ():
            together[word] = together.get(word, 0.0) + weight * float(BY_PLACE[place])
    for n, vector in enumerate(vectors.values()):
        assert found[0, n] == pytest.approx(plain_cosine(together, vector), abs=0.002)
        assert found[1, n] == pytest.approx(plain_cosine(vectors[viewed[-1]], vector), abs=0.002)


@pytest.mark.parametrize("seed", range(3))
def test_words_that_change_and_go_leave_no_trace(seed: int) -> None:
    """As if each item had been told once, what it is last told; questions in between."""
    rng, told = Random(seed), TextIndex(16)
    last: dict[int, Said] = {}
    for n in range(3000):
        item = rng.randrange(200)
        last[item] = Said(rng.choice(("", "a.b", "c")), "", "", " ".join(rng.sample(WORDS, rng.randrange(4))), "")
        told.tell(item, last[item])
        if n % 97 == 0:
            told.settle()
    once = TextIndex(16)
    for item in sorted(last, reverse=True):
        once.tell(item, last[item])
    told.settle()
    once.settle()
    assert told.described == once.described == sum(any(said) for said in last.values())
    assert (told._counts[1:] == once._counts[1:]).all()
    assert (told._levels[1:] * (told._counts[1:] > 0) == once._levels[1:] * (once._counts[1:] > 0)).all()
    both = np.arange(200)
    (words, worth, length), others = told.many(both), once.many(both)
    assert (words.tolist(), worth.tolist(), length.tolist()) == tuple(each.tolist() for each in others)


@pytest.mark.parametrize("kind", ["text", "embedding"])
def test_likeness_hangs_neither_on_other_queries_nor_on_the_order_items_came_in(kind: str) -> None:
    """Bit for bit."""
    catalog = a_catalog(7)
    rng = Random(7)
    some = [shopper(*(f"i{rng.randrange(60)}" for _ in range(rng.randint(1, 12)))) for _ in range(20)]
    index = index_of(catalog, FOUR)
    other = index_of(dict(rng.sample(list(catalog.items()), len(catalog))), FOUR)
    together = cosines(index, asked_by(index, *some), list(catalog), kind)
    for n, profile in enumerate(some):
        alone = cosines(other, asked_by(other, profile), list(catalog), kind)
        assert alone[:, 0].tolist() == together[:, n].tolist()


def test_likeness_among_some_items_is_that_of_each_of_them() -> None:
    """What retrieval asks and what features ask is one and the same."""
    catalog = a_catalog(3)
    index = index_of(catalog, FOUR)
    asked = asked_by(index, shopper("i1", "i2"), shopper("i3"))
    items = np.array([index.dense(item_key(item)) for item in catalog])
    assert asked.tastes is not None
    assert asked.directions is not None
    np.testing.assert_allclose(
        index.texts.among(asked.tastes, items), cosines(index, asked, list(catalog), "text")[0], atol=1e-12
    )
    np.testing.assert_allclose(
        index.embeddings.among(asked.directions, items),
        cosines(index, asked, list(catalog), "embedding")[0],
        atol=1e-12,
    )


@pytest.mark.parametrize("kind", ["text", "embedding"])
def test_a_shopper_without_candidates_shifts_nobody_elses(kind: str) -> None:
    """Nor does one who has nothing in common with any."""
    catalog = a_catalog(11)
    index = index_of(catalog, FOUR)
    asked = asked_by(index, shopper("unheard of"), shopper("i1", "i2"), shopper("i3"), shopper("i4", "i5"))
    whole = cosines(index, asked, list(catalog), kind)
    query = np.repeat([1, 3], len(catalog))
    item = np.array([index.dense(item_key(name)) for name in catalog] * 2)
    if kind == "text":
        assert asked.tastes is not None
        some = index.texts.likeness(asked.tastes, query, item)
    else:
        assert asked.directions is not None
        some = index.embeddings.likeness(asked.directions, query, item)
    assert np.array(some).reshape(2, 2, len(catalog)).tolist() == whole[:, [1, 3]].tolist()
    assert not whole[:, 0].any()
    assert whole[:, [1, 3]].any(axis=(0, 2)).all()


def test_likeness_to_more_items_than_are_multiplied_at_once_is_that_to_each() -> None:
    """Of 64 shoppers, which is 32 items of 64 numbers at once."""
    catalog, _ = new_items(100)
    index = index_of(catalog, ContentSettings(vector_numbers=64))
    asked = asked_by(index, *(shopper(f"new {n}") for n in range(64)))
    assert asked.directions is not None
    items = np.array([index.dense(item_key(item)) for item in catalog])
    found = index.embeddings.among(asked.directions, items)
    assert found.tolist() == cosines(index, asked, list(catalog), "embedding")[0].tolist()
    assert found.argmax(axis=1).tolist() == list(range(64))


def test_short_vectors_are_compared_as_they_are() -> None:
    """But for rounding to bytes."""
    catalog = a_catalog(5)
    index = index_of(catalog, FOUR)
    viewed = [item for item, entry in catalog.items() if entry["vector"]][:2]
    found = cosines(index, asked_by(index, shopper(*viewed)), list(catalog), "embedding")[1, 0]
    newest = np.array(catalog[viewed[1]]["vector"])
    for entry, cosine in zip(catalog.values(), found, strict=True):
        other = np.array(entry["vector"] or [0.0] * 4)
        length = np.linalg.norm(newest) * np.linalg.norm(other)
        assert cosine == pytest.approx(newest @ other / length if length else 0.0, abs=0.02)


def test_long_vectors_keep_their_angles_about() -> None:
    """Of 512 numbers 64 bytes are left: errors are those of 64 random signs, an eighth where nothing is alike."""
    rng = np.random.default_rng(2)
    base = rng.normal(size=512)
    catalog: dict[str, dict[str, Any]] = {"seen": {"vector": base.tolist()}}
    true = {}
    for n in range(200):
        vector = base * (n / 100) + rng.normal(size=512)
        catalog[f"i{n}"] = {"vector": (vector * 10.0 ** (n % 9 - 4)).tolist()}
        true[f"i{n}"] = float(vector @ base / np.linalg.norm(vector) / np.linalg.norm(base))
    index = index_of(catalog, ContentSettings(vector_numbers=512))
    found = cosines(index, asked_by(index, shopper("seen")), list(true), "embedding")[0, 0]
    errors = found - np.array(list(true.values()))
    assert np.abs(errors).max() < 0.45
    assert np.sqrt((errors**2).mean()) < 0.13
    assert index.embeddings.vectors.shape[1] == 64


def new_items(count: int, seed: int = 1) -> tuple[dict[str, dict[str, Any]], np.ndarray]:
    """Items that nothing but a vector and a title's words tells apart, and the vector of one that is looked at."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=64)
    catalog: dict[str, dict[str, Any]] = {
        f"new {n}": {"title": f"number {n}", "vector": rng.normal(size=64).tolist()} for n in range(count)
    }
    return catalog, base


def test_a_new_item_that_looks_like_what_was_looked_at_is_found_by_its_vector_alone() -> None:
    """Among 400 that nobody has seen; with vectors left alone no one proposes it."""
    catalog, base = new_items(400)
    catalog["seen"] = {"title": "chair", "vector": base.tolist()}
    catalog["twin"] = {"title": "stool", "vector": (base + 0.5 * np.random.default_rng(3).normal(size=64)).tolist()}
    for content, expected in ((ContentSettings(vector_numbers=64), True), (ContentSettings(), False)):
        index = index_of(catalog, content)
        asked = asked_by(index, shopper("seen"))
        pool = retrieve(asked, index, RETRIEVAL)
        assert ("twin" in {index.id_of(item) for item in pool.item.tolist()}) is expected
        made = embedding.propose(asked, index, RETRIEVAL)
        names = [index.id_of(item) for item in made.item.tolist()]
        assert names[:1] == ["twin"] * expected
        assert len(names) == RETRIEVAL.embedding_items * expected
        assert "seen" not in names
        x = compute(pool, asked, index, RETRIEVAL)
        assert bool(x[ROW["embedding"]].max() > 0.8) is expected


def test_a_new_item_is_found_by_its_words_where_there_is_no_category() -> None:
    """The rarer a word that it shares, the better."""
    catalog: dict[str, dict[str, Any]] = {f"new {n}": {"title": f"number {n} of cotton"} for n in range(300)}
    catalog |= {"seen": {"title": "Walnut bookshelf of cotton"}, "twin": {"name": "shelf", "tags": ["walnut"]}}
    index = index_of(catalog)
    asked = asked_by(index, shopper("seen"))
    names = [index.id_of(item) for item in text.propose(asked, index, RETRIEVAL).item.tolist()]
    assert names[0] == "twin"
    assert "seen" not in names
    assert len(fresh.propose(asked, index, RETRIEVAL).item) == 0


def test_what_many_have_seen_is_not_proposed_as_new() -> None:
    catalog, base = new_items(3)
    catalog |= {"seen": {"vector": base.tolist()}, "twin": {"vector": base.tolist()}}
    index = index_of(catalog, ContentSettings(vector_numbers=64))
    index.views[index.dense(item_key("twin"))] = RETRIEVAL.fresh_views
    asked = asked_by(index, shopper("seen"))
    assert "twin" not in {index.id_of(item) for item in embedding.propose(asked, index, RETRIEVAL).item.tolist()}


@pytest.mark.parametrize("vector", [[1.0, 2.0, 3.0], [1.0] * 5, [1.0, 2.0, 3.0, 1e300], [1, 2, 3, None], "0101", [[1]]])
def test_a_vector_of_another_kind_or_count_is_refused_and_the_entry_before_it_stands(vector: object) -> None:
    index = index_of({"i": {"title": "old", "vector": [1, 0, 0, 0]}}, FOUR)
    version = index.version
    assert not index.apply_catalog("i", json.dumps({"title": "new", "vector": vector}).encode())
    assert index.problem
    assert (index.title(0), index.version, index.embeddings.held) == ("old", version, 1)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    """Most of them are no JSON either."""
    assert not ItemIndex(content=FOUR).apply_catalog("i", f'{{"vector": [0, 0, 1, {number}]}}'.encode())


def test_the_log_is_told_which_count_of_numbers_was_expected() -> None:
    index = ItemIndex(content=FOUR)
    assert not index.apply_catalog("i", b'{"vector": [1, 2]}')
    assert index.problem == "a vector of 2 numbers, where core.retrieval.content.vector_numbers is 4"


def test_vectors_are_left_alone_until_their_count_is_set() -> None:
    """Of whatever count, and nothing is kept of them."""
    index = index_of({"i": {"vector": [1, 2]}, "j": {"vector": [1, 2, 3]}})
    assert index.embeddings.held == 0
    assert index.embeddings.vectors.nbytes == 0
    assert asked_by(index, shopper("i")).directions is None


def test_a_vector_goes_with_its_entry_and_with_one_that_has_none() -> None:
    index = index_of({"i": {"vector": [1, 2, 3, 4]}, "j": {"vector": [1, 2, 3, 4]}}, FOUR)
    assert index.embeddings.held == 2
    index.apply_catalog("i", None)
    index.apply_catalog("j", b'{"vector": [0, 0, 0, 0]}')
    assert index.embeddings.held == 0
    assert not index.embeddings.vectors.any()


def test_an_item_takes_as_many_bytes_as_set_however_long_its_vector_and_its_description_are() -> None:
    content = ContentSettings(text_words=8, vector_numbers=1000, vector_size=32)
    entry = {"vector": [0.5, -1.0] * 500, "description": "word " * 9000, "tags": ["t"] * 9000}
    index = index_of({f"i{n}": entry for n in range(100)}, content)
    index.texts.settle()
    assert index.embeddings.vectors[0].nbytes + index.embeddings.length[0].nbytes == 36
    assert index.texts.words[0].nbytes == 16
    entry_kept = index.entry(0)
    assert entry_kept is not None
    assert entry_kept.vector == ()
    assert len(entry_kept.more) <= 512


def test_a_shop_whose_items_are_not_described_pays_nothing() -> None:
    """No words, no vectors: neither is looked at, and the features are 0."""
    index = index_of({f"i{n}": {} for n in range(50)}, FOUR)
    asked = asked_by(index, shopper("i1", "i2"))
    assert asked.tastes is None
    assert asked.directions is None
    assert len(text.propose(asked, index, RETRIEVAL).item) == 0
    pool = retrieve(asked, index, RETRIEVAL)
    names = ("text", "text_last", "embedding", "embedding_last")
    assert not compute(pool, asked, index, RETRIEVAL)[[ROW[name] for name in names]].any()


def test_text_words_of_none_and_families_switched_off_ask_for_nothing() -> None:
    catalog = a_catalog(1)
    index = index_of(catalog, ContentSettings(text_words=0))
    assert asked_by(index, shopper("i1")).tastes is None
    index = index_of(catalog, FOUR)
    off = RetrievalSettings(without=("text", "embedding"), without_features=("text", "embedding"))
    queries = Queries(off)
    queries.add(shopper("i1"), START_MS)
    asked = queries.asked(index)
    assert asked.tastes is None
    assert asked.directions is None


@pytest.mark.parametrize("wrong", [{"text_words": 99}, {"vector_numbers": 5000}, {"vector_size": 4}])
def test_content_settings_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ContentSettings(**wrong)
