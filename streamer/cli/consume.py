"""``streamer consume``: read a topic as its consumers see it, committed records only."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.common import examples, require_topics, with_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import ConsumerRecord

    from streamer.cli.common import Options
    from streamer.settings import Settings


@click.command(
    epilog=examples(
        "streamer consume                                   from now on, until Ctrl-C",
        "streamer consume --from-beginning --max 5          the first five",
        "streamer consume --from-beginning --idle 2 --json  all there are, one JSON object a line",
        "streamer consume --topic dead-letters --headers    what cannot be folded, with why and where it came from",
    )
)
@click.option("--topic", default="push-candidates", show_default=True, help="Which topic, without the prefix.")
@click.option("--from-beginning", is_flag=True, help="All that is kept; else only what comes from now on.")
@click.option("--max", "most", type=click.IntRange(min=1), help="End after this many.")
@click.option(
    "--idle",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End when nothing came for this long.",
)
@click.option("--json", "as_json", is_flag=True, help="The value as it is, one a line.")
@click.option("--headers", is_flag=True, help="The headers before each record; of a dead letter, why and whence.")
@with_settings
def consume(
    *,
    topic: str,
    from_beginning: bool,
    most: int | None,
    idle: float | None,
    as_json: bool,
    headers: bool,
    options: Options,
) -> None:
    """Print push candidates as they are committed, with the reasons for them.

    It reads without a consumer group, so it disturbs nobody and leaves no trace.
    """
    from agents.topics import BY_NAME

    if topic not in BY_NAME:
        raise click.UsageError(f"there is no topic {topic!r}; `streamer topics describe` lists them")
    settings = options.settings()
    try:
        records = _records(settings, topic, from_beginning=from_beginning, idle=idle)
        asyncio.run(_work(settings, topic, records, most=most, as_json=as_json, headers=headers))
    except BrokenPipeError:
        # Whoever read our output has had enough (`| head`); the interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _work(
    settings: Settings,
    topic: str,
    records: AsyncIterator[ConsumerRecord[Any, Any]],
    *,
    most: int | None,
    as_json: bool,
    headers: bool,
) -> None:
    await require_topics(settings, [topic])
    count = 0
    async for record in records:
        if headers:
            click.echo("  ".join(f"{name}={text(value)}" for name, value in record.headers))
        if as_json:
            click.echo(record.value or b"null")
        elif topic == "push-candidates" and record.value:
            click.echo(pretty(json.loads(record.value)))
        else:
            click.echo(f"{record.partition}:{record.offset}  {text(record.key)}  {text(record.value)}")
        count += 1
        if count == most:
            return


async def _records(
    settings: Settings, topic: str, *, from_beginning: bool, idle: float | None
) -> AsyncIterator[ConsumerRecord[Any, Any]]:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from agents.topics import BY_NAME

    name = settings.topics.physical(topic)
    partitions = [TopicPartition(name, n) for n in range(BY_NAME[topic].partitions(settings.topics))]
    consumer = AIOKafkaConsumer(
        **settings.kafka.client_kwargs(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ask = consumer.beginning_offsets if from_beginning else consumer.end_offsets
        for partition, offset in (await ask(partitions)).items():
            consumer.seek(partition, offset)
        last = time.monotonic()
        while idle is None or time.monotonic() - last < idle:
            fetched = await consumer.getmany(timeout_ms=100)
            # Within a fetch the order of time reads better than that of partitions.
            for record in sorted((r for rows in fetched.values() for r in rows), key=lambda r: r.timestamp):
                last = time.monotonic()
                yield record
    finally:
        await consumer.stop()


def pretty(candidate: dict[str, Any]) -> str:
    """A candidate for people: who, what, why, until when."""
    words = candidate["template"]["vars"]
    head = f"{candidate['decided_at']}  {candidate['channel']} to {candidate['user_id']}  {candidate['campaign']}"
    lines = [click.style(head, bold=True)]
    for place, item in enumerate(candidate["items"]):
        title = f"  {words['title']}" if place == 0 and words.get("title") else ""
        lines.append(f"  {item['id']}{title}  score {item['score']:.3f}, from {item['generator']}")
    trigger = candidate["trigger"]
    lines += [f"  because {reason}" for reason in candidate["reasons"]]
    lines.append(
        click.style(f"  after {trigger['type']} {trigger['event_id']}; expires {candidate['expires_at']}", dim=True)
    )
    return "\n".join(lines)


def text(value: bytes | None) -> str:
    """Bytes for people; what is not text is told by its length."""
    if value is None:
        return "-"
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"<{len(value)} bytes>"
