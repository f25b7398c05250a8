"""The zone database, read for the core: that of the ``tzdata`` package, whatever the host has."""

from __future__ import annotations

from functools import cache
from importlib import metadata, resources

from streamer.core.zones import Zones


@cache
def load() -> Zones:
    """Every zone there is, once a process."""
    root = resources.files("tzdata")
    names = (root / "zones").read_text(encoding="ascii").split()
    folder = root / "zoneinfo"
    return Zones({name: folder.joinpath(*name.split("/")).read_bytes() for name in names}, metadata.version("tzdata"))
