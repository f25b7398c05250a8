"""Campaigns from files: what is wrong is told at the start, with file and key; what is right becomes settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load, read_file, shipped
from streamer.core.campaigns.campaign import NEXT
from streamer.core.campaigns.read import CampaignError
from streamer.core.events import item_key
from streamer.core.policy.state import Armed
from streamer.inspect import waiting
from streamer.settings import SettingsError
from streamer.settings import load as load_settings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
says = "hello"

[triggers]
on = ["cart"]
after = "30m"

[message]
template = "mine.v1"
"""


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


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Not one a start."""
    assert len(problems(tmp_path, GOOD.replace("30m", "soon").replace('"cart"', '"card"'))) == 2


def test_a_name_that_is_shipped_is_not_to_be_used_again(tmp_path: Path) -> None:
    """Nobody should have to find out which of two files counts."""
    (problem,) = problems(tmp_path, GOOD, name="cart-reminder")
    assert problem.startswith(f"{tmp_path / 'cart-reminder.toml'}: there is a campaign 'cart-reminder' already")


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
