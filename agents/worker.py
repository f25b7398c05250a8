"""One worker process: one role, one event loop, one thread of core code. The composition root."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

from agents import faults, memory
from agents.app import App
from agents.metrics import Metrics
from agents.positions import UnitsChangedError
from agents.runtime import Runtime
from agents.topic_admin import NotLetInError, UnreachableError, verify
from agents.web import WebError, WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.role import Role
    from agents.roles.user import UserRole
    from agents.settings import KafkaSettings, RuntimeSettings, WebSettings
    from agents.topics import TopicSettings
    from state.settings import StateSettings
    from streamer.core.settings import CoreSettings

log = logging.getLogger(__name__)

ROLES = ("user", "item", "trainer")

#: Exit code of a process that failed and wants to be restarted by its supervisor (EX_SOFTWARE).
FAILED = 70
#: Exit code of a process that cannot work as configured: restarting will not help (EX_CONFIG).
REFUSED = 78

#: Between two attempts to reach Kafka, of a process that waits for it.
REACH_EVERY_S = 0.5


@dataclass(frozen=True)
class WorkerSettings:
    """Everything one process needs."""

    kafka: KafkaSettings
    topics: TopicSettings
    runtime: RuntimeSettings
    state: StateSettings
    web: WebSettings
    core: CoreSettings


def _fail(what: str, exc: BaseException) -> NoReturn:
    """End the process, now. State is safe at every step, so there is one recovery path: the supervisor's restart.

    Settings that the stored rows cannot be read with are refused: a restart would find them again.
    """
    if isinstance(exc, UnitsChangedError):
        log.critical("%s: %s", what, exc)
        _leave(REFUSED)
    log.critical(
        "%s failed: %s: %s; exiting so that the supervisor restarts this process",
        what,
        type(exc).__name__,
        exc,
        exc_info=exc,
    )
    _leave(FAILED)


def _leave(code: int) -> NoReturn:
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def tune_gc() -> None:
    """Have Python look for cycles less often."""
    # Long-lived objects (River, tables of names) need not be walked again and again.
    gc.collect()
    gc.freeze()
    # A micro-batch makes thousands of lists that die with it; looking for cycles after every 700 of them finds none.
    gc.set_threshold(50_000, 20, 50)


class RoleSettings(Protocol):
    """What a role is made from: a worker's settings, and the whole program's, which have the same parts."""

    @property
    def core(self) -> CoreSettings:
        """What is decided, and how."""

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the brokers."""

    @property
    def topics(self) -> TopicSettings:
        """Their names and shapes."""

    @property
    def runtime(self) -> RuntimeSettings:
        """How tasks are run."""


def make_user_role(settings: RoleSettings, metrics: Metrics, fail: Callable[[str, BaseException], None]) -> UserRole:
    """The user role, for a worker, or for whoever folds what one folded."""
    from agents.roles.user import UserRole

    return UserRole(
        settings.core,
        topic=settings.topics.physical,
        client=settings.kafka.client_kwargs(),
        metrics=metrics,
        fail=fail,
        item_partitions=settings.topics.item_partitions,
        commit_interval_s=settings.runtime.commit_interval_ms / 1000,
    )


def make_role(name: str, settings: RoleSettings, metrics: Metrics, fail: Callable[[str, BaseException], None]) -> Role:
    """The role of that name. Imports are per role, as the trainer's take seconds."""
    runtime = settings.runtime

    if name == "user":
        return make_user_role(settings, metrics, fail)
    if name == "item":
        from agents.roles.item import ItemRole

        return ItemRole(settings.core, commit_interval_s=runtime.item_commit_interval_ms / 1000)
    if name == "trainer":
        from agents.roles.trainer import TrainerRole

        return TrainerRole(settings.core, commit_interval_s=runtime.trainer_commit_interval_ms / 1000)
    raise ValueError(f"unknown role {name!r}; roles are {', '.join(ROLES)}")


def run(role_name: str, settings: WorkerSettings, *, instance_id: str | None = None, await_kafka: bool = False) -> int:
    """Run one role until a signal ends it. Returns the exit code: 0 after a clean stop, 78 if refused at the start.

    Raises ``UnreachableError`` if Kafka does not answer, unless it is to be awaited.
    """
    if refusal := faults.arm(os.environ):
        log.critical("%s", refusal)
        return REFUSED
    memory.settle()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    if problems := loop.run_until_complete(_problems(settings, await_kafka=await_kafka)):
        for problem in problems:
            log.error("%s", problem)
        return REFUSED
    metrics = Metrics(role=role_name)
    role = make_role(role_name, settings, metrics, _fail)
    runtime = Runtime(
        role,
        kafka=settings.kafka,
        topics=settings.topics,
        runtime=settings.runtime,
        state=settings.state,
        metrics=metrics,
        fail=_fail,
    )
    app = App(runtime, settings.kafka, instance_id=instance_id)
    tune_gc()
    try:
        loop.run_until_complete(_serve(app, runtime, WebServer(settings.web, metrics, runtime)))
    except WebError as exc:
        log.error("%s", exc)  # noqa: TRY400 - the message says what to do; where it was raised does not help
        return REFUSED
    return 0


async def _problems(settings: WorkerSettings, *, await_kafka: bool) -> list[str]:
    while True:
        try:
            return await verify(settings.kafka.client_kwargs(), settings.topics)
        except NotLetInError as exc:
            return [str(exc)]
        except UnreachableError as exc:
            if not await_kafka:
                raise
            log.warning("%s Trying again until it does.", exc)
            await asyncio.sleep(REACH_EVERY_S)


async def _serve(app: App, runtime: Runtime, web: WebServer) -> None:
    """Run until SIGINT or SIGTERM; then commit, close, and leave the group."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # Metrics and health from the first moment on: a worker that recovers is alive, not yet ready.
    await web.start()
    # The copies of what all tasks look up take longest to have: they are read while the group is joined.
    reading = loop.create_task(_begin_replicas(runtime))
    app.in_worker = True
    await app.start()
    watchdog = loop.create_task(_watch(runtime))
    giving_back = loop.create_task(memory.give_back())
    await stop.wait()
    watchdog.cancel()
    giving_back.cancel()
    reading.cancel()
    await app.stop()
    await web.stop()


async def _begin_replicas(runtime: Runtime) -> None:
    try:
        if runtime.replicas is not None:
            await runtime.replicas.start()
    except Exception as exc:  # noqa: BLE001 - it ends the process
        _fail("replicas", exc)


async def _watch(runtime: Runtime) -> None:
    """No progress on a partition with input ends the process, rather than look alive."""
    while True:
        await asyncio.sleep(1.0)
        runtime.report()
        if stuck := runtime.stuck():
            _fail("watchdog", TimeoutError(f"no progress on tasks {stuck} (seconds since the last commit)"))
