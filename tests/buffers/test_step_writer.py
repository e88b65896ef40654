"""Writers of steps: one a stream at a time, one episode after the other, nothing stored twice."""

import os
import random
import signal

import numpy as np
import pytest

import replay
from replay.memory.block_file import in_use
from replay.memory.home import named_path
from tests.homes import HOMES, WALKS, fewer, fresh_name, home_of, opened, refused, walking
from tests.naive_steps import assert_batch
from tests.processes import python
from tests.views.plays import Play, obs_of, playing, rest_of, values

NUMBERS = {"obs": np.int64, "action": np.int32, "reward": np.float32}
VIEW = replay.Transition()


@pytest.fixture(params=WALKS)
def walk(request):
    with walking(request.param):
        yield request.param


def log_of(capacity=20, fields=NUMBERS, *, view=VIEW, **options):
    return opened("private", capacity, fields, view=view, seed=0, **options)


# ids and rows


def test_every_observation_is_a_row_and_has_an_id(walk):
    with log_of() as buffer:
        writer = buffer.writer()
        assert writer.reset(0) == 0
        assert [writer.step(n, n, n, n == 3, False) for n in (1, 2, 3)] == [1, 2, 3]
        assert writer.reset(10) == 4
        assert writer.step(11, 11, 11, False, True) == 5
        assert len(buffer) == 6
        assert buffer.stats()["added"] == 6
        batch = buffer.sample(50)
        assert set(batch.ids.tolist()) == {1, 2, 3, 5}
        assert (batch.next_obs == batch.obs + 1).all()
        assert (batch.action == batch.next_obs).all()
        assert (batch.reward == batch.next_obs).all()
        assert buffer.column("obs")[:6].tolist() == [0, 1, 2, 3, 10, 11]
        # A reset has none of all else.
        assert buffer.column("action")[:6].tolist() == [0, 1, 2, 3, 0, 11]


def test_nothing_is_stored_twice():
    """A transition costs what its observation costs, and not twice that."""
    with log_of(1000, {"obs": (np.uint8, (1000,)), "action": int, "reward": float}) as buffer:
        assert buffer.nbytes < 1000 * 1100 + 100_000


def test_ids_are_those_of_the_stream():
    with log_of(24, streams=3) as buffer:
        writers = [buffer.writer(stream) for stream in range(3)]
        for ticket in range(20):
            for stream, writer in enumerate(writers):
                obs = 1000 * stream + ticket
                got = writer.step(obs, 1, 1.0) if ticket else writer.reset(obs)
                assert got == ticket * 3 + stream
        batch = buffer.sample(200)
        assert (batch.obs // 1000 == batch.ids % 3).all()
        assert (batch.next_obs % 1000 == batch.ids // 3).all()


def test_stream_0_is_the_one_that_is_not_named():
    with log_of(24, streams=2) as buffer:
        assert buffer.writer().reset(1) == 0
        assert buffer.writer(1).reset(1) == 1


# steps that cannot be


def test_a_step_before_the_first_reset_is_refused(walk):
    with log_of() as buffer:
        writer = buffer.writer()
        with refused(buffer, replay.ReplayError, "reset"):
            writer.step(1, 1, 1.0, False, False)
        assert writer.reset(0) == 0
        assert writer.step(1, 1, 1.0, False, False) == 1


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)])
def test_a_step_after_the_end_is_refused(walk, flags):
    with log_of() as buffer:
        writer = buffer.writer()
        writer.reset(0)
        writer.step(1, 1, 1.0, *flags)
        for _ in range(2):
            with refused(buffer, replay.ReplayError, "reset"):
                writer.step(2, 1, 1.0, False, False)
        assert writer.reset(5) == 2
        assert writer.step(6, 1, 1.0, False, False) == 3
        batch = buffer.sample(30)
        assert sorted({*zip(batch.obs.tolist(), batch.next_obs.tolist(), strict=True)}) == [
            (0, 1),
            (5, 6),
        ]


def test_flags_may_be_of_any_kind_of_truth(walk):
    with log_of() as buffer:
        writer = buffer.writer()
        for yes in (True, np.True_, 1, np.array(True)):
            writer.reset(0)
            writer.step(1, 1, 1.0, terminated=yes)
            with pytest.raises(replay.ReplayError, match="reset"):
                writer.step(2, 1, 1.0)
        assert buffer.sample(40).terminated.all()


@pytest.mark.parametrize(
    "wrong", [2, -1, 0.5, "yes", None, [True], np.array([True]), np.array([True, False])]
)
@pytest.mark.parametrize("name", ["terminated", "truncated"])
def test_a_flag_that_is_no_truth_is_refused(walk, name, wrong):
    with log_of() as buffer:
        writer = buffer.writer()
        writer.reset(0)
        with refused(buffer, replay.InputError, name):
            writer.step(1, 1, 1.0, **{name: wrong})
        writer.step(1, 1, 1.0, **{name: True})
        assert buffer.sample(5)[name].all()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("obs", {"image": np.zeros((17, 17), np.uint8), "speed": [1.0]}, "obs/speed"),
        ("obs", {"image": np.zeros((17, 16), np.uint8), "speed": 1.0}, "obs/image"),
        ("obs", {"image": np.full((17, 17), 256), "speed": 1.0}, "256"),
        ("obs", {"image": np.zeros((17, 17), np.uint8)}, "speed"),
        ("obs", {"image": np.zeros((17, 17), np.uint8), "speed": 1.0, "x": 1}, "x"),
        ("obs", np.zeros((17, 17), np.uint8), "obs"),
        ("obs", None, "obs"),
        ("action", 1, "action"),
        ("action", np.zeros((1, 2), np.int16), "(1, 2)"),
        ("action", [1, 40_000], "40000"),
        ("reward", [1.0], "reward"),
        ("reward", 1e39, "1e+39"),
        ("reward", "1", "reward"),
        ("state", np.zeros(2), "(2,)"),
    ],
)
def test_a_refused_step_leaves_the_writer_where_it_was(walk, field, value, said):
    """The same step can be taken rightly; no row lies between, and no number is left out."""
    with playing(replay.NStep(3, 0.9), 20) as play:
        writer, buffer = play.writers[0], play.buffer
        if field == "obs":
            with refused(buffer, replay.FieldError, said):
                writer.reset(value)
        play.reset(0)
        for turn in range(8):
            made = values(7)
            step = {"obs": obs_of(made), **rest_of(made), field: value}
            with refused(buffer, replay.FieldError, said):
                writer.step(**step, terminated=True)
            if field == "obs":
                with refused(buffer, replay.FieldError, said):
                    writer.reset(value)
            play.step(0, "truncated" if turn == 7 else "")
        play.check()
        assert len(play.drawable()) == 8
        play.sample(50)


def test_fields_that_are_missing_or_unknown_are_named(walk):
    with log_of() as buffer:
        writer = buffer.writer()
        writer.reset(0)
        with refused(buffer, replay.FieldError, "'reward'"):
            writer.step(1, 1)
        with refused(buffer, replay.FieldError, "'action'", "'reward'"):
            writer.step(1)
        with refused(buffer, replay.FieldError, "'nope'"):
            writer.step(1, 1, 1.0, nope=3)
        with refused(buffer, replay.FieldError, "'step'"):
            writer.step(1, 1, 1.0, step=3)
        assert writer.step(1, 1, 1.0) == 1


def test_extras_are_stored_beside_their_step(walk):
    fields = {"obs": int, "value": np.float32, "logits": (np.float32, (3,))}
    with log_of(fields=fields) as buffer:
        writer = buffer.writer()
        writer.reset(0)
        for number in range(1, 9):
            writer.step(number, value=number / 2, logits=[number] * 3)
        batch = buffer.sample(30)
        assert batch._fields[:6] == (
            "obs",
            "next_obs",
            "terminated",
            "truncated",
            "value",
            "logits",
        )
        assert (batch.value == batch.next_obs / 2).all()
        assert (batch.logits == batch.next_obs[:, None]).all()


# learned fields


@pytest.mark.parametrize("home", HOMES)
def test_fields_are_learned_from_the_first_step(walk, home):
    with opened(home, 20, None, view=replay.NStep(2, 0.5), seed=0) as buffer:
        writer = buffer.writer()
        obs = {"image": np.zeros((3, 2), np.uint8), "speed": np.float32(0.5)}
        writer.reset(obs)
        with pytest.raises(replay.ReplayError):
            buffer.sample(1)
        for number in range(1, 4):
            obs = {"image": np.full((3, 2), number, np.uint8), "speed": np.float32(number)}
            writer.step(obs, np.int16(number), float(number), number == 3, False, value=[1.0, 2.0])
        names = ["obs/image", "obs/speed", "action", "reward", "value"]
        assert [name for name in buffer.fields if name != "step"] == names
        assert buffer.fields["action"].dtype == np.int16
        batch = buffer.sample(30)
        assert batch.obs["image"].shape == (30, 3, 2)
        assert set(batch.obs["speed"].tolist()) == {0.5, 1.0, 2.0}
        assert (batch.next_obs["speed"] == np.minimum(np.floor(batch.obs["speed"]) + 2, 3)).all()
        assert batch.value.shape == (30, 2)


def test_fields_are_learned_from_the_first_steps_of_many(walk):
    with opened("private", 60, None, view=replay.NStep(2, 0.5), streams=3, seed=0) as buffer:
        vector = buffer.vector_writer()
        obs = {"image": np.zeros((3, 2, 2), np.uint8), "speed": np.zeros(3, np.float32)}
        assert vector.reset(obs).tolist() == [-1] * 3
        # Environments write into the same arrays step by step.
        obs["image"][:] = 9
        flags = np.zeros(3, bool)
        for number in range(1, 5):
            obs["image"][:], obs["speed"][:] = number, number
            reward = np.full(3, number, np.float64)
            ids = vector.step(obs, np.arange(3), reward, flags, number == np.full(3, 4))
            assert ids.tolist() == [3 * number, 3 * number + 1, 3 * number + 2]
        assert list(buffer.fields) == ["obs/image", "obs/speed", "action", "reward"]
        batch = buffer.sample(60)
        assert set(batch.obs["speed"].tolist()) == {0, 1, 2, 3}
        assert (batch.obs["image"] == batch.obs["speed"][:, None, None]).all()
        assert (batch.action == batch.ids % 3).all()


def test_a_first_step_that_cannot_be_shows_nothing(walk):
    with opened("private", 20, None, view=replay.NStep(2, 0.5), seed=0) as buffer:
        writer = buffer.writer()
        with pytest.raises(replay.ReplayError, match="reset"):
            writer.step(0, 1, 1.0)
        writer.reset(0)
        for wrong in ({"action": 1}, {"action": 1, "reward": "1"}, {"action": 1, "reward": [1]}):
            with pytest.raises(replay.InputError, match="reward"):
                writer.step(1, **wrong)
        with pytest.raises(replay.InputError, match="'mask'"):
            writer.step(1, 1, 1.0, mask=True)
        writer.step(1, 1, 1.0, True)
        assert buffer.sample(3).obs.tolist() == [0] * 3


@pytest.mark.parametrize("reward", [1, True, np.int8(1), 1.0, np.float64(1)])
def test_a_reward_that_is_learned_is_a_float_whatever_the_first_one_is(walk, reward):
    with opened("private", 20, None, view=replay.Transition(), seed=0) as buffer:
        writer = buffer.writer()
        writer.reset(0)
        writer.step(1, 1, reward)
        writer.step(2, 1, 0.5)
        assert buffer.fields["reward"] == replay.Field(np.float32)


# who writes


def test_the_newer_writer_takes_the_stream_over(walk):
    with playing(replay.NStep(3, 0.9), 20, 2) as play:
        for _ in range(3):
            play.go_on(0)
            play.go_on(1)
        older = play.writers[0]
        play.take_over(0)
        # Until it writes, nothing has happened to the rows.
        for call in (lambda: older.step(**step_of(1)), lambda: older.reset(obs_of(values(1)))):
            with refused(play.buffer, replay.ReplayError, "writer"):
                call()
        with refused(play.buffer, replay.ReplayError, "reset"):
            play.writers[0].step(**step_of(1))
        play.go_on(0)
        play.go_on(1)
        play.check()
        with refused(play.buffer, replay.ReplayError, "writer"):
            older.step(**step_of(1))
        play.step(0)
        # The older episode was cut: its windows end there.
        assert play.drawable()
        play.check()
        play.sample(20)


def test_a_writer_that_was_replaced_does_not_cut_the_episodes_of_the_newer(walk):
    """It takes no ticket and empties no slot, however often it tries."""
    with log_of(8, view=replay.NStep(2, 0.5), streams=2) as buffer:
        older, vector = buffer.writer(), buffer.vector_writer(1, first=1)
        older.reset(0)
        vector.reset(np.array([0]))
        newer, last = buffer.writer(), buffer.writer(1)
        newer.reset(0)
        last.reset(0)
        zeros = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros(1, bool)
        for number in range(1, 7):
            for call in (
                lambda: older.reset(99),
                lambda: older.step(99, 1, 1.0),
                lambda: vector.reset(np.array([99])),
                lambda: vector.step(np.array([99]), *zeros),
            ):
                with refused(buffer, replay.StepError, "stream"):
                    call()
            assert newer.step(number, 1, 1.0) == 2 * number + 2
            assert last.step(number, 1, 1.0) == 2 * number + 3
        batch = buffer.sample(60)
        assert set(batch.obs.tolist()) == {3, 4}
        assert (batch.next_obs == batch.obs + 2).all()


def step_of(number):
    made = values(number)
    return {"obs": obs_of(made), **rest_of(made)}


@pytest.mark.parametrize("home", ["named", "path"])
def test_another_opening_waits_until_the_stream_is_let_go(home):
    """In the same process as well: it may be another thread's."""
    with home_of(home) as place, replay.ReplayBuffer(20, NUMBERS, view=VIEW, **place) as buffer:
        older = buffer.writer()
        older.reset(0)
        with replay.attach(**place) as other:
            with refused(buffer, replay.InputError, "stream 0", os.getpid()):
                other.writer()
            assert older.step(1, 1, 1.0) == 1
            del older
            newer = other.writer()
            assert newer.reset(5) == 2
            assert newer.step(6, 1, 1.0) == 3
        # Who closes lets go, also of what a writer still holds.
        last = buffer.writer()
        assert last.reset(8) == 4
        with pytest.raises(replay.ClosedError):
            newer.step(7, 1, 1.0)
        assert set(buffer.sample(30).obs.tolist()) == {0, 5}


def test_a_writer_of_many_that_is_refused_takes_nothing_away():
    """Not from the writers of its own process either."""
    with (
        home_of("named") as place,
        replay.ReplayBuffer(30, NUMBERS, view=VIEW, streams=3, **place) as buffer,
        replay.attach(**place) as other,
    ):
        older, theirs = buffer.writer(0), other.writer(2)
        older.reset(0)
        theirs.reset(0)
        with refused(buffer, replay.InputError, "stream 2"):
            buffer.vector_writer()
        assert older.step(1, 1, 1.0) == 3
        assert theirs.step(1, 1, 1.0) == 5
        # What nobody had is free again.
        assert other.writer(1).reset(3) == 1


def test_a_closed_buffer_ends_its_writers(walk):
    buffer = replay.ReplayBuffer(20, NUMBERS, view=VIEW)
    writer = buffer.writer()
    vector = buffer.vector_writer()
    vector.reset(np.array([0]))
    writer = buffer.writer()
    writer.reset(0)
    buffer.close()
    for call in (lambda: writer.step(1, 1, 1.0), lambda: writer.reset(1), buffer.writer):
        with pytest.raises(replay.ClosedError):
            call()
    with pytest.raises(replay.ClosedError):
        buffer.vector_writer()


WRITE = """
import sys, replay
buffer = replay.attach(sys.argv[1])
writer = buffer.writer(int(sys.argv[2]))
writer.reset(7)
writer.step(8, 1, 1.0, False, False)
print(writer.step(9, 1, 1.0, False, False))
"""


@pytest.mark.processes
def test_a_second_process_is_refused_while_the_first_lives():
    with replay.ReplayBuffer(40, NUMBERS, view=VIEW, streams=2, name=fresh_name()) as buffer:
        writer = buffer.writer(0)
        writer.reset(0)
        attempt = (
            "import sys, replay\n"
            "buffer = replay.attach(sys.argv[1])\n"
            "for take in (buffer.writer, buffer.vector_writer):\n"
            "    try:\n"
            "        take()\n"
            "    except replay.InputError as error:\n"
            "        print(error)\n"
        )
        done = python(attempt + WRITE, buffer.name, "1")
        assert (done.returncode, done.stderr) == (0, "")
        *said, last = done.stdout.splitlines()
        assert len(said) == 2
        for line in said:
            assert line.startswith("stream 0 has a writer already")
            assert f"process {os.getpid()}" in line
        # It is not disturbed by the attempt, nor by a writer of another stream.
        assert last == "5"
        assert writer.step(1, 1, 1.0) == 2
        assert set(buffer.sample(40).obs.tolist()) == {0, 7, 8}
        # Who has left makes room.
        assert buffer.writer(1).reset(3) == 7


@pytest.mark.processes
def test_the_writer_of_a_killed_process_can_be_replaced():
    name = fresh_name()
    with replay.ReplayBuffer(40, NUMBERS, view=replay.NStep(3, 0.5), name=name, seed=0) as buffer:
        killed = "sys.stdout.flush()\nos.kill(os.getpid(), signal.SIGKILL)\n"
        done = python(f"import os, signal\n{WRITE}{killed}", name, "0")
        assert done.returncode == -signal.SIGKILL
        assert done.stdout.strip() == "2"
        with pytest.raises(replay.EmptyError):
            buffer.sample(1)
        writer = buffer.writer()
        with pytest.raises(replay.ReplayError, match="reset"):
            writer.step(10, 1, 1.0)
        assert writer.reset(20) == 3
        # Its episode was cut by its death.
        batch = buffer.sample(60)
        assert set(batch.obs.tolist()) == {7, 8}
        assert set(batch.next_obs.tolist()) == {9}
        assert not batch.terminated.any()
        assert not batch.truncated.any()
        np.testing.assert_allclose(batch.discount, np.where(batch.obs == 7, 0.25, 0.5))
    assert not named_path(name).exists() or in_use(named_path(name))


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_go_on_with_its_parents_streams():
    code = (
        "import os, sys, numpy as np, replay\n"
        "fields = {'obs': int, 'action': int, 'reward': float}\n"
        "buffer = replay.ReplayBuffer(\n"
        "    40, fields, view=replay.Transition(), streams=2, name=sys.argv[1])\n"
        "writer, vector = buffer.writer(), buffer.vector_writer(1, first=1)\n"
        "writer.reset(0), vector.reset(np.array([0]))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    refused = 0\n"
        "    for call in (\n"
        "        lambda: writer.step(9, 1, 1.0),\n"
        "        lambda: vector.reset(np.array([9])),\n"
        "    ):\n"
        "        try:\n"
        "            call()\n"
        "        except replay.StepError:\n"
        "            refused += 1\n"
        "    try:\n"
        "        buffer.writer()\n"
        "    except replay.InputError:\n"
        "        refused += 1\n"
        "    sys.exit(refused)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        "assert writer.step(1, 1, 1.0) == 2\n"
        "assert vector.step(np.array([1]), np.array([1]), np.array([1.0])).tolist() == [3]\n"
        "assert set(buffer.sample(30).next_obs.tolist()) == {1}\n"
    )
    done = python(code, fresh_name())
    assert (done.returncode, done.stderr) == (0, "")


# homes


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", [replay.Uniform(), replay.Proportional()])
def test_a_log_of_steps_lives_in_every_home(home, kind, tmp_path):
    view = replay.FrameStack(2, replay.NStep(3, 0.9))
    with playing(view, 20, 2, home=home, sampler=kind) as play:
        generator = random.Random(1)
        for _ in range(70):
            play.random_step(generator)
        play.check()
        play.check_columns()
        play.sample(50)
        wanted = play.buffer.sample(7).ids.tolist()
        assert wanted
        play.buffer.save(tmp_path / "snapshot")
        following = [play.buffer.sample(7).ids.tolist() for _ in range(3)]
        if home != "private":
            place = {key: getattr(play.buffer, key) for key in ("name", "path")}
            with replay.attach(**place) as other:
                assert other.view == view
                assert_batch(play.log, view, other.sample(40))
        with replay.load(tmp_path / "snapshot") as other:
            assert other.view == view
            assert other.sampler == kind
            assert [other.sample(7).ids.tolist() for _ in range(3)] == following
            assert_batch(play.log, view, other.sample(40))
            again = Play(other, view, 2, 20)
            again.numbers = play.numbers
            again.restore(play.log, play.priority, play.largest)
            again.check()
            for _ in range(40):
                again.random_step(generator)
            again.check()
            again.sample(40)


def test_a_restored_log_is_not_gone_on_with_by_who_wrote_another(tmp_path, walk):
    """The steps of its writer would follow those of an episode that they are no part of."""
    with log_of(40, view=replay.NStep(3, 1.0), streams=2) as buffer:
        writer, vector = buffer.writer(), buffer.vector_writer(1, first=1)
        zeros = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros(1, bool)

        def episode(first):
            writer.reset(first)
            vector.reset(np.array([first]))
            for number in range(first + 1, first + 6):
                writer.step(number, 1, 1.0)
                vector.step(np.array([number]), *zeros)

        episode(100)
        buffer.save(tmp_path / "snapshot")
        episode(200)
        buffer.restore(tmp_path / "snapshot")
        for call in (
            lambda: writer.step(206, 1, 1.0),
            lambda: vector.step(np.array([206]), *zeros),
        ):
            with refused(buffer, replay.StepError, "stream"):
                call()
        writer, vector = buffer.writer(), buffer.vector_writer(1, first=1)
        episode(300)
        batch = buffer.sample(200)
        assert (batch.obs // 100 == batch.next_obs // 100).all()
        # The episode of the snapshot was cut.
        assert {(103, 105), (104, 105), (302, 305)} <= set(
            zip(batch.obs.tolist(), batch.next_obs.tolist(), strict=True)
        )


def test_a_step_that_the_limiter_holds_back_leaves_the_writer_where_it_was(walk):
    limiter = replay.RateLimiter(1, min_size=4, tolerance=2, timeout=0)
    with log_of(40, streams=2, limiter=limiter) as buffer:
        writer, vector = buffer.writer(), buffer.vector_writer(1, first=1)
        zeros = np.zeros(1, np.int32), np.zeros(1, np.float32), np.zeros(1, bool)
        writer.reset(0)
        vector.reset(np.array([0]))
        for number in range(1, 3):
            writer.step(number, 1, 1.0)
            vector.step(np.array([number]), *zeros)
        for number in range(3, 12):
            for call in (
                lambda number=number: writer.step(number, 1, 1.0),
                lambda number=number: vector.step(np.array([number]), *zeros),
            ):
                while True:
                    try:
                        call()
                        break
                    except replay.WaitTimeoutError:
                        batch = buffer.sample(1)
                        assert (batch.next_obs == batch.obs + 1).all()
        batch = buffer.reader().sample(1)
        assert (batch.next_obs == batch.obs + 1).all()
        assert buffer.column("obs")[:12].tolist() == list(range(12))
        assert buffer.column("obs")[20:32].tolist() == list(range(12))


# many environments


def stacked(made):
    """Give many flat values as arrays with a leading axis, nested."""
    columns = {name: np.stack([one[name] for one in made]) for name in made[0]}
    rest = {name: columns[name] for name in ("action", "reward", "state")}
    return {"image": columns["obs/image"], "speed": columns["obs/speed"]}, rest


@pytest.mark.parametrize("kind", [replay.Uniform(), replay.Proportional()])
def test_a_vector_writer_does_what_a_writer_a_stream_does(walk, kind):
    """Steps of all environments in one call, some of them the first of an episode."""
    count = 3
    view = replay.FrameStack(2, replay.NStep(3, 0.9))
    generator = np.random.default_rng(3)
    with playing(view, 16, count, sampler=kind) as play:
        vector = play.buffer.vector_writer()
        made = [play.values() for _ in range(count)]
        ids = vector.reset(stacked(made)[0])
        assert ids.tolist() == [play.log.reset(n, one) for n, one in enumerate(made)]
        play.follow()
        for turn in range(fewer(120, 40)):
            made = [play.values() for _ in range(count)]
            obs, rest = stacked(made)
            ended = np.array([play.log.open[stream] is None for stream in range(count)])
            # Where an episode has ended a new one begins; now and then also where it has not.
            first = ended | (generator.random(count) < 0.08)
            terminated = generator.random(count) < 0.15
            truncated = generator.random(count) < 0.1
            action, reward = rest.pop("action"), rest.pop("reward")
            if turn % 10 == 5:
                # The masked reset, for those that have ended.
                reset = vector.reset(obs, ended)
                wanted = [play.log.reset(n, made[n]) for n in np.flatnonzero(ended)]
                assert np.asarray(reset)[ended].tolist() == wanted
                play.follow()
                continue
            if ended.any():
                with refused(play.buffer, replay.ReplayError, *np.flatnonzero(ended)):
                    vector.step(obs, action, reward, terminated, truncated, **rest)
            some = {} if not first.any() else {"first": first}
            ids = vector.step(obs, action, reward, terminated, truncated, **some, **rest)
            wanted = [
                play.log.reset(n, made[n])
                if first[n]
                else play.log.step(n, made[n], bool(terminated[n]), bool(truncated[n]))
                for n in range(count)
            ]
            assert ids.dtype == np.int64
            assert ids.tolist() == wanted
            play.follow()
            if turn % 5 == 0:
                play.check()
                if play.drawable():
                    play.sample(20)
        play.check()
        play.check_columns()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"obs": np.arange(2)}, "(2,)"),
        ({"obs": 3}, "obs"),
        ({"obs": np.zeros((3, 1), int)}, "(3, 1)"),
        ({"action": np.arange(4)}, "action"),
        ({"action": np.array([1, 2, 1 << 40])}, str(1 << 40)),
        ({"reward": np.zeros((3, 1), np.float32)}, "reward"),
        ({"terminated": np.zeros(2, bool)}, "terminated"),
        ({"terminated": np.array([0, 2, 0])}, "terminated"),
        ({"truncated": np.zeros((3, 1), bool)}, "truncated"),
        ({"first": np.zeros(4, bool)}, "first"),
        ({"first": np.array([0.5, 0, 0])}, "first"),
        ({"nope": np.zeros(3)}, "nope"),
    ],
)
def test_a_refused_step_of_many_leaves_all_where_they_were(walk, change, said):
    with log_of(30, streams=3) as buffer:
        vector = buffer.vector_writer()
        good = {
            "obs": np.arange(3),
            "action": np.zeros(3, np.int32),
            "reward": np.ones(3, np.float32),
            "terminated": np.zeros(3, bool),
            "truncated": np.zeros(3, bool),
        }
        with refused(buffer, replay.ReplayError, "reset"):
            vector.step(**good)
        assert vector.reset(np.arange(3)).tolist() == [0, 1, 2]
        for turn in range(3):
            with refused(buffer, replay.InputError, said):
                vector.step(**good | change)
            ids = vector.step(**good | {"obs": np.arange(3) + 10 * turn + 10})
            assert ids.tolist() == [3 * turn + 3, 3 * turn + 4, 3 * turn + 5]
        batch = buffer.sample(60)
        assert (batch.next_obs == batch.obs + 10).all()
        assert len(set(batch.ids.tolist())) == 9


@pytest.mark.parametrize(
    ("obs", "mask", "said"),
    [
        (np.arange(2), None, "(2,)"),
        (np.arange(3), [True, False], "mask"),
        (np.arange(3), "all", "mask"),
        (np.arange(3), np.array([0, 2, 0]), "mask"),
    ],
)
def test_a_refused_reset_of_many_leaves_all_where_they_were(walk, obs, mask, said):
    with log_of(30, streams=3) as buffer:
        vector = buffer.vector_writer()
        with refused(buffer, replay.InputError, said):
            vector.reset(obs, mask)
        assert vector.reset(np.arange(3)).tolist() == [0, 1, 2]


def test_a_vector_writer_of_some_streams_leaves_the_others(walk):
    with log_of(30, streams=3) as buffer:
        other = buffer.writer(2)
        vector = buffer.vector_writer(2)
        assert other.reset(100) == 2
        assert vector.reset(np.arange(2)).tolist() == [0, 1]
        zeros, ones = np.zeros(2, np.int32), np.ones(2, np.float32)
        flags = np.zeros(2, bool)
        assert vector.step(np.arange(2), zeros, ones, flags, flags).tolist() == [3, 4]
        assert other.step(101, 1, 1.0) == 5
        # A writer of one of its streams takes that one over, and so all of its steps.
        newer = buffer.writer(1)
        with pytest.raises(replay.StepError, match=r"stream 1 .*rows of 1 environments before"):
            vector.step(np.arange(2), zeros, ones, flags, flags)
        assert newer.reset(50) == 7
        assert newer.step(51, 1, 1.0) == 10
