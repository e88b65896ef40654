"""What every buffer does, in every home, with every sampler and by both walks."""

import pickle

import numpy as np
import pytest

import replay
from replay.memory.calls import LONG
from tests.homes import (
    FIELDS,
    HOMES,
    SAMPLERS,
    WALKS,
    assert_rows,
    opened,
    refused,
    row,
    rows,
    walking,
)


class BufferContract:
    """
    Promises of a buffer to whoever holds it.

    A subclass may narrow `make`, to run them with another view or form of buffer.
    """

    @pytest.fixture(params=HOMES)
    def home(self, request):
        return request.param

    @pytest.fixture(params=SAMPLERS)
    def sampler(self, request):
        return SAMPLERS[request.param]

    @pytest.fixture(params=WALKS, autouse=True)
    def walk(self, request):
        with walking(request.param):
            yield request.param

    def make(self, home, capacity, fields, **options):
        return opened(home, capacity, fields, seed=1, **options)

    @pytest.fixture
    def buffer(self, walk, home, sampler):
        with self.make(home, 10, FIELDS, sampler=sampler) as buffer:
            yield buffer

    # adding

    def test_ids_count_the_rows_added(self, buffer):
        assert [buffer.add(**row(number)) for number in range(25)] == list(range(25))
        assert buffer.extend(**rows([7, 8])).tolist() == [25, 26]

    def test_a_row_may_be_given_by_name_in_any_order_and_by_position(self, buffer):
        buffer.add(**row(0))
        buffer.add(**dict(reversed(row(1).items())))
        buffer.add(*row(2).values())
        first, *others = row(3)
        buffer.add(row(3)[first], **{name: row(3)[name] for name in others})
        batch = buffer.sample(40)
        assert_rows(batch, batch.ids)
        assert set(batch.ids.tolist()) == {0, 1, 2, 3}

    def test_rows_may_be_given_by_name_in_any_order_and_by_position(self, buffer):
        buffer.extend(**rows([0, 1]))
        buffer.extend(**dict(reversed(rows([2, 3]).items())))
        buffer.extend(*rows([4, 5]).values())
        batch = buffer.sample(40)
        assert_rows(batch, batch.ids)

    def test_extend_of_no_rows_changes_nothing(self, buffer):
        buffer.add(**row(0))
        assert buffer.extend(**rows([])).tolist() == []
        assert len(buffer) == 1
        assert buffer.add(**row(1)) == 1

    @pytest.mark.parametrize("count", [9, 10, 11, 20, 27])
    def test_extend_past_the_capacity_keeps_the_last_rows(self, buffer, count):
        buffer.add(**row(0))
        ids = buffer.extend(**rows(range(1, count + 1)))
        assert ids.dtype == np.int64
        assert ids.tolist() == list(range(1, count + 1))
        live = set(range(count + 1)[-10:])
        batch = buffer.sample(120)
        assert_rows(batch, batch.ids)
        assert set(batch.ids.tolist()) <= live
        slots = [number % 10 for number in sorted(live)]
        assert buffer.column("action")[slots].tolist() == sorted(live)

    def test_extend_takes_long_batches_outside_the_lock_of_the_interpreter(self, buffer):
        count = LONG // buffer._row_bytes + 2
        ids = buffer.extend(**rows(range(count)))
        assert ids.tolist() == list(range(count))
        batch = buffer.sample(count)
        assert_rows(batch, batch.ids)
        assert batch.ids.min() >= count - 10

    # sampling

    def test_a_sampled_row_is_what_was_stored_under_its_id(self, buffer):
        for number in range(37):
            buffer.add(**row(number))
            batch = buffer.sample(5)
            assert_rows(batch, batch.ids)
            assert batch.ids.min() >= max(0, number - 9)
            assert batch.ids.max() <= number

    def test_a_batch_has_contiguous_arrays_batch_first(self, buffer):
        buffer.extend(**rows(range(4)))
        batch = buffer.sample(6)
        for name, described in FIELDS.items():
            dtype, shape = described if isinstance(described, tuple) else (described, ())
            assert batch[name].shape == (6, *shape)
            assert batch[name].dtype == dtype
            assert batch[name].flags.c_contiguous
            assert batch[name] is getattr(batch, name)
        *_, weights, ids = batch
        assert weights is batch.weights
        assert ids is batch.ids
        assert (weights.dtype, weights.shape) == (np.float32, (6,))
        assert (ids.dtype, ids.shape) == (np.int64, (6,))

    def test_two_batches_share_no_memory(self, buffer):
        buffer.extend(**rows(range(4)))
        one, other = buffer.sample(3), buffer.sample(3)
        for mine, theirs in zip(one, other, strict=True):
            assert not np.shares_memory(mine, theirs)

    def test_a_batch_can_be_drawn_into_an_earlier_one(self, buffer):
        buffer.extend(**rows(range(10)))
        batch = buffer.sample(30)
        arrays = tuple(batch)
        for given in ({"batch_size": 30}, {}):
            for array in arrays:
                array[:] = 0
            assert buffer.sample(**given, out=batch) is batch
            assert all(mine is old for mine, old in zip(batch, arrays, strict=True))
            assert len(set(batch.ids.tolist())) > 1
            assert batch.weights.min() > 0
            assert_rows(batch, batch.ids)

    def test_a_single_row_is_drawn_again_and_again(self, buffer):
        buffer.add(**row(3))
        batch = buffer.sample(7)
        assert batch.ids.tolist() == [0] * 7
        assert_rows(batch, [3] * 7)
        assert batch.weights.tolist() == [1.0] * 7

    def test_sampling_from_an_empty_buffer_is_an_error_at_once(self, buffer):
        with refused(buffer, replay.EmptyError, "empty"):
            buffer.sample(1)
        buffer.add(**row(0))
        assert buffer.sample(1).ids.tolist() == [0]
        buffer.clear()
        with refused(buffer, replay.EmptyError, "empty"):
            buffer.sample(1)

    # priorities

    def test_priorities_are_set_by_id_and_stale_ids_are_skipped(self, buffer, sampler):
        buffer.extend(**rows(range(13)))
        if not sampler.prioritized:
            with refused(buffer, replay.InputError, "keeps no priorities"):
                buffer.update_priorities(np.arange(3), np.ones(3))
            with pytest.raises(replay.InputError, match="keeps no priorities"):
                _ = buffer.priorities
            return
        applied = buffer.update_priorities(np.array([0, 2, 3, 12, 3]), np.arange(5.0))
        assert applied == 3
        assert buffer.stats()["stale"] == 2
        wanted = np.ones(10)
        wanted[[12 % 10, 3]] = 3.0, 4.0
        np.testing.assert_allclose(buffer.priorities.priorities(), wanted, rtol=1e-9)
        assert buffer.priorities.verify() == 0

    def test_priorities_may_come_in_any_form_of_numbers(self, buffer, sampler):
        buffer.extend(**rows(range(10)))
        if not sampler.prioritized:
            with refused(buffer, replay.InputError, "keeps no priorities"):
                buffer.update_priorities([1, 2], [0.5, 2])
            return
        for ids, priorities in (
            ([1, 2], [0.5, 2]),
            ((1, 2), (np.float32(0.5), 2)),
            (np.array([1, 2], np.uint8), np.array([0.5, 2], np.float16)),
            (np.array([1, 2], ">i8"), np.array([0.5, 2], ">f4")),
            (np.array([1, 9, 2, 9])[::2], np.array([0.5, 9, 2, 9])[::2]),
            (np.array([1, 2]), np.array([0.5, 2], np.float32)),
        ):
            buffer.update_priorities(np.arange(10), np.ones(10))
            assert buffer.update_priorities(ids, priorities) == 2
            got = buffer.priorities.priorities()
            np.testing.assert_allclose(got, [1, 0.5, 2] + [1] * 7, rtol=1e-9)

    def test_a_row_of_priority_zero_is_never_drawn(self, buffer, sampler):
        buffer.extend(**rows(range(14)))
        if not sampler.prioritized:
            with refused(buffer, replay.InputError, "keeps no priorities"):
                buffer.update_priorities(np.array([5, 9, 10]), np.zeros(3))
            assert {5, 9, 10} <= set(buffer.sample(500).ids.tolist())
            return
        buffer.update_priorities(np.array([5, 9, 10]), np.zeros(3))
        batch = buffer.sample(500)
        assert not {5, 9, 10} & set(batch.ids.tolist())
        buffer.update_priorities(np.arange(4, 14), np.zeros(10))
        with refused(buffer, replay.EmptyError, "priority 0"):
            buffer.sample(1)

    # looking

    def test_size_grows_to_the_capacity_and_stays(self, buffer):
        for number in range(25):
            assert len(buffer) == buffer.size == min(number, 10)
            assert buffer.is_full == (number >= 10)
            assert buffer.is_ready(4) == (number >= 4)
            buffer.add(**row(number))
        assert buffer.capacity == 10
        assert not buffer.is_ready(11)

    def test_clear_forgets_rows_and_ids_grow_on(self, buffer, sampler):
        buffer.extend(**rows(range(13)))
        buffer.clear()
        assert len(buffer) == 0
        assert buffer.add(**row(5)) == 13
        assert len(buffer) == 1
        batch = buffer.sample(3)
        assert batch.ids.tolist() == [13] * 3
        assert_rows(batch, [5] * 3)
        if sampler.prioritized:
            assert buffer.update_priorities(np.arange(14), np.ones(14)) == 1
            assert buffer.priorities.verify() == 0
            assert np.count_nonzero(buffer.priorities.priorities()) == 1

    def test_a_column_is_a_view_of_the_storage(self, buffer):
        views = {name: buffer.column(name) for name in FIELDS}
        buffer.extend(**rows(range(13)))
        numbers = [10, 11, 12, 3, 4, 5, 6, 7, 8, 9]
        assert_rows(views, numbers)
        for name, view in views.items():
            assert np.shares_memory(view, buffer.column(name))
            with pytest.raises(ValueError, match="read-only"):
                view[0] = view[1]
        buffer.close()
        assert_rows(views, numbers)

    def test_a_buffer_says_what_it_is(self, buffer, home):
        buffer.add(**row(0))
        said = repr(buffer)
        assert "1 of 10 rows" in said
        assert all(name in said for name in FIELDS)
        assert ("name=" in said) == (home == "named")
        assert ("path=" in said) == (home == "path")
        assert list(buffer.fields) == list(FIELDS)
        assert buffer.nbytes > 10 * buffer._row_bytes
        buffer.close()
        assert "closed" in repr(buffer)

    def test_the_counters_count(self, buffer, sampler):
        buffer.extend(**rows(range(13)))
        buffer.sample(4)
        buffer.sample(6)
        stats = buffer.stats()
        assert (stats["size"], stats["added"]) == (10, 13)
        assert (stats["sampled"], stats["batches"]) == (10, 2)
        assert stats["redrawn"] == stats["burnt"] == stats["saturated"] == 0
        if sampler.prioritized:
            buffer.update_priorities(np.array([1, 11, 12]), np.array([1.0, 2.0, 1e300]))
            stats = buffer.stats()
            assert (stats["updated"], stats["stale"], stats["saturated"]) == (2, 1, 1)

    @pytest.mark.parametrize("streams", [1, 2])
    def test_the_ages_of_rows_given_out_are_counted(self, home, sampler, streams):
        with self.make(home, 64 * streams, FIELDS, sampler=sampler, streams=streams) as buffer:
            for stream in range(streams):
                buffer.writer(stream).extend(**rows(range(100 + 40 * stream)))
            assert np.isnan(buffer.stats()["age_mean"])
            assert np.isnan(buffer.stats()["age_median"])
            ages = []
            for _ in range(20):
                tickets, stream = np.divmod(buffer.sample(7).ids, streams)
                ages += (99 + 40 * stream - tickets).tolist()
            stats = buffer.stats()
            assert stats["age_mean"] == pytest.approx(np.mean(ages), rel=1e-12)
            # Of one row a batch: the middle of a power of two that some of them have.
            assert stats["age_median"] in (0.0, 1.0, 3.0, 6.0, 12.0, 24.0, 48.0)

    # streams, schemas

    def test_streams_are_rings_of_their_own(self, home, sampler):
        with self.make(home, 12, FIELDS, sampler=sampler, streams=3) as buffer:
            assert buffer.streams == 3
            writers = [buffer.writer(stream) for stream in range(3)]
            seen = {}
            for number in range(30):
                stream = number * 7 % 5 % 3
                identity = writers[stream].add(**row(number))
                assert identity % 3 == stream
                assert identity not in seen
                seen[identity] = number
            ids = writers[1].extend(**rows(range(30, 39)))
            seen |= dict(zip(ids.tolist(), range(30, 39), strict=True))
            assert (np.diff(ids) == 3).all()
            assert buffer.is_full
            batch = buffer.sample(100)
            assert_rows(batch, [seen[identity] for identity in batch.ids.tolist()])
            live = {
                sorted(i for i in seen if i % 3 == s)[-4:][n] for s in range(3) for n in range(4)
            }
            assert set(batch.ids.tolist()) <= live

    def test_a_buffer_adds_to_stream_0(self, home, sampler):
        with self.make(home, 4, FIELDS, sampler=sampler, streams=2) as buffer:
            assert [buffer.add(**row(number)) for number in range(3)] == [0, 2, 4]
            assert len(buffer) == 2
            assert not buffer.is_full

    def test_nested_observations_come_back_nested(self, home, sampler):
        fields = {
            "obs": {"image": (np.uint8, (20, 20)), "pose": {"angle": np.float32}},
            "action": np.int64,
        }
        with self.make(home, 5, fields, sampler=sampler) as buffer:
            assert list(buffer.fields) == ["obs/image", "obs/pose/angle", "action"]
            image = np.arange(400, dtype=np.uint8).reshape(20, 20)
            for number in range(3):
                obs = {"pose": {"angle": number / 4}, "image": image + number}
                buffer.add(obs=obs, action=number)
            obs = {
                "image": np.stack([image + 3, image + 4]),
                "pose": {"angle": np.array([0.75, 1.0], np.float32)},
            }
            assert buffer.extend(obs, np.array([3, 4])).tolist() == [3, 4]
            batch = buffer.sample(30)
            for _ in range(2):
                assert batch.obs["image"].shape == (30, 20, 20)
                assert batch.obs["image"].dtype == np.uint8
                assert batch["obs/image"] is batch.obs["image"]
                assert batch["obs/pose/angle"].tolist() == (batch.ids / 4).tolist()
                assert batch.obs["pose"]["angle"].dtype == np.float32
                assert batch.action.tolist() == batch.ids.tolist()
                wanted = image + batch.ids[:, None, None]
                assert (batch.obs["image"] == wanted.astype(np.uint8)).all()
                batch = buffer.sample(30, out=batch)

    def test_the_first_row_shows_the_fields(self, home, sampler):
        with self.make(home, 5, None, sampler=sampler) as buffer:
            assert buffer.fields == {}
            assert (len(buffer), buffer.capacity, buffer.nbytes) == (0, 5, 0)
            with pytest.raises(replay.EmptyError):
                buffer.sample(1)
            buffer.clear()
            obs = (np.arange(4, dtype=np.uint8), {"speed": np.float64(0.5)})
            for number in range(3):
                assert buffer.add(obs=obs, action=number, reward=1.5, done=True) == number
            assert {name: (f.dtype, f.shape) for name, f in buffer.fields.items()} == {
                "obs/0": (np.uint8, (4,)),
                "obs/1/speed": (np.float64, ()),
                "action": (np.int64, ()),
                "reward": (np.float32, ()),
                "done": (np.bool_, ()),
            }
            batch = buffer.sample(4)
            assert isinstance(batch.obs, tuple)
            assert batch.obs[0].tolist() == [[0, 1, 2, 3]] * 4
            assert batch["obs/1/speed"].tolist() == [0.5] * 4
            assert batch.action.tolist() == batch.ids.tolist()

    def test_the_first_rows_show_the_fields(self, home, sampler):
        with self.make(home, 5, None, sampler=sampler) as buffer:
            ids = buffer.extend(obs={"a": np.ones((3, 2), np.float16)}, reward=[1.0, 2.0, 3.0])
            assert ids.tolist() == [0, 1, 2]
            assert buffer.fields["obs/a"] == replay.Field(np.float16, (2,))
            batch = buffer.sample(9)
            assert batch.reward.tolist() == (batch.ids + 1).tolist()

    # ends

    def test_a_closed_buffer_says_so_in_every_method(self, buffer, sampler, tmp_path):
        buffer.extend(**rows(range(3)))
        batch = buffer.sample(2)
        writer = buffer.writer(0)
        buffer.save(tmp_path / "snapshot")
        with buffer as same:
            assert same is buffer
        buffer.close()
        uses = [
            lambda: buffer.add(**row(0)),
            lambda: buffer.add(*row(0).values()),
            lambda: buffer.extend(**rows([0])),
            lambda: writer.add(**row(0)),
            lambda: writer.extend(**rows([0])),
            lambda: buffer.sample(2),
            lambda: buffer.sample(2, out=batch),
            lambda: buffer.update_priorities(np.arange(2), np.ones(2)),
            lambda: buffer.update_priorities([0, 1], [1, 1]),
            lambda: buffer.column("obs"),
            lambda: buffer.writer(0),
            lambda: buffer.priorities,
            lambda: len(buffer),
            lambda: buffer.size,
            lambda: buffer.is_full,
            lambda: buffer.is_ready(1),
            buffer.stats,
            buffer.clear,
            buffer.flush,
            lambda: buffer.save(tmp_path / "again"),
            lambda: buffer.restore(tmp_path / "snapshot"),
        ]
        for use in uses:
            with pytest.raises(replay.ClosedError, match="closed"):
                use()
        assert not (tmp_path / "again").exists()

    def test_a_second_holder_shares_all_of_it(self, buffer, home, sampler):
        if home == "private":
            with pytest.raises(replay.ReplayError, match="private"):
                pickle.dumps(buffer)
            return
        buffer.extend(**rows(range(7)))
        where = {"name": buffer.name} if home == "named" else {"path": buffer.path}
        with replay.attach(**where) as other, pickle.loads(pickle.dumps(buffer)) as third:
            assert other.sampler == third.sampler == sampler
            assert other.fields == buffer.fields
            assert other.add(**row(7)) == 7
            assert third.add(**row(8)) == 8
            assert len(buffer) == len(other) == len(third) == 9
            batch = buffer.sample(50)
            assert_rows(batch, batch.ids)
            if sampler.prioritized:
                third.update_priorities(np.arange(8), np.zeros(8))
                assert set(other.sample(20).ids.tolist()) == {8}
        assert buffer.add(**row(9)) == 9
