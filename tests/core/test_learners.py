"""All learners in one: each record reaches the one it is for, and no other; nothing is lost between two lives."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agents.clusters import kmeans
from streamer.core.learners import Learners, record_of
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import Example
from streamer.core.prediction_settings import PredictionSettings
from streamer.core.predictions.example import Outcome
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.portrait import Portrait
from streamer.core.settings import MINUTE_MS, CoreSettings
from streamer.core.uplift.features import FEATURES, FEATURES_ID
from streamer.core.uplift.response import Response
from streamer.core.vector_settings import VectorSettings
from streamer.core.vectors.step import Step
from tests.core.task_shop import Shop, browsing

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = CoreSettings(
    learning=LearningSettings(learn_rate=1.0),
    predictions=PredictionSettings(learn_rate=1.0),
    vectors=VectorSettings(learn_rate=1.0),
    segments=SegmentSettings(learn_rate=1.0, first=64),
)
DECODE: dict[str, Callable[[bytes], object]] = {
    "model": Example.decode,
    "predictions": Outcome.decode,
    "vectors": Step.decode,
    "segments": Portrait.decode,
}


@cache
def records() -> list[bytes]:
    """What a task of a small shop sends to ``examples``, kind by kind. Read-only."""
    shop, sent = Shop(SETTINGS), []
    for part in (browsing(600, users=20, step_ms=4 * MINUTE_MS)[at : at + 60] for at in range(0, 600, 60)):
        effects = shop.step(part)
        shop.publish()
        sent += [example.encode() for example in effects.examples]
        sent += [outcome.encode() for outcome in effects.outcomes]
        sent += [step.encode() for step in effects.steps]
        sent += [portrait.encode() for portrait in effects.portraits]
    return sent


def learned(values: list[bytes], learners: Learners) -> Learners:
    assert all(learners.learn(value) for value in values)
    return learners


def test_a_record_changes_the_learner_it_is_for_and_no_other() -> None:
    """The digests tell which learner was touched."""
    before = Learners(SETTINGS, clusters=kmeans).digests()
    for name, decode in DECODE.items():
        own = [value for value in records() if decode(value) is not None]
        assert len(own) > 20
        after = learned(own, Learners(SETTINGS, clusters=kmeans)).digests()
        assert {other for other, digest in after.items() if digest != before[other]} == {name}


def test_a_record_of_no_known_kind_is_refused_and_leaves_no_trace() -> None:
    """Neither of no bytes, nor of those of something else."""
    learners = Learners(SETTINGS, clusters=kmeans)
    assert not any(learners.learn(value) for value in (b"", b"[]", b"\xc0", b"\x91\xa4none"))
    assert learners.digests() == Learners(SETTINGS, clusters=kmeans).digests()


def a_response() -> bytes:
    expected = (0.1, 0.1, 0.1, 0.1)
    told = (True, 0.9, expected, True, False, True, False, False)
    return Response(FEATURES_ID, b"\0\0" * len(FEATURES), 1_700_000_000_000, "next", *told).encode()


@cache
def one_of_each() -> list[bytes]:
    """A record of each kind."""
    sent = records()
    return [next(value for value in sent if decode(value) is not None) for decode in DECODE.values()] + [a_response()]


@given(
    st.sampled_from([*DECODE, "uplift"]), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3)
)
def test_a_record_whole_or_damaged_is_what_the_decoder_of_its_own_kind_says(
    kind: str, damage: list[tuple[int, int]]
) -> None:
    """And if none of them says anything it is of no kind that is known."""
    decoders = [*DECODE.values(), Response.decode]
    value = bytearray(one_of_each()[[*DECODE, "uplift"].index(kind)])
    for at, byte in damage:
        value[at % len(value)] = byte
    said = [found for decode in decoders if (found := decode(bytes(value))) is not None]
    assert [record_of(bytes(value))] == (said or [None])
    assert damage or said


def test_who_is_restored_from_the_rows_goes_on_as_if_there_had_been_no_end() -> None:
    """Learned in one life or in two, with a table between them: the same parameters, counters and figures."""
    sent = records()
    half = len(sent) // 2
    whole = learned(sent[:half], Learners(SETTINGS, clusters=kmeans))
    whole.published()  # versions count publications
    learned(sent[half:], whole)
    first = learned(sent[:half], Learners(SETTINGS, clusters=kmeans))
    first.published()
    table = {key: row for key, row in first.rows().items() if row is not None}
    second = Learners(SETTINGS, clusters=kmeans)
    assert second.restore(table) == []
    learned(sent[half:], second)

    assert second.digests() == whole.digests()
    assert {name: replaced(figures) for name, figures in second.metrics().items()} == {
        name: replaced(figures) for name, figures in whole.metrics().items()
    }


def replaced(figures: dict[str, float]) -> dict[str, float | str]:
    """Without the version, which counts publications; what nobody can say is equal to itself."""
    return {key: "nan" if value != value else value for key, value in figures.items() if key != "version"}  # noqa: PLR0124


def test_what_cannot_be_restored_is_told_and_the_others_go_on() -> None:
    """A damaged block of one learner leaves the rest."""
    first = learned(records(), Learners(SETTINGS, clusters=kmeans))
    table = {key: row for key, row in first.rows().items() if row is not None}
    vectors = [key for key in table if key.startswith("trainer/vector")]
    second = Learners(SETTINGS, clusters=kmeans)
    problems = second.restore(table | dict.fromkeys(vectors, b"damaged"))

    assert len(problems) == 1
    assert problems[0].startswith("vectors begin anew: ")
    assert second.digests()["model"] == first.digests()["model"]
    assert second.digests()["predictions"] == first.digests()["predictions"]


def test_who_stands_beside_sees_each_example_and_what_was_predicted_of_it() -> None:
    """As a challenger does that is no model of ours."""
    sent = records()
    examples = [value for value in sent if Example.decode(value) is not None]
    seen = []
    learned(sent, Learners(SETTINGS, lambda example, p: seen.append((example.rows(), len(p))), kmeans))
    assert len(seen) == len(examples)
    assert all(rows == predicted > 0 for rows, predicted in seen)
