"""The page on campaigns names what there is: every campaign, every section and key of a file."""

from __future__ import annotations

import re
from pathlib import Path

from streamer.campaigns import shipped
from streamer.core.campaigns.read import SECTIONS

PAGE = (Path(__file__).parents[1] / "docs" / "campaigns.md").read_text(encoding="utf-8")


def test_the_page_has_every_shipped_campaign_and_no_other() -> None:
    """One row each."""
    rows = PAGE.split("| campaign |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", rows, re.MULTILINE)) == set(shipped())


def test_the_page_has_every_key_of_every_section() -> None:
    """In the section's own rows."""
    table = PAGE.split("| section | key |")[1].split("\n\n")[0]
    told: dict[str, set[str]] = {}
    section = ""
    for row in table.splitlines()[2:]:
        first, keys = row.split("|")[1:3]
        section = first.strip(" `") or section
        told.setdefault(section, set()).update(re.findall(r"`([a-z_]+)`", keys))
    assert told == {name: set(keys) for name, (_, keys) in SECTIONS.items()}
