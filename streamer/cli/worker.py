"""``streamer worker``: one role in this process, or several in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streamer.cli.common import examples, with_settings

if TYPE_CHECKING:
    from streamer.cli.common import Options

ROLES = ("user", "item", "trainer")


@click.command(
    epilog=examples(
        "streamer worker                          all three roles, restarted when they fail",
        "streamer worker --processes 4            four user workers, one item, one trainer",
        "streamer worker --role user              one role in this process, as in a container",
        "streamer worker --role user --instance shop-0   a name that outlives restarts: quick to take its tasks back",
    )
)
@click.option(
    "--role",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    help="What to run; may be repeated. A single one runs in this process.  [default: all]",
)
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 256), help="How many user workers.")
@click.option("--instance", help="Static group membership under this name; for a single --role.")
@click.option(
    "--await-kafka", is_flag=True, help="Wait while Kafka does not answer, rather than end; for a single --role."
)
@with_settings
def worker(
    *, roles: tuple[str, ...], processes: int, instance: str | None, await_kafka: bool, options: Options
) -> None:
    """Process events until Ctrl-C.

    Roles: `user` folds events into profiles and decides pushes; `item` keeps counters and neighbours of items;
    `trainer` learns the model. Each is needed at least once. Several run in processes of their own and are restarted
    when they fail; a single one runs in this process, for who restarts containers. Metrics and health are served on
    web.port (9464), with several processes on that port and those after it.

    Ctrl-C or SIGTERM commits and leaves the group, so that its tasks move to other workers at once. A worker with
    --instance that is killed, and back within runtime.session_timeout_s, goes on with its tasks; nothing moves.

    A worker that cannot reach Kafka at its start ends and says so; one that was started again waits. Where something
    else restarts workers, ever more slowly, have them wait by --await-kafka.

    Exit codes: 0 stopped, 70 failed (start it again: state is safe at every step), 78 settings or topics that cannot be
    used.
    """
    roles = tuple(dict.fromkeys(roles)) or ROLES
    single = len(roles) == 1 and processes == 1
    if instance is not None and not single:
        raise click.UsageError("--instance names one process: give one --role with it, and no --processes")
    if await_kafka and not single:
        raise click.UsageError("--await-kafka is of one process: several wait when they are started again")

    from agents.logs import configure

    settings = options.settings(check_files=True)
    secrets = [settings.kafka.sasl_password] if settings.kafka.sasl_password else []
    if single:
        from agents.worker import WorkerSettings, run

        configure(settings.log, secrets=secrets, role=roles[0], instance=instance or roles[0])
        parts = WorkerSettings(
            kafka=settings.kafka,
            topics=settings.topics,
            runtime=settings.runtime,
            state=settings.state,
            web=settings.web,
            core=settings.core,
        )
        raise SystemExit(run(roles[0], parts, instance_id=instance, await_kafka=await_kafka))

    from streamer.supervisor import Supervisor

    configure(settings.log, secrets=secrets, role="supervisor")
    Supervisor(roles, processes, settings).run()
