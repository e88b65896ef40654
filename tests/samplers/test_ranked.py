"""
Draws by rank: 1 / rank ** alpha right after a sort, as near as promised until the next.

False alarms and power as in test_uniform: at most 1e-6 of the seeds; ten parts that are off by 1 %
in turns are caught with DRAWS draws.
"""

import gc
import json
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import handle as words
from kernels import walk_order as orders
from kernels.walk_draw_ranked import row_mass
from kernels.walk_order import fresh_slot, slot_fresh
from replay.samplers import from_json
from tests import naive, naive_ranked
from tests.homes import HOMES, WALKS, fewer, opened, walking
from tests.samplers.test_proportional import tenths
from tests.samplers.test_uniform import BATCH, DRAWS, assert_as_likely, draw

FIELDS = {"x": np.int64}
#: Batches that no test draws: a sort comes at the first one alone.
NEVER = 10**9
#: As DRAWS; interpreted, an error must be twice as large to be seen.
PLENTY = fewer(DRAWS, DRAWS // 4)


def ranked(capacity, *, streams=1, home="private", **options):
    sampler = replay.Ranked(**{"alpha": 0.7, "refresh": 1, **options})
    return opened(home, capacity, FIELDS, sampler=sampler, streams=streams, seed=3)


def leaves_of(buffer):
    return buffer.priorities._leaves().tolist()


def largest_leaf(buffer):
    return int(buffer._ring.block.part("control")[words.PRIORITY, 0])


def line_of(buffer):
    """View the line of the order that draws go by, (8,) int64."""
    return orders.order_line(buffer._handle, sorts_of(buffer))


def sorts_of(buffer):
    return int(orders.handle_ranks(buffer._handle)[0, orders.SORTS])


def slot_counts(buffer, ids):
    """Count the draws of each slot; the ids are of one stream."""
    return np.bincount(ids % buffer.capacity, minlength=buffer.capacity)


def assert_drawn_as(counts, shares):
    """Compare draws with shares, in ten parts of like probability and for what is never drawn."""
    shares = np.array(shares)
    assert not counts[shares == 0].any(), "a row that cannot be drawn was drawn"
    order = np.argsort(-shares, kind="stable")
    part = np.zeros(len(shares), int)
    part[order] = tenths(shares[order])
    seen = np.bincount(part, counts, minlength=10)
    wanted = np.bincount(part, shares, minlength=10)
    # Strata only make the counts more even than the bound allows.
    assert_as_likely(seen.tolist(), wanted.tolist())


def uneven(count, seed=7):
    """Give priorities of which some are 0, some equal, one far above the others."""
    priorities = np.random.default_rng(seed).exponential(1.0, count)
    priorities[::17] = 0.0
    priorities[3::11] = 0.75
    priorities[5] = 100.0
    return priorities


# right after a sort


@pytest.mark.parametrize(
    ("alpha", "stratified"), [(0.0, True), (0.7, True), (0.7, False), (1.0, False), (2.0, True)]
)
def test_rows_are_drawn_by_one_over_rank_to_the_alpha(alpha, stratified):
    count = fewer(1000, 100)
    with ranked(count, alpha=alpha, stratified=stratified, refresh=100) as buffer:
        ids = buffer.extend(np.arange(count + count // 2))[-count:]
        priorities = uneven(count)
        assert buffer.update_priorities(ids, priorities) == count
        shares = naive_ranked.shares(leaves_of(buffer), alpha)
        # The first rank has one row, of the priority that is far above the others.
        assert shares[ids[5] % count] == pytest.approx(
            1 / naive_ranked.harmonic(np.count_nonzero(priorities), alpha)
        )
        assert_drawn_as(slot_counts(buffer, draw(buffer, PLENTY)), shares)


def test_rows_of_equal_priority_are_equally_likely():
    with ranked(40, alpha=1.0) as buffer:
        buffer.extend(np.arange(40))
        assert_as_likely(slot_counts(buffer, draw(buffer, PLENTY // 4)).tolist(), [1 / 40] * 40)
        buffer.update_priorities(np.arange(20), np.full(20, 3.0))
        counts = slot_counts(buffer, draw(buffer, PLENTY // 4))
        half = naive_ranked.harmonic(20, 1.0) / naive_ranked.harmonic(40, 1.0)
        assert_as_likely(counts.tolist(), [half / 20] * 20 + [(1 - half) / 20] * 20)


def test_how_large_a_priority_is_changes_nothing():
    shares = []
    for largest in (1.1, 1e4):
        with ranked(30) as buffer:
            buffer.extend(np.arange(30))
            buffer.update_priorities(np.arange(30), np.append(np.linspace(0.1, 1, 29), largest))
            shares.append(buffer.sample(1000).ids.tolist())
    assert shares[0] == shares[1]


@pytest.mark.parametrize("capacity", [1, 2, 5, 8, 9, 64, 65])
def test_every_row_of_every_capacity_can_be_drawn(capacity):
    with ranked(capacity, alpha=0.3) as buffer:
        for _ in range(2):
            ids = buffer.extend(np.arange(capacity))
            buffer.update_priorities(ids, np.linspace(0.5, 1.0, capacity))
            draws = fewer(max(60 * capacity, 2 * BATCH), BATCH + 30 * capacity)
            seen = set(draw(buffer, draws).tolist())
            assert seen == set(ids.tolist())


def test_rows_of_all_streams_are_drawn_by_their_ranks():
    with ranked(60, alpha=1.0, streams=3) as buffer:
        ids = np.concatenate([buffer.writer(s).extend(np.arange(25 - s * 7)) for s in range(3)])
        live = ids[ids // 3 >= np.where(ids % 3 == 0, 5, 0)]
        priorities = 1.0 + np.arange(len(live))[::-1]
        assert buffer.update_priorities(live, priorities) == len(live) == len(buffer)
        counts = np.bincount(draw(buffer, PLENTY // 4), minlength=ids.max() + 1)
        masses = 1 / np.arange(1, len(live) + 1)
        assert_as_likely(counts[live].tolist(), (masses / masses.sum()).tolist())
        assert counts.sum() == counts[live].sum()


def test_a_stratum_gives_one_row_each():
    with ranked(64, alpha=0.0, stratified=True) as buffer:
        buffer.extend(np.arange(64))
        buffer.update_priorities(np.arange(64), np.arange(64, 0, -1))
        for count in (64, 128):
            batch = buffer.sample(count)
            assert (np.bincount(batch.ids) == count // 64).all()
        assert (np.diff(buffer.sample(10).ids) > 0).all()


# weights


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("normalise", ["batch", "buffer", None])
@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.5), (1.0, 1.0), (2.0, 0.7), (0.7, 0.0)])
def test_weights_are_as_the_paper_says(walk, normalise, alpha, beta):
    options = {"alpha": alpha, "beta": beta, "normalise": normalise}
    with walking(walk), ranked(50, **options) as buffer:
        buffer.extend(np.arange(70))
        buffer.update_priorities(np.arange(30, 70), uneven(40))
        shares = np.array(naive_ranked.shares(leaves_of(buffer), alpha))
        largest = (50 * shares[shares > 0].min()) ** -beta
        for count in (1, 7, 100):
            batch = buffer.sample(count)
            weights = (50 * shares[batch.ids % 50]) ** -beta
            if normalise == "batch":
                weights /= weights.max()
                assert batch.weights.max() == 1.0
            elif normalise == "buffer":
                weights /= largest
                assert batch.weights.max() <= 1.0 + 1e-6
            np.testing.assert_allclose(batch.weights, weights, rtol=3e-6)


def test_beta_grows_with_the_batches_drawn_by_all():
    line = replay.Linear(0.2, 1.0, steps=5)
    options = {"alpha": 1.0, "beta": line, "normalise": None}
    with ranked(4, home="named", **options) as buffer, replay.attach(buffer.name) as other:
        buffer.extend(np.arange(4))
        buffer.update_priorities(np.arange(4), [4.0, 3.0, 2.0, 1.0])
        for number in range(8):
            batch = (buffer, other)[number % 2].sample(3)
            wanted = (4 * 12 / 25 / (batch.ids + 1)) ** -line(number)
            np.testing.assert_allclose(batch.weights, wanted, rtol=3e-6)


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("normalise", ["batch", None])
def test_weights_stay_right_where_rows_are_drawn_again(walk, normalise):
    with walking(walk), ranked(8, alpha=1.0, normalise=normalise) as buffer:
        buffer.extend(np.arange(8))
        buffer.update_priorities(np.arange(8), np.arange(8, 0, -1))
        buffer.sample(1)
        # A writer is in the middle of the row of the largest weight: who draws it draws again.
        buffer._ring.block.part("records")[7, 0] |= 1
        batch = buffer.sample(100)
        assert sorted(set(batch.ids.tolist())) == list(range(7))
        wanted = (8 / (batch.ids + 1) / naive_ranked.harmonic(8, 1.0)) ** -0.5
        if normalise == "batch":
            wanted /= wanted.max()
        np.testing.assert_allclose(batch.weights, wanted, rtol=3e-6)
        assert orders.handle_ranks(buffer._handle)[0, orders.BATCHES] == 1


# between two sorts


class Play:
    """A buffer whose order is old, and what its twin knows of it."""

    def __init__(self, buffer, seed):
        self.buffer, self.random = buffer, np.random.default_rng(seed)
        self.capacity = buffer.capacity
        self.newest = int(buffer.extend(np.arange(self.capacity))[-1])
        buffer.update_priorities(np.arange(self.capacity), uneven(self.capacity, seed))
        buffer.sample(1)
        self.order = naive_ranked.Order(leaves_of(buffer), largest_leaf(buffer))
        self.fresh, self.changed, self.gone = set(), set(), 0

    def add(self, count):
        ids = self.buffer.extend(np.arange(count))
        self.newest = int(ids[-1])
        for slot in (ids % self.capacity).tolist():
            # The row of before is gone, and the new one has come.
            self.gone += 1
            self.fresh.add(slot)
            self.changed.add(slot)

    def update(self, ids, priorities):
        self.buffer.update_priorities(np.array(ids, np.int64), np.array(priorities, float))
        self.changed.update(identity % self.capacity for identity in ids)

    def ids(self, count):
        low = self.newest - self.capacity + 1
        return self.random.integers(low, self.newest + 1, count).tolist()

    def shares(self, alpha):
        return self.order.shares(leaves_of(self.buffer), self.fresh, alpha)


def test_until_the_next_sort_rows_are_drawn_as_stated():
    with ranked(fewer(400, 80), refresh=NEVER) as buffer:
        play = Play(buffer, 1)
        few = buffer.capacity // 20
        play.add(few)
        play.update(play.ids(2 * few), play.random.exponential(0.3, 2 * few))
        # A new row and an old one fall to nothing, one to the last rank, one rises to the first.
        play.update([play.newest, play.newest - few - 1], [0.0, 0.0])
        play.update([play.newest - 1, play.newest - few - 2], [1e-6, 1e4])
        sorts = sorts_of(buffer)
        assert_drawn_as(slot_counts(buffer, draw(buffer, PLENTY)), play.shares(0.7))
        assert sorts_of(buffer) == sorts


@pytest.mark.parametrize("walk", WALKS)
def test_a_weight_is_that_of_the_rank_by_which_its_row_was_drawn(walk):
    with walking(walk), ranked(60, normalise=None, refresh=NEVER) as buffer:
        play = Play(buffer, 2)
        play.add(3)
        fallen = [play.newest - 1, play.newest - 10, play.newest - 11]
        play.update(fallen, [0.05, 0.06, 1e-6])
        play.update([play.newest - 20], [500.0])
        batch = buffer.sample(2000)
        leaves, total = leaves_of(buffer), naive_ranked.harmonic(len(play.order.then) + 3, 0.7)
        seen = {}
        for identity, weight in zip(batch.ids.tolist(), batch.weights.tolist(), strict=True):
            mass = play.order.row_mass(identity % 60, leaves, play.fresh, 0.7)
            assert weight == pytest.approx((60 * mass / total) ** -0.5, rel=3e-6)
            seen[identity] = weight
        assert {*fallen[:2], play.newest, play.newest - 20} <= set(seen)


@pytest.mark.parametrize("streams", [1, 3])
def test_fresh_rows_are_those_that_came_since_the_sort(streams):
    rows = 7
    with ranked(rows * streams, streams=streams, refresh=NEVER) as buffer:
        writers = [buffer.writer(stream) for stream in range(streams)]
        for stream in range(streams):
            writers[stream].extend(np.arange(4 + 3 * stream))
        buffer.sample(1)
        handle, sorts = buffer._handle, sorts_of(buffer)
        fresh = {}
        for turn in range(6):
            slots = {slot for slot in range(buffer.capacity) if slot_fresh(handle, sorts, slot)}
            count = orders.fresh_count(handle, sorts)
            assert slots == {fresh_slot(handle, sorts, place) for place in range(count)}
            assert slots == set(fresh)
            assert count == len(slots)
            stream = turn % streams
            for identity in writers[stream].extend(np.arange(turn + 1)).tolist():
                fresh[stream * rows + identity // streams % rows] = identity
        # Too large by now, as for one that counted before a clear.
        assert fresh_slot(handle, sorts, 10**6) // rows == streams - 1


@settings(max_examples=fewer(60, 12))
@given(st.data())
def test_the_error_of_an_old_order_is_bounded_by_what_changed(data):
    alpha = data.draw(st.sampled_from([0.3, 0.7, 1.0, 2.0]))
    with ranked(48, alpha=alpha, refresh=NEVER) as buffer:
        play = Play(buffer, data.draw(st.integers(0, 50)))
        for _ in range(data.draw(st.integers(1, 6))):
            if data.draw(st.booleans()):
                play.add(data.draw(st.integers(1, 3)))
            else:
                ids = play.ids(data.draw(st.integers(1, 6)))
                kind = st.sampled_from([0.0, 1e-5, 0.2, 0.75, 5.0, 1e3])
                play.update(ids, [data.draw(kind) for _ in ids])
        now = naive_ranked.shares(leaves_of(buffer), alpha)
        drawable = sum(share > 0 for share in now)
        changed = min(len(play.changed) + play.gone, drawable)
        bound = naive_ranked.harmonic(changed, alpha) / naive_ranked.harmonic(drawable, alpha)
        assert naive_ranked.variation(play.shares(alpha), now) <= bound + 1e-9


def test_the_bound_is_nearly_reached():
    with ranked(50, refresh=NEVER) as buffer:
        buffer.extend(np.arange(50))
        buffer.update_priorities(np.arange(50), np.arange(50, 0, -1.0))
        buffer.sample(1)
        order = naive_ranked.Order(leaves_of(buffer), largest_leaf(buffer))
        # The last three rise above all others, which nobody sees before the next sort.
        buffer.update_priorities([47, 48, 49], [500.0, 600.0, 700.0])
        old = order.shares(leaves_of(buffer), set(), 0.7)
        error = naive_ranked.variation(old, naive_ranked.shares(leaves_of(buffer), 0.7))
        bound = naive_ranked.harmonic(3, 0.7) / naive_ranked.harmonic(50, 0.7)
        assert 0.8 * bound < error <= bound


def test_a_row_is_drawn_soon_after_it_was_added():
    with ranked(800, refresh=NEVER) as buffer:
        buffer.extend(np.arange(800))
        buffer.update_priorities(np.arange(800), np.full(800, 0.1))
        buffer.sample(1)
        newest = buffer.extend(np.arange(1))
        share = 1 / naive_ranked.harmonic(801, 0.7)
        counts = slot_counts(buffer, draw(buffer, PLENTY // 4))
        assert_as_likely([int(counts[0]), int(counts[1:].sum())], [share, 1 - share])
        assert newest % 800 == 0


def test_rows_without_a_priority_yet_come_behind_the_order():
    with ranked(60, refresh=NEVER) as buffer:
        ids = buffer.extend(np.arange(60))
        buffer.update_priorities(ids[[5, 57, 58, 59]], np.zeros(4))
        # The last rows of all wait for theirs, as the last ones of an episode may.
        assert set(buffer.sample(1000).ids.tolist()) <= set(ids.tolist()) - {5, 57, 58, 59}
        buffer.update_priorities(ids[[5, 57, 59]], [1.0, 1.0, 1.0])
        counts = slot_counts(buffer, draw(buffer, PLENTY // 4))
        assert counts[5] == counts[58] == 0
        # Three fresh rows, of which one is not drawn.
        share = naive_ranked.mean_mass(0, 3, 0.7)
        rest = naive_ranked.harmonic(59, 0.7) - naive_ranked.harmonic(3, 0.7)
        wanted = np.array([share, share, rest]) / (2 * share + rest)
        seen = [int(counts[57]), int(counts[59])]
        assert_as_likely([*seen, int(counts.sum()) - sum(seen)], wanted.tolist())


def test_no_row_that_is_gone_is_drawn():
    with ranked(64, refresh=NEVER) as buffer:
        play = Play(buffer, 3)
        for _ in range(4):
            play.add(2)
            play.update(play.ids(3), [0.0] * 3)
            ids = buffer.sample(200).ids
            priorities = buffer.priorities.priorities()
            assert (ids > play.newest - 64).all()
            assert (priorities[ids % 64] > 0).all()


# when it sorts


def test_it_sorts_after_so_many_batches_of_its_own():
    with ranked(30, home="named", refresh=3) as buffer, replay.attach(buffer.name) as other:
        buffer.extend(np.arange(30))
        seen = []
        for _ in range(8):
            buffer.sample(4)
            seen.append(sorts_of(buffer))
            other.sample(4)
        assert seen == [1, 1, 1, 2, 2, 2, 3, 3]
        assert sorts_of(other) == 3


def test_it_sorts_when_a_share_of_the_rows_changed():
    with ranked(320, refresh=None) as buffer:
        ids = buffer.extend(np.arange(320))
        for _ in range(5):
            buffer.sample(300)
        assert sorts_of(buffer) == 1
        buffer.update_priorities(ids[:9], np.ones(9))
        buffer.sample(1)
        assert sorts_of(buffer) == 1
        buffer.update_priorities(ids[:1], [2.0])
        buffer.sample(1)
        assert sorts_of(buffer) == 2
        buffer.extend(np.arange(4))
        buffer.sample(1)
        assert sorts_of(buffer) == 2
        buffer.extend(np.arange(1))
        buffer.sample(1)
        assert sorts_of(buffer) == 3


def test_it_sorts_when_many_rows_are_new():
    with ranked(1000, refresh=NEVER) as buffer:
        seen = []
        for _ in range(5):
            buffer.extend(np.arange(80))
            ids = buffer.sample(50).ids
            seen.append(sorts_of(buffer))
            assert ids.max() < len(buffer)
        # 80 new rows of 80, 160, 240, 320 are more than an eighth.
        assert seen == [1, 2, 3, 4, 5]
        buffer.extend(np.arange(40))
        buffer.sample(5)
        assert sorts_of(buffer) == 5


def test_it_sorts_when_most_of_the_order_is_gone():
    # By the old order the last rows would come up once in 1e10 draws.
    with ranked(fewer(2000, 200), alpha=4.0, refresh=NEVER) as buffer:
        ids = buffer.extend(np.arange(buffer.capacity))
        buffer.update_priorities(ids, np.linspace(2.0, 1.0, ids.size))
        buffer.sample(1)
        buffer.update_priorities(ids[:-3], np.zeros(ids.size - 3))
        assert set(buffer.sample(20).ids.tolist()) <= set(ids[-3:].tolist())
        assert sorts_of(buffer) == 2


def test_it_sorts_after_a_clear():
    with ranked(100, refresh=NEVER) as buffer:
        buffer.extend(np.arange(150))
        buffer.sample(10)
        buffer.clear()
        with pytest.raises(replay.EmptyError, match="empty"):
            buffer.sample(1)
        ids = buffer.extend(np.arange(2))
        assert set(buffer.sample(50).ids.tolist()) == set(ids.tolist())
        assert sorts_of(buffer) == 2


def test_it_sorts_after_a_restore(tmp_path):
    with ranked(100, refresh=NEVER) as buffer:
        first = buffer.extend(np.arange(10))
        buffer.update_priorities(first, np.arange(1.0, 11.0))
        buffer.save(tmp_path / "saved")
        buffer.extend(np.arange(90))
        buffer.sample(10)
        buffer.restore(tmp_path / "saved")
        shares = naive_ranked.shares(leaves_of(buffer), 0.7)
        assert_drawn_as(slot_counts(buffer, draw(buffer, PLENTY // 4)), shares)


def test_a_batch_that_is_refused_changes_nothing():
    with ranked(50, refresh=2) as buffer, ranked(50, refresh=2) as other:
        for one in (buffer, other):
            one.extend(np.arange(50))
            one.update_priorities(np.arange(50), np.zeros(50))
        for _ in range(3):
            with pytest.raises(replay.EmptyError, match="priority 0"):
                buffer.sample(5)
        for one in (buffer, other):
            one.update_priorities(np.arange(50), np.arange(50.0))
        for _ in range(5):
            assert buffer.sample(20).ids.tolist() == other.sample(20).ids.tolist()


# who shares it


@pytest.mark.parametrize("refresh", [1, 3, None])
def test_one_seed_gives_one_sequence_of_batches(refresh):
    def play(home):
        with ranked(60, home=home, refresh=refresh) as buffer:
            drawn = []
            for turn in range(12):
                buffer.extend(np.arange(7))
                batch = buffer.sample(16)
                buffer.update_priorities(batch.ids, (batch.ids % 13 + turn) / 7)
                drawn.append((batch.ids.tolist(), batch.weights.tolist()))
            return drawn

    first = play("private")
    assert all(play(home) == first for home in HOMES[1:])


def test_who_attaches_draws_by_the_same_ranks():
    with ranked(40, home="named", refresh=5) as buffer:
        buffer.extend(np.arange(40))
        buffer.update_priorities(np.arange(40), np.arange(40.0))
        with replay.attach(buffer.name) as other:
            assert other.sampler == buffer.sampler
            shares = naive_ranked.shares(leaves_of(buffer), 0.7)
            assert_drawn_as(slot_counts(other, draw(other, PLENTY // 4)), shares)


@pytest.mark.compiled
def test_threads_sort_and_draw_at_once():
    rows, turns = 512, 300
    sampler = replay.Ranked(refresh=1, normalise="buffer")
    with opened("private", rows, FIELDS, sampler=sampler, seed=1) as buffer:
        buffer.extend(np.arange(rows))
        wrong = []
        done = threading.Event()

        def read():
            for _ in range(turns):
                batch = buffer.sample(64)
                right = (batch.ids >= 0) & (batch.weights > 0) & (batch.weights <= 1 + 1e-6)
                # x was added in the order of ids.
                if not right.all() or (batch.x != batch.ids % rows).any():
                    wrong.append(batch)
                buffer.update_priorities(batch.ids, np.abs(np.sin(batch.ids)) + 0.1)

        def write():
            while not done.is_set():
                buffer.extend(np.arange(rows))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            naive.together(*[read] * 3)
        finally:
            done.set()
            writer.join()
        assert not wrong
        assert sorts_of(buffer) > turns
        assert buffer.priorities.verify() == 0


def test_a_sorter_of_before_a_fork_holds_nobody_up():
    with ranked(30, refresh=1) as buffer:
        buffer.extend(np.arange(30))
        ranks = orders.handle_ranks(buffer._handle)
        mine = int(buffer._handle[words.WRITER]) + 1
        # A thread of this process is at it: its first order is not there yet.
        ranks[0, orders.SORTER] = mine
        for _ in range(3):
            assert set(buffer.sample(300).weights.tolist()) == {1.0}
        assert sorts_of(buffer) == 0
        # A thread of the process that this one was forked from.
        ranks[0, orders.SORTER] = mine + 1
        buffer.sample(3)
        assert sorts_of(buffer) == 1
        assert ranks[0, orders.SORTER] == 0


def test_a_batch_that_sorts_overtake_again_and_again_comes_to_an_end():
    with ranked(30, refresh=NEVER) as buffer:
        buffer.extend(np.arange(30))
        buffer.update_priorities(np.arange(30), np.arange(30.0))
        buffer.sample(3)
        line_of(buffer)[orders.VERSION] |= 1
        batch = buffer.sample(20)
        assert ((batch.ids > 0) & (batch.ids < 30)).all()


def test_what_is_left_of_an_order_that_is_being_sorted_leads_to_slots():
    with ranked(30, refresh=NEVER) as buffer:
        buffer.extend(np.arange(30))
        buffer.update_priorities(np.arange(30), np.arange(30.0))
        buffer.sample(3)
        handle, sorts = buffer._handle, sorts_of(buffer)
        starts, line = orders.order_starts(handle, sorts), line_of(buffer)
        used = slice(int(line[1]) + 1, int(line[2]) + 2)
        for left in (0, 1, 30):
            starts[used] = left
            assert (buffer.sample(50).ids < 30).all()
        line[1:3] = -1
        assert (buffer.sample(50).ids < 30).all()
        assert row_mass(handle, sorts, 0, int(line[4]), 0, 1) == 0.0


def test_what_was_sorted_goes_with_the_buffer():
    buffer = replay.ReplayBuffer(100, FIELDS, sampler=replay.Ranked())
    buffer.extend(np.arange(100))
    buffer.sample(1)
    kept = [weakref.ref(array) for array in buffer._handle.kept]
    assert len(kept) >= 6
    buffer.close()
    gc.collect()
    assert [array() for array in kept] == [None] * len(kept)


# arguments


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("alpha", -0.1, "0 to 4"), ("alpha", 4.1, "0 to 4"), ("alpha", np.nan, "0 to 4"),
        ("alpha", "1", "number"), ("beta", 1.1, "0 to 1"), ("beta", None, "number"),
        ("beta", replay.Linear(0.4, 1.5, 3), "1.5"), ("epsilon", -1, "0 to 1e[+]06"),
        ("refresh", 0, "0, .*1 or more"), ("refresh", -3, "-3"), ("refresh", 1.5, "1.5"),
        ("refresh", True, "True"), ("refresh", "1", "'1'"), ("refresh", 1 << 41, str(1 << 40)),
        ("stratified", 1, "True or False"), ("normalise", "max", "'max'"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_is_refused(name, value, said):
    with pytest.raises(replay.InputError, match=f"{name}.*{said}"):
        replay.Ranked(**{name: value})


@pytest.mark.parametrize(
    "sampler",
    [
        replay.Ranked(),
        replay.Ranked(1, 0, 1e-3, 7, False, None),
        replay.Ranked(beta=replay.Linear(0.4, 1.0, 10), normalise="buffer"),
        replay.Ranked(np.float32(0.5), np.float64(0.25), np.int64(0), np.int32(5)),
    ],
)
def test_a_sampler_is_read_back_from_what_it_writes(sampler):
    assert from_json(json.loads(json.dumps(sampler.to_json()))) == sampler
    assert isinstance(hash(sampler), int)


WRITTEN = replay.Ranked().to_json()


@pytest.mark.parametrize(
    "described",
    [
        *({**WRITTEN, name: value} for name in WRITTEN if name != "kind"
          for value in (None, [], {}, "x", -1, 1e9, [1], [0.4, 0.4, "x"], 7.5)
          if (name, value) not in (("refresh", None), ("normalise", None), ("epsilon", 7.5))),
        {**WRITTEN, "more": 1},
        {name: value for name, value in WRITTEN.items() if name != "refresh"},
    ],
)  # fmt: skip
def test_what_describes_no_sampler_is_refused(described):
    with pytest.raises(replay.InputError, match=r"sampler|must be"):
        from_json(described)
