"""Inbound records through the real entry: ``intake.read``, then, for a sample of batches, the whole engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from streamer.core.effects import Effects
from streamer.core.events import Event
from streamer.core.intake import INGRESS, Reset, Tick, read
from streamer.core.models.example import MAX_BYTES, Example
from streamer.core.models.trainer import Trainer
from streamer.core.parse import parse
from streamer.core.partition import partition_of
from streamer.core.record import Record, Rejection
from streamer.core.settings import CoreSettings, PolicySettings
from tests.core.task_shop import Shop
from tests.fuzz import promises
from tests.fuzz.records import LIMITS, PARTITIONS, make
from tests.fuzz.tally import Broken, held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from tests.fuzz.tally import Tally

BATCH: Final = 250
_ENGINE_EVERY: Final = 24
_SCHEMA_SAMPLE: Final = 12
# Rules that seldom refuse, so that many candidates are built and their shape is seen.
_LOOSE: Final = CoreSettings(
    policy=PolicySettings(per_hour=10**6, per_day=10**6, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0)
)


def round_of(rng: Random, tally: Tally) -> None:
    """One batch of ``BATCH`` records."""
    partition = rng.randrange(PARTITIONS)
    made = list(make(rng, BATCH, partition))
    records = [record for _, record in made]
    shape_of = {record.offset: shape for shape, record in made}
    _check(records, partition, shape_of, tally)
    if rng.randrange(_ENGINE_EVERY) == 0:
        _engine(rng, partition, tally)


def _check(records: Sequence[Record], partition: int, shape_of: dict[int, str], tally: Tally) -> None:
    effects = Effects(0)
    readable = _read(records, partition, effects)
    held(
        "every record ends as one of three",
        sorted(r.offset for r in _all(readable, effects)) == [r.offset for r in records],
        len(readable),
        effects.counts,
    )
    held("the counts are of what was sent away", _counted(effects), effects.counts)
    for number, letter in enumerate(effects.dead_letters):
        promises.dead_letter(letter, schema=number < _SCHEMA_SAMPLE)
        tally.outcomes[shape_of[letter.record.offset], f"dead letter: {letter.reason}"] += 1
    for record, found in readable:
        if isinstance(found, Event):
            promises.event(found, record)
        tally.outcomes[shape_of[record.offset], "event" if isinstance(found, Event) else "preferences unsaid"] += 1
    for record, user in effects.rekeyed:
        _goes_round_once(record, user)
        tally.outcomes[shape_of[record.offset], "re-keyed"] += 1
    for record in records[::25]:
        held("the same record gives the same answer", _same(parse(record, LIMITS), parse(record, LIMITS)), record)
    tally.checks["batches read"] += 1


def _read(records: Sequence[Record], partition: int, effects: Effects) -> list[tuple[Record, Event | Reset | Tick]]:
    try:
        return read(records, partition, PARTITIONS, LIMITS, effects)
    except Exception as error:
        for record in records:
            try:
                read([record], partition, PARTITIONS, LIMITS, Effects(0))
            except Exception as alone:
                raise Broken("reading raises nothing", repr(alone), repr(record)[:4000]) from alone
        raise Broken("reading raises nothing", repr(error)) from error


def _all(readable: Sequence[tuple[Record, Any]], effects: Effects) -> list[Record]:
    """Where every record went, each as often as it was found."""
    return [
        *(record for record, _ in readable),
        *(record for record, _ in effects.rekeyed),
        *(letter.record for letter in effects.dead_letters),
    ]


def _counted(effects: Effects) -> bool:
    told = {"rekeyed": len(effects.rekeyed), "dead_letter": len(effects.dead_letters)}
    return dict(effects.counts) == {name: count for name, count in told.items() if count}


def _goes_round_once(record: Record, user: str) -> None:
    """A record sent on is read where it arrives: never sent on again, and as the same event."""
    key, headers = promises.rekeyed(record, user)
    there = partition_of(user, PARTITIONS)
    effects = Effects(0)
    arrived = Record(INGRESS, there, 0, record.timestamp, key, record.value, headers)
    found = read([arrived], there, PARTITIONS, LIMITS, effects)
    held("a re-keyed record arrives", len(found) == 1, record, effects.dead_letters)
    if isinstance(found[0][1], Event):
        promises.event(found[0][1], arrived)


def _same(one: Event | Rejection, other: Event | Rejection) -> bool:
    return msgspec.json.encode(one) == msgspec.json.encode(other)


def _engine(rng: Random, partition: int, tally: Tally) -> None:
    """Batches less spoilt, cut anywhere, through all stages over tables of bytes; then what other roles do with it."""
    settings = _LOOSE if rng.random() < 0.7 else CoreSettings()
    shop = Shop(settings, partition=partition, partitions=PARTITIONS)
    for part_of in range(4):
        records = [record for _, record in make(rng, BATCH, partition, BATCH * part_of, gently=True)]
        cuts = sorted(rng.sample(range(1, len(records)), 3))
        for part in np.split(np.arange(len(records)), cuts):
            batch = [records[at] for at in part]
            effects = shop.step(batch)
            held("the counts sum to the batch", effects.counts.total() == len(batch), effects.counts, len(batch))
        shop.publish()  # so that the next time there are items to rank
    total = shop.total
    for letter in total.dead_letters:
        held("no fault of ours", letter.reason != "handler_error", letter.detail, letter.record)
    for number, out in enumerate(total.candidates):
        promises.candidate(out.candidate, schema=number < _SCHEMA_SAMPLE)
    for number, decision in enumerate(total.decisions):
        promises.decision(decision, schema=number < _SCHEMA_SAMPLE)
    _learn(total.examples)
    tally.checks.update(
        {
            "batches through the engine": 4,
            "records through the engine": 4 * BATCH,
            "candidates": len(total.candidates),
            "decisions": len(total.decisions),
            "examples": len(total.examples),
        }
    )


def _learn(examples: Sequence[Example]) -> None:
    trainer = Trainer(CoreSettings().learning)
    for example in examples:
        sent = example.encode()
        held("an example is small", len(sent) <= MAX_BYTES, len(sent))
        held("an example is read back", Example.decode(sent) == example, example)
        held("all features are finite", bool(np.isfinite(example.features()).all()), example)
        trainer.learn([example])
    held("the model stays finite", trainer.champion.is_finite())
