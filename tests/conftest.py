"""One broker for the whole run, and a prefix for every test, so that tests share it without meeting."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from streamer.broker import EmbeddedBroker, answers, different_free_ports, node_properties
from streamer.kafka_runtime import KAFKA
from tests.examples import FAST, WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator

# No example has a deadline: how long one takes tells of the machine.
settings.register_profile(WHOLE, deadline=None)
settings.register_profile(FAST, deadline=None, max_examples=25)
settings.load_profile(WHOLE)

E2E = Path(__file__).parent / "e2e"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--broker`` says where Kafka comes from, ``--tally`` where to leave the counts for ``python -m tests``."""
    parser.addoption(
        "--broker",
        choices=("embedded", "docker"),
        default="embedded",
        help="where tests find Kafka: started in this machine's Java (default), or in a container",
    )
    parser.addoption("--tally", help="write how many tests passed, failed, … to this file, as JSON")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Leave the counts of the closing line to whoever adds up several runs."""
    if tally := config.getoption("--tally"):
        counts = {what: len(reports) for what, reports in terminalreporter.stats.items()}
        Path(tally).write_text(json.dumps(counts), encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by what a test asks for, so that nobody has to remember."""
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")
        if item.path.is_relative_to(E2E):
            item.add_marker("e2e")


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker of the run: where it listens, and aiokafka's arguments for it.

    Shared by all tests, so it cannot be stopped: a test of what happens then starts an ``EmbeddedBroker`` of its own.
    """

    bootstrap: str

    @property
    def client(self) -> dict[str, str]:
        return {"bootstrap_servers": self.bootstrap}


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Started when the first test asks for it."""
    if request.config.getoption("--broker") == "docker":
        with _container() as bootstrap:
            yield Broker(bootstrap)
    else:
        with EmbeddedBroker() as embedded:
            yield Broker(embedded.bootstrap)


@pytest.fixture(scope="session")
def bootstrap(broker: Broker) -> str:
    """Its ``host:port``, for what needs no more."""
    return broker.bootstrap


@contextmanager
def _container() -> Iterator[str]:
    """Apache Kafka's own image under the properties of the embedded node; skips, with the reason, without Docker."""
    container_module = pytest.importorskip("testcontainers.core.container", reason="testcontainers is not installed")
    from docker.errors import DockerException

    port, controller = different_free_ports(2)
    try:
        container = container_module.DockerContainer(f"apache/kafka:{KAFKA.rpartition(':')[2]}").with_bind_ports(
            port, port
        )
        properties = node_properties(port, controller, host="0.0.0.0")  # noqa: S104 - inside the container
        properties["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        for name, value in properties.items():
            container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
        container.start()
    except DockerException as error:
        pytest.skip(f"--broker=docker: Docker does not answer ({error})")
    try:
        deadline = time.monotonic() + 90
        while not asyncio.run(answers(f"127.0.0.1:{port}")):
            assert time.monotonic() < deadline, f"no answer from the container:\n{container.get_logs()[0][-2000:]!r}"
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        container.stop()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A topic prefix no other test has, with the test's name in it for whoever reads the broker's log."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60]
    return f"{name}-{uuid.uuid4().hex[:8]}."
