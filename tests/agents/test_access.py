"""Who is not let in, or may not see the topics, is told so at once; only where nobody answers is there a wait."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from agents import worker
from agents.access import refusal
from agents.settings import KafkaSettings
from agents.topic_admin import NotLetInError, UnreachableError, create_topics, verify
from agents.topics import BY_NAME, TopicSettings
from streamer.broker import EmbeddedBroker, free_port, node_properties

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOPICS = TopicSettings(prefix="access.", partitions=1, item_partitions=1)

RIGHT = "right"

USERS = """\
org.apache.kafka.common.security.plain.PlainLoginModule required user_boss="right" user_guest="right";"""


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[str, str]]:
    """Two listeners of one node: without a login, and with one, for a user who may everything and one who may nothing.

    There are some topics.
    """
    opened, login, controller = free_port(), free_port(), free_port()
    config = {
        "listeners": f"PLAINTEXT://127.0.0.1:{opened},LOGIN://127.0.0.1:{login},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{opened},LOGIN://127.0.0.1:{login}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": USERS,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:boss",
    }
    properties = node_properties(opened, controller) | config
    with EmbeddedBroker(port=opened, config=properties, start_timeout_s=150) as node:
        made = [BY_NAME["browse"], BY_NAME["search"]]
        asyncio.run(create_topics({"bootstrap_servers": node.bootstrap}, TOPICS, topics=made))
        yield node.bootstrap, f"127.0.0.1:{login}"


def logging_in(door: str, user: str = "boss", password: str = RIGHT, **changes: Any) -> dict[str, Any]:
    return KafkaSettings(
        bootstrap=door,
        security_protocol="SASL_PLAINTEXT",
        sasl_username=user,
        sasl_password=password,
        **changes,
    ).client_kwargs()


@pytest.mark.kafka
async def test_a_wrong_password_is_no_absent_broker(doors: tuple[str, str]) -> None:
    """It is told with whose it is and which settings to look at, and the password is not."""
    with pytest.raises(NotLetInError, match=r"does not let 'boss' in by PLAIN .*: check kafka\.sasl_username") as told:
        await verify(logging_in(doors[1], password="guessed"), TOPICS)
    assert "guessed" not in str(told.value)


@pytest.mark.kafka
async def test_an_unknown_mechanism_is_told_as_one(doors: tuple[str, str]) -> None:
    """The listener takes PLAIN alone."""
    with pytest.raises(NotLetInError, match=r"does not take SCRAM-SHA-512: set kafka\.sasl_mechanism"):
        await verify(logging_in(doors[1], sasl_mechanism="SCRAM-SHA-512"), TOPICS)


@pytest.mark.kafka
async def test_a_login_where_there_is_none_is_told_with_the_setting_to_change(doors: tuple[str, str]) -> None:
    """The port is the right broker's, of its listener without a login."""
    with pytest.raises(NotLetInError, match=r"has no login on this port: set kafka\.security_protocol"):
        await verify(logging_in(doors[0]), TOPICS)


@pytest.mark.kafka
async def test_who_may_not_see_topics_is_not_told_to_create_them(doors: tuple[str, str]) -> None:
    """Kafka hides them from a list of all: they look as if they were missing."""
    with pytest.raises(NotLetInError, match=r"the user may not see access\.browse, .*: allow it Describe"):
        await verify(logging_in(doors[1], user="guest"), TOPICS)


@pytest.mark.kafka
async def test_who_is_let_in_hears_what_is_missing(doors: tuple[str, str]) -> None:
    """And asking for topics by name created none."""
    client = logging_in(doors[1])
    assert await refusal(client) == ""
    for _ in range(2):
        (problem,) = [each for each in await verify(client, TOPICS) if each.startswith("missing")]
        assert "access.purchase" in problem
        assert "access.browse" not in problem


@pytest.mark.kafka
async def test_a_worker_that_waits_for_kafka_does_not_wait_for_a_password(doors: tuple[str, str]) -> None:
    """What it is refused for is what its start is refused for."""
    settings = worker.WorkerSettings(
        kafka=KafkaSettings(
            bootstrap=doors[1], security_protocol="SASL_PLAINTEXT", sasl_username="boss", sasl_password="guessed"
        ),
        topics=TOPICS,
        **dict.fromkeys(("runtime", "state", "web", "core")),  # type: ignore[arg-type]
    )
    async with asyncio.timeout(60):
        (problem,) = await worker._problems(settings, await_kafka=True)
    assert "does not let 'boss' in" in problem


async def test_where_nobody_answers_there_is_something_to_wait_for() -> None:
    """A login that nobody refused is no refusal."""
    client = logging_in(f"127.0.0.1:{free_port()}")
    assert await refusal(client) == ""
    with pytest.raises(UnreachableError, match="is it running"):
        await verify(client, TOPICS)


@pytest.fixture
def by_somebody(tmp_path: Path) -> ssl.SSLContext:
    """A server's certificate that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("the certificate is made with openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=somebody", "-days", "2"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_that_is_not_trusted_is_told_with_the_setting_to_change(
    by_somebody: ssl.SSLContext,
) -> None:
    """No Kafka is needed: it goes wrong before anybody speaks Kafka."""
    async with await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0, ssl=by_somebody) as server:
        port = server.sockets[0].getsockname()[1]
        client = KafkaSettings(bootstrap=f"127.0.0.1:{port}", security_protocol="SSL").client_kwargs()
        with pytest.raises(NotLetInError, match=r"a certificate that is not trusted .*: set kafka\.ssl_cafile"):
            await verify(client, TOPICS)
