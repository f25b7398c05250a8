"""What the commands share: the options every one of them takes, and the settings these make."""

from __future__ import annotations

import functools
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.settings import Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Moment(click.ParamType):
    """A time in ISO 8601 (UTC without a zone), or how long ago; as milliseconds since the epoch."""

    name = "T"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Of a text; what is converted already stays."""
        if isinstance(value, int):
            return value
        if ago := re.fullmatch(r"(\d+)([smhd])", str(value)):
            return int(time.time() * 1000) - int(ago[1]) * _UNITS_MS[ago[2]]
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r}: write 2026-03-01T12:00:00Z, or 90m, 2h or 7d for so long ago", param, ctx)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Options:
    """The settings as said on the command line."""

    config: Path | None
    bootstrap: str | None
    prefix: str | None
    assignments: tuple[str, ...]

    def settings(self, *, check_files: bool = False) -> Settings:
        """File, then environment, then these options; ``check_files`` if a worker starts. Raises ``SettingsError``."""
        from streamer.settings import flags, load

        overrides = flags(self.assignments)
        if self.bootstrap is not None:
            overrides["kafka.bootstrap"] = self.bootstrap
        if self.prefix is not None:
            overrides["topics.prefix"] = self.prefix
        return load(self.config, os.environ, overrides, check_files=check_files)


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and pass them on as ``options``."""

    @click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Settings in a TOML file; the environment (STREAMER_KAFKA__BOOTSTRAP=…) and the options below go first.",
    )
    @click.option("--bootstrap", metavar="HOST:PORT", help="Kafka's address.  [default: 127.0.0.1:9092]")
    @click.option("--prefix", help="Begins every topic's name; separates tenants and environments.  [default: none]")
    @click.option(
        "--set",
        "assignments",
        metavar="NAME=VALUE",
        multiple=True,
        help="Any one setting, such as core.policy.per_day=3; may be repeated. docs/settings.md lists them.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        config: Path | None,
        bootstrap: str | None,
        prefix: str | None,
        assignments: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        return command(*args, options=Options(config, bootstrap, prefix, assignments), **kwargs)

    return wrapped


def examples(*lines: str) -> str:
    """An epilog that click does not rewrap."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


async def require_topics(settings: Settings, names: Sequence[str]) -> None:
    """Raise ``TopicError`` unless the topics called ``names`` are there and as they should be."""
    from agents.topic_admin import TopicError, verify
    from agents.topics import BY_NAME

    client = settings.kafka.client_kwargs()
    if found := await verify(client, settings.topics, topics=[BY_NAME[name] for name in names]):
        raise TopicError("; ".join(found))
