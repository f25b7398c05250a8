"""The runbook: a section for every alert, and every command in it typed against a real Kafka and real workers."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jgo
import orjson
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streamer.cli.main import cli
from streamer.demo import is_ready
from streamer.kafka_runtime import KAFKA, runtime
from streamer.settings import load
from tests.deploy.runbook import PARTS, ROOT, STATES, TEXT, Fence, anchor, fences, sections
from tests.e2e.conftest import System, running, settings_for
from tests.e2e.test_pipeline import shop, warm

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = [
    rule for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
}
"""Kafka's own commands the runbook uses, and what each of these scripts starts."""

COMPOSE = {
    "ps": {"--all"},
    "logs": {"--no-log-prefix", "--tail"},
    "restart": set(),
    "stop": set(),
    "up": {"--detach"},
}
"""What the runbook asks of ``docker compose``, with the options there are."""

FENCES = fences()
SHOPPER = "shopper-3"
PARTITIONS = 2


def of(*states: str) -> list[Any]:
    """The blocks typed in these states, for ``parametrize``."""
    found = [fence for fence in FENCES if fence.state in states]
    return [pytest.param(fence, id=f"{fence.section}-{number}") for number, fence in enumerate(found)]


# -- what can be told by reading ------------------------------------------------------------------------------------


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    titles = [section.title for section in sections() if section.chapter == "Alerts"]
    assert titles == [rule["alert"] for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_its_section(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"deploy/runbook.md#{anchor(rule['alert'])}"


@pytest.mark.parametrize(
    "section",
    [section for section in sections() if section.chapter in ("Alerts", "Without an alert")],
    ids=lambda section: section.title,
)
def test_a_section_answers_the_five_questions_in_order(section: Any) -> None:
    assert re.findall(r"^\*\*(.+?)\*\*", section.text, flags=re.MULTILINE) == list(PARTS)
    for part in re.split(r"^\*\*.+?\*\*", section.text, flags=re.MULTILINE)[1:]:
        assert part.strip()


def test_every_link_within_the_runbook_leads_to_a_heading() -> None:
    headings = {anchor(title.strip()) for title in re.findall(r"^##+ (.*)$", TEXT, flags=re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_every_block_says_in_which_state_it_is_typed() -> None:
    """A block without one would not be run."""
    assert TEXT.count("```sh") == len(FENCES)
    assert {fence.state for fence in FENCES} <= set(STATES)
    assert {fence.state for fence in FENCES} == set(STATES)


def test_every_placeholder_is_one_that_the_reader_was_told_to_set() -> None:
    told = {name for fence in FENCES if fence.state == "setup" for name in re.findall(r"(\w+)=", fence.command)}
    for fence in FENCES:
        used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", fence.command + "".join(fence.answer)))
        assert used <= told, fence.section


@pytest.mark.parametrize("settings", re.findall(r"^```toml\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL))
def test_settings_it_tells_to_write_are_accepted(settings: str, tmp_path: Path) -> None:
    file = tmp_path / "streamer.toml"
    file.write_text(settings)
    assert load(file, {}, {}) != load(None, {}, {})
    assert tomllib.loads(settings)


def test_every_command_of_ours_it_names_in_passing_exists() -> None:
    for words in (code.split() for code in re.findall(r"`(streamer [^`]+)`", TEXT)):
        assert words[1] in cli.commands, words


@pytest.mark.parametrize("fence", of("compose"))
def test_what_it_asks_of_compose_is_about_services_that_exist(fence: Fence) -> None:
    """Without an engine that is as much as can be known."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for line in fence.command.splitlines():
        assert line.startswith("docker compose ")
        verb, *words = line.split("|")[0].split()[2:]
        named = [word for word in words if not word.startswith("-") and not word.isdigit()]
        assert {word for word in words if word.startswith("-")} <= COMPOSE[verb]
        assert set(named) <= services.keys()


# -- what has to be run ---------------------------------------------------------------------------------------------


class Reader:
    """Somebody with the runbook before them: a system, a shell with its names set, and Kafka's commands."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system, self.folder = system, folder
        topics, runtime_ = system.settings.topics, system.settings.runtime
        self.data = runtime_.data_dir
        config = folder / "streamer.toml"
        config.write_text(
            f'[kafka]\nbootstrap = "{system.settings.kafka.bootstrap}"\n'
            f'[topics]\nprefix = "{topics.prefix}"\npartitions = {topics.partitions}\nitem_partitions = 1\n'
            f'[runtime]\ndata_dir = "{self.data}"\nsession_timeout_s = {runtime_.session_timeout_s}\n'
            f"[web]\nport = {system.settings.web.port}\n"
        )
        self.environment = os.environ | {
            "PATH": f"{kafka_commands(folder / 'bin')}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CONFIG": str(config),
            "KAFKA": system.settings.kafka.bootstrap,
            "PREFIX": topics.prefix,
            "DATA": str(self.data),
            "WORKER": f"http://127.0.0.1:{system.settings.web.port}",
            "ROLE": "user",
            "PARTITION": "0",
            "INSTANCE": "worker-1",
            "SHOPPER": SHOPPER,
        }

    def types(self, fence: Fence) -> None:
        """A block, line by line as a shell takes it; it must exit and answer as the runbook says."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", fence.command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == fence.exits, done.stdout
        assert self.missing(fence, done.stdout) == [], done.stdout

    def missing(self, fence: Fence, output: str) -> list[str]:
        """The lines that it should have answered, names of the environment filled in."""
        expected = tuple(
            re.sub(r"\$(PREFIX|ROLE|PARTITION)", lambda name: str(self.environment[name[1]]), line)
            for line in fence.answer
        )
        return Fence(fence.section, fence.state, fence.exits, fence.command, expected).missing_from(output)


def kafka_commands(folder: Path) -> Path:
    """Kafka's own command line, which a distribution has as scripts and Maven Central as classes."""
    java, classpath = runtime()
    tools = jgo.build(KAFKA.replace(KAFKA.split(":")[1], "kafka-tools")).all_jars
    folder.mkdir()
    for name, main in TOOLS.items():
        script = folder / name
        script.write_text(
            f"#!/bin/sh\nexec '{java}' -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData "
            f"-cp '{os.pathsep.join([classpath, *map(str, tools)])}' {main} \"$@\"\n"
        )
        script.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def reader(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A small system with shoppers, a model, candidates, and dead letters."""
    for program in ("curl", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}, as does whoever reads the runbook")
    folder = tmp_path_factory.mktemp("runbook")
    prefix = f"runbook-{os.getpid()}."
    settings = settings_for(
        bootstrap,
        prefix,
        folder,
        runtime__session_timeout_s=6,
        topics__partitions=PARTITIONS,
        topics__item_partitions=1,
    )
    with running(settings) as system:
        known = warm(system)
        rows = shop(users=40, events=12, name="shopper")
        spoilt = [("browse", b"shopper-1", b"not JSON at all")] * 5
        item = orjson.dumps({"id": "item-1", "title": "A shoe", "category": "shoes", "price": 10.0})
        system.send([*rows, *spoilt, ("catalog", b"item-1", item)])
        system.drain(known + len(rows) + len(spoilt))
        system.until(lambda: {b"metrics/champion", b"metrics/challenger"} <= {r.key for r in system.read("model")}, 20)
        yield Reader(system, folder)


@pytest.mark.parametrize("fence", of("running"))
def test_what_is_typed_while_the_system_runs_answers_as_written(reader: Reader, fence: Fence) -> None:
    reader.types(fence)


def test_what_is_typed_to_bring_a_worker_back_brings_it_back(reader: Reader) -> None:
    """Positions that disagree, tables moved away, a damaged directory; then the worker by hand."""
    system, tables = reader.system, reader.data / f"{reader.system.settings.topics.prefix}user"
    system.supervisor.stop()
    asyncio.run(reset_offset(system, "browse", 0))
    for state in ("disagreeing", "stopped"):
        for fence in (fence for fence in FENCES if fence.state == state):
            reader.types(fence)
    (tables / "0" / "CURRENT").write_bytes(b"")

    before = system.outcomes()
    [by_hand] = [fence for fence in FENCES if fence.state == "byhand"]
    log = reader.folder / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            ["bash", "-euc", f"exec {by_hand.command}"],
            env=reader.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(worker, system.settings.web.port, log)
        rows = shop(users=5, events=2, name="afterwards")
        system.send(rows)
        wait_for_events(system, sum(before.values()) + len(rows), log)
        for fence in (fence for fence in FENCES if fence.state == "recovered"):
            reader.types(fence)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == by_hand.exits
    finally:
        worker.kill()
        worker.wait()
    assert reader.missing(by_hand, log.read_text()) == [], log.read_text()
    assert system.outcomes()["applied"] == before["applied"] + len(rows)


async def reset_offset(system: System, topic: str, partition: int) -> None:
    """Put the group back to the beginning of a partition, as soon as Kafka thinks that nobody is in it."""
    tp = TopicPartition(system.topic(topic), partition)
    consumer = AIOKafkaConsumer(
        **system.client, group_id=f"{system.settings.topics.prefix}user", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([tp])
        deadline = time.monotonic() + 30
        while True:
            try:
                await consumer.commit({tp: 0})
            except KafkaError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            else:
                return
    finally:
        await consumer.stop()


def wait_until_ready(worker: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not is_ready(port):
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def wait_for_events(system: System, events: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while sum(system.outcomes().values()) < events:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
