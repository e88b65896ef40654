"""
Views that cannot be: each is an error of ours that names the field, the value and the limit.

What can be known at construction is said there; the rest at the draw, and the buffer is as it was.
"""

import contextlib
import math
import os

import numpy as np
import pytest

import replay
from replay.memory.home import SHARED_MEMORY
from tests.homes import WALKS, fewer, opened, refused, walking
from tests.views.plays import FIELDS, VIEWS, playing

OBS = {"obs": np.int64}


#: What is no int, and what says so.
ODD = [1.0, 2.5, "3", True, math.nan, [2], 1j]


def numbers(low):
    """Give what is no int of at least so much, with what is said of it."""
    small = [
        (value, f"from {low} to {1 << 30}") for value in (low - 1, -7, (1 << 30) + 1, 1 << 70)
    ]
    return [*small, *((value, "must be an int") for value in (*ODD, None))]


WRONG = [
    *(
        (replay.NStep, {"n": value, "discount": 0.9}, "n", value, said)
        for value, said in numbers(1)
    ),
    *(
        (replay.NStep, {"n": 3, "discount": value}, "discount", value, "from 0 to 1")
        for value in (-0.01, 1.01, math.nan, math.inf)
    ),
    *(
        (replay.NStep, {"n": 3, "discount": value}, "discount", value, "must be a number")
        for value in ("0.9", None, True, [0.9], 1j)
    ),
    *((replay.FrameStack, {"k": value}, "k", value, said) for value, said in numbers(1)),
    *(
        (replay.FrameStack, {"k": 2, "pad": value}, "pad", value, "'first' or 'zeros'")
        for value in ("last", None, 0, ["first"])
    ),
    *(
        (replay.FrameStack, {"k": 2, "of": value}, "of", value, "must be a view")
        for value in (None, 3, "transition", replay.Uniform(), replay.NStep)
    ),
    (
        replay.FrameStack,
        {"k": 2, "of": replay.FrameStack(2)},
        "of",
        replay.FrameStack(2),
        "stacks",
    ),
    *(
        (replay.FrameStack, {"k": 2, "fields": value}, "fields", value, "tuple of field names")
        for value in (3, "obs", {"obs"})
    ),
    (replay.FrameStack, {"k": 2, "fields": ("obs", 1)}, "fields", 1, "a field name is a str"),
    *((replay.Sequence, {"length": value}, "length", value, said) for value, said in numbers(1)),
    *(
        (replay.Sequence, {"length": 3, "period": value}, "period", value, said)
        for value, said in numbers(1)
        if value is not None
    ),
    *(
        (replay.Sequence, {"length": 3, "burn_in": value}, "burn_in", value, said)
        for value, said in numbers(0)
    ),
    *(
        (kind, {"length": 3, "state": value}, "state", value, "tuple of field names")
        for kind in (replay.Sequence, replay.Episodes)
        for value in (3, "state", None)
    ),
    (replay.Sequence, {"length": 3, "state": (None,)}, "state", None, "a field name is a str"),
    *(
        (kind, {"length": 3, "time_major": value}, "time_major", value, "True or False")
        for kind in (replay.Sequence, replay.Episodes)
        for value in (1, None, "yes")
    ),
    *((replay.Episodes, {"length": value}, "length", value, said) for value, said in numbers(1)),
]


@pytest.mark.parametrize(("kind", "options", "name", "value", "said"), WRONG)
def test_a_view_of_a_wrong_number_is_refused(kind, options, name, value, said):
    with pytest.raises(replay.InputError) as caught:
        kind(**options)
    for word in (name, repr(value), said):
        assert word in str(caught.value)


def made(view, fields=FIELDS, capacity=30, streams=1, **options):
    return replay.ReplayBuffer(capacity, fields, view=view, streams=streams, seed=0, **options)


@pytest.mark.parametrize("view", ["transition", 3, replay.NStep, replay.Uniform(), ()])
def test_what_is_no_view_is_refused(view):
    with pytest.raises(replay.InputError, match="view is"):
        made(view)


@pytest.mark.parametrize("fields", [FIELDS, None])
@pytest.mark.parametrize(
    ("view", "rows"),
    [
        (replay.Transition(), 2),
        (replay.NStep(5, 0.9), 6),
        (replay.FrameStack(7), 8),
        (replay.FrameStack(3, replay.NStep(4, 0.9)), 7),
        (replay.Sequence(4, burn_in=3), 8),
        (replay.FrameStack(2, replay.Sequence(4, burn_in=3)), 9),
        (replay.Episodes(5), 6),
    ],
)
def test_a_view_that_needs_more_rows_than_a_stream_has(view, rows, fields):
    """Known at construction, also where the fields are still to be learned."""
    for streams in (1, 3):
        made(view, fields, rows * streams, streams).close()
        with pytest.raises(replay.InputError) as caught:
            made(view, fields, (rows - 1) * streams, streams)
        for said in (
            rows,
            rows - 1,
            f"capacity is {(rows - 1) * streams}",
            f"streams is {streams}",
        ):
            assert str(said) in str(caught.value)


@pytest.mark.parametrize("huge", [1 << 20, 1 << 30])
def test_a_huge_number_is_no_overflow(huge):
    for make in (
        lambda: replay.NStep(huge, 0.9),
        lambda: replay.FrameStack(huge),
        lambda: replay.Sequence(huge),
        lambda: replay.Sequence(3, burn_in=huge),
        lambda: replay.Episodes(huge),
        lambda: replay.FrameStack(huge, replay.Sequence(huge, burn_in=huge)),
    ):
        with pytest.raises(replay.InputError):
            made(make())


@pytest.mark.parametrize(
    "name", ["next_obs", "terminated", "truncated", "discount", "mask", "lengths", "step"]
)
def test_fields_that_come_by_themselves_are_refused(name):
    with pytest.raises(replay.InputError, match=f"'{name}' comes by itself"):
        made(replay.Transition(), {**OBS, name: np.float32})


def test_a_log_of_steps_without_observations_is_refused():
    with pytest.raises(replay.InputError, match=r"'obs'.* action, reward"):
        made(replay.Transition(), {"action": int, "reward": float})


@pytest.mark.parametrize(
    ("view", "field", "said"),
    [
        (replay.FrameStack(2, fields=("obs/nope",)), "obs/nope", "obs/image"),
        (replay.FrameStack(2, fields=("obs/image", "image")), "image", "obs/image"),
        (replay.FrameStack(2, fields=("action",)), "action", "obs/image"),
        (replay.FrameStack(2, fields=("next_obs/image",)), "next_obs/image", "obs/image"),
        (replay.Sequence(3, state=("nope",)), "nope", "state"),
        (replay.Sequence(3, state=("state", "mask")), "mask", "state"),
        (replay.Sequence(3, state=("obs",)), "obs", "state"),
        (replay.FrameStack(2, replay.Sequence(3, state=("nope",))), "nope", "state"),
    ],
)
def test_a_field_that_the_schema_lacks_is_refused(view, field, said):
    """It says which there are."""
    with pytest.raises(replay.InputError) as caught:
        made(view)
    assert repr(field) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (OBS, "reward"),
        ({**OBS, "reward": np.int64}, "int64"),
        ({**OBS, "reward": bool}, "bool"),
        ({**OBS, "reward": np.float16}, "float16"),
        ({**OBS, "reward": np.complex64}, "complex64"),
        ({**OBS, "reward": (np.float32, (2,))}, "(2,)"),
        ({**OBS, "reward": {"a": np.float32}}, "reward"),
    ],
)
def test_steps_without_a_reward_that_can_be_summed_are_refused(fields, said):
    for view in (replay.NStep(2, 0.9), replay.FrameStack(2, replay.NStep(2, 0.9))):
        with pytest.raises(replay.InputError, match="'reward'") as caught:
            made(view, fields)
        assert said in str(caught.value)
    made(replay.Transition(), fields).close()


def test_a_buffer_that_was_refused_leaves_nothing_behind(tmp_path):
    before = set(os.listdir(SHARED_MEMORY))
    for place in ({"name": f"test-{os.getpid()}-refused"}, {"path": tmp_path / "block"}):
        for view in (replay.NStep(40, 0.9), replay.FrameStack(2, fields=("nope",))):
            with pytest.raises(replay.InputError):
                made(view, **place)
    assert list(tmp_path.iterdir()) == []
    left = set(os.listdir(SHARED_MEMORY)) - before
    assert not [name for name in left if "refused" in name]


# at the draw


@pytest.mark.parametrize("kind", [replay.Uniform(), replay.Proportional()])
@pytest.mark.parametrize("name", VIEWS)
def test_too_few_rows_are_an_error_and_no_rows(name, kind):
    walk = WALKS[list(VIEWS).index(name) % 2]
    with walking(walk), playing(VIEWS[name], 24, 2, sampler=kind) as play:
        with refused(play.buffer, replay.EmptyError):
            play.buffer.sample(1)
        play.reset(0)
        play.reset(1)
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(1)
        with pytest.raises(replay.WaitTimeoutError):
            play.buffer.sample(3, timeout=0)
        for turn in range(15):
            play.step(0)
            if play.drawable():
                break
            if turn % fewer(1, 7):
                continue
            with pytest.raises(replay.EmptyError, match="window"):
                play.buffer.sample(2)
        else:
            play.reset(0)
            play.step(0, "terminated")
        if play.drawable():
            play.sample(5)
        play.buffer.clear()
        with pytest.raises(replay.EmptyError):
            play.buffer.sample(1)


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "3", None, True])
def test_a_batch_size_that_cannot_be(batch_size):
    with playing(VIEWS["stack of 2 of sequence"], 24) as play:
        play.episode(0, 9, "terminated")
        with refused(play.buffer, replay.InputError, "batch_size is"):
            play.buffer.sample(batch_size)


def test_an_out_that_is_no_batch_of_this_view():
    with playing(VIEWS["stack of 3 of sequence"], 24) as play:
        play.episode(0, 9, "terminated")
        batch = play.buffer.sample(5)
        other = play.buffer.reader(view=replay.Transition()).sample(5)
        with refused(play.buffer, replay.InputError, "out"):
            play.buffer.sample(out=other)
        for field in ("action", "mask", "ids"):
            wrong = getattr(batch, field)
            for value in (wrong[:, :1] if wrong.ndim > 1 else wrong[:1], wrong.astype(complex)):
                with refused(play.buffer, replay.InputError, f"out.{field}"):
                    play.buffer.sample(5, out=batch._replace(**{field: value}))
        assert play.buffer.sample(out=batch) is batch


# what a log of steps is not


@pytest.mark.parametrize("walk", WALKS)
def test_add_and_extend_are_refused(walk):
    with walking(walk), opened("private", 9, OBS, view=replay.Transition()) as buffer:
        for filled in (False, True):
            with refused(buffer, replay.ReplayError, "writer"):
                buffer.add(3)
            with refused(buffer, replay.ReplayError, "writer"):
                buffer.add(obs=3)
            with refused(buffer, replay.ReplayError, "writer"):
                buffer.extend(obs=np.arange(3))
            if not filled:
                writer = buffer.writer()
                writer.reset(1)
                writer.step(2)
        assert set(buffer.sample(9).obs.tolist()) == {1}
    with (
        replay.ReplayBuffer(9, view=replay.Transition()) as buffer,
        pytest.raises(replay.ReplayError, match="writer"),
    ):
        buffer.add(obs=3)


def test_rows_without_steps_have_no_views():
    """One that is made without view=, where a stream may have several writers."""
    with opened("private", 9, OBS) as buffer:
        buffer.add(3)
        with refused(buffer, replay.InputError, "view="):
            buffer.reader(view=replay.NStep(2, 0.9))
        with refused(buffer, replay.ReplayError, "view="):
            buffer.vector_writer()


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (replay.NStep(30, 0.9), ["31", "24"]),
        (replay.FrameStack(2, fields=("nope",)), ["'nope'"]),
        (replay.Sequence(3, state=("nope",)), ["'nope'"]),
        ("transition", ["view is"]),
        (replay.Uniform(), ["view is"]),
    ],
)
def test_a_reader_of_a_view_that_cannot_be_is_refused(view, said):
    with playing(replay.Transition(), 24) as play:
        play.episode(0, 9, "terminated")
        with refused(play.buffer, replay.InputError, *said):
            play.buffer.reader(view=view)


@pytest.mark.parametrize("sampler", ["uniform", replay.Transition()])
def test_a_reader_of_what_is_no_sampler_is_refused(sampler):
    with (
        playing(replay.Transition(), 24) as play,
        refused(play.buffer, replay.InputError, "sampler is", sampler),
    ):
        play.buffer.reader(sampler=sampler)


def test_priorities_are_of_the_view_that_the_buffer_was_made_with():
    kind = replay.Proportional()
    with playing(replay.Transition(), 24, sampler=kind) as play:
        view = replay.NStep(2, 0.9)
        with refused(play.buffer, replay.InputError, "priorities", view, replay.Transition()):
            play.buffer.reader(view=view, sampler=kind)
        with refused(play.buffer, replay.InputError, "sampler is", "alpha=0.9"):
            play.buffer.reader(sampler=replay.Proportional(alpha=0.9))
        play.episode(0, 9, "terminated")
        play.sample(20, play.buffer.reader(sampler=kind))
        play.sample(20, play.buffer.reader(view=replay.Transition(), sampler=kind))
    with playing(replay.Transition(), 24) as play, refused(play.buffer, replay.InputError, kind):
        play.buffer.reader(sampler=kind)


@pytest.mark.parametrize("stream", [-1, 2, 7, 1.0, "0", None, True])
def test_a_stream_that_there_is_not_is_refused(stream):
    with (
        playing(replay.Transition(), 24, 2) as play,
        refused(play.buffer, replay.InputError, "stream", stream),
    ):
        play.buffer.writer(stream)


@pytest.mark.parametrize(
    ("streams", "first", "said"),
    [
        *((value, 0, f"streams is {value!r}") for value in (0, -1, 1.0, "2", True)),
        *((1, value, f"first is {value!r}") for value in (-1, 1.0, "2", True)),
        (3, 0, "streams 0 to 2 are wanted"),
        (2, 1, "streams 1 to 2 are wanted"),
        (1, 7, "streams 7 to 7 are wanted"),
    ],
)
def test_a_vector_writer_of_streams_that_there_are_not_is_refused(streams, first, said):
    with (
        playing(replay.Transition(), 24, 2) as play,
        refused(play.buffer, replay.InputError, said),
    ):
        play.buffer.vector_writer(streams, first=first)


@pytest.mark.parametrize("view", list(VIEWS.values()))
def test_a_view_is_read_back_as_it_was_written(view, tmp_path):
    """By who attaches, and who loads."""
    with made(view, path=tmp_path / "block") as buffer:
        assert buffer.view == view
        with replay.attach(path=tmp_path / "block") as other:
            assert other.view == view
            assert repr(other.view) == repr(view)
        buffer.save(tmp_path / "snapshot")
    with replay.load(tmp_path / "snapshot") as other:
        assert other.view == view


def test_a_limiter_that_holds_adds_back_before_a_window_is_whole_is_refused():
    limiter = replay.RateLimiter(2.0, min_size=5)
    with pytest.raises(replay.InputError, match=r"limiter.min_size is 5, it must be 6 or more"):
        replay.ReplayBuffer(50, {"obs": float}, view=replay.Sequence(5), limiter=limiter)


def test_a_stack_of_nothing_is_refused():
    with pytest.raises(replay.InputError, match=r"fields is \(\)"):
        replay.FrameStack(2, fields=())


@pytest.mark.parametrize("sampler", [replay.Uniform(), replay.Proportional()])
def test_a_draw_that_was_refused_shifts_no_later_one(sampler):
    drawn = []
    for tries in (0, 3):
        with opened(
            "private",
            40,
            {"obs": np.int64},
            view=replay.Sequence(3, period=3),
            sampler=sampler,
            seed=7,
        ) as buffer:
            writer = buffer.writer()
            writer.reset(0)
            writer.step(1)
            for _ in range(tries):
                with pytest.raises(replay.EmptyError):
                    buffer.sample(4)
            for step in range(20):
                writer.step(step)
            drawn.append(buffer.sample(8).ids.tolist())
    assert drawn[0] == drawn[1]


def test_many_rows_at_once_are_refused_like_one():
    with opened("private", 100, {"obs": np.int64}, view=replay.Transition()) as buffer:
        rows = np.zeros(70_000, np.int64)
        for values in ((rows,), (rows, rows)):
            with refused(buffer, replay.InputError, "writer"):
                buffer.extend(*values)


@pytest.mark.compiled
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("name", ["stack of 4 of 3 steps", "recurrent", "episodes"])
def test_words_that_somebody_made_up_lead_nowhere_else(name, streams):
    generator = np.random.default_rng(4)
    with playing(VIEWS[name], 24, streams) as play:
        for stream in range(streams):
            play.episode(stream, 30, "")
        ring = play.buffer._ring
        words = ring.block.part("records")[:, 0]
        whole = words.copy()
        for _ in range(200):
            words[:] = np.where(
                generator.random(words.size) < 0.3,
                generator.integers(0, 1 << int(generator.integers(14, 62)), words.size) & ~1,
                whole,
            )
            with contextlib.suppress(replay.EmptyError):
                play.buffer.sample(16)


@pytest.mark.parametrize("what", ["alpha", "epsilon", "steps", "discount"])
def test_a_number_that_no_float_holds_is_a_damaged_file(what):
    huge = 10**400
    sampler = replay.Proportional().to_json()
    view = replay.NStep(2, 0.5).to_json()
    if what == "discount":
        view["discount"] = huge
    elif what == "steps":
        sampler["beta"] = [0.4, 1.0, huge]
    else:
        sampler[what] = huge
    read = replay.views.view.from_json if what == "discount" else replay.samplers.from_json
    with pytest.raises(replay.InputError):
        read(view if what == "discount" else sampler)


def test_a_row_of_a_batch_has_a_largest_size():
    fields = {"obs": (np.uint8, (84, 84)), "reward": np.float32}
    with pytest.raises(replay.InputError, match="bytes of 'obs', the most is 2147483647"):
        replay.ReplayBuffer(800_000, fields, view=replay.Sequence(400_000))


def test_a_first_observation_that_does_not_fit_leaves_no_episode():
    with opened("private", 20, None, view=replay.Transition()) as buffer:
        writer = buffer.writer()
        writer.reset(np.zeros(3))
        with pytest.raises(replay.FieldError):
            writer.step(np.zeros(4), 0, 1.0)
        with pytest.raises(replay.StepError):
            writer.step(np.zeros(4), 0, 1.0)
