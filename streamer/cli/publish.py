"""``streamer publish FILE``: a log of events onto Kafka, as if it happened now."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.common import examples, require_topics, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.cli.common import Options
    from streamer.core.events import Event
    from streamer.settings import Settings

INPUTS = ("browse", "search", "purchase", "feedback", "preferences")


@click.command(
    epilog=examples(
        "streamer publish --sample --rate 200              the bundled events and their catalog",
        "streamer publish events.csv.gz --rate 500         open-loop, 500 events a second",
        "streamer publish events.jsonl --limit 1000        the first thousand, as fast as possible",
        "streamer publish events.csv --catalog items.csv",
    )
)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sample", is_flag=True, help="The bundled REES46 sample with its catalog, instead of FILE.")
@click.option("--rate", default=0.0, type=click.FloatRange(min=0), help="Events a second; 0 is as fast as possible.")
@click.option("--limit", type=click.IntRange(min=1), help="How many events to take.  [default: all]")
@click.option("--keep-times", is_flag=True, help="Keep the file's times; else they are shifted to end now.")
@click.option("--catalog", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Items to publish first.")
@click.option(
    "--searches",
    default=0.0,
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    help="Put a made-up search before this share of views; their source says that they are simulated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_settings
def publish(
    *,
    file: Path | None,
    sample: bool,
    rate: float,
    limit: int | None,
    keep_times: bool,
    catalog: Path | None,
    searches: float,
    as_json: bool,
    options: Options,
) -> None:
    """Publish the events of FILE, plain or gzipped, in time order.

    The format is told from the content: the inbound envelope as JSON lines, a CSV with the columns time,user,type,item
    (and query, category, price, quantity, title), or the published logs of REES46, RetailRocket, Taobao UserBehavior
    and UCI Online Retail. Rows that cannot be read are counted and skipped.
    """
    if (file is None) != sample:
        raise click.UsageError("name a FILE to publish, or give --sample")

    from streamer.readers.bundled import bundled
    from streamer.readers.registry import open_events
    from streamer.simulate import with_searches

    settings = options.settings()
    if file is None:
        file, its_catalog = bundled("rees46")
        catalog = catalog or its_catalog
    reader = open_events(file)
    events = with_searches(reader, settings.core.seed, searches) if searches else reader
    report = asyncio.run(_work(settings, events, catalog, rate=rate, limit=limit, keep_times=keep_times, quiet=as_json))
    report["skipped_rows"] = dict(sorted(reader.skipped.items()))
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    where = ", ".join(f"{count:,} on {topic}" for topic, count in report["by_topic"].items())
    click.echo(f"{report['published']:,} events in {report['seconds']:.1f} s: {where or 'nothing to send'}")
    if report["catalog_items"]:
        click.echo(f"{report['catalog_items']:,} catalog items before them")
    for reason, count in report["skipped_rows"].items():
        click.echo(f"{count:,} rows skipped: {reason}")


async def _work(
    settings: Settings,
    events: Iterable[Event],
    catalog: Path | None,
    *,
    rate: float,
    limit: int | None,
    keep_times: bool,
    quiet: bool,
) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from streamer import publish as publisher

    await require_topics(settings, [*INPUTS, "catalog"])
    client, prefix = settings.kafka.client_kwargs(), settings.topics.prefix
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        items = 0 if catalog is None else await publisher.publish_catalog(catalog, client, prefix=prefix)
        task = bar.add_task("", total=limit)

        def progress(sent: int, total: int | None, _seconds: float) -> None:
            bar.update(task, completed=sent, total=total)

        report = await publisher.publish(
            events, client, prefix=prefix, rate=rate, limit=limit, keep_times=keep_times, progress=progress
        )
    return dict(report) | {"catalog_items": items}
