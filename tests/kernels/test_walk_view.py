"""Batches of several blocks, whose rows are what they would be in a batch of their own."""

import numpy as np
import pytest

import replay
from kernels.handle import GENERATOR
from kernels.walk_view import MOST_ROWS
from tests.views.plays import ENDS, VIEWS, playing

#: Two whole blocks and a part of one.
MANY = 2 * MOST_ROWS + 9


@pytest.mark.parametrize("name", VIEWS)
def test_a_batch_of_many_blocks_is_what_lists_give(name):
    with playing(VIEWS[name], 24, 2) as play:
        for stream in (0, 1):
            for length, end in ((5, "truncated"), (1, "both"), (9, "terminated"), (6, "")):
                play.episode(stream, length, end)
        assert len(play.sample(MANY).ids) == MANY


def test_wide_rows_make_small_blocks():
    """Of one row each here."""
    fields = {"obs": (np.uint8, (300, 300)), "action": np.int64}
    with replay.ReplayBuffer(40, fields, view=replay.FrameStack(2), seed=0) as buffer:
        writer = buffer.writer()
        for number in range(60):
            obs = np.full((300, 300), number, np.uint8)
            if number % 20 == 0:
                writer.reset(obs)
            else:
                writer.step(obs, number)
        batch = buffer.sample(11)
        newest = batch.ids % 256
        assert (batch.next_obs[:, 1] == newest[:, None, None]).all()
        older = np.maximum(newest - 2, newest // 20 * 20)
        assert (batch.obs[:, 0] == older[:, None, None]).all()
        assert (batch.action == batch.ids).all()


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_goals_do_not_depend_on_blocks(strategy):
    """One seed and one counter: rows together, or one after the other."""

    def met(achieved, desired):
        return (achieved == desired).astype(np.float32)

    parts = ("observation", "achieved_goal", "desired_goal")
    fields = {"obs": dict.fromkeys(parts, np.int64), "action": np.int64, "reward": np.float32}
    view = replay.Hindsight(met, strategy=strategy, share=0.7)
    with replay.ReplayBuffer(200, fields, view=view, seed=0) as buffer:
        writer = buffer.writer()
        for number in range(200):
            obs = {"observation": number, "achieved_goal": number, "desired_goal": -number}
            if number % 25 == 0:
                writer.reset(obs)
            else:
                writer.step(obs, number, 0.0, *ENDS["truncated" if number % 25 == 24 else ""])
        drawn = buffer.sample(MANY)
        # Ids of the first round are slots.
        slots = drawn.ids.copy()
        generator = buffer._ring.block.part("control")[GENERATOR]
        begun = int(generator[1])
        gathered = []
        for size in (MANY, 1):
            generator[1] = begun
            for first in range(0, MANY, size):
                ids = slots[first : first + size].copy()
                columns = buffer._arrays(size)[:-2]
                assert buffer._gatherer.gather(buffer._handle, ids, columns) == 0
                gathered.append(columns)
        together, *alone = gathered
        for place, column in enumerate(together):
            assert np.array_equal(column, np.concatenate([columns[place] for columns in alone]))
        relabelled = together[list(buffer._batch_schema.fields).index("relabelled")]
        assert 0 < relabelled.sum() < MANY
