"""A worker that is to wait for Kafka goes to work when Kafka is there; another ends and says what to do."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from agents.topic_admin import create_topics
from streamer.demo import free_ports, is_ready
from streamer.supervisor import environment_of
from tests.e2e.conftest import settings_for
from tests.faults.proxy import Proxy
from tests.processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

WORKER = [sys.executable, "-m", "streamer.cli.main", "worker", "--role", "item", "--instance", "waiting"]


def test_a_worker_waits_for_kafka_if_it_is_told_to(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """Nothing listens at first; the same process is ready once something does."""
    settings = settings_for(bootstrap, prefix, tmp_path)
    asyncio.run(create_topics(settings.kafka.client_kwargs(), settings.topics))
    door = free_ports(2)
    web = door + 1
    away = dataclasses.replace(
        settings,
        kafka=dataclasses.replace(settings.kafka, bootstrap=f"127.0.0.1:{door}"),
        web=dataclasses.replace(settings.web, port=web),
    )
    environment = os.environ | environment_of(away)

    ended = subprocess.run(WORKER, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"127.0.0.1:{door}" in ended.stderr
    assert "is it running" in ended.stderr

    log = tmp_path / "log"
    with (
        log.open("w") as told,
        subprocess.Popen([*WORKER, "--await-kafka"], env=environment, stderr=told, stdout=told) as waiting,
    ):
        try:
            assert wait_for(lambda: "Trying again" in log.read_text())
            assert waiting.poll() is None
            with Proxy(door, int(bootstrap.rpartition(":")[2])):
                assert wait_for(lambda: is_ready(web), timeout_s=60)
                waiting.terminate()
                assert waiting.wait(timeout=30) == 0
        finally:
            waiting.kill()
