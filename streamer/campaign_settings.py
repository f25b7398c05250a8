"""Settings of which campaigns are on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- settings are read by the types of their fields


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """Which campaigns are on.

    ``on``: their names, or `all` but those that give coupons, which have to be named, and those whose generators are
    switched off, such as those of segments; ``off``: those of them that are not. ``folder``: a shop's own campaigns, a
    TOML file each, under names that no shipped campaign has. ``experiments``: a folder of experiments, a TOML file
    each. See [campaigns](campaigns.md).
    """

    on: tuple[str, ...] = ("next",)
    off: tuple[str, ...] = ()
    folder: Path | None = None
    experiments: Path | None = None
