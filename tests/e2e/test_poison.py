"""Spoilt records through real Kafka and a whole system: each is accounted for, and none stops the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from agents.header_names import Records
from tests.agents.test_header_names import batch
from tests.e2e.test_pipeline import shop
from tests.fuzz.promises import added
from tests.fuzz.records import make

if TYPE_CHECKING:
    import pytest
    from aiokafka import ConsumerRecord

    from streamer.core.record import Record
    from tests.e2e.conftest import System

INPUTS = ("browse", "search", "purchase", "feedback", "preferences")
COUNTED = ("applied", "duplicate", "late", "dead_letter")


def send(system: System, records: list[Record]) -> None:
    """As they are, but for the timestamp, which is now; half of them where they do not belong."""

    async def produce() -> None:
        async with AIOKafkaProducer(**system.client, max_request_size=4 << 20) as producer:
            sent = [
                await producer.send(
                    system.topic(record.topic), record.value, record.key, at % 4, headers=list(record.headers)
                )
                for at, record in enumerate(records)
            ]
            await asyncio.gather(*sent)

    asyncio.run(produce())


def content(record: ConsumerRecord[Any, Any], without: int = 0) -> tuple[object, ...]:
    """Key, value and headers, the last few of them left out."""
    return record.key, record.value, list(record.headers[: len(record.headers) - without])


def test_spoilt_records_are_accounted_for_and_every_dead_letter_is_the_record_as_it_came(system: System) -> None:
    """The fuzzer's records, by way of the broker."""
    made = [record for _, record in make(Random("by way of the broker"), 2500, 0) if record.topic in INPUTS]
    # The broker itself takes no record without a key on a compacted topic.
    made = [record for record in made if record.key is not None or record.topic != "preferences"]
    send(system, made)
    counts = system.drain(len(made), 120)
    assert sum(counts[name] for name in COUNTED) == len(made)
    assert counts["applied"] > 300
    sent = {
        (record.topic, record.partition, record.offset): content(record)
        for topic in (*INPUTS, "ingress")
        for record in system.read(topic)
    }
    letters = system.read("dead-letters")
    assert len(letters) == counts["dead_letter"]
    reasons: Counter[str] = Counter()
    for letter in letters:
        told = {name: value.decode() for name, value in added(letter.headers).items()}
        reasons[told["dl_reason"]] += 1
        origin = system.topic(told["dl_topic"]), int(told["dl_partition"]), int(told["dl_offset"])
        if not told.keys() & {"dl_sha256", "dl_key_size", "dl_headers_dropped"}:
            assert content(letter, len(told)) == sent[origin]
        del sent[origin]  # so that no record has two
    assert len(reasons) > 8
    assert not reasons["handler_error"]


def test_a_header_name_of_any_bytes_does_not_stop_its_partition(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No client in Python or Java could have written it, but others can."""
    good = shop(users=1, events=6)
    system.send(good[:3], partition=1)

    async def produce() -> None:
        async with AIOKafkaProducer(**system.client) as producer:
            poison = producer.create_batch()
            poison._builder = batch([b"poison"], bad_at=0)
            poison._relative_offset = 1
            await (await producer.send_batch(poison, system.topic("browse"), partition=1))

    asyncio.run(produce())
    system.send(good[3:], partition=1)
    counts = system.drain(len(good) + 1)
    assert (counts["applied"], counts["dead_letter"]) == (len(good), 1)
    (letter,) = system.read("dead-letters")
    assert (letter.value, letter.headers[1]) == (b"poison", ("trace\\xff", None))
    monkeypatch.setattr("aiokafka.consumer.fetcher.MemoryRecords", Records)
    assert [record.value for record in system.read("browse")].count(b"poison") == 1
