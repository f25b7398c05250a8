"""Campaigns from their files: those that are shipped, and a shop's own from a folder.

Each file is a campaign, its name the file's. ``streamer.core.campaigns.read`` tells what may stand in one.
"""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Final

from streamer.core.campaigns.read import CampaignError, read_campaign

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from streamer.campaign_settings import CampaignSettings
    from streamer.core.campaigns.campaign import Campaign

ALL: Final = "all"


def shipped() -> dict[str, Traversable]:
    """The files that come with the program, by the campaign's name, in the order of names."""
    return _files(resources.files("streamer.data") / "campaigns")


def _files(folder: Traversable) -> dict[str, Traversable]:
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): file for file in files if file.name.endswith(".toml")}


def read_file(name: str, file: Traversable) -> Campaign:
    """The campaign in a file. Raises ``CampaignError`` with all that is wrong with it."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise CampaignError([f"{file}: cannot be read: {exc}"]) from None
    except tomllib.TOMLDecodeError as exc:
        raise CampaignError([f"{file}: is not TOML: {exc}"]) from None
    return read_campaign(name, tree, str(file))


def load(settings: CampaignSettings, *, segments: bool = True) -> tuple[Campaign, ...]:
    """The campaigns that are on, in the order of their names. Raises ``CampaignError`` with all problems found.

    Files of campaigns that are off are read too: what is wrong with them is better known before they are needed.
    Where there are no ``segments``, what needs them is refused, and is none of `all`.
    """
    files = shipped()
    problems: list[str] = []
    if settings.folder is not None:
        if settings.folder.is_dir():
            own = _files(settings.folder)
            for name in sorted(own.keys() & files.keys()):
                problems.append(
                    f"{own[name]}: there is a campaign {name!r} already, {files[name]}: name the file otherwise, and "
                    f"switch the other off with campaigns.off = {name}"
                )
            files = own | files
        else:
            problems.append(f"campaigns.folder = {settings.folder}: there is no such folder")
    for setting in ("on", "off"):
        for name in getattr(settings, setting):
            if name not in files and name != ALL:
                close = difflib.get_close_matches(name, files, n=1)
                meant = f"; did you mean {close[0]}?" if close else f": there are {', '.join(sorted(files))}"
                problems.append(f"campaigns.{setting}: there is no campaign {name!r}{meant}")
    off = set(files) if ALL in settings.off else set(settings.off)
    campaigns = []
    for name, file in sorted(files.items()):
        try:
            campaign = read_file(name, file)
        except CampaignError as exc:
            problems += exc.problems
        else:
            # What gives away money is never switched on along with something else.
            every = ALL in settings.on and campaign.coupon is None
            if not (every or name in settings.on) or name in off:
                continue
            if segments or not campaign.of_segments:
                campaigns.append(campaign)
            elif name in settings.on:
                problems.append(f"{file}: it is of segments, and there are none: set core.segments.learn_rate above 0")
    if problems:
        raise CampaignError(problems)
    return tuple(campaigns)
