"""The example notification service on real Kafka: what it sends, what it does not, and what a SIGKILL makes of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from agents.clients import read_topic
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSettings
from streamer.core.encode import candidate as encoded
from streamer.core.encode import rfc3339
from tests.e2e.test_pipeline import event as event_of
from tests.e2e.test_pipeline import shop, warm
from tests.payloads.candidates import PLAIN
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streamer.core.effects import Candidate
    from tests.conftest import Broker
    from tests.e2e.conftest import System

SCRIPT = Path(__file__).parents[2] / "deploy" / "examples" / "notifier" / "notifier.py"
HOUR_MS = 3_600_000


def made(number: int, *, left_ms: int = HOUR_MS, **changes: Any) -> Candidate:
    identity = f"{number:032x}"
    until = rfc3339(int(time.time() * 1000) + left_ms)
    plain = replace(
        PLAIN, candidate_id=identity, dedupe_key=identity[-16:], user_id=f"user-{number % 7}", expires_at=until
    )
    return replace(plain, **changes)


class Site:
    """Topics of a test, candidates on them, and the service as a process."""

    def __init__(self, broker: Broker, prefix: str, path: Path) -> None:
        self.broker, self.prefix, self.path = broker, prefix, path
        self.settings = TopicSettings(prefix=prefix, partitions=2)
        topics = [BY_NAME[name] for name in ("push-candidates", "feedback", "preferences")]
        asyncio.run(create_topics(broker.client, self.settings, topics=topics))

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(**self.broker.client, transactional_id=f"{self.prefix}engine")
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    def put(self, *candidates: Candidate, aborted: bool = False) -> None:
        """In one transaction, as the engine does; ``aborted`` takes it back."""

        async def send() -> None:
            async with self._producer() as producer:
                await producer.begin_transaction()
                for each in candidates:
                    topic, key = f"{self.prefix}push-candidates", each.user_id.encode()
                    await producer.send_and_wait(topic, encoded(each), key)
                await (producer.abort_transaction() if aborted else producer.commit_transaction())

        asyncio.run(send())

    def say(self, user: str, kind: str, data: dict[str, Any]) -> None:
        """What a shopper says, on the topic of its kind."""
        topic = "preferences" if kind == "preferences" else "feedback"
        said = {"type": kind, "subject": user, "time": rfc3339(int(time.time() * 1000)), "data": data}

        async def send() -> None:
            async with AIOKafkaProducer(**self.broker.client) as producer:
                await producer.send_and_wait(self.prefix + topic, json.dumps(said).encode(), user.encode())

        asyncio.run(send())

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), "--bootstrap", self.broker.bootstrap, "--prefix", self.prefix]
        command += ["--state", str(self.path / "state"), "--out", str(self.path / "sent.jsonl"), *options]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def run(self, *options: str) -> dict[str, int]:
        """Until nothing comes for three seconds; what it says became of the records."""
        with self.start("--idle", "3", *options) as service:
            _, told = service.communicate(timeout=120)
        assert service.returncode == 0, told
        counts: dict[str, int] = json.loads(told.splitlines()[-1])
        return counts

    def sent(self) -> list[dict[str, Any]]:
        file = self.path / "sent.jsonl"
        # A killed writer may leave half a line; it is no request.
        lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
        return [json.loads(line) for line in lines]

    def feedback(self) -> list[Any]:
        return asyncio.run(read_topic(self.broker.client, f"{self.prefix}feedback"))


@pytest.fixture
def site(broker: Broker, prefix: str, tmp_path: Path) -> Site:
    return Site(broker, prefix, tmp_path)


def test_what_is_valid_is_sent_once_and_reported_and_nothing_else(site: Site):
    """Expired, for another channel, the same dedupe key again, and a transaction that was taken back."""
    site.put(made(99), aborted=True)
    site.put(
        made(1), made(2), made(3, left_ms=-1), made(4, channel="email"), made(5, dedupe_key=made(1).dedupe_key),
        made(6),
    )  # fmt: skip
    assert site.run() == {"sent": 3, "expired": 1, "other channel": 1, "already sent": 1}
    assert sorted(line["candidate_id"] for line in site.sent()) == [f"{n:032x}" for n in (1, 2, 6)]
    promised = json.loads(files("streamer.schemas").joinpath("feedback.schema.json").read_bytes())
    told = [json.loads(record.value) for record in site.feedback()]
    for record, event in zip(site.feedback(), told, strict=True):
        jsonschema.validate(event, promised)
        assert record.key == event["subject"].encode()
    by_type = {
        kind: {e["data"]["candidate_id"] for e in told if e["type"] == kind} for kind in {e["type"] for e in told}
    }
    assert by_type == {"push_delivered": {f"{n:032x}" for n in (1, 2, 5, 6)}, "push_failed": {f"{3:032x}"}}


def test_what_was_sent_is_remembered_over_a_restart_that_reads_everything_again(site: Site):
    """Offsets lost: another group reads from the beginning, with the same memory on disk."""
    site.put(*(made(n) for n in range(20)))
    assert site.run() == {"sent": 20}
    assert site.run("--group", "another") == {"already sent": 20}
    assert len(site.sent()) == 20
    ids = Counter(json.loads(record.value)["id"] for record in site.feedback())
    assert set(ids.values()) == {2}, "said twice, under one id, which the engine takes once"


def test_who_opts_out_while_the_service_is_down_gets_nothing_of_what_lay_there(site: Site):
    """Said on either topic, after the push was decided; the others' are sent, and the second start hears of it too."""
    now = rfc3339(int(time.time() * 1000))
    site.put(*(made(n, decided_at=now) for n in range(7)))
    site.say("user-1", "preferences", {"preferences": {"consent": False}})
    site.say("user-2", "push_unsubscribed", {"candidate_id": "e" * 32})
    site.say("user-3", "preferences", {"preferences": {"consent": True}})
    assert site.run() == {"sent": 5, "opted out": 2}
    told = [json.loads(record.value) for record in site.feedback()]
    assert {e["subject"] for e in told if e["type"] == "push_failed"} == {"user-1", "user-2"}
    assert {line["user_id"] for line in site.sent()} == {f"user-{n}" for n in (0, 3, 4, 5, 6)}
    site.put(made(8, decided_at=now), made(9, decided_at=now), made(10, decided_at=now))
    assert site.run() == {"sent": 1, "opted out": 2}


def test_after_a_sigkill_everything_is_sent_and_at_most_the_one_in_hand_twice(site: Site):
    """Killed in the middle of a fetch, twice; each death may repeat the push that was sent and not remembered."""
    site.put(*(made(n) for n in range(600)))
    deaths = 2
    for death in range(1, deaths + 1):
        service = site.start()
        try:
            assert wait_for(lambda least=death * 120: len(site.sent()) >= least, timeout_s=60)  # type: ignore[misc]
        finally:
            os.kill(service.pid, signal.SIGKILL)
            service.communicate()
    assert site.run()["sent"] <= 600 - deaths * 120 + deaths
    counts = Counter(line["candidate_id"] for line in site.sent())
    assert len(counts) == 600
    assert sum(counts.values()) <= 600 + deaths
    assert {json.loads(record.value)["data"]["candidate_id"] for record in site.feedback()} == set(counts)


def test_the_engine_takes_the_feedback_of_what_it_asked_for(system: System, tmp_path: Path):
    """From events to candidates to payloads to feedback, and back into the fold and the log; clicks pretended."""
    known = warm(system)
    rows = shop(users=30, events=12, name="shopper")
    system.send(rows)
    system.drain(known + len(rows))
    candidates = {json.loads(r.value)["candidate_id"] for r in system.read("push-candidates")}
    out = tmp_path / "sent.jsonl"
    command = [sys.executable, str(SCRIPT), "--bootstrap", system.settings.kafka.bootstrap]
    command += ["--prefix", system.settings.topics.prefix, "--state", str(tmp_path / "notifier"), "--out", str(out)]
    command += ["--idle", "3", "--vendor", "apns", "--pretend-clicks", "1"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stderr.splitlines()[-1]) == {"sent": len(candidates)}
    sent = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["candidate_id"] for line in sent} == candidates
    assert all(line["body"]["aps"]["alert"]["title"] for line in sent)
    counts = system.drain(known + len(rows) + 3 * len(candidates))
    assert counts["dead_letter"] == 0
    kinds = Counter(json.loads(r.value)["type"] for r in system.read("feedback"))
    assert kinds == dict.fromkeys(("push_delivered", "push_opened", "push_clicked"), len(candidates))

    # What came of the decisions can be judged: the window of each has ended once an event four minutes on is there.
    later = event_of("somebody-else", 1, "item-1", ago_s=-240)
    system.send([("browse", b"somebody-else", later)], ahead_ms=240_000)
    report = tmp_path / "report.json"
    where = ("--bootstrap", system.settings.kafka.bootstrap, "--prefix", system.settings.topics.prefix)
    command = [sys.executable, "-m", "streamer.cli.main", "ope", *where, "--window", "0.05", "--policy", "always:hold"]
    judged = subprocess.run([*command, "--json", str(report)], check=False, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    found = json.loads(report.read_text())
    reasons = Counter(json.loads(r.value)["r"] for r in system.read("decisions") if r.key != b"somebody-else")
    rounds = reasons["sent"] + reasons["low_score"] + reasons["not_worth_it"]
    assert found["rounds"] == rounds
    assert found["logged"]["value"] == pytest.approx(reasons["sent"] / rounds), "every push was clicked"
    assert found["policies"][0]["estimates"]["ips"]["value"] == 0, "what is not pushed is not clicked"
