"""``streamer evaluate FILE``: how well would it have recommended, on a log, without a broker."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from rich.console import Console

    from streamer.cli.common import Options


@click.command(
    epilog=examples(
        "streamer evaluate events.csv.gz",
        "streamer evaluate events.csv --every 10 --baselines cheap --json evaluate.json",
        "streamer evaluate events.csv --set core.retrieval.trending_items=80   another setting, the same log",
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--json",
    "json_path",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report here too.",
)
@click.option(
    "--every", default=1, metavar="K", show_default=True, type=click.IntRange(min=1), help="Score each K-th list only."
)
@click.option(
    "--learn-every",
    default=0,
    metavar="K",
    type=click.IntRange(min=0),
    help="Rank and learn from each K-th list as well; 0 learns from the scored ones alone.",
)
@click.option(
    "--baselines",
    default="all",
    show_default=True,
    type=click.Choice(["none", "cheap", "all"]),
    help="Which simple recommenders to score on the same lists.",
)
@click.option("--limit", type=click.IntRange(min=1), help="How many events to take.  [default: all]")
@with_settings
def evaluate(
    *,
    file: Path,
    json_path: Path | None,
    every: int,
    learn_every: int,
    baselines: str,
    limit: int | None,
    options: Options,
) -> None:
    """Recommend before each return of a shopper in FILE, and see what they did next.

    The same engine as the live one, no broker; the same file gives the same digest on any machine. For each group (the
    rows of one user at one time) of a user seen before, twenty items are ranked from the state before it; the group's
    items are the targets. Reported: HR@10, HR@20, MRR@20, nDCG@10, and HR@20 on items new to the user.
    """
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from streamer import evaluate as evaluator
    from streamer.readers.registry import open_events

    core = options.settings().core
    settings = evaluator.EvaluateSettings(every=every, learn_every=learn_every, baselines=baselines, core=core)
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console, aside = Console(highlight=False), Console(stderr=True)
    with Progress(*columns, console=aside, transient=True, disable=not aside.is_terminal) as bar:
        reader = open_events(file)
        task = bar.add_task("", total=min(limit or reader.count_hint, reader.count_hint))
        report = evaluator.evaluate(islice(reader, limit), settings, lambda more: bar.advance(task, more))
    found = msgspec.to_builtins(report)
    if json_path is not None:
        json_path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _show(console, found)


def _show(console: Console, found: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("", *found["metrics"], box=None, pad_edge=False, header_style="bold")
    for name, metrics in {"streamer": found["metrics"], **found["baselines"]}.items():
        table.add_row(name, *(f"{value:.4f}" for value in metrics.values()))
    console.print(table)
    console.print(
        f"{found['events']:,} events, {found['groups']:,} lists, {found['targets']:,} targets; "
        f"{found['events_per_second']:,.0f} events/s, a list in {found['list_ms']['p50']:.2f} ms "
        f"(p99 {found['list_ms']['p99']:.2f}), {found['rss_mb']:.0f} MB",
        soft_wrap=True,
    )
    console.print(f"digest {found['digest']}")
