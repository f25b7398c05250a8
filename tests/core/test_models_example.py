"""Examples: small, faithful, and sampled without bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.models.example import MAX_BYTES, Example, build_example, label


def ranked(n: int = 200, features: int = 15, seed: int = 5):
    rng = np.random.default_rng(seed)
    return rng.uniform(-4, 12, (features, n)), np.rint(rng.random(n) * 2**20) / 2**20


def build(x, labels, p, fingerprint=2**64 - 3, **changes):
    return build_example(x, labels, p, fingerprint, **({"time_ms": 5, "features_id": 9, "model_version": 3} | changes))


def marks(n, *positives):
    labels = np.zeros(n, dtype=bool)
    labels[list(positives)] = True
    return labels


def test_an_example_keeps_the_positives_and_a_weighted_sample_of_the_others():
    x, p = ranked()
    example = build(x, marks(200, 17, 80), p)
    assert example.outcomes().tolist() == [1, 1] + [0] * 32
    assert example.sampling_weights().tolist() == pytest.approx([1, 1] + [198 / 32] * 32)
    assert example.features()[:, :2] == pytest.approx(x[:, [17, 80]], rel=1e-3)
    assert example.served()[:2].tolist() == p[[17, 80]].tolist()
    assert (example.features_id, example.model_version, example.time_ms) == (9, 3, 5)


def test_an_example_survives_its_encoding():
    x, p = ranked()
    example = build(x, marks(200, 17), p)
    assert Example.decode(example.encode()) == example


def test_a_list_of_which_nothing_was_taken_up_makes_no_example():
    x, p = ranked()
    assert build(x, marks(200), p) is None
    assert build(x[:, :0], marks(0), p[:0]) is None


def test_a_list_taken_up_whole_makes_an_example_without_negatives():
    x, p = ranked(3)
    assert build(x, marks(3, 0, 1, 2), p).outcomes().tolist() == [1, 1, 1]


@pytest.mark.parametrize(("rows", "positives", "features"), [(900, 300, 15), (900, 900, 64), (500, 40, 300)])
def test_an_example_stays_within_its_limit_however_large_the_order(rows, positives, features):
    x, p = ranked(rows, features)
    example = build(x, marks(rows, *range(positives)), p)
    assert len(example.encode()) <= MAX_BYTES
    assert float((example.outcomes() * example.sampling_weights()).sum()) == pytest.approx(positives)


def test_the_sample_depends_on_the_event_and_the_seed_only():
    x, p = ranked()
    labels = marks(200, 17)
    assert build(x, labels, p) == build(x.copy(), labels.copy(), p.copy())
    assert build(x, labels, p).x != build(x, labels, p, fingerprint=4).x
    assert build(x, labels, p).x != build(x, labels, p, seed=8).x


def test_every_row_is_sampled_about_equally_often():
    x = np.arange(100.0).reshape(1, 100)
    counts = np.zeros(100)
    for event in range(2000):
        counts[build(x, marks(100, 0), x[0], fingerprint=event * 7919).features()[0].astype(int)] += 1
    expected = 2000 * 32 / 99
    assert counts[0] == 2000
    assert np.abs(counts[1:] - expected).max() < 5 * expected**0.5


def test_a_feature_too_large_for_its_encoding_stays_finite():
    x, p = ranked(10)
    x[3, 4] = 1e9
    assert np.isfinite(build(x, marks(10, 4), p).features()).all()


@given(st.binary(max_size=80))
def test_bytes_that_are_no_example_decode_to_none(value):
    assert Example.decode(value) is None


def test_an_example_with_parts_of_unequal_length_decodes_to_none():
    x, p = ranked()
    example = build(x, marks(200, 17), p)
    fields = [getattr(example, name) for name in example.__struct_fields__]
    fields[6] = fields[6][:-1]
    assert Example.decode(Example(*fields).encode()) is None


def test_labels_mark_the_items_that_were_taken():
    assert label(np.array([4, 7, 9], dtype=np.int32), [9, 4, 100]).tolist() == [True, False, True]
