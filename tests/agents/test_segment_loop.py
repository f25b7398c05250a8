"""The loop of segments: portraits of a user task, through the trainer's table and topic, to whoever serves."""

from __future__ import annotations

from dataclasses import replace

from agents.clusters import kmeans
from agents.metrics import Metrics
from agents.worker import make_user_role
from state.memory import MemoryDisk
from streamer.core.learners import Learners
from streamer.core.names import NONE
from streamer.core.record import Record
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.portrait import NAMES
from streamer.core.segments.served import CENTRES
from streamer.core.settings import MINUTE_MS, CoreSettings
from streamer.inspect import readable, segment_of
from streamer.settings import Settings
from tests.agents.trainer_task import committed, opened
from tests.core.task_shop import T0, Shop, browsing

ON = CoreSettings(segments=SegmentSettings(learn_rate=1.0, count=4, first=60))


def test_portraits_come_back_as_centres_and_outlive_a_restart_of_the_trainer():
    """The same centres as in one life; workers with segments take them, those without do not."""
    shop, sent = Shop(ON), []
    for event in browsing(300, users=20, step_ms=4 * MINUTE_MS):
        sent += [portrait.encode() for portrait in shop.step([event]).portraits]
    assert len(sent) > 200
    records = [Record("examples", 0, n, 0, b"0", value) for n, value in enumerate(sent)]
    disk = MemoryDisk()
    context, work = opened(disk, ON)
    assert work.process(records[:100]) == {"applied": 100}
    assert CENTRES in committed(context, work)
    context.store.close()
    context, work = opened(disk, ON)
    work.process(records[100:])
    published = committed(context, work)

    whole = Learners(ON, clusters=kmeans)
    assert all(whole.learn(value) for value in sent)
    assert published[CENTRES] == whole.published()[CENTRES]
    settings = Settings()
    worker = make_user_role(replace(settings, core=ON), Metrics(role="user"), lambda *_: None)
    without = make_user_role(settings, Metrics(role="user"), lambda *_: None)
    for role in (worker, without):
        role.known.appliers["model"](CENTRES.encode(), published[CENTRES])
    assert len(worker.known.segments) == 4
    assert without.known.segments.segment(None, T0) == NONE

    (profile,) = shop.profiles.get_many(["user-3"])
    assert profile is not None
    blocks = {key.encode(): value for key, value in published.items()}
    assert segment_of(profile, blocks, ON) == {"segment": worker.known.segments.segment(profile, profile.last_ms)}
    assert segment_of(profile, blocks, CoreSettings()) == {}
    shown = readable(CENTRES, published[CENTRES])
    assert shown["learned"] == len(sent)
    assert [set(centre) for centre in shown["centres"]] == [set(NAMES)] * 4
    assert "cannot be read" in readable(CENTRES, b"damaged")


def test_a_damaged_block_of_segments_is_counted_and_leaves_none():
    """As any row of a replica that is refused."""
    worker = make_user_role(replace(Settings(), core=ON), Metrics(role="user"), lambda *_: None)
    worker.known.appliers["model"](CENTRES.encode(), b"damaged")
    assert worker.known.segments.problem
    assert len(worker.known.segments) == 0
