"""The data that come with the package; ``data/ATTRIBUTION.md`` says whose they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from streamer.readers.source import ReaderError

BUNDLED: Final = ("rees46",)


class Bundled(NamedTuple):
    """A log of events for ``open_events``, and its catalog for ``open_catalog``."""

    events: Path
    catalog: Path


def bundled(name: str) -> Bundled:
    """The files of a bundled log. Raises ReaderError if there is none of that name."""
    if name not in BUNDLED:
        raise ReaderError(f"no data called {name} come with the package; there are: {', '.join(BUNDLED)}")
    folder = Path(str(files("streamer.data")))
    return Bundled(folder / f"{name}.csv.gz", folder / f"{name}.catalog.jsonl.gz")
