"""The ages of rows that are given out, against a plain count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import handle as words
from kernels.ring import HEAD
from kernels.walk_gather import AGE_SORTS, age_of, ages_count


@pytest.fixture(scope="module", params=[1, 3])
def buffer(request):
    with replay.ReplayBuffer(30, {"x": bool}, streams=request.param) as buffer:
        yield buffer


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    st.lists(st.integers(1, 2**40), min_size=3, max_size=3),
    st.lists(st.none() | st.integers(0, 2**40), min_size=1, max_size=70),
)
def test_ages_are_summed_and_sorted_by_their_bits(buffer, heads, drawn):
    ring = buffer._ring
    streams = buffer.streams
    ring._heads[:, HEAD] = heads[:streams]
    control = ring.block.part("control")
    control[words.SAMPLES] = control[words.AGES : words.AGES + 4] = 0
    ids, ages = [], []
    for place, age in enumerate(drawn):
        stream = place % streams
        if age is None:
            ids.append(-1)
        else:
            age %= heads[stream]
            ids.append((heads[stream] - 1 - age) * streams + stream)
            assert age_of(ring.handle, ids[-1]) == age
            ages.append(age)
    missed = ids.count(-1)
    if missed == len(ids):
        return
    ages_count(ring.handle, np.array(ids), missed)
    assert control[words.SAMPLES, 2:4].tolist() == [sum(ages), len(ages)]
    counts = control[words.AGES : words.AGES + 4].reshape(-1)
    one = ids[sum(ages) % len(ids)]
    assert counts.sum() == (one >= 0)
    if one >= 0:
        age = heads[one % streams] - 1 - one // streams
        assert counts[min(age.bit_length(), AGE_SORTS - 1)] == 1
