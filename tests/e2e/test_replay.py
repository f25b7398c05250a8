"""What was folded live is folded again from the topics, and is the same; what cannot be the same is refused.

One run serves all tests, in their order: the last ones remove what replay needs.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from agents.clients import reader
from agents.roles.user import UserRole
from agents.topic_admin import TopicError, create_topics
from agents.topics import BY_NAME
from state.memory import open_store
from state.store import TaskIdentity
from streamer.cli.main import _run as command
from streamer.core.record import TICK
from streamer.replay.begin import begin
from streamer.replay.canonical import rebuild
from streamer.replay.errors import ReplayRefused
from streamer.replay.journal import Batch, Commit, Row, rows
from streamer.replay.log import Log
from streamer.replay.plan import FOREVER_MS, make_plan
from streamer.replay.run import Request, digests, replay
from streamer.replay.target import shadow_path
from streamer.replay.verify import verify
from tests.e2e.replayed import Run, contents, folded, ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.replay.refold import Refold
    from streamer.settings import Settings


@pytest.fixture(scope="module")
def run(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One for all tests here."""
    return folded(bootstrap, tmp_path_factory.mktemp("replayed"))


def test_a_replay_gives_the_tables_and_candidates_of_two_workers_one_of_them_killed(run: Run) -> None:
    report = run.replay("shadow")
    assert report.parted == []
    assert report.records == run.events
    assert report.candidates == report.sent == len(run.candidates) > 50
    assert contents(run.read("push-candidates.shadow")) == contents(run.candidates)
    verdict = asyncio.run(verify(run.settings, "live", "shadow"))
    assert (verdict.equal, verdict.candidates) == (True, len(run.candidates))
    assert verdict.rows >= 2 * 160
    with pytest.raises(ReplayRefused, match="--replace"):
        run.replay("shadow")


def recut(row: Row) -> Row:
    """The same records in the same order, each a micro-batch of its own."""
    singles = [
        Batch([(topic, at, last if topic == TICK else at)], {}, batch.replicas)
        for batch in row.commit.batches
        for topic, first, last in batch.runs
        for at in ([first] if topic == TICK else range(first, last + 1))
    ]
    return replace(row, commit=Commit(row.commit.now, singles))


async def recut_run(settings: Settings) -> tuple[dict[str, str], list[list[tuple[bytes | None, bytes | None]]]]:
    stores, sent = [], []
    async with reader(settings.kafka.client_kwargs()) as consumer:
        plan = await make_plan(consumer, settings, from_ms=0, to_ms=FOREVER_MS)
        for planned in plan.spans:
            identity = TaskIdentity("user", planned.partition, settings.topics.partitions, settings.topics.prefix)
            stores.append(open_store(UserRole.tables, identity))
            span, refold = await begin(settings, plan, planned, consumer, stores[-1])
            journal = TopicPartition(settings.topics.physical("journal"), span.partition)
            found: list[tuple[bytes | None, bytes | None]] = []
            async for row in rows(Log(consumer, journal, span.begin), span.end, FOREVER_MS):
                found += [(key, value) for key, value, *_ in await refold.fold(recut(row))]
            refold.settle({})
            sent.append(found)
    return digests(stores), sent


def test_where_batches_are_cut_changes_neither_tables_nor_candidates(run: Run) -> None:
    found, sent = asyncio.run(recut_run(run.settings))
    exact = run.replay("exact")
    assert found == exact.digests
    for partition, candidates in enumerate(sent):
        assert candidates == [(r.key, r.value) for r in run.candidates if r.partition == partition]


async def fold_rows(settings: Settings, doctored: Callable[[list[Row]], list[Row]]) -> Refold:
    """Fold the first task's journal after somebody had a hand in it."""
    async with reader(settings.kafka.client_kwargs()) as consumer:
        plan = await make_plan(consumer, settings, from_ms=0, to_ms=FOREVER_MS)
        identity = TaskIdentity("user", 0, settings.topics.partitions, settings.topics.prefix)
        span, refold = await begin(settings, plan, plan.spans[0], consumer, open_store(UserRole.tables, identity))
        journal = TopicPartition(settings.topics.physical("journal"), 0)
        for row in doctored([row async for row in rows(Log(consumer, journal, 0), span.end, FOREVER_MS)]):
            await refold.fold(row)
        return refold


def test_a_journal_that_leaves_out_or_repeats_a_record_is_refused_at_that_record(run: Run) -> None:
    """As one is where offsets were reset, or where a crash at least once folded some twice."""
    with pytest.raises(ReplayRefused, match=r"browse:0:0 was not folded before .*browse:0:\d+, says the journal"):
        asyncio.run(fold_rows(run.settings, lambda found: found[1:]))
    with pytest.raises(ReplayRefused, match=r"browse:0:0 was folded, and is there no more, or lies behind"):
        asyncio.run(fold_rows(run.settings, lambda found: [found[0], found[0]]))


def test_what_does_not_come_out_as_the_journal_says_is_named_with_its_records(run: Run) -> None:
    def other_counts(found: list[Row]) -> list[Row]:
        commit = found[3].commit
        batches = [Batch(commit.batches[0].runs, {"late": 1}, commit.batches[0].replicas), *commit.batches[1:]]
        return [*found[:3], replace(found[3], commit=Commit(commit.now, batches)), *found[4:]]

    parted = asyncio.run(fold_rows(run.settings, other_counts)).parted
    assert parted.commits == 1
    assert "browse:0:" in parted.first
    assert "the journal has {'late': 1}" in parted.first


def test_another_number_of_partitions_is_refused(run: Run) -> None:
    other = replace(run.settings, topics=replace(run.settings.topics, partitions=8))
    with pytest.raises(TopicError, match=r"topics\.partitions is 8: set it to 4"):
        asyncio.run(replay(other, Request("cut"), lambda *_: None))


def test_a_replay_from_the_middle_begins_with_the_tables_as_they_were(run: Run) -> None:
    middle = run.middle_ms()
    report = run.replay("late", from_ms=middle)
    assert report.records < run.events
    assert 0 < report.sent < len(run.candidates)
    assert report.parted == []
    assert set(ids(run.read("push-candidates.late"))) < set(ids(run.candidates))
    verdict = asyncio.run(verify(run.settings, "late", "live"))
    assert verdict.equal
    assert verdict.candidates == report.sent


def test_a_replay_up_to_the_middle_is_what_live_was_then_though_live_went_on(run: Run) -> None:
    report = run.replay("early", to_ms=run.middle_ms())
    assert report.records < run.events
    verdict = asyncio.run(verify(run.settings, "early", "live"))
    assert verdict.equal
    assert verdict.candidates == report.sent > 0
    apart = asyncio.run(verify(run.settings, "early", "shadow"))
    assert not apart.equal
    assert len(apart.apart) > 0


def test_candidates_of_some_users_only_are_sent_and_tables_folded_for_all(run: Run) -> None:
    users = frozenset({"first-1", "second-2"})
    report = run.replay("some", users=users)
    assert report.records == run.events
    sent = run.read("push-candidates.some")
    assert contents(sent) == contents([r for r in run.candidates if r.key.decode() in users])
    assert report.others == report.candidates - len(sent)
    assert asyncio.run(verify(run.settings, "live", "some")).equal


def test_another_setting_is_found_at_the_first_trigger_that_it_decides_otherwise(run: Run) -> None:
    core = run.settings.core
    policy = replace(core.policy, per_hour=3, min_gap_ms=1000)
    other = replace(run.settings, core=replace(core, policy=policy))
    asyncio.run(replay(other, Request("other"), lambda *_: None))
    verdict = asyncio.run(verify(run.settings, "live", "other"))
    assert not verdict.equal
    known = set(ids(run.candidates))
    expected: dict[int, str] = {}
    for record in run.read("push-candidates.other"):
        candidate = orjson.loads(record.value)
        trigger = candidate["trigger"]
        if candidate["candidate_id"] not in known:
            expected.setdefault(record.partition, f"{trigger['topic']}:{trigger['partition']}:{trigger['offset']}")
    places = [difference.place for difference in verdict.first if difference.place.startswith("browse:")]
    assert places == [expected[partition] for partition in sorted(expected)]


def test_one_doctored_candidate_is_found_at_its_trigger(run: Run) -> None:
    shutil.copytree(shadow_path(run.settings, "shadow"), shadow_path(run.settings, "doctored"))
    records = run.read("push-candidates.shadow")
    victim = records[len(records) // 2]
    candidate = orjson.loads(victim.value)
    candidate["items"][0]["score"] += 2**-19

    async def copy() -> None:
        settings = run.settings
        spec = replace(BY_NAME["push-candidates"], name="push-candidates.doctored")
        await create_topics(settings.kafka.client_kwargs(), settings.topics, topics=[spec])
        async with AIOKafkaProducer(**settings.kafka.client_kwargs()) as producer:
            for record in records:
                value = orjson.dumps(candidate) if record is victim else record.value
                topic = settings.topics.physical(spec.name)
                await producer.send_and_wait(topic, value, key=record.key, partition=record.partition)

    asyncio.run(copy())
    (difference,) = asyncio.run(verify(run.settings, "shadow", "doctored")).first
    trigger = candidate["trigger"]
    assert difference.place == f"{trigger['topic']}:{trigger['partition']}:{trigger['offset']}"
    assert "score" in difference.what


def test_the_canonical_item_index_and_model_are_what_the_live_roles_hold(run: Run) -> None:
    report = asyncio.run(rebuild(run.settings, "canonical", lambda *_: None, replace=False))
    assert (report.parted, report.apart, report.unreadable) == ([], [], 0)
    assert report.compared["item rows"] > 0
    assert report.compared["examples"] > 0
    assert report.items == len({record.key for record in run.read("item-index")})
    assert report.examples > 0
    again = asyncio.run(rebuild(run.settings, "canonical", lambda *_: None, replace=True))
    assert again.digests == report.digests


def test_the_commands_say_what_came_of_it_and_end_with_0_or_1(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    where = [f"--bootstrap={run.settings.kafka.bootstrap}", f"--prefix={run.settings.topics.prefix}"]
    where.append(f"--set=runtime.data_dir={run.settings.runtime.data_dir}")

    def typed(*words: str) -> tuple[int, str, str]:
        code = command([*words, *where])
        told = capsys.readouterr()
        return code, told.out, told.err

    code, out, err = typed("replay", "--into", "typed", "--from", "2020-01-01", "--json")
    assert (code, orjson.loads(out)["sent"]) == (0, len(run.candidates))
    assert f"replayed {run.events:,} of {run.events:,} records" in err
    code, out, _ = typed("verify", "live", "typed")
    assert (code, out.split(":")[0]) == (0, "the same")
    code, out, _ = typed("verify", "typed", "other", "--json")
    assert (code, orjson.loads(out)["equal"]) == (1, False)
    code, _, err = typed("replay", "--into", "typed")
    assert (code, "--replace" in err) == (1, True)
    code, _, err = typed("verify", "live", "absent")
    assert (code, "streamer replay --into absent" in err) == (1, True)
    assert typed("replay", "--canonical", "--live")[0] == 2
    assert typed("replay", "--from", "yesterday")[0] == 2


def test_live_sends_nothing_that_is_there_and_only_what_still_holds_of_what_is_lost(run: Run) -> None:
    nothing = run.replay("repeated", live=True)
    assert (nothing.sent, nothing.known + nothing.expired) == (0, len(run.candidates))
    assert nothing.expired > 0
    assert contents(run.read("push-candidates")) == contents(run.candidates)

    for partition in range(4):
        run.trim("push-candidates", partition, -1)
    assert run.read("push-candidates") == []
    report = run.replay("backfill", live=True)
    week_old_ids = {i for i, r in zip(ids(run.candidates), run.candidates, strict=True) if r.key.startswith(b"old")}
    assert report.expired == len(week_old_ids) > 0
    assert report.known == 0
    sent = run.read("push-candidates")
    assert contents(sent) == contents([r for r in run.candidates if not r.key.startswith(b"old")])


def test_input_that_was_removed_is_refused_with_its_place_and_a_replay_may_begin_after_it(run: Run) -> None:
    middle = run.middle_ms()
    run.trim("browse", 2, 10)
    with pytest.raises(ReplayRefused, match=r"browse:2:0 was folded .* begins at offset 10.*retention.ms"):
        run.replay("trimmed")
    assert not shadow_path(run.settings, "trimmed").exists()
    assert run.replay("trimmed", from_ms=middle).parted == []


def test_a_journal_without_its_beginning_is_refused_and_a_replay_may_begin_after_it(run: Run) -> None:
    middle = run.middle_ms()
    run.trim("journal", 1, 3)
    with pytest.raises(ReplayRefused, match=r"journal:1 begins at offset 3, not at 0.*replay_window_hours"):
        run.replay("headless")
    assert run.replay("headless", from_ms=middle).parted == []


def test_canonical_refuses_deltas_without_their_beginning(run: Run) -> None:
    run.trim("item-updates", 0, 1)
    with pytest.raises(ReplayRefused, match=r"item-updates:0 begins at offset 1, not at 0.*retention.ms"):
        asyncio.run(rebuild(run.settings, "canonical", lambda *_: None, replace=True))


def test_a_beginning_that_lies_before_what_is_left_of_the_journal_is_refused(run: Run) -> None:
    first = min(record.timestamp for record in run.read("journal") if record.partition == 1)
    with pytest.raises(ReplayRefused, match=r"journal:1 begins at offset 3, not at 0"):
        run.replay("before", from_ms=first - 1000)
