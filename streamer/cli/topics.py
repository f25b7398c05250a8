"""``streamer topics``: create, verify, describe."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options


@click.group(epilog=examples("streamer topics create --set topics.partitions=8", "streamer topics verify"))
def topics() -> None:
    """Create the topics, or see whether those on the cluster fit."""


@topics.command(
    epilog=examples(
        "streamer topics create",
        "streamer topics create --prefix staging. --set topics.partitions=8 --set topics.replication=3",
    )
)
@with_settings
def create(*, options: Options) -> None:
    """Create the topics that are missing.

    What exists is left alone, and then checked as by `verify`.
    """
    from agents.topic_admin import create_topics, verify

    settings = options.settings()
    client = settings.kafka.client_kwargs()

    async def work() -> tuple[list[str], list[str]]:
        return await create_topics(client, settings.topics), await verify(client, settings.topics)

    created, problems = asyncio.run(work())
    for topic in created:
        click.echo(f"created {topic}")
    if not created:
        click.echo("nothing to create: every topic is there")
    _tell(problems)


@topics.command(epilog=examples("streamer topics verify --bootstrap kafka-1:9092 && echo fine"))
@with_settings
def verify(*, options: Options) -> None:
    """See whether the topics are all there, cut and kept as they must be.

    Exit code 1 if not, with a line for each problem that says what to do. A worker asks the same before it starts.
    """
    from agents.topic_admin import verify as ask
    from agents.topics import TOPICS

    settings = options.settings()
    _tell(asyncio.run(ask(settings.kafka.client_kwargs(), settings.topics)))
    click.echo(f"all {len(TOPICS)} topics are as they must be")


@topics.command(epilog=examples("streamer topics describe", "streamer topics describe --json | jq '.[].topic'"))
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every configuration of the cluster.")
@with_settings
def describe(*, as_json: bool, options: Options) -> None:
    """List the topics: key, contents, and how the cluster has them."""
    from rich.console import Console
    from rich.table import Table

    from agents.topic_admin import describe as ask

    settings = options.settings()
    states = asyncio.run(ask(settings.kafka.client_kwargs(), settings.topics))
    if as_json:
        rows = [
            {
                "topic": s.topic,
                "key": s.spec.key,
                "what": s.spec.what,
                "partitions": s.partitions,
                "replication": s.replication,
                "configs": dict(sorted(s.configs.items())),
            }
            for s in states
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", overflow="fold")
    for column in ("key", "partitions", "copies", "kept", "what"):
        table.add_column(column)
    for s in states:
        kept = s.configs.get("cleanup.policy", "")
        if "delete" in kept:
            kept += f" {int(s.configs['retention.ms']) / 86_400_000:g} d"
        there = (str(s.partitions), str(s.replication), kept) if s.partitions else ("missing", "", "")
        table.add_row(s.topic, s.spec.key, *there, s.spec.what)
    console = Console(highlight=False)
    # Into a file or a pipe: a line a topic, as a name cut short or folded is of no use to whoever looks for it.
    if not console.is_terminal:
        console.width = 400
    console.print(table)


def _tell(problems: list[str]) -> None:
    if problems:
        for problem in problems:
            click.echo(f"problem: {problem}", err=True)
        raise SystemExit(1)
