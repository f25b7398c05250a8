"""Experiments from their files, and what is said of those that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.core.policy.experiments import Arm, Experiment
from streamer.core.settings import PolicySettings
from streamer.experiments import load
from streamer.settings import SettingsError
from streamer.settings import load as load_settings

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
salt = "autumn"

[arms.as-now]
share = 0.5

[arms.bolder]
share = 0.5
set = { score_threshold = 0.01, per_day = 2 }
"""


def test_a_file_is_an_experiment_of_its_name(tmp_path: Path) -> None:
    """Other files of the folder are left alone; the core gets what is in them."""
    (tmp_path / "bolder-pushes.toml").write_text(GOOD)
    (tmp_path / "notes.md").write_text("not mine")
    changes = (("per_day", 2), ("score_threshold", 0.01))
    expected = Experiment("bolder-pushes", (Arm("as-now", 0.5), Arm("bolder", 0.5, changes)), "autumn")
    assert load(tmp_path, PolicySettings()) == (expected,)
    settings = load_settings(None, {}, {"campaigns.experiments": str(tmp_path)})
    assert settings.core.experiments == (expected,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("share = [", "is not TOML"),
        ("[arms.one]\nshare = 1", "two at least"),
        (GOOD + "\n[arm]\n", "arm: there is no such key"),
        (GOOD.replace("share = 0.5", "share = 0.4"), "sum to 0.8, not to 1"),
        (GOOD.replace("share = 0.5", "share = 0", 1), "arms.as-now.share: 0 is no share"),
        (GOOD.replace("share", "part", 1), "arms.as-now.part: there is no such key"),
        (GOOD.replace("per_day = 2", "per_dya = 2"), "arms.bolder.set.per_dya: it is no setting"),
        (GOOD.replace("per_day = 2", 'per_day = "2"'), "arms.bolder.set.per_day: '2' is not a whole number"),
        (GOOD.replace("per_day = 2", "explore_share = 2.0"), "explore_share"),
        (GOOD.replace("per_day = 2", "holdout_share = 0.1"), "that an arm may change"),
        (GOOD.replace("per_day = 2", 'rank_by = "luck"'), "is none of model, popularity"),
        (GOOD.replace('"autumn"', "7"), "salt: 7 is not text"),
        (GOOD.replace("as-now", "As"), "is no name of an arm"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    """At the start, in words, with all the other settings' problems."""
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"wrong\.toml") as refused:
        load(tmp_path, PolicySettings())
    assert any(told in problem for problem in refused.value.problems)
    with pytest.raises(SettingsError, match=r"wrong\.toml"):
        load_settings(None, {}, {"campaigns.experiments": str(tmp_path)})


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Nobody wants to run without the experiment they meant to run."""
    with pytest.raises(SettingsError, match="no such folder"):
        load(tmp_path / "nowhere", PolicySettings())
