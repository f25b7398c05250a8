"""``streamer evaluate FILE``: how well would it have recommended, on a log, without a broker."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.cli.common import Options
    from streamer.core.events import Event


@click.command(
    epilog=examples(
        "streamer evaluate events.csv.gz",
        "streamer evaluate events.csv --every 10 --baselines cheap --json evaluate.json",
        "streamer evaluate events.csv --baselines v-sknn,blend --json before.json --outcomes",
        "streamer evaluate events.csv --set core.retrieval.trending_items=80 --against before.json   the same targets",
        "streamer evaluate events.csv --every 10 --ablate --report evaluate.html",
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
    "--report",
    "report_path",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with plots here: one HTML file that needs nothing else.",
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
    metavar="WHICH",
    help="Which simple recommenders to score on the same lists: none, cheap, all, or names with commas between them.",
)
@click.option(
    "--replicates",
    default=500,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=0),
    help="Draw the users anew so often for 95 % intervals; 0 for none.",
)
@click.option(
    "--model",
    default="",
    metavar="NAME",
    help="Rank with a classifier of River's instead, such as linear_model.LogisticRegression. Slow.",
)
@click.option("--outcomes", is_flag=True, help="Keep in the report what became of each target, for --against.")
@click.option(
    "--against",
    metavar="PATH",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare, target by target, with a report that was written with --outcomes.",
)
@click.option("--ablate", is_flag=True, help="Run again without each family of candidates and features in turn.")
@click.option("--families", metavar="NAMES", help="Only these in --ablate, with commas between them.")
@click.option("--limit", type=click.IntRange(min=1), help="How many events to take.  [default: all]")
@with_settings
def evaluate(
    *,
    file: Path,
    json_path: Path | None,
    report_path: Path | None,
    every: int,
    learn_every: int,
    baselines: str,
    replicates: int,
    model: str,
    outcomes: bool,
    against: Path | None,
    ablate: bool,
    families: str | None,
    limit: int | None,
    options: Options,
) -> None:
    """Recommend before each return of a shopper in FILE, and see what they did next.

    The same engine as the live one, no broker; the same file gives the same digest on any machine. For each group (the
    rows of one user at one time) of a user seen before, twenty items are ranked from the state before it; the group's
    items are the targets. Reported: HR@10, HR@20, MRR@20, nDCG@10, and HR@20 on items new to the user. A second list,
    "discover", has twenty items new to the user and is judged by the targets that are.
    """
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from streamer.cli import evaluate_tables as tables
    from streamer.evaluation import ablate as ablation
    from streamer.evaluation.compare import against as compare_with
    from streamer.evaluation.compare import read_outcomes
    from streamer.evaluation.run import evaluate as run
    from streamer.evaluation.settings import EvaluateSettings
    from streamer.readers.registry import open_events

    core = options.settings().core
    other = names = None
    try:
        settings = EvaluateSettings(every, learn_every, baselines, core, replicates, model=model)
        if against is not None:
            other = read_outcomes(against)
        if ablate:
            names = [name.strip() for name in families.split(",")] if families else ablation.families()
            for name in names:
                ablation.without(settings, name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    def stream() -> Iterator[Event]:
        return islice(open_events(file), limit)

    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console, aside = Console(highlight=False), Console(stderr=True)
    if not console.is_terminal:
        console.width = 160  # a file or a pipe has room for the tables
    with Progress(*columns, console=aside, transient=True, disable=not aside.is_terminal) as bar:
        hint = open_events(file).count_hint
        task = bar.add_task("", total=min(limit or hint, hint) * (1 + len(names or ())))
        kept = outcomes or ablate or other is not None
        report = run(stream(), settings, lambda more: bar.advance(task, more), outcomes=kept)
        found: dict[str, Any] = msgspec.to_builtins(report)
        if other is not None and report.outcomes is not None:
            try:
                found["against"] = compare_with(report.outcomes, other, replicates or 500)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
        if names is not None and report.outcomes is not None:
            settings = replace(settings, replicates=replicates or 500)
            lost = ablation.ablate(stream, settings, report.outcomes, names, lambda more: bar.advance(task, more))
            found["ablation"] = msgspec.to_builtins(lost)
    if not outcomes:
        found.pop("outcomes")
    if json_path is not None:
        json_path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if report_path is not None:
        from streamer.evaluation.page import page

        report_path.write_text(page(found, file.name), encoding="utf-8")
    tables.show(console, found)
