"""``streamer replay``: a stretch of time once more, from the topics, beside the live system."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.common import Moment, examples, with_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.cli.common import Options


def _name(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,39}", value) or value == "live":
        raise click.BadParameter("use up to 40 of a-z, 0-9 and dashes, and another name than live")
    return value


@click.command(
    epilog=examples(
        "streamer replay                                  all that the journal holds, into a shadow called shadow",
        "streamer replay --from 2h --into incident        candidates of the last two hours",
        "streamer replay --from 2026-03-01T08:00Z --to 2026-03-01T09:00Z --users 42,43 --replace",
        "streamer replay --canonical                      item index and model, in log order",
        "streamer replay --from 30m --live                send what was decided, is missing, and holds still",
        "streamer verify live shadow                      and is it the same?",
    )
)
@click.option(
    "--from", "from_ms", type=Moment(), default=0, help="Send what was decided from then on.  [default: everything]"
)
@click.option("--to", "to_ms", type=Moment(), help="Fold what was folded before then.  [default: to the journal's end]")
@click.option("--users", metavar="A,B…", default="", help="Send candidates of these users only.  [default: of all]")
@click.option(
    "--into",
    metavar="NAME",
    default="shadow",
    show_default=True,
    callback=_name,
    help="The shadow: tables in a directory of this name beside those of the workers, candidates on the topic "
    "push-candidates.NAME.",
)
@click.option("--replace", is_flag=True, help="Delete the shadow of that name first; otherwise it must not exist.")
@click.option(
    "--live",
    is_flag=True,
    help="Send to push-candidates, which reaches shoppers: only what holds still by the clock now and is not there.",
)
@click.option(
    "--canonical",
    is_flag=True,
    help="Rebuild item index and model instead, from item-updates and examples in log order.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
@with_settings
def replay(
    *,
    from_ms: int,
    to_ms: int | None,
    users: str,
    into: str,
    replace: bool,
    live: bool,
    canonical: bool,
    as_json: bool,
    options: Options,
) -> int:
    """Fold a stretch of time again, exactly as it was folded, beside the live system.

    Follows the journal: the same records in the same order and batches, with item index and model as they stood then,
    through the same engine. Gives the same tables and the same candidates, under transactional ids of its own. It may
    run while the workers do, and writes nothing but the shadow, unless --live is given.

    Times T are those of the live commits: 2026-03-01T12:00:00Z, or 90m, 2h, 7d for so long ago. What was folded before
    --from is folded as well, without sending. --users limits what is sent; the tables are folded for all, as the
    records of others move the task's stream time.

    What has been removed by retention, compaction or hand, or a changed number of partitions, is refused, naming the
    place and the setting. Exit code 1 then, and if what came out is not what the journal says; the report names where.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if canonical and (live or users or from_ms or to_ms is not None):
        raise click.UsageError("--canonical takes the whole of its topics: leave out --from, --to, --users and --live")
    settings = options.settings()
    aside = Console(stderr=True)
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=aside, disable=not aside.is_terminal) as bar:
        task = bar.add_task("")
        told_at = time.monotonic()

        def tell(done: int, of: int) -> None:
            nonlocal told_at
            bar.update(task, completed=done, total=of)
            # A log has no bar: a line every few seconds does.
            if not aside.is_terminal and (done == of or time.monotonic() - told_at > 5):
                told_at = time.monotonic()
                click.echo(f"replayed {done:,} of {of:,} records", err=True)

        if canonical:
            from streamer.replay.canonical import rebuild

            found = asyncio.run(rebuild(settings, into, tell, replace=replace)).shown()
        else:
            from streamer.replay.plan import FOREVER_MS
            from streamer.replay.run import Request
            from streamer.replay.run import replay as run

            only = frozenset(filter(None, users.split(",")))
            end = FOREVER_MS if to_ms is None else to_ms
            found = asyncio.run(run(settings, Request(into, from_ms, end, only, live, replace), tell)).shown()
    click.echo(json.dumps(found, indent=2) if as_json else _pretty(found))
    return 1 if found["parted"] else 0


def _pretty(found: Mapping[str, Any]) -> str:
    lines = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines += [f"{name} {part}".ljust(22) + str(one) for part, one in value.items()]
        elif isinstance(value, list):
            lines += [f"{name}".ljust(22) + one for one in value]
        else:
            lines.append(name.ljust(22) + (f"{value:,}" if isinstance(value, (int, float)) else str(value)))
    return "\n".join(lines)
