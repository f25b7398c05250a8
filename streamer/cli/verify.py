"""``streamer verify``: are two runs the same, and where do they part?"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options


@click.command(
    epilog=examples(
        "streamer verify live shadow && echo the same",
        "streamer verify before after --json | jq .first     two shadows, such as of two settings",
    )
)
@click.argument("run_a", metavar="RUN_A")
@click.argument("run_b", metavar="RUN_B")
@click.option("--json", "as_json", is_flag=True, help="The verdict as one JSON object.")
@with_settings
def verify(*, run_a: str, run_b: str, as_json: bool, options: Options) -> int:
    """Compare two runs, each the word `live` or the name of a shadow that `streamer replay --into` made.

    Candidates: ids, items and their order, scores to 2^-20, and reasons, for the triggers that both runs cover. Tables
    (profile, policy, seen): every row, byte by byte, as of the same position of their task.

    Exit code 0 if all is the same. Otherwise 1, and for each task the first place where the runs part: the topic,
    partition and offset of the trigger, or the row of a table.
    """
    from streamer.replay.verify import verify as compare

    verdict = asyncio.run(compare(options.settings(), run_a, run_b))
    if as_json:
        click.echo(json.dumps(verdict.shown(), indent=2))
    else:
        for difference in verdict.first:
            click.echo(f"{difference.place}: {difference.what}")
        for line in verdict.apart:
            click.echo(line)
        click.echo(
            f"{'the same' if verdict.equal else 'not the same'}: {verdict.candidates:,} candidates and "
            f"{verdict.rows:,} rows compared"
        )
    return 0 if verdict.equal else 1
