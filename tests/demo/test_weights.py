"""Weights on their way from the learner to the actors."""

import numpy as np

from replay.demo.policy import parameter_count
from replay.demo.weights import SharedWeights

HIDDEN = 16
COUNT = parameter_count(HIDDEN)


def test_reading_returns_what_was_published_last():
    weights = SharedWeights(HIDDEN)
    out = np.empty(COUNT, np.float32)
    for version in range(1, 6):
        published = np.full(COUNT, version, np.float32)
        weights.publish(published)
        assert weights.read(out) == weights.version == version
        np.testing.assert_array_equal(out, published)


def test_publishing_leaves_the_version_before_untouched():
    weights = SharedWeights(HIDDEN)
    weights.publish(np.full(COUNT, 1, np.float32))
    weights.publish(np.full(COUNT, 2, np.float32))
    assert set(weights._copy(1)) == {1.0}
    assert set(weights._copy(2)) == {2.0}


def test_a_copy_that_was_overtaken_is_made_again(monkeypatch):
    weights = SharedWeights(HIDDEN)
    weights.publish(np.full(COUNT, 1, np.float32))
    copy_of = weights._copy
    overtaken = []

    def overtake(version):
        # Between the look at the version and the copy, the learner publishes twice: the second
        # one goes where the reader is about to read.
        if not overtaken:
            overtaken.append(version)
            monkeypatch.setattr(weights, "_copy", copy_of)
            weights.publish(np.full(COUNT, 2, np.float32))
            weights.publish(np.full(COUNT, 3, np.float32))
        return copy_of(version)

    monkeypatch.setattr(weights, "_copy", overtake)
    out = np.empty(COUNT, np.float32)
    assert weights.read(out) == 3
    assert overtaken == [1]
    assert set(out) == {3.0}
