"""The embedded broker: what it keeps, what it leaves behind, and how it fails."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSettings
from streamer.broker import EmbeddedBroker, different_free_ports, free_port
from streamer.kafka_runtime import BrokerError
from tests.processes import gone, wait_for

pytestmark = pytest.mark.kafka

TOPICS = TopicSettings(partitions=1, item_partitions=1)


async def write(broker: EmbeddedBroker, value: bytes) -> None:
    client = {"bootstrap_servers": broker.bootstrap}
    await create_topics(client, TOPICS, topics=[BY_NAME["browse"]])
    async with AIOKafkaProducer(**client, transactional_id="test") as producer, producer.transaction():
        await producer.send("browse", value)


async def read(broker: EmbeddedBroker, count: int) -> list[bytes]:
    """The first ``count`` committed values. A restarted coordinator first writes the markers a kill left unwritten."""
    tp = TopicPartition("browse", 0)
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, isolation_level="read_committed") as consumer:
        consumer.assign([tp])
        consumer.seek(tp, 0)
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]


async def test_committed_records_survive_a_kill_and_an_orderly_restart():
    broker = EmbeddedBroker()
    broker.start()
    try:
        await write(broker, b"before")
        address = broker.bootstrap
        broker.kill()
        broker.restart()
        assert broker.bootstrap == address
        assert await read(broker, 1) == [b"before"]
        await write(broker, b"between")
        broker.restart()
        assert await read(broker, 2) == [b"before", b"between"]
    finally:
        broker.stop()


async def test_a_given_data_directory_is_kept_and_found_again(tmp_path: Path):
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        await write(broker, b"kept")
    with EmbeddedBroker(data_dir=tmp_path / "kafka") as broker:
        assert await read(broker, 1) == [b"kept"]


def test_nothing_is_left_after_stop():
    with EmbeddedBroker() as broker:
        pid, data = broker.pid, broker.data_dir
        assert pid is not None
        assert data.is_dir()
    assert gone(pid)
    assert not data.exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_neither_the_jvm_nor_its_data_outlives_a_killed_parent(how: signal.Signals):
    program = (
        "from streamer.broker import EmbeddedBroker; b = EmbeddedBroker(); b.start(); "
        "print(b.pid, b.data_dir, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid, data = parent.stdout.readline().decode().split()
        os.kill(parent.pid, how)
    assert wait_for(lambda: gone(int(pid)))
    assert wait_for(lambda: not Path(data).exists())


def test_a_taken_port_is_refused_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} is taken"):
            EmbeddedBroker(port=port).start()


def test_a_node_that_cannot_start_gives_its_last_words_and_leaves_nothing():
    broker = EmbeddedBroker(config={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        broker.start()
    assert broker.pid is None
    with pytest.raises(BrokerError, match="start"):
        _ = broker.data_dir


def test_without_a_network_the_first_start_says_what_it_needed(tmp_path: Path):
    """An empty home directory, and a proxy nobody listens at: as offline as a test can be."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    env = os.environ | {
        "HOME": str(tmp_path),
        "HTTPS_PROXY": nowhere,
        "https_proxy": nowhere,
        "NO_PROXY": "",
        "no_proxy": "",
    }
    program = "from streamer.kafka_runtime import runtime; runtime()"
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert "BrokerError: Apache Kafka's jars could not be had" in done.stderr
    assert "--bootstrap" in done.stderr


def test_no_two_of_several_free_ports_are_the_same():
    """Asked for one by one, in one of forty times a hundred two would be."""
    for _ in range(40):
        assert len(set(different_free_ports(100))) == 100
