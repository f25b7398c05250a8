"""The console script: the list of commands, and how each of them ends."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from streamer.cli.broker import broker
from streamer.cli.common import CONTEXT, examples
from streamer.cli.consume import consume
from streamer.cli.demo import demo
from streamer.cli.evaluate import evaluate
from streamer.cli.inspect import inspect
from streamer.cli.ope import ope
from streamer.cli.publish import publish
from streamer.cli.replay import replay
from streamer.cli.topics import topics
from streamer.cli.verify import verify
from streamer.cli.worker import worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# Errors that say what to do, by where they live: looked up only if that module was loaded, as loading it takes time.
_TOLD: Final = (
    ("streamer.kafka_runtime", "BrokerError"),
    ("agents.topic_admin", "TopicError"),
    ("streamer.readers.source", "ReaderError"),
    ("streamer.publish", "PublishError"),
    ("streamer.replay.errors", "ReplayRefused"),
    ("streamer.supervisor", "RefusedError"),
    ("aiokafka.errors", "KafkaError"),
)
REFUSED: Final = 78
"""Exit code for settings that cannot be used (EX_CONFIG): starting again will not help."""


@click.group(
    context_settings=CONTEXT,
    epilog=examples(
        "streamer demo                            everything at once, on this machine, for two minutes",
        "streamer broker --topics                 a Kafka for development, in the foreground",
        "streamer worker                          all roles, against 127.0.0.1:9092",
        "streamer publish --sample --rate 200     real events in",
        "streamer consume --from-beginning        push candidates out",
    ),
)
@click.version_option(package_name="streamer")
def cli() -> None:
    """Shopping events in on Kafka, explained push-notification candidates out, within a second."""


for _command in (demo, broker, topics, worker, publish, consume, evaluate, ope, inspect, replay, verify):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit.

    0 done, 1 failed (a line says what to do), 2 misused, 3 a log cannot answer, 70 and 78 as of a worker, 130 stopped.
    """
    # SIGTERM ends a command as Ctrl-C does, so that what it started is stopped in order; and Ctrl-C works even where
    # whoever started us ignored it, as a shell does for what runs in the background of a script. It becomes a SIGINT
    # since that is the one by which asyncio.run() cancels what runs and waits for it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # Its errors reach us as exceptions; what it logs besides is a retry's business.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=arguments, prog_name="streamer", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 130
    except Exception as error:
        if _is_a(error, "streamer.settings", "SettingsError"):
            click.echo(f"Error: {error}", err=True)
            return REFUSED
        if isinstance(error, OSError) or any(_is_a(error, *told) for told in _TOLD):
            click.echo(f"Error: {error}", err=True)
            return 1
        raise
    return code if isinstance(code, int) else 0


def _is_a(error: Exception, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)


if __name__ == "__main__":
    main()
