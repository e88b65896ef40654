"""
Methods that are compiled, beside those in Python that they took the place of.

Both must give the same, store the same and refuse the same. And a batch that is given out again
must be nobody's any more.
"""

import ctypes
import gc
import inspect
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from kernels import handle as words
from kernels import interpreter, structure
from kernels.method_add import LONG
from replay.buffers import methods
from replay.buffers.reader import LARGEST_KEPT, Reader
from replay.buffers.writer import Writer
from replay.memory.handle import KEPT, Handle
from tests.homes import block_bytes, opened, walking

pytestmark = pytest.mark.compiled

FIELDS = {
    "obs": (np.float32, (3,)),
    "action": np.int64,
    "reward": np.float32,
    "image": (np.uint8, (2, 2)),
    "done": bool,
}
NAMES = tuple(FIELDS)
SAMPLERS = {"uniform": replay.Uniform(), "proportional": replay.Proportional()}


def values(number=0):
    return (
        np.full(3, number, np.float32),
        number,
        float(number),
        np.full((2, 2), number, np.uint8),
        False,
    )


def stacked(count, row=None):
    """Stack a row, in arrays of the very dtypes: what the kernel takes."""
    row = values(1) if row is None else row
    with replay.ReplayBuffer(1, FIELDS) as buffer:
        dtypes = [field.dtype for field in buffer.fields.values()]
    return [np.stack([value] * count).astype(to) for value, to in zip(row, dtypes, strict=True)]


def filled(count=20, **options):
    buffer = replay.ReplayBuffer(32, FIELDS, seed=3, **options)
    for number in range(count):
        buffer.add(*values(number))
    return buffer


def outcome(call, *arguments, **named):
    """Give what a call gives, or what it refuses with."""
    try:
        given = call(*arguments, **named)
    except Exception as error:
        return type(error), str(error)
    if isinstance(given, tuple):
        return [part.tolist() for part in given]
    return given.tolist() if isinstance(given, np.ndarray) else given


def test_methods_are_compiled_once_a_buffer_is_open():
    assert methods.serves(), "kernels are methods on this interpreter"
    with filled(sampler=replay.Proportional()):
        for kind, names in (
            (Writer, ("add", "extend")),
            (Reader, ("sample",)),
            (replay.ReplayBuffer, ("update_priorities",)),
        ):
            for name in names:
                compiled, plain = getattr(kind, name), getattr(kind, f"_plain_{name}")
                assert inspect.ismethoddescriptor(compiled)
                assert inspect.isfunction(plain)
                assert inspect.getdoc(compiled) == inspect.getdoc(plain)
                bare = inspect.signature(plain)
                bare = bare.replace(
                    parameters=[
                        each.replace(annotation=inspect.Parameter.empty)
                        for each in bare.parameters.values()
                    ],
                    return_annotation=inspect.Signature.empty,
                )
                kinds = [
                    [(each.name, each.default) for each in signature.parameters.values()]
                    for signature in (inspect.signature(compiled), bare)
                ]
                assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("REFERENCES", 8), ("LIST_SIZE", 24), ("LIST_ITEMS", 32), ("ARRAY_WEAK", 80)],
)
def test_an_offset_that_does_not_hold_is_found(monkeypatch, name, wrong):
    assert structure.methods_hold()
    monkeypatch.setattr(structure, name, wrong)
    assert not structure.methods_hold()


def test_without_what_they_read_no_method_is_compiled(monkeypatch):
    words = interpreter.WORDS.copy()
    for place in ("methods_hold", "structure", "_handle_at"):
        with monkeypatch.context() as patch:
            patch.setattr(methods, place, lambda: 0)
            assert not methods.serves.__wrapped__()
    assert (words == interpreter.WORDS).all()


def test_a_method_that_somebody_has_replaced_stays(monkeypatch):
    """Also where that was before a buffer was opened first."""
    for kind, name in ((Reader, "sample"), (replay.ReplayBuffer, "update_priorities")):
        plain = getattr(kind, f"_plain_{name}")
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, lambda *_: "mine")
            methods.install(kind, name)
            with filled() as buffer:
                assert getattr(buffer, name)(1) == "mine"
            patch.setattr(kind, name, plain)
            methods.install(kind, name)
            assert inspect.ismethoddescriptor(getattr(kind, name))


def test_what_the_interpreter_has_addresses_of_outlives_the_module():
    """At the end modules are emptied, and an object that goes later may still add a row."""

    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    methods._keep(thing)
    del thing
    assert gone() is not None
    assert not [kept for kept in vars(methods).values() if isinstance(kept, list)]


STRANGE = st.sampled_from(
    [
        *(None, "text", b"bytes", [], [1, 2, 3], (1.5, 2, 3), {}, object, True, False),
        *(
            1,
            0,
            -1,
            300,
            1 << 29,
            1 << 30,
            -(1 << 30),
            (1 << 60) - 1,
            1 << 60,
            1 << 63,
            -(1 << 63),
        ),
        *(0.0, -0.0, 1.5, 2.0, 1e39, -1e39, float("inf"), float("nan"), 1 + 2j),
        *(np.float32(1.5), np.float64(2.5), np.float64(1e300), np.float16(1), np.bool_(True)),
        *(np.int8(3), np.int64(-7), np.uint64(1 << 63), np.array(3), np.arange(3), np.arange(3.0)),
        *(np.float32([1, 2, 3]), np.float32([1, 2, 3])[::-1], np.arange(3, dtype=">f4")),
        *(np.zeros((3, 1), np.float32), np.zeros(4, np.float32), np.zeros(0, np.float32)),
        *(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.int64), np.full(3, 1e300)),
        np.asfortranarray(np.arange(4, dtype=np.uint8).reshape(2, 2)),
        np.ma.array(np.zeros(3, np.float32)),
        np.zeros(3, np.float32).view(np.recarray),
    ]
)


@settings(max_examples=100)
@given(st.data())
def test_a_row_of_anything_is_added_or_refused_as_by_the_method_in_python(data):
    """By position, by name in any order, some of each; of what fits and what does not."""
    with filled(2) as compiled, filled(2) as plain:
        for _ in range(3):
            row = dict(zip(NAMES, values(data.draw(st.integers(0, 200))), strict=True))
            for name in data.draw(st.lists(st.sampled_from(NAMES), max_size=2)):
                row[name] = data.draw(STRANGE)
            order = data.draw(st.permutations(NAMES))
            first = data.draw(st.integers(0, 5))
            bare = tuple(row[name] for name in NAMES[:first])
            named = {name: row[name] for name in order if name not in NAMES[:first]}
            change = data.draw(st.integers(0, 12))
            if change == 0 and named:
                named.popitem()
            elif change == 1:
                named["more"] = 1
            elif change == 2 and first:
                named[NAMES[0]] = row[NAMES[0]]
            elif change == 3:
                bare = (*bare, 1)
            wanted = outcome(plain._plain_add, *bare, **named)
            assert outcome(compiled.add, *bare, **named) == wanted
            writer = compiled.writer(0)
            wanted = outcome(plain.writer(0)._plain_add, *bare, **named)
            assert outcome(writer.add, *bare, **named) == wanted
        for name in NAMES:
            assert compiled.column(name).tobytes() == plain.column(name).tobytes()


@settings(max_examples=60)
@given(st.data())
def test_rows_of_anything_are_stored_or_refused_as_by_the_method_in_python(data):
    with filled(2) as compiled, filled(2) as plain:
        count = data.draw(st.integers(0, 40))
        rows = {
            name: np.zeros((count, *np.shape(value)), np.asarray(value).dtype)
            for name, value in zip(NAMES, values(1), strict=True)
        }
        rows["reward"] = np.arange(count, dtype=np.float32)
        for name in data.draw(st.lists(st.sampled_from(NAMES), max_size=1)):
            rows[name] = data.draw(STRANGE | st.just(rows[name][1:]) | st.just(rows[name][::-1]))
        first = data.draw(st.integers(0, 5))
        bare = tuple(rows[name] for name in NAMES[:first])
        named = {name: rows[name] for name in data.draw(st.permutations(NAMES[first:]))}
        wanted = outcome(plain._plain_extend, *bare, **named)
        assert outcome(compiled.extend, *bare, **named) == wanted
        for name in NAMES:
            assert compiled.column(name).tobytes() == plain.column(name).tobytes()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_batches_are_those_of_the_method_in_python(sampler):
    """Whatever the form of the call; and what is refused shifts no later batch."""
    calls = [
        *(((4,), {}), ((), {"batch_size": 4}), ((4,), {"out": None}), ((), {})),
        *(((4,), {"timeout": timeout}) for timeout in (0, 0.5, None, -1, float("nan"), "1", True)),
        *(((rows,), {}) for rows in (0, -1, 4.0, "4", True, None, np.int64(4), np.int32(4))),
        *(((4, None), {}), ((4,), {"more": 1}), ((4,), {"batch_size": 4})),
        *(((4,), {"out": ()}), ((4,), {"out": 7}), ((1 << 50,), {}), ((1 << 70,), {}), ((4,), {})),
    ]
    with (
        filled(sampler=SAMPLERS[sampler]) as compiled,
        filled(sampler=SAMPLERS[sampler]) as plain,
    ):
        into = compiled.sample(4), plain.sample(4)
        for arguments, named in calls:
            wanted = outcome(plain._plain_sample, *arguments, **named)
            assert outcome(compiled.sample, *arguments, **named) == wanted, (arguments, named)
        for arguments, named in (((), {}), ((4,), {}), ((3,), {}), ((), {"timeout": 1})):
            found = outcome(compiled.sample, *arguments, out=into[0], **named)
            assert found == outcome(plain._plain_sample, *arguments, out=into[1], **named)
        assert compiled.sample(out=into[0]) is into[0]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, object])
def test_priorities_are_set_as_by_the_method_in_python(kind):
    with (
        filled(sampler=replay.Proportional()) as compiled,
        filled(sampler=replay.Proportional()) as plain,
    ):
        calls = [
            ([1, 2, 3], [1, 2, 3]), ([1, 1], [5, 6]), ([], []), ([1], [1, 2]), ([99], [1]),
            ([-1], [1]), ([1], [-1]), ([3], [0]),
        ]  # fmt: skip
        for ids, priorities in calls:
            given = np.array(ids, np.int64), np.array(priorities, kind)
            wanted = outcome(plain._plain_update_priorities, *given)
            assert outcome(compiled.update_priorities, *given) == wanted
            wanted = outcome(plain._plain_update_priorities, ids=given[0], priorities=given[1])
            named = {"ids": given[0], "priorities": given[1]}
            assert outcome(compiled.update_priorities, **named) == wanted
        for bad in ((), (1,), (1, 2, 3), (None, None), ("a", "b")):
            wanted = outcome(plain._plain_update_priorities, *bad)[0]
            assert outcome(compiled.update_priorities, *bad)[0] == wanted
        assert block_bytes(compiled) == block_bytes(plain)


def test_a_part_of_a_nested_field_is_no_name_of_a_row():
    """Not even as the very str that the buffer knows it by."""
    fields = {"obs": {"image": (np.float32, (3,)), "speed": np.float32}, "action": np.int64}
    with replay.ReplayBuffer(4, fields) as buffer:
        row = dict(zip(buffer.fields, (np.zeros(3, np.float32), 1.0, 1), strict=True))
        for add in (buffer.add, buffer._plain_add):
            with pytest.raises(replay.FieldError, match="lacks field 'obs'"):
                add(**row)
        rows = {
            name: np.zeros((2, *np.shape(row[name])), buffer.fields[name].dtype) for name in row
        }
        for extend in (buffer.extend, buffer._plain_extend):
            with pytest.raises(replay.FieldError, match="lacks field 'obs'"):
                extend(**rows)
        assert len(buffer) == 0


def test_more_arguments_than_there_is_room_for_are_refused():
    with filled() as buffer:
        for count in (6, 65, 508, 509, 510, 511, 512, 513, 700, 5000):
            with pytest.raises(replay.FieldError, match=f"{count} values were given"):
                buffer.add(*range(count))
            names = {f"field_{number}": 1 for number in range(count)}
            with pytest.raises(replay.FieldError, match="lacks field"):
                buffer.add(**names)
            with pytest.raises(replay.FieldError, match=f"{count} values were given"):
                buffer.extend(*[np.zeros(2)] * count)
            with pytest.raises(TypeError):
                buffer.sample(*range(count))


def test_more_fields_than_kernels_take_at_once_are_stored():
    fields = {f"field_{number}": np.int64 for number in range(70)}
    with replay.ReplayBuffer(4, fields) as buffer:
        assert buffer.add(*range(70)) == 0
        assert buffer.add(**dict.fromkeys(reversed(fields), 1)) == 1
        assert buffer.sample(2)["field_69"].tolist()
        assert not buffer.handle[words.BATCHES], "a batch would be made in vain"
        assert buffer.column("field_69")[:2].tolist() == [69, 1]


# batches that are given out again

#: What holds something of a batch, and which of its arrays.
HOLDERS = {
    "the batch": (lambda batch: batch, range(7)),
    "an array": (lambda batch: batch.obs, [0]),
    "the ids": (lambda batch: batch.ids, [6]),
    "a view of it": (lambda batch: batch.reward[1:], [2]),
    "a view of a view": (lambda batch: batch.image[1:].T[..., 1:], [3]),
    "a reshaped one": (lambda batch: batch.obs.reshape(-1), [0]),
    "a memoryview": (lambda batch: memoryview(batch.weights), [5]),
    "the buffer protocol": (lambda batch: np.frombuffer(batch.obs, np.uint8), [0]),
    "DLPack": (lambda batch: np.from_dlpack(batch.obs), [0]),
    "a pointer": (lambda batch: batch.obs.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), [0]),
    "a list": (lambda batch: [*batch], range(7)),
    "a closure": (lambda batch: lambda: batch, range(7)),
    "an iterator": (lambda batch: iter(batch.action), [1]),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("holder", HOLDERS)
def test_what_anybody_holds_of_a_batch_stays_as_it_is(holder, sampler):
    hold, parts = HOLDERS[holder]
    with filled(sampler=SAMPLERS[sampler]) as buffer:
        for _ in range(2 * KEPT):
            batch = buffer.sample(8)
            before = [part.tobytes() for part in batch]
            places = [part.ctypes.data for part in batch]
            held = hold(batch)
            del batch
            for _ in range(3 * KEPT):
                other = buffer.sample(8)
                assert not {part.ctypes.data for part in other} & {places[part] for part in parts}
            for part in parts:
                assert ctypes.string_at(places[part], len(before[part])) == before[part]
            assert held is not None


def test_an_array_that_was_given_up_does_not_come_back_to_a_weak_reference():
    with filled() as buffer:
        for _ in range(2 * KEPT):
            weak = weakref.ref(buffer.sample(8).obs)
            for _ in range(3 * KEPT):
                obs = buffer.sample(8).obs
                assert weak() is not obs


def test_a_batch_that_nobody_holds_is_used_anew():
    with filled() as buffer:
        seen = set()
        batch = None
        for _ in range(50):
            batch = buffer.sample(8)
            seen.add(batch.obs.ctypes.data)
        # One is held while the next one is drawn.
        assert len(seen) == 2


def test_batches_of_several_sizes_that_are_all_held_differ():
    with filled() as buffer:
        held = [buffer.sample(1 + number % 5) for number in range(40)]
        places = {part.ctypes.data for batch in held for part in batch}
        assert len(places) == 40 * 7
        held.clear()
        for number in range(40):
            assert len(buffer.sample(1 + number % 5).ids) == 1 + number % 5


@pytest.mark.parametrize(
    "spoil",
    [
        lambda batch: batch.obs.setflags(write=False),
        lambda batch: setattr(batch.obs, "shape", (24,)),
        lambda batch: setattr(batch.obs, "dtype", np.int32),
        lambda batch: batch.ids.resize(3, refcheck=False),
        lambda batch: setattr(batch.obs, "strides", (0, 4)),
    ],
    ids=["flags", "shape", "dtype", "size", "strides"],
)
@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
def test_a_batch_that_somebody_has_changed_is_not_used_anew(spoil):
    with filled() as buffer:
        for _ in range(2 * KEPT):
            spoil(buffer.sample(8))
            batch = buffer.sample(8)
            assert batch.obs.shape == (8, 3)
            assert batch.obs.dtype == np.float32
            assert (batch.obs[:, 0] == batch.action).all()
            assert batch.obs.flags.writeable
            assert batch.ids.tolist() == batch.action.tolist()


def test_ids_that_somebody_holds_stay_as_they_are():
    rows = stacked(4)
    with filled(0) as buffer:
        held = [buffer.extend(*rows) for _ in range(10)]
        assert [ids.tolist() for ids in held] == [list(range(n, n + 4)) for n in range(0, 40, 4)]
        held.clear()
        places = {buffer.extend(*rows).ctypes.data for _ in range(10)}
        assert len(places) <= KEPT


def test_a_large_batch_is_not_kept():
    fields = {"image": (np.uint8, (1 << 16,))}
    with replay.ReplayBuffer(4, fields) as buffer:
        buffer.add(np.zeros(1 << 16, np.uint8))
        for count, kept in ((8, True), (LARGEST_KEPT >> 16, False)):
            gone = weakref.ref(buffer.sample(count).image)
            assert (gone() is not None) == kept


def test_a_closed_buffer_keeps_no_batches():
    buffer = filled()
    gone = weakref.ref(buffer.sample(4).obs)
    assert gone() is not None
    buffer.close()
    gc.collect()
    assert gone() is None


# references


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_reference_is_lost_or_left(sampler):
    """Of what was given, what came back, and what came up between, in success and in refusal."""
    with filled(sampler=SAMPLERS[sampler]) as buffer:
        row = (*values(7)[:1], 100_003, 1.25, *values(7)[3:])
        rows = stacked(4, row)
        into = buffer.sample(4)
        errors = np.ones(4)
        odd = "x", 100_000_001
        names = dict(zip(NAMES, row, strict=True))

        def use():
            buffer.add(*row)
            buffer.add(**names)
            buffer.extend(*rows)
            buffer.sample(4)
            buffer.sample(batch_size=4, timeout=row[2])
            buffer.sample(out=into)
            if buffer.sampler.prioritized:
                buffer.update_priorities(into.ids, errors)
            outcome(buffer.add, *odd)
            outcome(buffer.extend, *odd)
            outcome(buffer.sample, odd[0])
            outcome(buffer.sample, odd[1], out=into)
            outcome(buffer.update_priorities, *odd)

        watched = [*row, *rows, into, *into, errors, *odd, buffer, None, names, *names]
        for _ in range(10):
            use()
        gc.collect()
        before = [sys.getrefcount(thing) for thing in watched]
        for _ in range(200):
            use()
        gc.collect()
        after = [sys.getrefcount(thing) for thing in watched]
        # None comes and goes elsewhere too, but not by the hundred.
        assert all(abs(b - a) < 50 for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("_new_batch", lambda buffer: buffer.sample(5)),
        ("_sample_rest", lambda buffer: buffer.sample(5)),
        ("_new_ids", lambda buffer: buffer.extend(*stacked(4))),
        ("_extend_rest", lambda buffer: buffer.extend(*stacked(300))),
        ("_add_noticed", lambda buffer: buffer.add(*values())),
    ],
)
def test_what_raises_between_leaves_no_reference(name, use):
    with filled() as buffer:

        def refuse(*_):
            raise KeyboardInterrupt(name)

        setattr(buffer, name, refuse)
        watched = [buffer, buffer._handle, None]
        before = [sys.getrefcount(thing) for thing in watched]
        for _ in range(100):
            buffer.handle[words.NOTICED] = 1
            with pytest.raises(KeyboardInterrupt, match=name):
                use(buffer)
        gc.collect()
        after = [sys.getrefcount(thing) for thing in watched]
        assert all(abs(b - a) < 50 for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("_new_batch", lambda buffer: buffer.sample(5)),
        ("_new_ids", lambda buffer: buffer.extend(*stacked(4))),
    ],
)
def test_a_buffer_that_is_closed_while_python_runs_in_between(name, use, late):
    """As another thread does it: the handle that the kernel goes on with must be there still."""
    buffer = filled()
    make = getattr(buffer, name)

    def close(count):
        made = make(count) if late else None
        buffer.close()
        return made if late else make(count)

    setattr(buffer, name, close)
    with pytest.raises(replay.ClosedError):
        use(buffer)


def test_lists_of_what_is_kept_may_be_emptied_meanwhile():
    made = [object() for _ in range(2 * KEPT)]
    kept = [None] * KEPT
    for thing in made:
        Handle.keep(kept, thing)
    assert kept == made[: KEPT - 1 : -1]
    kept.clear()
    Handle.keep(kept, made[0])
    Handle.keep((), made[0])
    assert kept == []


def test_a_buffer_that_is_closed_in_the_midst_of_a_long_batch():
    """Who is inside gets the batch; and what goes wrong as the block is let go is raised."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 4)
    for refuse in (False, True):
        buffer = filled()
        # The first one has somebody look after the dead.
        buffer.sample(1)

        def close(*_, buffer=buffer):
            buffer.close()
            return 0

        def left():
            raise KeyboardInterrupt("left")

        gather = kind(close)
        buffer.handle[words.GATHER] = ctypes.cast(gather, ctypes.c_void_p).value
        if refuse:
            buffer._left = left
            with pytest.raises(KeyboardInterrupt, match="left"):
                buffer.sample(LONG)
        else:
            assert buffer.sample(LONG).obs.shape == (LONG, 3)
            assert buffer._ring._leaving == []


# what else has the methods


class Louder(replay.ReplayBuffer):
    """A buffer with a method of its own in place of one that is compiled."""

    __slots__ = ("said",)

    def add(self, *row, **named):
        self.said = super().add(*row, **named) * 10
        return self.said


def test_a_subclass_may_have_its_own_method_and_the_compiled_one():
    with Louder(10, FIELDS) as buffer:
        assert [buffer.add(*values(number)) for number in range(3)] == [0, 10, 20]
        assert buffer.said == 20
        with pytest.raises(replay.FieldError):
            buffer.add(1)
        assert buffer.sample(2).obs.shape == (2, 3)


def test_a_method_that_is_bound_or_called_through_the_class_is_the_same():
    with filled(0) as buffer:
        add = buffer.add
        assert (add(*values()), replay.ReplayBuffer.add(buffer, *values())) == (0, 1)
        assert Writer.add(buffer, **dict(zip(NAMES, values(), strict=True))) == 2
        for count in (1, 700):
            with pytest.raises(replay.FieldError, match=f"{count} values were given"):
                add(*range(count))
        with pytest.raises(TypeError):
            Writer.add(object(), 1)


def test_one_that_is_not_open_explains_itself():
    buffer = replay.ReplayBuffer(10)
    with pytest.raises(replay.EmptyError, match="empty"):
        buffer.sample(1)
    with pytest.raises(replay.FieldError, match="not known"):
        buffer.add(1)
    assert buffer.add(x=1.5) == 0
    writer = buffer.writer()
    buffer.close()
    for call in (
        lambda: buffer.add(1.5), lambda: buffer.extend(np.ones(2)), lambda: buffer.sample(1),
        lambda: writer.add(1.5), lambda: writer.extend(np.ones(2)),
    ):  # fmt: skip
        with pytest.raises(replay.ClosedError):
            call()


def test_a_log_of_steps_takes_no_rows_and_batches_of_its_view():
    fields = {"obs": np.float32, "action": np.int64, "reward": np.float32}
    with replay.ReplayBuffer(30, fields, view=replay.Transition()) as buffer:
        writer = buffer.writer()
        writer.reset(0.0)
        for number in range(1, 10):
            writer.step(number, number - 1, number)
        with pytest.raises(replay.InputError, match="log of steps"):
            buffer.add(0.0, 1, 1.0, 1)
        for _ in range(10):
            batch = buffer.sample(16)
            assert (batch.next_obs == batch.obs + 1).all()
        reader = buffer.reader(view=replay.NStep(2, 0.5))
        other = reader.sample(16)
        assert (other.next_obs == other.obs + 2).all()
        assert (buffer.sample(16).next_obs == batch.next_obs).shape == (16,)


def test_a_plain_walk_beside_the_compiled_methods():
    """Buffers decide by themselves: one whose handle says so goes the other way."""
    with walking("plain"), opened("private", 10, FIELDS) as buffer:
        assert [buffer.add(*values(number)) for number in range(3)] == [0, 1, 2]
        assert buffer.sample(2).obs.shape == (2, 3)


def test_a_named_buffer_can_be_sent_with_its_method():
    with opened("named", 10, FIELDS) as buffer:
        with pickle.loads(pickle.dumps(buffer)) as other:
            assert other.add(*values()) == 0
        assert len(buffer) == 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_buffer_that_is_closed_while_long_batches_are_copied(sampler):
    """Who is inside goes on with the memory it has; the next call is refused."""
    fields = {"image": (np.uint8, (4096,)), "number": np.int64}
    for _ in range(20):
        buffer = replay.ReplayBuffer(64, fields, sampler=SAMPLERS[sampler])
        images = np.repeat(np.arange(64, dtype=np.uint8)[:, None], 4096, 1)
        buffer.extend(images, np.arange(64))
        drawing = threading.Barrier(3)
        wrong = []

        def draw(buffer=buffer, drawing=drawing, wrong=wrong):
            drawing.wait()
            try:
                while True:
                    batch = buffer.sample(64)
                    if not (batch.image == batch.number[:, None]).all():
                        wrong.append(batch)
            except replay.ClosedError:
                return
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=draw) for _ in range(2)]
        for thread in threads:
            thread.start()
        drawing.wait()
        for _ in range(3):
            buffer.sample(64)
        block = buffer._ring.block
        buffer.close()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert buffer._ring._leaving == []
        assert block.memory is None or block.memory.base is None or not block.held.created


def test_nested_and_ragged_batches_are_used_anew_too_and_not_while_anybody_holds_a_part():
    fields = {"obs": {"at": (np.float32, (2,)), "cloud": replay.Field(int, (None,), longest=4)}}
    with replay.ReplayBuffer(8, fields, seed=1) as buffer:
        for number in range(8):
            buffer.add(obs={"at": np.full(2, number), "cloud": [number] * (number % 5)})
        seen, held = set(), []
        for turn in range(20):
            batch = buffer.sample(6)
            seen.add(batch["obs/at"].ctypes.data)
            assert (batch["obs/at"][:, 0] == batch.ids).all()
            wanted = [[int(number)] * (int(number) % 5) for number in batch.ids]
            assert [row.tolist() for row in batch["obs/cloud"].tolist()] == wanted
            if turn >= 10:
                held.append((batch["obs/cloud"].values, batch["obs/cloud"].values.copy()))
            del batch
        assert len(seen) < 20
        assert all((part == before).all() for part, before in held)
        into = buffer.sample(6)
        assert buffer.sample(out=into) is into
