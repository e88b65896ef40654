"""
What other libraries get wrong: a test each, named after the fault, that fails where we had it.

The faults of hindsight and of rate limiters are met where those are tested.
"""

import json
import os
import pathlib
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

import replay
from kernels import handle as words
from kernels.members import MEMBERS
from kernels.ring import ring_claim, ring_commit, ring_take
from replay.memory.home import named_path
from tests import naive
from tests.homes import HOMES, WALKS, fewer, fresh_name, opened, refused, walking
from tests.processes import python

FIELDS = {"obs": (np.float32, (4,)), "action": np.int64}
PRIORITIZED = replay.Proportional(alpha=1.0, beta=1.0)


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


def prioritized(capacity, **options):
    return opened("private", capacity, FIELDS, sampler=PRIORITIZED, seed=0, **options)


def rows(numbers):
    numbers = np.asarray(numbers)
    return np.repeat(numbers[:, None], 4, axis=1).astype(np.float32), numbers.astype(np.int64)


# priorities


def test_a_stale_priority_update_does_not_touch_the_new_row(walk):
    with prioritized(8) as buffer:
        buffer.extend(*rows(range(8)))
        drawn = np.arange(8)
        buffer.extend(*rows(range(8, 13)))
        shares = buffer.priorities.priorities() / buffer.priorities.total
        assert buffer.update_priorities(drawn, np.full(8, 1000.0)) == 3
        assert buffer.stats()["stale"] == 5
        got = buffer.priorities.priorities()
        assert got.tolist() == [1.0] * 5 + [1000.0] * 3
        buffer.update_priorities([5, 6, 7], [1.0] * 3)
        assert (buffer.priorities.priorities() / buffer.priorities.total == shares).all()


def test_a_stale_priority_update_from_another_process_does_not_touch_the_new_row():
    with opened("named", 8, FIELDS, sampler=PRIORITIZED, seed=0) as buffer:
        buffer.extend(*rows(range(8)))
        code = (
            "import sys, numpy as np, replay\n"
            "with replay.attach(sys.argv[1]) as other:\n"
            "    ids = np.arange(8)\n"
            "    other.extend(np.zeros((5, 4), np.float32), np.arange(5))\n"
            "    print(other.update_priorities(ids, np.full(8, 50.0)))\n"
        )
        done = python(code, buffer.name)
        assert (done.stdout.split(), done.stderr) == (["3"], "")
        assert buffer.priorities.priorities().tolist() == [1.0] * 5 + [50.0] * 3


def test_the_tree_does_not_drift_from_its_leaves():
    """A float32 root was 5.4 % off its leaves after 20,000 wide updates."""
    generator = np.random.default_rng(0)
    with prioritized(1000) as buffer:
        buffer.extend(*rows(range(1000)))
        for _ in range(fewer(2000, 30)):
            ids = generator.integers(0, 1000, 100)
            buffer.update_priorities(ids, 10.0 ** generator.uniform(-6, 4, 100))
        tree = buffer.priorities
        assert tree.verify() == 0
        assert tree.total == pytest.approx(tree.priorities().sum(), rel=1e-12)


def test_low_priorities_are_not_drawn_too_rarely():
    """The lowest decile was drawn 13 % too rarely. At 1e-6 false alarms, 1 % off is caught."""
    draws = fewer(3_000_000, 20_000)
    with opened("private", 1000, FIELDS, sampler=PRIORITIZED, seed=1) as buffer:
        buffer.extend(*rows(range(1000)))
        priorities = np.repeat([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 1e4], 100)
        buffer.update_priorities(np.arange(1000), priorities)
        # Once huge, and gone now: what rounding it left behind would be the lowest decile's.
        buffer.update_priorities(np.arange(900, 1000), np.zeros(100))
        counts = np.zeros(10)
        for _ in range(draws // 1000):
            counts += np.bincount(buffer.sample(1000).ids // 100, minlength=10)
        shares = priorities[:900:100] / priorities[:900:100].sum()
        assert counts[9] == 0
        limit = naive.chi_square_limit(8)
        assert naive.chi_square(counts[:9].tolist(), shares.tolist()) < limit


def test_empty_rows_are_never_drawn(walk):
    with prioritized(1000) as buffer:
        buffer.extend(*rows(range(3)))
        buffer.update_priorities([0, 1, 2], [1e-9, 1e4, 1e-9])
        batch = buffer.sample(fewer(100_000, 500))
        assert set(batch.ids.tolist()) <= {0, 1, 2}
        assert (batch.action == batch.ids).all()


@pytest.mark.parametrize("capacity", [*range(1, 20), 63, 64, 65, 100, 511, 512, 513])
def test_no_prefix_runs_past_the_end_at_any_capacity(capacity):
    with prioritized(capacity) as buffer:
        for filled in {1, capacity // 2 or 1, capacity}:
            buffer.clear()
            first = buffer.extend(*rows(range(filled)))[0]
            ids = np.arange(first, first + filled)
            buffer.update_priorities(ids, np.random.default_rng(filled).exponential(size=filled))
            seen = buffer.sample(fewer(2000, 60)).ids
            assert seen.min() >= first
            assert seen.max() < first + filled


def test_one_row_does_not_overflow(walk):
    with prioritized(1) as buffer:
        for number in range(5):
            buffer.add(*(value[0] for value in rows([number])))
            for priority in (1.0, 1e-300, 1e300):
                buffer.update_priorities([number], [priority])
                batch = buffer.sample(3)
                assert batch.ids.tolist() == [number] * 3
                assert batch.weights.tolist() == [1.0] * 3


def test_rows_of_priority_zero_are_never_drawn(walk):
    with prioritized(100) as buffer:
        buffer.extend(*rows(range(100)))
        buffer.update_priorities(np.arange(0, 100, 2), np.zeros(50))
        assert (buffer.sample(fewer(50_000, 1000)).ids % 2 == 1).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1.0, -1e-30])
@pytest.mark.parametrize("form", [list, np.array, lambda p: np.array(p, np.float32)])
def test_nan_infinite_and_negative_priorities_are_refused(walk, wrong, form):
    with prioritized(8) as buffer:
        buffer.extend(*rows(range(8)))
        with refused(buffer, replay.InputError, "priorities[3]"):
            buffer.update_priorities(np.arange(8), form([1.0, 2, 3, wrong, 5, 6, 7, 8]))
        assert set(buffer.sample(200).ids.tolist()) == set(range(8))


@pytest.mark.parametrize("wrong", [8, 100, 1 << 40, (1 << 63) - 1, -1, -(1 << 63)])
def test_an_index_too_large_is_refused(walk, wrong):
    with prioritized(16) as buffer:
        buffer.extend(*rows(range(8)))
        with refused(buffer, replay.InputError, "ids[1]", wrong):
            buffer.update_priorities(np.array([0, wrong]), np.array([5.0, 5.0]))


def test_a_slot_that_was_never_filled_gets_no_priority(walk):
    with prioritized(16) as buffer:
        with refused(buffer, replay.InputError, "ids[0] is 0"):
            buffer.update_priorities(np.array([0]), np.array([5.0]))
        buffer.extend(*rows(range(3)))
        with refused(buffer, replay.InputError, "ids[0] is 3"):
            buffer.update_priorities(np.array([3]), np.array([5.0]))
        heads = buffer._ring.block.part("heads")
        ticket = ring_claim(heads, 0, 1)
        assert buffer.update_priorities(np.array([ticket]), np.array([5.0])) == 0
        assert np.count_nonzero(buffer.priorities.priorities()) == 3


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
@pytest.mark.parametrize("home", HOMES)
def test_draws_can_be_seeded(home, kind):
    sampler = PRIORITIZED if kind == "prioritized" else None
    drawn = []
    for seed in (5, 5, 6):
        np.random.seed(seed * len(drawn))  # noqa: NPY002
        with opened(home, 50, FIELDS, sampler=sampler, seed=seed) as buffer:
            buffer.extend(*rows(range(50)))
            drawn.append(np.concatenate([buffer.sample(7).ids for _ in range(9)]).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


# rows


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(3, np.float32), np.zeros((2, 2), np.float32), np.zeros((1, 4), np.float32)],
)
def test_a_wrong_observation_shape_leaves_no_ghost_row(walk, wrong):
    with prioritized(8) as buffer:
        for filled in (0, 3, 8):
            buffer.clear()
            if filled:
                buffer.extend(*rows(range(filled)))
            # In the last field as well as in the first: nothing before it may have been stored.
            with refused(buffer, replay.FieldError, "'obs'"):
                buffer.add(wrong, 1)
            with refused(buffer, replay.FieldError, "'action'"):
                buffer.add(np.zeros(4, np.float32), np.zeros(2, np.int64))
            with refused(buffer, replay.FieldError, "'obs'"):
                buffer.extend([wrong, wrong], [1, 2])
            with refused(buffer, replay.FieldError, "'action'"):
                buffer.extend(np.zeros((2, 4), np.float32), np.zeros(3, np.int64))
            assert len(buffer) == filled


@pytest.mark.parametrize("value", [1.0, np.float32(1), np.ones(1, np.float32), np.ones((1, 1))])
def test_scalars_are_not_broadcast_over_a_row(walk, value):
    with prioritized(8) as buffer:
        with refused(buffer, replay.FieldError, "'obs' has shape"):
            buffer.add(value, 1)
        with refused(buffer, replay.FieldError, "'obs'"):
            buffer.extend(np.ones((3, 1), np.float32), np.arange(3))
        with refused(buffer, replay.FieldError, "'action' has shape (1,)"):
            buffer.add(np.ones(4, np.float32), np.ones(1, np.int64))


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_an_empty_buffer_gives_an_error_and_no_rows(walk, kind):
    sampler = PRIORITIZED if kind == "prioritized" else None
    with opened("private", 8, FIELDS, sampler=sampler) as buffer:
        for _ in range(2):
            for size in (1, 100):
                with refused(buffer, replay.EmptyError, "empty"):
                    buffer.sample(size)
            buffer.extend(*rows(range(20)))
            assert np.isfinite(buffer.sample(5).weights).all()
            buffer.clear()


def test_half_written_rows_are_not_returned(walk):
    """A row in its writer's hands is drawn by nobody; its slot's old row is gone with it."""
    for sampler in (None, PRIORITIZED):
        with opened("private", 4, FIELDS, sampler=sampler, seed=0) as buffer:
            buffer.extend(*rows(range(4)))
            ring = buffer._ring
            records = ring.block.part("records")
            ticket = ring_claim(ring.block.part("heads"), 0, 1)
            ring_take(records, 0, ticket, 7)
            # Half of the new row, all over the old one.
            records[0, 1:] = -1
            batch = buffer.sample(fewer(2000, 100))
            assert set(batch.ids.tolist()) == {1, 2, 3}
            assert (batch.action == batch.ids).all()
            assert buffer.stats()["redrawn"] > 0
            ring_commit(records, 0, ticket)
            batch = buffer.sample(fewer(500, 100))
            assert set(batch.ids.tolist()) == {1, 2, 3, 4}


def test_a_dead_writer_blocks_nobody(walk):
    with prioritized(4) as buffer:
        heads, records = (buffer._ring.block.part(name) for name in ("heads", "records"))
        for _ in range(3):
            ticket = ring_claim(heads, 0, 1)
            ring_take(records, ticket % 4, ticket, 7)
        for number in range(10):
            buffer.add(np.zeros(4, np.float32), number)
            assert buffer.sample(5).action.tolist() == [number] * 5


def test_writers_never_wait_for_readers():
    """No call of a reader takes anything that a writer needs: the words of the ring stay as is."""
    with prioritized(64) as buffer:
        buffer.extend(*rows(range(64)))
        block = buffer._ring.block
        before = [block.part(name).copy() for name in ("heads", "records")]
        for _ in range(20):
            batch = buffer.sample(32)
            buffer.update_priorities(batch.ids, np.ones(32))
        for name, part in zip(("heads", "records"), before, strict=True):
            assert (block.part(name) == part).all()


@pytest.mark.parametrize("streams", [1, 3])
def test_the_last_slot_is_right_after_the_wrap(streams):
    with opened("private", 9, {"obs": int, "next_obs": int}, streams=streams, seed=0) as buffer:
        for stream in range(streams):
            writer = buffer.writer(stream)
            for number in range(100 * stream, 100 * stream + 31):
                writer.add(number, number + 1)
                batch = buffer.sample(30)
                assert (batch.next_obs == batch.obs + 1).all()


def test_the_final_observation_is_not_the_next_episodes_first():
    fields = {"obs": int, "next_obs": int, "terminated": bool}
    with opened("private", 60, fields, seed=0) as buffer:
        for episode in range(20):
            for step in range(5):
                number = episode * 1000 + step
                buffer.add(number, number + 1, step == 4)
        batch = buffer.sample(fewer(2000, 300))
        assert batch.terminated.any()
        assert (batch.next_obs == batch.obs + 1).all()


def test_images_stay_uint8_and_nested_observations_are_taken(walk):
    fields = {"obs": {"image": (np.uint8, (84, 84)), "speed": np.float16}, "action": np.int64}
    image = np.arange(84 * 84, dtype=np.uint8).reshape(84, 84)
    with opened("private", 4, fields) as buffer:
        buffer.add(obs={"image": image, "speed": 0.5}, action=1)
        assert buffer.nbytes - MEMBERS * 64 < 4 * 84 * 84 + 8192 * 2
        batch = buffer.sample(2)
        assert batch.obs["image"].dtype == np.uint8
        assert batch.obs["speed"].dtype == np.float16
        assert (batch.obs["image"] == image).all()


# views of a log of steps


def played(view, episodes, capacity, *, length=7, end="terminated", **options):
    """
    Make a log of steps of plain numbers: 1000 an episode, 1 a step.

    A step's action and reward are the number of the observation that it led to.
    """
    fields = {"obs": np.int64, "action": np.int64, "reward": np.float64}
    buffer = replay.ReplayBuffer(capacity, fields, view=view, seed=0, **options)
    writer = buffer.writer()
    for episode in range(episodes):
        writer.reset(episode * 1000)
        for step in range(1, length + 1):
            number = episode * 1000 + step
            last = step == length
            flags = {"terminated": last and end == "terminated"}
            flags["truncated"] = last and end == "truncated"
            writer.step(number, number, number, **flags)
    return buffer


@pytest.mark.parametrize("end", ["terminated", "truncated"])
@pytest.mark.parametrize("capacity", [40, 43])
def test_next_obs_at_an_episodes_end_is_the_true_final_observation(end, capacity):
    """Not the next episode's first, and not obs itself."""
    with played(replay.Transition(), 20, capacity, end=end) as buffer:
        batch = buffer.sample(fewer(2000, 300))
        last = getattr(batch, end)
        assert last.any()
        assert not (batch.truncated & batch.terminated).any()
        assert (last == (batch.next_obs % 1000 == 7)).all()
        assert (batch.next_obs == batch.obs + 1).all()
        assert (batch.action == batch.next_obs).all()


def test_next_obs_is_right_at_every_slot_after_the_wrap():
    for capacity in (9, 16, 17):
        with played(replay.Transition(), 1, capacity, length=60, end="") as buffer:
            batch = buffer.sample(fewer(1000, 300))
            # All but the oldest row, whose observation before it is gone.
            assert sorted(set(batch.ids.tolist())) == list(range(62 - capacity, 61))
            assert (batch.next_obs == batch.obs + 1).all()


@pytest.mark.parametrize("pad", ["first", "zeros"])
@pytest.mark.parametrize("k", [2, 4])
def test_frame_stacks_do_not_cross_episodes(pad, k):
    with played(replay.FrameStack(k, pad=pad), 12, 45, length=5) as buffer:
        batch = buffer.sample(fewer(2000, 400))
        for stacks in (batch.obs, batch.next_obs):
            newest = stacks[:, -1:]
            first = newest - newest % 1000
            wanted = newest + np.arange(1 - k, 1)
            blank = first if pad == "first" else np.zeros_like(first)
            assert (stacks == np.where(wanted < first, blank, wanted)).all()


def test_frame_stacks_are_not_cut_short_at_the_write_head():
    """A stack that reaches back to an overwritten row is not drawn, rather than drawn short."""
    for length in range(13, 30):
        with played(replay.FrameStack(4), 1, 12, length=length, end="") as buffer:
            batch = buffer.sample(fewer(300, 100))
            assert (np.diff(batch.obs) == 1).all()
            assert batch.obs.min() == length - 11
            assert batch.next_obs.max() == length


@pytest.mark.parametrize("prioritized", [False, True])
def test_the_first_steps_of_an_episode_can_be_drawn(prioritized):
    """As well as every other one, under each view."""
    sampler = PRIORITIZED if prioritized else None
    for view in (
        replay.FrameStack(4),
        replay.NStep(5, 0.9),
        replay.FrameStack(4, replay.NStep(3, 0.9)),
        replay.Sequence(3, period=1),
    ):
        with played(view, 4, 40, length=6, sampler=sampler) as buffer:
            ids = set(buffer.sample(fewer(1000, 500)).ids.tolist())
            assert ids == {episode * 7 + step for episode in range(4) for step in range(1, 7)}


@pytest.mark.parametrize("end", ["terminated", "truncated", "cut"])
def test_n_step_returns_do_not_cross_an_episodes_end(end):
    """The tail is drawn too, with fewer steps and the power of gamma that belongs to them."""
    gamma = 0.9
    # Cut: the next episode begins without a word about the end of this one.
    with played(replay.NStep(3, gamma), 9, 45, length=5, end=end) as buffer:
        batch = buffer.sample(fewer(2000, 500))
        begun = batch.obs % 1000
        assert set(begun.tolist()) == {0, 1, 2, 3, 4}
        steps = np.minimum(3, 5 - begun)
        assert (batch.next_obs == batch.obs + steps).all()
        wanted = sum(np.where(i < steps, gamma**i * (batch.obs + 1 + i), 0.0) for i in range(3))
        np.testing.assert_allclose(batch.reward, wanted, rtol=1e-12)
        last = (begun + steps == 5) & (end != "cut")
        # Truncation bootstraps from the true last observation, termination does not.
        terminated = last & (end == "terminated")
        assert (batch.terminated == terminated).all()
        assert (batch.truncated == last & (end == "truncated")).all()
        discount = np.where(terminated, 0.0, gamma**steps)
        np.testing.assert_allclose(batch.discount, discount, rtol=1e-6)


def test_n_step_returns_do_not_cross_the_write_head():
    """The newest rows wait until their steps are there, the oldest ones have theirs."""
    for length in range(1, 25):
        with played(replay.NStep(3, 0.5), 1, 10, length=length, end="") as buffer:
            if length < 3:
                with pytest.raises(replay.EmptyError):
                    buffer.sample(1)
                continue
            batch = buffer.sample(200)
            assert (batch.next_obs == batch.obs + 3).all()
            wanted = set(range(max(length - 9, 0), length - 2))
            assert set(batch.obs.tolist()) == wanted


# memory and files


def test_a_process_that_attaches_and_exits_does_not_unlink_the_name():
    with opened("named", 8, FIELDS) as buffer:
        buffer.extend(*rows(range(3)))
        code = "import sys, replay; other = replay.attach(sys.argv[1]); other.sample(1)"
        done = python(code, buffer.name)
        assert done.stderr == ""
        assert named_path(buffer.name).exists()
        with replay.attach(buffer.name) as other:
            assert len(other) == 3


def test_what_a_killed_process_leaves_is_told_and_can_be_removed():
    name = fresh_name()
    code = (
        "import os, signal, sys, replay\n"
        "buffer = replay.ReplayBuffer(8, {'x': int}, name=sys.argv[1])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = python(code, name)
    assert done.returncode == -9
    try:
        with pytest.raises(replay.BlockExistsError, match="left behind"):
            replay.ReplayBuffer(8, {"x": int}, name=name)
    finally:
        replay.unlink(name)
    assert not named_path(name).exists()


def test_full_shared_memory_is_an_error_at_creation_and_no_bus_error():
    """Every page is there before the first row: a file with holes would have fewer blocks."""
    with opened("named", 100_000, FIELDS) as buffer:
        state = named_path(buffer.name).stat()
        assert state.st_blocks * 512 >= state.st_size == buffer.nbytes


@pytest.mark.compiled
def test_saving_takes_no_second_copy_in_memory(tmp_path):
    """Pickling 2.5 GB took 17 GB; here, pieces of a fixed size."""
    with opened("private", 40, {"x": (np.uint8, (1 << 20,))}) as buffer:
        buffer.add(np.ones(1 << 20, np.uint8))
        tracemalloc.start()
        try:
            buffer.save(tmp_path / "snapshot")
            buffer.restore(tmp_path / "snapshot")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert buffer.nbytes > 40 << 20
        assert most < 4 << 20


def test_a_snapshot_is_no_pickle(tmp_path):
    with prioritized(8) as buffer:
        buffer.extend(*rows(range(5)))
        path = pathlib.Path(tmp_path / "snapshot")
        buffer.save(path)
    content = path.read_bytes()
    assert not zipfile.is_zipfile(path)
    size = int.from_bytes(content[:8], "little")
    assert json.loads(content[8 : 8 + size])["__metadata__"]["format"] == "replay-snapshot"

    class Explosive:
        def __reduce__(self):
            return os.abort, ()

    path.write_bytes(pickle.dumps(Explosive()).ljust(10_000))
    with pytest.raises(replay.BlockFormatError):
        replay.load(path)


def test_priorities_are_saved(tmp_path):
    with prioritized(8) as buffer:
        buffer.extend(*rows(range(12)))
        buffer.update_priorities(np.arange(4, 12), np.arange(8.0))
        wanted = buffer.priorities.priorities()
        buffer.save(tmp_path / "snapshot")
        largest = int(buffer._ring.block.part("control")[words.PRIORITY, 0])
    with replay.load(tmp_path / "snapshot") as buffer:
        assert (buffer.priorities.priorities() == wanted).all()
        assert int(buffer._ring.block.part("control")[words.PRIORITY, 0]) == largest
        assert buffer.add(np.zeros(4, np.float32), 1) == 12
        assert buffer.priorities.priorities()[4] == pytest.approx(7.0)


@pytest.mark.compiled
def test_kernels_are_not_compiled_at_every_construction():
    """A second buffer of another schema in another process loads what the first one compiled."""
    code = (
        "import sys, numba.core.event as event, replay\n"
        "class Watch(event.Listener):\n"
        "    def on_start(self, event): compiled.append(event)\n"
        "    def on_end(self, event): pass\n"
        "compiled = []\n"
        "event.register('numba:compile', Watch())\n"
        "for fields in ({'x': int}, {'a': float, 'b': ('u1', (90, 90))}):\n"
        "    for sampler in (None, replay.Proportional()):\n"
        "        with replay.ReplayBuffer(10, fields, sampler=sampler) as buffer:\n"
        "            for number in range(3):\n"
        "                buffer.add(*(f.dtype.type(1) if not f.shape else\n"
        "                    __import__('numpy').zeros(f.shape, f.dtype)\n"
        "                    for f in buffer.fields.values()))\n"
        "            batch = buffer.sample(5)\n"
        "            if sampler: buffer.update_priorities(batch.ids, batch.weights)\n"
        "print(len(compiled))\n"
    )
    for _ in range(2):
        done = python(code)
    assert done.stdout.split() == ["0"]
