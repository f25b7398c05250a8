"""``streamer demo``: the whole system at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options


@click.command(
    epilog=examples(
        "streamer demo                                   the bundled sample, two minutes",
        "streamer demo --events 5000 --rate 500",
        "streamer demo --data events.csv.gz --rate 300   a log of your own; `streamer publish --help` lists formats",
    )
)
@click.option("--events", type=click.IntRange(min=1), help="How many events to play.  [default: all]")
@click.option("--rate", default=300.0, show_default=True, type=click.FloatRange(min=1), help="Events a second.")
@click.option("--data", type=click.Path(exists=True, dir_okay=False), help="A log to play instead of the bundled one.")
@click.option(
    "--report",
    default=Path("demo-report.json"),
    show_default=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Where to write the figures.",
)
@with_settings
def demo(*, events: int | None, rate: float, data: str | None, report: Path, options: Options) -> None:
    """Start Kafka and a worker here, play real shop events, and show the push candidates that come out.

    Everything is stopped and removed at the end, or on Ctrl-C. With --bootstrap, that Kafka is used instead and keeps
    the topics; give a --prefix of its own then.
    """
    from agents.logs import configure
    from streamer.demo import run

    settings = options.settings()
    configure(settings.log, role="demo")
    run(settings, data=data, limit=events, rate=rate, report=report, bootstrap=options.bootstrap)
