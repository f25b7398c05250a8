"""Campaigns from files: what is wrong is told at the start, with file and key; what is right becomes settings."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import NEEDS, load, read_file, shipped
from streamer.core.campaigns.campaign import NEXT
from streamer.core.campaigns.read import CampaignError
from streamer.core.candidates.registry import GENERATORS
from streamer.core.events import item_key
from streamer.core.policy.state import Armed
from streamer.core.queries import Queries
from streamer.inspect import waiting
from streamer.settings import SettingsError
from streamer.settings import load as load_settings
from tests.core.shop import RETRIEVAL, shared_shop

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.core.retrieval_settings import RetrievalSettings

GOOD = """
says = "hello"

[triggers]
on = ["cart"]
after = "30m"

[message]
template = "mine.v1"
"""


OWN = '[items]\nlist = "trigger"\n'
BESIDE = '[items]\nlist = "complements"\n'
TEN = '[coupon]\nid = "ten"\ncost = 10\n'


def declared(on: str, triggers: str = "", more: str = "") -> str:
    """A file that reacts to these event types, with further keys of its triggers and further sections."""
    names = ", ".join(f'"{name}"' for name in on.split())
    return f'[triggers]\non = [{names}]\n{triggers}\n{more}\n[message]\ntemplate = "mine.v1"\n'


def problems(folder: Path, text: str, name: str = "mine") -> list[str]:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CampaignError) as refusal:
        load(CampaignSettings(on=("next",), folder=folder))
    return refusal.value.problems


def test_the_shipped_next_campaign_is_the_cores_default() -> None:
    """So that nothing has to be read as long as nothing else is switched on."""
    assert read_file("next", shipped()["next"]) == NEXT


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (GOOD.replace("after", "afer"), "triggers.afer: there is no such key; did you mean after?"),
        (GOOD.replace("says", "sayz"), "sayz: there is no such key; did you mean says?"),
        (GOOD.replace("[message]", "[mesage]"), "mesage: there is no such key; did you mean message?"),
        (GOOD.replace('"cart"', '"card"'), "triggers.on: ['card'] names 'card', which is no event type"),
        (GOOD.replace('"cart"', '"push_clicked"'), "triggers.on: ['push_clicked'] names 'push_clicked'"),
        (GOOD.replace('"30m"', '"half an hour"'), "triggers.after: 'half an hour' is no duration"),
        (GOOD.replace('"30m"', "30"), "triggers.after: 30 is no duration"),
        (GOOD.replace('on = ["cart"]', ""), "[triggers] needs on"),
        (GOOD + "[audience]\ntags = ['rich']\n", "audience.tags: ['rich'] names 'rich', which is no tag"),
        (GOOD + "[audience]\nvisits_at_least = 3\nvisits_at_most = 2\n", "audience.visits_at_most: it is less than"),
        (GOOD + "[audience]\nsegments = ['big']\n", "audience.segments: ['big'] has something else than whole numbers"),
        (GOOD + "[audience]\nsegments = [1, 1]\n", "audience.segments: [1, 1] names something twice"),
        (GOOD + "[audience]\nsegments = 3\n", "audience.segments: 3 is no list"),
        (GOOD + "[items]\ngenerators = ['magic']\n", "items.generators: ['magic'] is none of recent,"),
        (GOOD + "[items]\nleast_score = 2\n", "items.least_score: 2 is no share"),
        (GOOD + "[caps]\nper_day = -1\n", "caps.per_day: -1 is no whole number"),
        (GOOD + "[budget]\nper_day = 10\n", "budget: there is no such key"),
        ("triggers = 1\n", "triggers is a section"),
        ("[triggers\n", "is not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, wrong: str, told: str) -> None:
    """Whether or not the campaign is on: it is better known before it is needed."""
    found = problems(tmp_path, wrong)
    assert any(problem.startswith(f"{tmp_path / 'mine.toml'}: ") and told in problem for problem in found), found


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (declared("view", 'due = "silence"\nfirst = "2d"', OWN), "items.list: a silence is about no items"),
        (declared("view", 'due = "silence"\nfirst = "2d"', BESIDE), "items.list: a silence is about no items"),
        (declared("search", 'after = "1h"', OWN), "items.list: search is about no items"),
        (declared("search", "", OWN), "items.list: search is about no items"),
        (declared("search", 'after = "1h"', BESIDE), "items.list: search is about no items"),
        (declared("purchase", 'after = "1h"', OWN), "items.again: all that this is about was bought"),
        (declared("purchase search", "", OWN), "items.again: all that this is about was bought"),
        (declared("view", 'due = "rebuy"', OWN), "items.again: all that this is about was bought"),
        (declared("purchase", 'due = "price_drop"', OWN), "triggers.on: nothing is watched by purchase: add view,"),
        (declared("search", 'due = "back_in_stock"', OWN), "triggers.on: nothing is watched by search: add view,"),
        (
            declared("view", 'due = "price_drop"'),
            'items.list: with due = "price_drop" it is about what the news are of',
        ),
        (declared("view", 'due = "back_in_stock"\nwithin = "0d"', OWN), "triggers.within: '0d' is no time at all"),
        (declared("view") + 'expires_after = "0s"', "message.expires_after: '0s' is no time at all"),
        (declared("view", more="[caps]\nper_day = 0"), "caps.per_day: 0 would be no cap: leave it out"),
        (declared("view", more="[audience]\nvisits_at_most = 0"), "audience.visits_at_most: whoever does something"),
        (declared("view", more=TEN.replace("cost", "percent") + "budget = 90"), "coupon.at_most: say what percent"),
        (declared("view", more=TEN + "at_most = 5\nbudget = 90"), "coupon.at_most: it is for percent: leave it out"),
        (declared("search purchase", 'due = "back_in_stock"', OWN), "nothing is watched by search and purchase: add"),
        (declared("cart", 'after = "1h"\nrhythm = 2'), "triggers.due: rhythm, at_least, at_most and first are for due"),
        (
            declared("cart", 'due = "price_drop"\nrhythm = 2', OWN),
            "triggers.due: rhythm, at_least, at_most and first are",
        ),
        (
            declared("view", 'due = "silence"\nfirst = "2d"\nrestart = false'),
            'triggers.restart: with due = "silence" whatever the shopper does moves the timer',
        ),
        (
            declared("view", more="[audience]\ntags = ['buyer', 'new']\nwithout_tags = ['new']"),
            "audience.without_tags: new is among tags as well",
        ),
        (declared("view", more=TEN + "budget = 9"), "coupon.budget: it is less than the cost of one coupon"),
        (
            declared("view", more=TEN + "budget = 90\nbudget_per_day = 9.99"),
            "coupon.budget_per_day: it is less than the cost of one coupon",
        ),
        (declared("view") + "fixed = { title = 'Hello' }", "message.fixed: title is told of the item or the coupon"),
        (
            declared("view", more=TEN + "budget = 90") + "fixed = { discount = 'half' }",
            "message.fixed: discount is told of the item or the coupon",
        ),
    ],
)
def test_what_could_never_be_said_is_refused_and_not_waited_for(tmp_path: Path, wrong: str, told: str) -> None:
    """One line about it, with what to do: it would only ever be silent, or do something else than it says."""
    (problem,) = problems(tmp_path, wrong)
    assert problem.startswith(f"{tmp_path / 'mine.toml'}: ")
    assert told in problem


@pytest.mark.parametrize(
    "right",
    [
        declared("checkout", 'after = "1h"', OWN),
        declared("checkout", 'after = "1h"', BESIDE),
        declared("search view", 'after = "1h"', OWN),
        declared("purchase", 'after = "1h"', OWN + "again = true"),
        declared("purchase", 'after = "1h"', BESIDE),
        declared("purchase cart", 'after = "1h"', OWN),
        declared("search", 'due = "rebuy"\nrhythm = 100', OWN + "again = true"),
        declared("purchase", 'due = "rebuy"'),
        declared("search wishlist", 'due = "back_in_stock"', OWN),
        declared("view", more="[audience]\ntags = ['buyer']\nwithout_tags = ['new']"),
        declared("view", more=TEN + "budget = 10\nbudget_per_day = 10"),
        declared("view") + "fixed = { category = 'Shoes', discount = 'none' }",
        declared("view", 'after = "3650d"'),
    ],
)
def test_what_may_be_said_after_all_is_not_refused(tmp_path: Path, right: str) -> None:
    """Each is next to something that is."""
    (tmp_path / "mine.toml").write_text(right, encoding="utf-8")
    assert [campaign.name for campaign in load(CampaignSettings(on=("mine",), folder=tmp_path))] == ["mine"]


@pytest.mark.parametrize("long", ["3651d", "3000000d", "315360001s", pytest.param("9" * 5000 + "s", id="9s")])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("triggers.after", GOOD.replace('"30m"', '"{}"')),
        ("triggers.first", declared("view", 'due = "silence"\nfirst = "{}"')),
        ("triggers.within", declared("view", 'due = "price_drop"\nwithin = "{}"')),
        ("message.expires_after", GOOD + 'expires_after = "{}"'),
        ("caps.min_gap", GOOD + '[caps]\nmin_gap = "{}"'),
    ],
    ids=["after", "first", "within", "expires_after", "min_gap"],
)
def test_nothing_waits_longer_than_ten_years(tmp_path: Path, key: str, text: str, long: str) -> None:
    """Times further ahead have no place in the tables' keys, and no date."""
    (problem,) = problems(tmp_path, text.replace("{}", long))
    assert problem == f'{tmp_path / "mine.toml"}: {key}: {long!r} is longer than ten years: write "3650d" at most'


def test_a_silence_is_no_more_than_a_hundred_times_the_usual(tmp_path: Path) -> None:
    """For the same reason: the usual may be years."""
    (problem,) = problems(tmp_path, declared("view", 'due = "silence"\nfirst = "2d"\nrhythm = 101'))
    assert problem.endswith("triggers.rhythm: 101 is no number above 0 and at most 100")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Not one a start."""
    assert len(problems(tmp_path, GOOD.replace("30m", "soon").replace('"cart"', '"card"'))) == 2


def test_a_name_that_is_shipped_is_not_to_be_used_again(tmp_path: Path) -> None:
    """Nobody should have to find out which of two files counts."""
    (problem,) = problems(tmp_path, GOOD, name="cart-reminder")
    assert problem.startswith(f"{tmp_path / 'cart-reminder.toml'}: there is a campaign 'cart-reminder' already")


def test_a_campaign_is_not_called_all(tmp_path: Path) -> None:
    """Nobody could switch it on without all others."""
    (problem,) = problems(tmp_path, GOOD, name="all")
    assert problem.startswith(f"{tmp_path / 'all.toml'}: 'all' is all campaigns in campaigns.on and off: name the file")


def test_a_campaign_that_is_not_there_cannot_be_switched_on(tmp_path: Path) -> None:
    """The setting is named, and what may have been meant."""
    with pytest.raises(SettingsError, match=r"campaigns\.on: there is no campaign 'cart-remindr'; did you mean cart-r"):
        load_settings(None, {}, {"campaigns.on": "cart-remindr"}, check_files=False)
    with pytest.raises(SettingsError, match=r"campaigns\.folder = .*none: there is no such folder"):
        load_settings(None, {}, {"campaigns.folder": str(tmp_path / "none")}, check_files=False)


def test_a_shops_own_campaign_is_switched_on_without_code(tmp_path: Path) -> None:
    """Beside a shipped one, by settings alone; as nothing is said, `next` is on by itself."""
    (tmp_path / "mine.toml").write_text(GOOD, encoding="utf-8")
    given = {"campaigns.on": "mine,goes-with", "campaigns.folder": str(tmp_path)}
    settings = load_settings(None, {}, given, check_files=False)
    assert [campaign.name for campaign in settings.core.campaigns] == ["goes-with", "mine"]
    assert settings.core.campaigns[1].triggers.after_ms == 30 * 60_000
    assert load_settings(None, {}, {}, check_files=False).core.campaigns == (NEXT,)


def test_a_campaign_of_segments_needs_segments(tmp_path: Path) -> None:
    """It would be for nobody: refused by name, left out of `all`, and let in where there are segments."""
    (tmp_path / "mine.toml").write_text(GOOD + "[audience]\nsegments = [2, 5]\n", encoding="utf-8")
    own = {"campaigns.folder": str(tmp_path)}
    for name in ("mine", "segment-trending"):
        with pytest.raises(SettingsError, match=rf"{name}\.toml: it is of segments, and there are none: set core\.seg"):
            load_settings(None, {}, own | {"campaigns.on": name}, check_files=False)
    without = load_settings(None, {}, own | {"campaigns.on": "all"}, check_files=False)
    with_them = load_settings(
        None, {}, own | {"campaigns.on": "all", "core.segments.learn_rate": "0.1"}, check_files=False
    )
    names = [{campaign.name for campaign in each.core.campaigns} for each in (without, with_them)]
    assert names[1] - names[0] == {"mine", "segment-trending"}
    assert names[0] < names[1]
    mine = next(campaign for campaign in with_them.core.campaigns if campaign.name == "mine")
    assert mine.audience.segments == (2, 5)


NO_WORDS = "text: set core.retrieval.content.text_words above 0"
NO_VECTORS = "embedding: set core.retrieval.content.vector_numbers above 0"
NO_COMPLEMENTS = "complements: take it out of core.retrieval.without"
NO_RISE = {"core.retrieval.rising_items": "0", "core.retrieval.rising_in_category": "0"}


@pytest.mark.parametrize(
    ("items", "core", "told"),
    [
        ("generators = ['vectors']", {}, "all are switched off: vectors: set core.retrieval.vector_items above 0"),
        ("generators = ['text', 'embedding']", {}, f"all are switched off: {NO_WORDS}; {NO_VECTORS}"),
        (
            "generators = ['search']",
            {"core.retrieval.without": "search"},
            "all are switched off: search: take it out of core.retrieval.without",
        ),
        (
            "generators = ['vectors']",
            {"core.retrieval.without": "vectors"},
            "vectors: take it out of core.retrieval.without and set core.retrieval.vector_items above 0",
        ),
        (
            "generators = ['rising']",
            NO_RISE,
            "rising: set core.retrieval.rising_items or core.retrieval.rising_in_category above 0",
        ),
        ("generators = ['segment', 'vectors']", {}, "segment: set core.segments.learn_rate above 0; vectors: set"),
        (
            "list = 'complements'",
            {"core.retrieval.without": "complements"},
            f"items.list: generator {NO_COMPLEMENTS}",
        ),
        (
            "list = 'complements'\ngenerators = ['trending', 'fresh']",
            {"core.retrieval.without": "complements"},
            f"items.list: generator {NO_COMPLEMENTS}",
        ),
    ],
)
def test_a_campaign_of_what_is_switched_off_is_refused_by_name_and_none_of_all(
    tmp_path: Path, items: str, core: dict[str, str], told: str
) -> None:
    """It would never have anything to show."""
    (tmp_path / "mine.toml").write_text(f"{GOOD}[items]\n{items}\n", encoding="utf-8")
    given = core | {"campaigns.folder": str(tmp_path)}
    with pytest.raises(SettingsError) as refusal:
        load_settings(None, {}, given | {"campaigns.on": "next,mine"}, check_files=False)
    (problem,) = refusal.value.problems
    assert problem.startswith(f"{tmp_path / 'mine.toml'}: ")
    assert told in problem
    every = load_settings(None, {}, given | {"campaigns.on": "all"}, check_files=False).core.campaigns
    assert "next" in {campaign.name for campaign in every}
    assert "mine" not in {campaign.name for campaign in every}


@pytest.mark.parametrize(
    ("items", "core"),
    [
        ("generators = ['vectors', 'trending']", {}),
        ("generators = ['vectors']", {"core.retrieval.vector_items": "20"}),
        ("generators = ['rising']", {"core.retrieval.rising_items": "0"}),
        ("generators = ['segment', 'vectors']", {"core.segments.learn_rate": "0.1"}),
        ("list = 'complements'", {"core.retrieval.complement_recents": "0"}),
        ("", {"core.retrieval.without": "vectors"}),
    ],
)
def test_a_campaign_is_let_in_if_one_of_its_generators_is_on(tmp_path: Path, items: str, core: dict[str, str]) -> None:
    """By name, and as one of all."""
    (tmp_path / "mine.toml").write_text(f"{GOOD}[items]\n{items}\n", encoding="utf-8")
    for on in ("mine", "all"):
        given = core | {"campaigns.folder": str(tmp_path), "campaigns.on": on}
        loaded = load_settings(None, {}, given, check_files=False).core.campaigns
        assert "mine" in {campaign.name for campaign in loaded}


def with_zero(retrieval: RetrievalSettings, path: str) -> RetrievalSettings:
    """The settings with the one at a path below them at 0."""
    field, _, rest = path.partition(".")
    change: dict[str, Any] = {field: replace(getattr(retrieval, field), **{rest: 0}) if rest else 0}
    return replace(retrieval, **change)


@pytest.mark.parametrize(
    ("generator", "need"),
    [
        (name, need)
        for name, needs in NEEDS.items()
        for need in needs
        # The others are of what is learned and held, not of retrieval.
        if need.startswith("retrieval.") and not need.startswith("retrieval.content.")
    ],
)
def test_without_what_it_needs_a_generator_proposes_nothing(generator: str, need: str) -> None:
    """And with it something, also where it has one of two that it can do with."""
    (propose,) = [each.propose for each in GENERATORS if each.name == generator]
    shop, index = shared_shop(), shared_shop().index()

    def proposed(settings: RetrievalSettings) -> int:
        queries = Queries(settings)
        for user, profile in sorted(shop.profiles.items()):
            queries.add(profile, shop.now_ms, user=user, segment=shop.segments.node(profile, shop.now_ms))
        return len(propose(queries.asked(index), index, settings).item)

    either = [one.removeprefix("retrieval.") for one in need.split()]
    assert proposed(RETRIEVAL)
    assert not proposed(reduce(with_zero, either, RETRIEVAL))
    assert len(either) == 1 or all(proposed(with_zero(RETRIEVAL, one)) for one in either)


@pytest.mark.parametrize("on", ["mine", "all"])
def test_a_segment_that_there_is_not_is_told(tmp_path: Path, on: str) -> None:
    """With the numbers there are, and also of all: it is a mistake, and no choice."""
    (tmp_path / "mine.toml").write_text(GOOD + "[audience]\nsegments = [7, 8]\n", encoding="utf-8")
    given = {"campaigns.folder": str(tmp_path), "campaigns.on": on, "core.segments.learn_rate": "0.1"}
    with pytest.raises(SettingsError) as refusal:
        load_settings(None, {}, given, check_files=False)
    (problem,) = refusal.value.problems
    assert problem.startswith(f"{tmp_path / 'mine.toml'}: audience.segments: there is no segment 8: choose from 0 to 7")
    loaded = load_settings(None, {}, given | {"core.segments.count": "9"}, check_files=False).core.campaigns
    assert "mine" in {campaign.name for campaign in loaded}


def test_inspect_tells_of_a_timer_in_words() -> None:
    """When, why and about what, with the item's key where its name is not known."""
    key = item_key("sku-1")
    timer = Armed("mine", 1_800_000, 0, "e-1", "shop", "cart", "purchase", 2, 42, 7, (key, 255))
    assert waiting(timer, {key: "sku-1"}) == {
        "campaign": "mine",
        "due": "1970-01-01T00:30:00.000Z",
        "armed_by": "cart e-1",
        "origin": "purchase:42",
        "event_time": "1970-01-01T00:00:00.000Z",
        "items": ["sku-1", "#ff"],
        "deferred": False,
    }


def test_a_budget_of_which_a_task_could_buy_no_coupon_is_refused_where_it_is_switched_on(tmp_path: Path) -> None:
    """It would be silent for ever. Four tasks, four each: ten are too little, sixteen do."""
    for budget, problem in ((10, True), (16, False)):
        text = declared("view", more=f'[coupon]\nid = "x"\ncost = 4\nbudget_per_day = {budget}\n')
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        on = CampaignSettings(on=("mine",), folder=tmp_path)
        assert [each.name for each in load(on)] == ["mine"]
        if problem:
            with pytest.raises(CampaignError, match=r"budget_per_day: the part .* 4 tasks .* give 16\.00 at least"):
                load(on, partitions=4)
        else:
            load(on, partitions=4)
        load(CampaignSettings(on=("next",), folder=tmp_path), partitions=4)
