"""Every kind of value through a whole buffer, by both walks, which store the same bytes."""

import numpy as np
import pytest

import replay
from kernels.rows import KINDS
from tests.homes import WALKS, block_bytes, fewer, opened, walking


def limits(kind):
    """Give the numbers at the edges of a type."""
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind in "iu":
        return [np.iinfo(kind).min, np.iinfo(kind).max, 0, 1]
    info = np.finfo(kind)
    return [info.min, info.max, info.tiny, 0.0, -0.0, np.nan, np.inf]


def forms(kind, value):
    """Give one number in every form that a user may hold it in."""
    dtype = np.dtype(kind)
    scalar = np.array(value, dtype)[()]
    yield from (scalar, np.array(scalar), scalar.item(), np.array(scalar, dtype.newbyteorder(">")))
    for other in ("?", *"bBhHiIqQ", *"fdFD"):
        wider = np.can_cast(dtype, other)
        if wider and "biufc".index(np.dtype(other).kind) <= "biufc".index(dtype.kind):
            yield scalar.astype(other)
    if dtype.kind in "iu":
        yield int(value)
        for small in "?bBhHiIq":
            if np.array(value, dtype).astype(small).astype(dtype) == scalar and (
                int(np.array(value, dtype).astype(small)) == int(value)
            ):
                yield np.array(value, dtype).astype(small)[()]


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_comes_back_whatever_form_it_had(walk, kind):
    with walking(walk), opened("private", 4, {"x": kind}) as buffer:
        for value in limits(kind):
            for given in forms(kind, value):
                buffer.clear()
                buffer.add(given)
                got = buffer.sample(1).x
                assert got.dtype == kind
                np.testing.assert_array_equal(got, np.array([value], kind))
            buffer.clear()
            buffer.extend(np.array([value, value], kind))
            np.testing.assert_array_equal(buffer.sample(1).x, np.array([value], kind))


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (7, 9, 3), (1, 1, 1, 1, 1, 1, 1, 2)])
def test_an_array_comes_back_whatever_memory_it_lay_in(walk, kind, shape):
    generator = np.random.default_rng(5)
    raw = generator.integers(0, 2, (6, *shape))
    base = (raw if kind == "|b1" else raw * 100 - (0 if "u" in kind else 37)).astype(kind)
    twice = np.repeat(base, 2, axis=0)
    forms = [
        base,
        np.asfortranarray(base),
        twice[::2],
        base[::-1].copy()[::-1],
        base.astype(np.dtype(kind).newbyteorder(">")),
        base.tolist(),
        list(base),
    ]
    fixed = base.copy()
    fixed.flags.writeable = False
    forms.append(fixed)
    with walking(walk), opened("private", 6, {"x": (kind, shape), "n": np.int64}) as buffer:
        for form in forms:
            buffer.clear()
            buffer.extend(form, np.arange(6))
            batch = buffer.sample(20)
            np.testing.assert_array_equal(batch.x, base[batch.n])
            buffer.clear()
            for number in range(6):
                buffer.add(form[number], number)
            batch = buffer.sample(20)
            np.testing.assert_array_equal(batch.x, base[batch.n])


@pytest.mark.parametrize("walk", WALKS)
def test_arrays_of_other_classes_are_read_as_arrays(walk, tmp_path):
    class Own(np.ndarray):
        """An array of a class of one's own."""

    base = np.arange(12, dtype=np.float32).reshape(4, 3)
    file = np.memmap(tmp_path / "file", np.float32, "w+", shape=(4, 3))
    file[:] = base
    with walking(walk), opened("private", 4, {"x": (np.float32, (3,))}) as buffer:
        for form in (file, base.view(Own), memoryview(base)):
            ids = buffer.extend(form)
            np.testing.assert_array_equal(buffer.column("x")[ids % 4], base)
            identity = buffer.add(form[2] if not isinstance(form, memoryview) else base[2])
            np.testing.assert_array_equal(buffer.column("x")[identity % 4], base[2])
    del file


@pytest.mark.parametrize("walk", WALKS)
def test_nan_observations_pass(walk):
    obs = np.array([np.nan, 1, np.inf], np.float32)
    sampler = replay.Proportional()
    fields = {"obs": (np.float32, (3,)), "reward": np.float32}
    with walking(walk), opened("private", 4, fields, sampler=sampler) as buffer:
        buffer.add(obs, np.nan)
        buffer.add(obs.astype(np.float64), float("inf"))
        buffer.extend(obs[None], [np.nan])
        batch = buffer.sample(10)
        np.testing.assert_array_equal(batch.obs, np.tile(obs, (10, 1)))
        assert np.isfinite(batch.weights).all()


@pytest.mark.parametrize("walk", WALKS)
def test_float64_rows_become_float32_rows(walk):
    wide = np.random.default_rng(0).normal(size=(7, 60))
    with walking(walk), opened("private", 7, {"x": (np.float32, (60,)), "r": "f4"}) as buffer:
        for _number, values in enumerate(wide):
            buffer.add(values, float(values[0]))
        buffer.extend(wide, wide[:, 0])
        np.testing.assert_array_equal(buffer.column("x"), wide.astype(np.float32))
        np.testing.assert_array_equal(buffer.column("r"), wide[:, 0].astype(np.float32))


@pytest.mark.parametrize("size", [400, 1024, 5000])
def test_float64_rows_too_long_to_convert_on_the_way_still_fit(size):
    wide = np.random.default_rng(0).normal(size=(2, size))
    fields = {"a": ("f4", (size,)), "b": ("f4", (size,)), "c": ("f4", (size,))}
    with opened("private", 2, fields) as buffer:
        buffer.add(wide[0], wide[1], wide[0])
        batch = buffer.sample(1)
        for got, wanted in zip(batch[:3], (wide[0], wide[1], wide[0]), strict=True):
            np.testing.assert_array_equal(got[0], wanted.astype(np.float32))


@pytest.mark.parametrize("walk", WALKS)
def test_images_lie_beside_packed_numbers(walk):
    fields = {
        "image": (np.uint8, (84, 84)),
        "action": "i4",
        "next": (np.uint8, (84, 84)),
        "r": "f2",
    }
    images = np.random.default_rng(1).integers(0, 256, (9, 84, 84), np.uint8)
    with walking(walk), opened("private", 5, fields) as buffer:
        for number in range(8):
            buffer.add(images[number], number, images[number + 1], number / 2)
        batch = buffer.sample(40)
        assert batch.image.dtype == np.uint8
        np.testing.assert_array_equal(batch.image, images[batch.ids])
        np.testing.assert_array_equal(batch.next, images[batch.ids + 1])
        np.testing.assert_array_equal(batch.action, batch.ids)
        assert batch.action.dtype == np.int32
        assert (batch.r == batch.ids / 2).all()


@pytest.mark.parametrize("fields", [1, 2, 61, 62, 63, 64, 65, 130])
def test_a_transition_may_have_any_number_of_fields(fields):
    names = [f"f{number}" for number in range(fields)]
    with opened("private", 5, dict.fromkeys(names, np.int64), seed=0) as buffer:
        for number in range(7):
            buffer.add(*range(number, number + fields))
        buffer.extend(**{name: np.array([7 + n, 8 + n]) for n, name in enumerate(names)})
        batch = buffer.sample(30)
        for number, name in enumerate(names):
            assert (batch[name] == batch.ids + number).all()


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 7, 8, 9, 63, 64, 65, 511, 513])
@pytest.mark.parametrize("prioritized", [False, True])
def test_rows_wrap_around_at_every_capacity(capacity, prioritized):
    sampler = replay.Proportional(alpha=1.0) if prioritized else None
    with opened("private", capacity, {"x": np.int32}, sampler=sampler, seed=0) as buffer:
        total = 0
        for count in (1, capacity - 1, capacity, capacity + 1, 2 * capacity + 3, 1):
            ids = buffer.extend(np.arange(total, total + count, dtype=np.int32))
            assert ids.tolist() == list(range(total, total + count))
            total += count
            batch = buffer.sample(64)
            assert (batch.x == batch.ids).all()
            assert batch.ids.min() >= total - capacity
            assert batch.ids.max() < total
            assert len(buffer) == min(total, capacity)
        wanted = np.arange(total - capacity, total)
        assert (buffer.column("x")[wanted % capacity] == wanted).all()
        if prioritized:
            buffer.update_priorities(wanted, np.linspace(0.1, 2, capacity))
            assert buffer.priorities.verify() == 0


@pytest.mark.compiled
@pytest.mark.parametrize("sampler", [replay.Uniform(), replay.Proportional(normalise="buffer")])
def test_a_buffer_of_a_million_and_one_rows(sampler):
    capacity = (1 << 20) + 1
    with opened("private", capacity, {"x": np.int64}, sampler=sampler, seed=4) as buffer:
        total = capacity + 12_345
        ids = buffer.extend(np.arange(total))
        assert ids[-1] == total - 1
        assert len(buffer) == capacity
        batch = buffer.sample(100_000)
        assert (batch.x == batch.ids).all()
        assert batch.ids.min() >= total - capacity
        live = np.arange(total - capacity, total)
        assert (buffer.column("x")[live % capacity] == live).all()
        if sampler.prioritized:
            buffer.update_priorities(live, np.where(live % 2, 0.0, 3.0))
            assert (buffer.sample(10_000).ids % 2 == 0).all()
            assert buffer.priorities.verify() == 0


def test_both_walks_store_the_same_bytes():
    fields = {"a": ("f4", (5,)), "b": "u1", "c": "f8", "d": bool, "e": ("f4", ()), "f": "i8"}
    blocks = []
    for walk in WALKS:
        generator = np.random.default_rng(9)
        sampler = replay.Proportional()
        with walking(walk), opened("private", 20, fields, sampler=sampler, seed=3) as buffer:
            for number in range(fewer(200, 50)):
                a = generator.normal(size=5)
                buffer.add(a, number % 256, a[0], number % 2 == 0, a[1], number - 5)
                buffer.add(a.astype("f4"), np.uint8(3), 1, False, np.float32(a[1]), np.int64(7))
                batch = buffer.sample(7)
                buffer.update_priorities(batch.ids, generator.exponential(size=7))
            blocks.append(block_bytes(buffer))
    assert blocks[0] == blocks[1]
