"""The web port, over real HTTP: metrics, health that tells the truth, and where it listens."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from agents.metrics import Metrics
from agents.settings import WebSettings
from agents.web import Verdict, WebError, WebServer


class Worker:
    """A worker whose state a test sets."""

    def __init__(self) -> None:
        self.stuck: dict[int, float] = {}
        self.recovered = True
        self.broken: Exception | None = None

    def healthy(self) -> Verdict:
        if self.broken is not None:
            raise self.broken
        return not self.stuck, {"stuck": self.stuck}

    def ready(self) -> Verdict:
        return self.recovered, {"tasks": [0, 1]}


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
async def server(worker):
    server = WebServer(WebSettings(port=0), Metrics(), worker)
    await server.start()
    yield server
    await server.stop()


async def get(server: WebServer, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as response:
        return response.status, response.content_type, await response.text()


async def ask(server: WebServer, path: str) -> tuple[int, Any]:
    """Status and JSON."""
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as response:
        return response.status, await response.json()


async def test_a_worker_that_makes_progress_is_healthy(server):
    """200, and what was looked at."""
    assert await ask(server, "/healthz") == (200, {"status": "healthy", "stuck": {}})


async def test_a_partition_without_progress_is_unhealthy(server, worker):
    """503, and which one."""
    worker.stuck = {3: 41.5}
    assert await ask(server, "/healthz") == (503, {"status": "not healthy", "stuck": {"3": 41.5}})


async def test_a_worker_in_recovery_is_healthy_but_not_ready(server, worker):
    """A supervisor must not restart what is only catching up."""
    worker.recovered = False
    assert (await ask(server, "/healthz"))[0] == 200
    assert await ask(server, "/readyz") == (503, {"status": "not ready", "tasks": [0, 1]})


async def test_health_is_asked_anew_at_every_request(server, worker):
    """Nothing is remembered between two."""
    worker.recovered = False
    assert (await ask(server, "/readyz"))[0] == 503
    worker.recovered = True
    assert (await ask(server, "/readyz"))[0] == 200


async def test_a_health_check_that_fails_is_not_healthy(server, worker):
    """Whoever cannot tell how it is, is not well."""
    worker.broken = KeyError("tasks")
    status, body = await ask(server, "/healthz")
    assert status == 503
    assert "KeyError" in body["error"]


async def test_metrics_are_readable_by_prometheus_and_tell_the_health(server, worker):
    """The scrape carries the same verdicts."""
    worker.recovered = False
    status, kind, text = await get(server, "/metrics")
    told = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
    assert (status, kind) == (200, "text/plain")
    assert (told["streamer_healthy"], told["streamer_ready"]) == (1.0, 0.0)
    assert told["process_resident_memory_bytes"] > 1_000_000


async def test_the_port_taken_by_somebody_else_is_told_with_a_way_out(worker):
    """No traceback of a library, but what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WebError, match=rf"port {port} on 127\.0\.0\.1 is in use.*web\.port"):
            await WebServer(WebSettings(port=port), Metrics(), worker).start()


async def test_an_address_that_is_not_ours_is_told_with_a_way_out(worker):
    """192.0.2.0/24 is reserved for documentation, so no machine has it."""
    with pytest.raises(WebError, match=r"web\.host"):
        await WebServer(WebSettings(host="192.0.2.1", port=0), Metrics(), worker).start()


async def test_it_listens_on_the_loopback_unless_told_otherwise(server):
    """The metrics have no login, so the network does not see them by default."""
    assert server._runner.addresses[0][0] == "127.0.0.1"
    assert WebSettings().host == "127.0.0.1"


async def test_the_port_is_free_again_after_stop(worker):
    """A restart in place finds it free; stopping twice is harmless."""
    first = WebServer(WebSettings(port=0), Metrics(), worker)
    await first.start()
    await first.stop()
    await first.stop()
    again = WebServer(WebSettings(port=first.port), Metrics(), worker)
    await again.start()
    assert (await ask(again, "/readyz"))[0] == 200
    await again.stop()
