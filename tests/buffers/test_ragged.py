"""
Ragged and compressed fields through whole buffers.

The oracle is a buffer of plain fields beside: values padded to the longest row, and lengths. Under
one seed both draw the same rows, so that their batches must be the same arrays.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replay
from replay.memory.ragged import FLAT_TYPES, Flat, FlatStr, Padded, PaddedBytes, PaddedStr
from replay.memory.window import STEP
from tests.homes import HOMES, WALKS, fewer, opened, refused, walking

LONGEST = 5
#: So much room that no row is lost before its slot is needed.
ROOM = {"ratio": 1.0}
HEAPED = {
    "obs": {
        "cloud": replay.Field(np.float32, (None, 2), longest=LONGEST, **ROOM),
        "frame": replay.Field(np.uint8, (9, 9), compression="lz4", **ROOM),
        "speed": np.float32,
    },
    "action": replay.Field(np.int16, (None,), longest=LONGEST, compression="lz4", **ROOM),
    "reward": np.float32,
    "note": replay.Field(str, longest=4 * LONGEST, **ROOM),
}
PLAIN = {
    "obs": {
        "cloud": {"values": (np.float32, (LONGEST, 2)), "lengths": np.int64},
        "frame": (np.uint8, (9, 9)),
        "speed": np.float32,
    },
    "action": {"values": (np.int16, (LONGEST,)), "lengths": np.int64},
    "reward": np.float32,
    "note": {"values": (np.uint8, (4 * LONGEST,)), "lengths": np.int64},
}
VIEWS = {
    "transition": replay.Transition(),
    "3 steps": replay.NStep(3, 0.9),
    "stack of 3": replay.FrameStack(3),
    "stack of 2 of 3 steps": replay.FrameStack(2, replay.NStep(3, 0.9), pad="zeros"),
    "stack of clouds": replay.FrameStack(2, fields=("obs/cloud",), pad="zeros"),
    "sequence": replay.Sequence(3, state=("note",)),
    "apart": replay.Sequence(2, period=3, burn_in=1, time_major=True),
    "stack of 2 of sequence": replay.FrameStack(
        2, replay.Sequence(3, period=1, time_major=True, state=("note",)), fields=("obs/frame",)
    ),
    "episodes": replay.Episodes(7),
}


def made(number):
    """Give a row that says its number in every field, as users write it."""
    return {
        "obs": {
            "cloud": (number + np.arange(number % (LONGEST + 1) * 2) / 4).reshape(-1, 2),
            "frame": np.full((9, 9), number % 256, np.uint8) + np.arange(9, dtype=np.uint8),
            "speed": np.float32(number),
        },
        "action": [number % 1000] * (number * 3 % (LONGEST + 1)),
        "reward": np.float32(number / 8),
        "note": "äöüßx"[: number % 4] * (number % 3),
    }


def padded(rows, dtype, longest):
    """Pad rows, as a plain buffer stores them."""
    rows = [np.asarray(row, dtype) for row in rows]
    inner = next((row.shape[1:] for row in rows if row.size), (2,) if dtype == np.float32 else ())
    values = np.zeros((len(rows), longest, *inner), dtype)
    for place, row in enumerate(rows):
        values[place, : len(row)] = row.reshape(-1, *inner)
    return {"values": values, "lengths": np.array([len(row) for row in rows])}


def many(rows):
    """Stack rows as users write them."""
    names = rows[0]["obs"]
    obs = {name: [row["obs"][name] for row in rows] for name in names}
    return {"obs": obs, **{name: [row[name] for row in rows] for name in rows[0] if name != "obs"}}


def plain(rows):
    """Give rows as the plain buffer takes them."""
    given = many(rows)
    obs = given["obs"]
    note = [list(row.encode()) for row in given["note"]]
    return {
        "obs": {**obs, "cloud": padded(obs["cloud"], np.float32, LONGEST)},
        "action": padded(given["action"], np.int16, LONGEST),
        "reward": np.array(given["reward"]),
        "note": padded(note, np.uint8, 4 * LONGEST),
    }


def first_of(node):
    """Take the only row of rows."""
    if isinstance(node, dict):
        return {name: first_of(below) for name, below in node.items()}
    return node[0]


def assert_same(got, wanted, path="batch"):
    """Compare a batch with one of the plain buffer, array by array."""
    if isinstance(wanted, dict):
        names = getattr(got, "_fields", None) or tuple(got)
        assert names == tuple(wanted), path
        for name in names:
            part = got[name] if isinstance(got, dict) else getattr(got, name)
            assert_same(part, wanted[name], f"{path}/{name}")
        return
    assert got.dtype == wanted.dtype, path
    np.testing.assert_array_equal(got, wanted, err_msg=path)


def assert_same_batches(got, wanted):
    assert got._fields == wanted._fields
    assert_same(got._asdict(), wanted._asdict())


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


@pytest.mark.parametrize("home", HOMES)
def test_rows_come_back_as_from_a_plain_buffer(home, walk):
    with (
        opened(home, 6, HEAPED, seed=1) as buffer,
        opened("private", 6, PLAIN, seed=1) as twin,
    ):
        out = None
        for number in range(20):
            row = made(number)
            assert buffer.add(**row) == twin.add(**first_of(plain([row])))
            wanted = twin.sample(4)
            out = buffer.sample(4, out=out) if out is not None else buffer.sample(4)
            assert_same_batches(out, wanted)
        rows = [made(number) for number in range(20, 30)]
        ids = buffer.extend(**many(rows)).tolist()
        assert ids == twin.extend(**plain(rows)).tolist() == list(range(20, 30))
        assert_same_batches(buffer.sample(8), twin.sample(8))
        assert list(buffer.fields) == list(twin.fields)
        # What a batch holds is what a buffer takes.
        batch, other = buffer.sample(5), twin.sample(5)
        buffer.extend(*batch[:-2])
        twin.extend(*other[:-2])
        assert_same_batches(buffer.sample(8), twin.sample(8))


def test_a_batch_gives_rows_as_they_were_written(walk):
    with opened("private", 50, HEAPED) as buffer:
        rows = [made(number) for number in range(40)]
        buffer.extend(**many(rows[:20]))
        for row in rows[20:]:
            buffer.add(**row)
        batch = buffer.sample(30)
        assert type(batch.note) is PaddedStr
        assert type(batch.action) is Padded
        wanted = [rows[number] for number in batch.ids]
        assert batch.note.tolist() == [row["note"] for row in wanted]
        assert [row.tolist() for row in batch.action.tolist()] == [row["action"] for row in wanted]
        for row, other in zip(batch["obs/cloud"].tolist(), wanted, strict=True):
            np.testing.assert_array_equal(row, other["obs"]["cloud"].astype(np.float32))
        assert batch["obs/cloud/values"] is batch.obs["cloud"].values
        assert batch["note/lengths"] is batch.note.lengths
        assert "cloud: Padded(values=float32[30, 5, 2], lengths=int64[30])" in repr(batch)


ROWS = st.lists(
    st.tuples(st.binary(max_size=9), st.text(max_size=3), st.integers(0, 255)), max_size=12
)


@settings(deadline=None, max_examples=fewer(30, 12), derandomize=True)
@given(ROWS, ROWS, st.sampled_from([None, "lz4"]), st.booleans())
def test_whatever_is_stored_comes_back(first, then, compression, flat):
    fields = {
        "blob": replay.Field(bytes, longest=9, compression=compression, flat=flat, **ROOM),
        "text": replay.Field(str, longest=12, flat=flat, **ROOM),
        "noise": replay.Field(np.uint8, (40,), compression="lz4", **ROOM),
        "empty": replay.Field(np.float64, (None, 3), longest=1, flat=flat),
    }
    with opened("private", 7, fields) as buffer:
        for blob, text, noise in first:
            buffer.add(blob, text, noisy(noise), [])
        if then:
            blobs, texts, noises = zip(*then, strict=True)
            buffer.extend(
                list(blobs), texts, list(map(noisy, noises)), np.zeros((len(then), 0, 3))
            )
        stored = first + then
        if not stored:
            return
        batch = buffer.sample(9)
        wanted = [stored[number] for number in batch.ids]
        assert batch.blob.tolist() == [blob for blob, _, _ in wanted]
        assert batch.text.tolist() == [text for _, text, _ in wanted]
        np.testing.assert_array_equal(batch.noise, [noisy(noise) for _, _, noise in wanted])
        assert (np.diff(batch.empty.offsets) if flat else batch.empty.lengths).tolist() == [0] * 9
        assert isinstance(batch.text, FLAT_TYPES) == flat


def noisy(seed):
    """Give bytes of which some do not compress."""
    made = np.random.default_rng(seed).integers(0, 256, 40).astype(np.uint8)
    return made if seed % 2 else made // 64 * 0 + np.uint8(seed)


@pytest.mark.parametrize("room", [100, 131, 200])
def test_rows_of_several_fields_wrap_anywhere(room):
    fields = {
        "first": replay.Field(bytes, longest=20, room=room),
        "then": replay.Field(np.int16, (None,), longest=9, compression="lz4", room=room),
        "last": replay.Field(str, longest=12, room=room),
    }
    with opened("private", 9, fields) as buffer:
        rows = []
        for number in range(60):
            length = number * 7 % 11
            numbers = [number * 31] * (9 - length // 2)
            rows.append((b"%02d" % number * length, numbers, "xäöü"[: number % 5]))
            buffer.add(*rows[-1])
            batch = buffer.sample(4)
            for place, identity in enumerate(batch.ids):
                first, then, last = rows[identity]
                assert batch.first.tolist()[place] == first
                assert batch.then.tolist()[place].tolist() == then
                assert batch.last.tolist()[place] == last


def test_long_lists_are_stored_in_pieces(walk, monkeypatch):
    monkeypatch.setattr("replay.memory.pieces.SCRATCH", 100)
    limiter = replay.RateLimiter(1.0, min_size=1, tolerance=1000.0, timeout=0)
    with (
        opened("private", 8, HEAPED, seed=1, limiter=limiter) as buffer,
        opened("private", 8, PLAIN, seed=1) as twin,
    ):
        rows = [made(number) for number in range(13)]
        assert buffer.extend(**many(rows)).tolist() == twin.extend(**plain(rows)).tolist()
        assert_same_batches(buffer.sample(16), twin.sample(16))


def test_a_flat_field_comes_flat(walk):
    flat = {
        "cloud": replay.Field(np.float32, (None, 2), longest=LONGEST, flat=True, **ROOM),
        "note": replay.Field(str, longest=20, flat=True, compression="lz4", **ROOM),
    }
    padded = {
        "cloud": replay.Field(np.float32, (None, 2), longest=LONGEST),
        "note": replay.Field(str, longest=20),
    }
    rows = [made(number) for number in range(10)]
    given = {
        "cloud": [row["obs"]["cloud"] for row in rows],
        "note": [row["note"] for row in rows],
    }
    with (
        opened("private", 10, flat, seed=1) as buffer,
        opened("private", 10, padded, seed=1) as twin,
    ):
        buffer.extend(**given)
        twin.extend(**given)
        got, wanted = buffer.sample(8), twin.sample(8)
        assert type(got.cloud) is Flat
        assert type(got.note) is FlatStr
        assert got.note.tolist() == wanted.note.tolist()
        assert np.diff(got.cloud.offsets).tolist() == wanted.cloud.lengths.tolist()
        for row, other in zip(got.cloud.tolist(), wanted.cloud.tolist(), strict=True):
            np.testing.assert_array_equal(row, other)
        with refused(buffer, replay.FieldError, "field 'cloud' is a Flat", "replay.Padded"):
            buffer.sample(8, out=got)
        # A Padded has a size, and takes the rows in its place.
        wanted = twin.sample(8)
        lent = got._replace(cloud=wanted.cloud._replace(values=wanted.cloud.values.copy()))
        lent = lent._replace(note=PaddedBytes(np.zeros((8, 20), np.uint8), np.zeros(8, np.int64)))
        assert buffer.sample(out=lent) is lent
        assert [row.decode() for row in lent.note.tolist()] == wanted.note.tolist()
        # A batch goes in again.
        ids = buffer.extend(cloud=got.cloud, note=got.note)
        newest = buffer.sample(10)
        for place, number in enumerate(newest.ids):
            if number in ids:
                before = got.note.tolist()[number - ids[0]]
                assert newest.note.tolist()[place] == before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("note", "x" * 21, ["field 'note' has 21 bytes", "20", "longest=21"]),
        ("note", b"x", ["field 'note'", "b'x'", "str"]),
        ("note", "\udcff", ["field 'note'", "UTF-8"]),
        ("action", [1] * 6, ["field 'action' has 6 elements", "5"]),
        ("action", [1 << 15], ["field 'action'", 1 << 15]),
        ("action", 3, ["field 'action' has shape ()", "(n,)"]),
        ("action", None, ["field 'action'"]),
        ("cloud", np.zeros((2, 3)), ["field 'obs/cloud' has shape (2, 3)", "(n, 2)"]),
        ("frame", np.zeros((9, 8), np.uint8), ["field 'obs/frame'", "(9, 8)", "(9, 9)"]),
        ("frame", np.zeros((9, 9)), ["field 'obs/frame'", "float64", "uint8"]),
    ],
)
def test_a_wrong_row_leaves_the_buffer_as_it_was(walk, name, value, said):
    good = made(3)
    wrong = {**good, "obs": {**good["obs"]}}
    (wrong["obs"] if name in good["obs"] else wrong)[name] = value
    with opened("private", 10, HEAPED) as buffer:
        buffer.add(**good)
        with refused(buffer, replay.FieldError, *said):
            buffer.add(**wrong)
        with refused(buffer, replay.FieldError, "field"):
            buffer.extend(**many([good, good, wrong]))
        assert buffer.add(**good) == 1


def test_rows_of_different_numbers_are_refused(walk):
    given = many([made(number) for number in range(4)])
    with opened("private", 10, HEAPED) as buffer:
        with refused(buffer, replay.FieldError, "'note' has 3 rows", "'obs/cloud' has 4"):
            buffer.extend(**{**given, "note": given["note"][:3]})
        with refused(buffer, replay.FieldError, "'obs/frame' has 4 rows, field 'obs/cloud' has 2"):
            buffer.extend(**{**given, "obs": {**given["obs"], "cloud": given["obs"]["cloud"][:2]}})
        for text in ("abcd", b"abcd"):
            with refused(buffer, replay.FieldError, "'note' is a single", "list of rows"):
                buffer.extend(**{**given, "note": text})
        ids = buffer.extend(
            **{**given, "note": [], "action": [], "reward": []}
            | {"obs": {"cloud": [], "frame": np.zeros((0, 9, 9), np.uint8), "speed": []}}
        )
        assert ids.shape == (0,)


def test_a_batch_of_another_shape_is_refused(walk):
    with opened("private", 10, HEAPED) as buffer:
        buffer.add(**made(1))
        batch = buffer.sample(2)
        wrong = [
            (batch.note._replace(values=batch.note.values[:, :-1]), "out.note/values has shape"),
            (batch.note._replace(lengths=np.zeros(3, np.int64)), "out.note/lengths has shape"),
            (batch.note._replace(lengths=np.zeros(2)), "out.note/lengths is float64"),
            (batch.note.values, "field 'note' is ndarray"),
            (tuple(batch.note), "field 'note' is tuple"),
        ]
        for note, said in wrong:
            with refused(buffer, replay.InputError, said):
                buffer.sample(out=batch._replace(note=note))


# steps


def play(buffer, twin, steps, ends):
    """Write the same steps into both, by writers of one stream."""
    for each, shape in ((buffer, lambda row: row), (twin, lambda row: first_of(plain([row])))):
        writer = each.writer()
        begin = True
        for number in range(steps):
            row = shape(made(number))
            if begin:
                writer.reset(row["obs"])
                begin = False
                continue
            begin = number % ends == 0
            writer.step(**row, terminated=begin and number % 2 == 0, truncated=begin)


@pytest.mark.parametrize("name", VIEWS)
def test_views_make_of_them_what_they_make_of_plain_fields(name, walk):
    view = VIEWS[name]
    with (
        opened("private", 40, HEAPED, view=view, seed=1) as buffer,
        opened("private", 40, PLAIN, view=of_plain(view), seed=1) as twin,
    ):
        play(buffer, twin, 60, 7)
        out = buffer.sample(16)
        assert_same_batches(out, twin.sample(16))
        assert_same_batches(buffer.sample(out=out), twin.sample(16))


def of_plain(view):
    """Give the view that does to the plain buffer what another does to the heaped one."""
    if isinstance(view, replay.FrameStack):
        fields = view.fields
        if fields == ("obs/cloud",):
            fields = ("obs/cloud/values", "obs/cloud/lengths")
        return replay.FrameStack(view.k, of_plain(view.of), fields, view.pad)
    if isinstance(view, replay.Sequence) and view.state:
        options = (view.length, view.period, view.burn_in)
        return replay.Sequence(*options, ("note/values", "note/lengths"), view.time_major)
    return view


def test_a_flat_field_of_a_view_counts_the_rows_of_all_axes():
    fields = {"obs": replay.Field(bytes, longest=4, flat=True), "action": np.int64}
    with opened("private", 10, fields, view=replay.FrameStack(2, pad="zeros")) as buffer:
        writer = buffer.writer()
        writer.reset(b"a")
        writer.step(b"bb", 1)
        writer.step(b"ccc", 2)
        batch = buffer.sample(6)
        obs, after = batch.obs.tolist(), batch.next_obs.tolist()
        for place, action in enumerate(batch.action.tolist()):
            stacks = obs[2 * place : 2 * place + 2], after[2 * place : 2 * place + 2]
            assert (
                stacks
                == {1: ([b"", b"a"], [b"a", b"bb"]), 2: ([b"a", b"bb"], [b"bb", b"ccc"])}[action]
            )


def test_a_vector_writer_takes_lists_of_rows(walk):
    view = replay.Transition()
    with (
        opened("private", 30, HEAPED, view=view, seed=1, streams=3) as buffer,
        opened("private", 30, PLAIN, view=view, seed=1, streams=3) as twin,
    ):
        for each, shape in ((buffer, many), (twin, plain)):
            writer = each.vector_writer()
            writer.reset(shape([made(number) for number in range(3)])["obs"])
            for step in range(1, 9):
                given = shape([made(10 * step + number) for number in range(3)])
                ends = np.arange(3) == step % 3
                begun = np.arange(3) == (step - 1) % 3 if step > 1 else None
                writer.step(**given, terminated=ends, first=begun)
        assert_same_batches(buffer.sample(24), twin.sample(24))
        writer = buffer.vector_writer()
        given = many([made(number) for number in range(3)])
        writer.reset(given["obs"])
        # Nothing shows it: where an episode begins, all but the observation is empty.
        row = tuple({**given, STEP: np.arange(3)}[name] for name in writer._schema.names)
        blank = dict(zip(writer._schema.names, writer._blank(row, np.arange(3) > 0), strict=True))
        assert blank["action"].lengths[1:].tolist() == blank["note"].lengths[1:].tolist() == [0, 0]
        assert blank["obs"]["cloud"].lengths.tolist() == [0, 1, 2]
        with refused(buffer, replay.FieldError, "row 2: field 'note' has 40 bytes"):
            writer.step(**{**given, "note": ["", "", "x" * 40]})
        with refused(buffer, replay.FieldError, "field 'note' has 2 rows, it must be 3"):
            writer.step(**{**given, "note": ["", ""]})


def test_goals_are_plain():
    for goal in (
        replay.Field(np.float32, (None,), longest=3),
        replay.Field(np.float32, (3,), compression="lz4"),
    ):
        obs = {"achieved_goal": goal, "desired_goal": goal}
        view = replay.Hindsight(lambda achieved, desired: achieved[:, 0])
        with pytest.raises(replay.InputError, match="neither ragged nor compressed"):
            replay.ReplayBuffer(9, {"obs": obs, "action": bool, "reward": float}, view=view)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (replay.Sequence(2, state=("notes",)), "those are action, reward, note"),
        (replay.Sequence(2, state=("note/values",)), "'note/values'"),
        (replay.FrameStack(2, fields=("obs/clouds",)), "that has obs/cloud, obs/frame, obs/speed"),
    ],
)
def test_a_view_names_ragged_fields_as_users_do(view, said):
    with pytest.raises(replay.InputError, match=said):
        replay.ReplayBuffer(90, HEAPED, view=view)


def test_a_reward_is_a_single_number():
    fields = {"obs": bool, "action": bool, "reward": replay.Field(np.float32, (None,))}
    with pytest.raises(replay.InputError, match=r"n-step returns need .* shape=\(None,\)"):
        replay.ReplayBuffer(90, fields, view=replay.NStep(2, 0.9))


# mixtures


@pytest.mark.parametrize("flat", [False, True])
def test_a_mixture_is_of_rows_however_they_are_stored(flat):
    def fields(**options):
        return {
            "note": replay.Field(str, longest=20, flat=flat, **options),
            "frame": replay.Field(np.uint8, (9, 9), **{"compression": "lz4"} if options else {}),
        }

    with (
        opened("private", 10, fields(compression="lz4", ratio=1.0)) as one,
        opened("private", 10, fields()) as other,
    ):
        for number in range(10):
            row = made(number)
            given = {"note": row["note"], "frame": row["obs"]["frame"]}
            one.add(**given)
            other.add(**{**given, "note": given["note"] + "!"})
        mixture = replay.Mixture({"one": one, "other": other})
        batch = mixture.sample(8)
        ends = [made(number)["note"] for number in batch.ids]
        assert batch.note.tolist() == [
            end + "!" * source for end, source in zip(ends, batch.source, strict=True)
        ]
        if flat:
            with pytest.raises(replay.FieldError, match="'note' is a Flat"):
                mixture.sample(out=batch)
            note = PaddedStr(np.zeros((8, 20), np.uint8), np.zeros(8, np.int64))
            batch = batch._replace(note=note)
        again = mixture.sample(out=batch)
        assert again is batch
        ends = [made(number)["note"] for number in again.ids]
        assert again.note.tolist() == [
            end + "!" * source for end, source in zip(ends, again.source, strict=True)
        ]


def test_a_mixture_of_other_lengths_is_refused():
    with (
        opened("private", 10, {"note": replay.Field(str, longest=20)}) as one,
        opened("private", 10, {"note": replay.Field(str, longest=21)}) as longer,
        opened("private", 10, {"note": replay.Field(str, longest=20, flat=True)}) as flat,
        opened("private", 10, {"note": replay.Field(bytes, longest=20)}) as raw,
    ):
        for other in (longer, flat, raw):
            with pytest.raises(replay.FieldError, match="note"):
                replay.Mixture([one, other])
