"""``streamer broker``: embedded Kafka in the foreground."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options


@click.command(
    epilog=examples(
        "streamer broker --topics                  on port 9092, with every topic created",
        "streamer broker --port 0                  on any free port, which it prints",
        "streamer broker --data-dir ~/kafka-data   keeps its data for the next time",
    )
)
@click.option("--port", default=9092, show_default=True, help="Port of 127.0.0.1 to listen on; 0 takes a free one.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data here. Without it, a temporary folder is used and removed at the end.",
)
@click.option("--heap", default="400m", show_default=True, help="Java's heap.")
@click.option("--topics", is_flag=True, help="Create the topics too, as `streamer topics create` does.")
@with_settings
def broker(*, port: int, data_dir: Path | None, heap: str, topics: bool, options: Options) -> None:
    """Run Apache Kafka on this machine, for development, until Ctrl-C.

    It needs neither Docker nor an installed Java; the first start downloads Kafka (43 MB) and keeps it. One node,
    transactions included, reachable from this machine only. --bootstrap has no meaning here.
    """
    from rich.console import Console

    from agents.topic_admin import create_topics
    from streamer.broker import EmbeddedBroker
    from streamer.kafka_runtime import BrokerError

    settings = options.settings()
    console = Console(highlight=False)
    with console.status("starting Apache Kafka (the first start downloads it, 43 MB)"):
        node = EmbeddedBroker(data_dir=data_dir, port=port, heap=heap)
        node.start()
    try:
        console.print(f"[bold]Apache Kafka answers at {node.bootstrap}[/]  (Ctrl-C stops it)", soft_wrap=True)
        console.print(f"data: {node.data_dir} ({'kept' if data_dir else 'removed at the end'})", soft_wrap=True)
        if topics:
            created = asyncio.run(create_topics({"bootstrap_servers": node.bootstrap}, settings.topics))
            console.print(f"topics: {len(created)} created")
        given = "" if node.bootstrap == "127.0.0.1:9092" else f" --bootstrap {node.bootstrap}"
        steps = ([] if topics else ["topics create"]) + ["worker", "publish --sample --rate 200", "consume"]
        console.print("next, each in a terminal of its own:")
        for step in steps:
            console.print(f"  streamer {step}{given}", soft_wrap=True, markup=False)
        while node.pid is not None:
            time.sleep(0.2)
        raise BrokerError(f"Kafka ended by itself. Its last words:\n{node.last_words()}")
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        node.stop()
