"""Simulated searches."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise

import pytest

from streamer.core.events import Event, key64
from streamer.readers.base import make_line
from streamer.readers.bundled import bundled
from streamer.readers.registry import open_events
from streamer.simulate import FARTHEST_MS, SOURCE, with_searches, words

DIGEST = """
import hashlib
from streamer.readers.bundled import bundled
from streamer.readers.registry import open_events
from streamer.simulate import with_searches
digest = hashlib.sha256()
for event in with_searches(open_events(bundled("rees46").events), seed=7):
    digest.update(f"{event.time} {event.user} {event.id} {event.query} {event.fingerprint}\\n".encode())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def log():
    return list(open_events(bundled("rees46").events))


def test_the_log_itself_is_untouched_and_time_does_not_go_back(log):
    mixed = list(with_searches(log, seed=7))
    assert [event for event in mixed if event.source != SOURCE] == log
    assert all(a.time <= b.time for a, b in pairwise(mixed))


def test_every_search_is_marked_and_lies_before_a_view_of_its_words_by_the_same_user(log):
    mixed = list(with_searches(log, seed=7))
    views = {event.id: event for event in log}
    searches = [event for event in mixed if event.source == SOURCE]
    assert len(searches) > 1_000
    assert len({event.fingerprint for event in searches}) == len(searches)
    for search in searches:
        view = views[search.id.removesuffix(":search")]
        assert search.type == "search"
        assert (search.user, search.session) == (view.user, view.session)
        assert 0 < view.time - search.time <= FARTHEST_MS
        known = f"{view.lines[0].category} {view.lines[0].brand}"
        assert set(plain(search.query)) <= set(plain(known))


def plain(text):
    return text.replace(".", " ").replace("_", " ").split()


def test_a_search_lies_strictly_between_two_events_of_its_user(log):
    newest: dict[str, Event] = {}
    for event in with_searches(log, seed=7, rate=1.0):
        before = newest.get(event.user)
        if before is not None and SOURCE in {event.source, before.source}:
            assert before.time < event.time
        newest[event.user] = event


def test_rate_is_the_share_of_views_that_get_one(log):
    known = sum(event.type == "view" and bool(words(event, 0)) for event in log)
    assert list(with_searches(log, rate=0.0)) == log
    some = len(list(with_searches(log, rate=0.2))) - len(log)
    assert 0.12 * known < some < 0.22 * known
    assert len(list(with_searches(log, rate=1.0))) - len(log) > 0.8 * known


def test_the_seed_decides_and_another_gives_others(log):
    def ids(seed):
        return [event.id for event in with_searches(log, seed)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_the_hash_seed_of_python_does_not_matter():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize(
    ("category", "brand", "queries"),
    [
        ("a.b.water_heater", "aqua", {"aqua water heater", "water heater", "b water heater", "aqua"}),
        ("205301355", "aqua", {"aqua"}),
        ("shoes", "", {"shoes"}),
        ("205301355", "", {""}),
    ],
)
def test_queries_are_made_of_category_and_brand(log, category, brand, queries):
    event = next(event for event in log if event.type == "view")
    line = make_line("1", category=category, brand=brand)
    view = Event(event.user, "x", "test", "view", 0, key64("x"), (line,))
    assert {words(view, draw) for draw in range(8)} == queries
