"""A rebalance: the tasks that stay go on while others are opened; input that is gone is told of, and passed over."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from streamer.supervisor import Supervisor
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import shop, warm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import System


def readiness(system: System, place: int) -> dict[str, Any]:
    """What the worker at ``place`` says of its tasks; empty if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.settings.web.port + place}/readyz", timeout=2) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as answer:
        found = json.load(answer)
        return found
    except OSError:
        return {}
