"""Campaigns from their files: those that are shipped, and a shop's own from a folder.

Each file is a campaign, its name the file's. ``streamer.core.campaigns.read`` tells what may stand in one.
"""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from streamer.core.campaigns.read import CampaignError, read_campaign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from streamer.campaign_settings import CampaignSettings
    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.settings import CoreSettings

ALL: Final = "all"

#: By generator, settings of the core without which it never proposes anything. Where there are two in one text, either
#: will do. What goes with a campaign's own items is found with ``complement_recents`` at 0 too.
NEEDS: Final = {
    "covisitation": ("retrieval.covisitation_recents", "retrieval.covisitation_neighbours"),
    "sessions": ("retrieval.session_recents", "retrieval.session_neighbours", "retrieval.session_items"),
    "following": ("retrieval.session_recents", "retrieval.following_items"),
    "complements": ("retrieval.complement_neighbours", "retrieval.complement_items"),
    "search": ("retrieval.search_items",),
    "category_affinity": ("retrieval.category_count", "retrieval.category_items"),
    "content": ("retrieval.content_groups", "retrieval.content_items"),
    "trending": ("retrieval.trending_items",),
    "rising": ("retrieval.rising_items retrieval.rising_in_category",),
    "newcomers": ("retrieval.newcomer_items", "retrieval.items.newcomer_events"),
    "fresh": ("retrieval.fresh_views", "retrieval.fresh_items"),
    "embedding": ("retrieval.fresh_views", "retrieval.embedding_items", "retrieval.content.vector_numbers"),
    "text": ("retrieval.fresh_views", "retrieval.text_items", "retrieval.content.text_words"),
    "segment": ("retrieval.segment_items", "segments.learn_rate"),
    "vectors": ("retrieval.vector_items",),
}


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


def load(
    settings: CampaignSettings, core: CoreSettings | None = None, partitions: int | None = None
) -> tuple[Campaign, ...]:
    """The campaigns that are on, in the order of their names. Raises ``CampaignError`` with all problems found.

    Files of campaigns that are off are read too: what is wrong with them is better known before they are needed.
    What has nothing to say, or nobody to say it to, as the ``core`` is set is refused if it is named, and is none of
    `all`. Without a ``core`` that is not asked. Each of ``partitions`` has its part of a budget, which has to do for a
    coupon.
    """
    problems: list[str] = []
    files = _known(settings, problems)
    off = set(files) if ALL in settings.off else set(settings.off)
    campaigns = []
    for name, file in sorted(files.items()):
        try:
            campaign = read_file(name, file)
        except CampaignError as exc:
            problems += exc.problems
            continue
        # What gives away money is never switched on along with something else.
        every = ALL in settings.on and campaign.coupon is None
        if not (every or name in settings.on) or name in off:
            continue
        lacks = [] if core is None else list(_lacks(campaign, core))
        if not lacks:
            campaigns.append(campaign)
        elif name in settings.on:
            problems += [f"{file}: {lack}" for lack in lacks]
        if core is not None:
            problems += [f"{file}: {problem}" for problem in _beyond(campaign, core)]
        if partitions is not None:
            problems += [f"{file}: {problem}" for problem in _too_small(campaign, partitions)]
    if problems:
        raise CampaignError(problems)
    return tuple(campaigns)


def _known(settings: CampaignSettings, problems: list[str]) -> dict[str, Traversable]:
    """The files there are, by name. Names that are taken, or that there are not, are ``problems``."""
    files = shipped()
    if settings.folder is not None and not settings.folder.is_dir():
        problems.append(f"campaigns.folder = {settings.folder}: there is no such folder")
    elif settings.folder is not None:
        own = _files(settings.folder)
        problems += [
            f"{own[name]}: there is a campaign {name!r} already, {files[name]}: name the file otherwise, and "
            f"switch the other off with campaigns.off = {name}"
            for name in sorted(own.keys() & files.keys())
        ]
        if ALL in own:
            problems.append(f"{own[ALL]}: {ALL!r} is all campaigns in campaigns.on and off: name the file otherwise")
        files = own | files
    for setting in ("on", "off"):
        for name in getattr(settings, setting):
            if name not in files and name != ALL:
                close = difflib.get_close_matches(name, files, n=1)
                meant = f"; did you mean {close[0]}?" if close else f": there are {', '.join(sorted(files))}"
                problems.append(f"campaigns.{setting}: there is no campaign {name!r}{meant}")
    return files


def _lacks(campaign: Campaign, core: CoreSettings) -> Iterator[str]:
    """What is switched off that a campaign cannot do without, and how to switch it on."""
    if campaign.of_segments and not core.segments.on:
        yield "it is of segments, and there are none: set core.segments.learn_rate above 0"
        return
    listing = campaign.listing
    if listing.source == "complements" and (steps := _to_switch_on("complements", core)):
        yield f"items.list: generator {steps}"
    steps_of = [_to_switch_on(name, core) for name in listing.generators]
    if steps_of and all(steps_of):
        yield f"items.generators: all are switched off: {'; '.join(steps_of)}"


def _to_switch_on(generator: str, core: CoreSettings) -> str:
    """A generator that is switched off, and what would switch it on; "" if it is on."""
    steps = ["take it out of core.retrieval.without"] if generator in core.retrieval.without else []
    for need in NEEDS.get(generator, ()):
        either = need.split()
        if not any(attrgetter(one)(core) for one in either):
            steps.append(f"set {' or '.join(f'core.{one}' for one in either)} above 0")
    return f"{generator}: {' and '.join(steps)}" if steps else ""


def _too_small(campaign: Campaign, partitions: int) -> Iterator[str]:
    """Budgets of which a task's part would buy no coupon."""
    coupon = campaign.coupon
    if coupon is None:
        return
    least = coupon.may_cost * partitions
    for key, cents in (("budget", coupon.budget_cents), ("budget_per_day", coupon.day_cents)):
        if 0 < cents < least:
            yield (
                f"coupon.{key}: the part of it that each of the {partitions} tasks has (topics.partitions) is less "
                f"than one coupon may cost: give {least / 100:.2f} at least"
            )


def _beyond(campaign: Campaign, core: CoreSettings) -> Iterator[str]:
    """Segments that there are not. This is no choice of the shop's, so it is told of `all` too."""
    segments = core.segments
    for number in campaign.audience.segments:
        if segments.on and number >= segments.count:
            yield (
                f"audience.segments: there is no segment {number}: choose from 0 to {segments.count - 1}, or set "
                "core.segments.count higher"
            )
