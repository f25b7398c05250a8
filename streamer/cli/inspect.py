"""``streamer inspect``: what is known of one user, one item, or the model."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options


@click.group(
    epilog=examples("streamer inspect user 512475445", "streamer inspect item 1004856", "streamer inspect model")
)
def inspect() -> None:
    """Show what the system holds, as committed to its topics. JSON, and exit code 1 where there is nothing."""


@inspect.command(epilog=examples("streamer inspect user 512475445 | jq .profile"))
@click.argument("user_id", metavar="ID")
@with_settings
def user(*, user_id: str, options: Options) -> None:
    """A user's profile, and how the policy stands with them."""
    from streamer import inspect as inspector

    _show(asyncio.run(inspector.user(options.settings(), user_id)), f"user {user_id}")


@inspect.command(epilog=examples("streamer inspect item 1004856 | jq .neighbours"))
@click.argument("item_id", metavar="ID")
@with_settings
def item(*, item_id: str, options: Options) -> None:
    """An item's counters, attributes and neighbours."""
    from streamer import inspect as inspector

    _show(asyncio.run(inspector.item(options.settings(), item_id)), f"item {item_id}")


@inspect.command(
    epilog=examples(
        "streamer inspect model",
        "streamer inspect model metrics/champion          how well it predicts",
        "streamer inspect model importance/champion       what its features weigh, the heaviest first",
    )
)
@click.argument("block", metavar="[ID]", required=False)
@with_settings
def model(*, block: str | None, options: Options) -> None:
    """The model's published blocks, or the one called ID: parameters, how well it predicts, what its features weigh."""
    from streamer import inspect as inspector

    found = asyncio.run(inspector.model(options.settings()))
    _show(found if block is None else found.get(block), "model" if block is None else f"block {block} of the model")


def _show(found: Any, what: str) -> None:
    if not found:
        raise click.ClickException(f"nothing is known of {what} yet (names are exact; is --prefix right?)")
    click.echo(json.dumps(found, indent=2, ensure_ascii=False, default=str))
