"""Where replayed candidates go: to a topic of the shadow's own, or, if asked in so many words, to shoppers."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Final, Literal, Protocol

import orjson
from aiokafka.admin import AIOKafkaAdminClient

from agents.clients import read_topic
from agents.topic_admin import create_topics
from agents.topics import BY_NAME
from streamer.core.encode import rfc3339
from streamer.replay.errors import ReplayRefused

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.settings import Settings

CANDIDATES: Final = "push-candidates"

Why = Literal["", "expired", "known"]


class Target(Protocol):
    """Where candidates go. ``topic`` is its physical name."""

    @property
    def topic(self) -> str:
        """The physical name."""

    def holds_back(self, candidate: bytes) -> Why:
        """Why a candidate is not to be sent; empty if it is."""


@dataclasses.dataclass(frozen=True, slots=True)
class ShadowTopic:
    """``push-candidates.<name>``: nobody pushes from it, so everything goes there."""

    topic: str

    @classmethod
    async def open(cls, settings: Settings, name: str, *, replace: bool) -> ShadowTopic:
        """Create the topic; raises ``ReplayRefused`` if it is there, unless it is to be replaced."""
        client = settings.kafka.client_kwargs()
        spec = dataclasses.replace(BY_NAME[CANDIDATES], name=f"{CANDIDATES}.{name}", what="a replay's candidates")
        topic = settings.topics.physical(spec.name)
        if replace:
            await _delete(settings, topic)
        if not await create_topics(client, settings.topics, topics=[spec]):
            raise ReplayRefused(f"topic {topic} is there already: --replace deletes it, --into names another")
        return cls(topic)

    def holds_back(self, candidate: bytes) -> Why:  # noqa: ARG002 - nothing is
        """Nothing is."""
        return ""


@dataclasses.dataclass(frozen=True, slots=True)
class Live:
    """``push-candidates`` itself: only what holds still, by the wall clock now, and is not there already."""

    topic: str
    known: frozenset[str]

    @classmethod
    async def open(cls, settings: Settings) -> Live:
        """Read what is there; called once the end of the journal is known, so that all decided till then is seen."""
        topic = settings.topics.physical(CANDIDATES)
        there = await read_topic(settings.kafka.client_kwargs(), topic)
        return cls(topic, frozenset(orjson.loads(record.value)["candidate_id"] for record in there))

    def holds_back(self, candidate: bytes) -> Why:
        """``expired`` or ``known``."""
        told = orjson.loads(candidate)
        # Both are UTC to the millisecond in one spelling, so their order is that of the texts.
        if told["expires_at"] <= rfc3339(int(time.time() * 1000)):
            return "expired"
        return "known" if told["candidate_id"] in self.known else ""


def shadow_path(settings: Settings, name: str) -> Path:
    """Where a shadow's tables live: beside those of the workers."""
    return settings.runtime.data_dir / f"{settings.topics.prefix}shadow.{name}"


async def _delete(settings: Settings, topic: str) -> None:
    admin = AIOKafkaAdminClient(**settings.kafka.client_kwargs())
    await admin.start()
    try:
        if topic in await admin.list_topics():
            await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - a broker tells nobody when it is gone
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
