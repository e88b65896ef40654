"""
Writers that go on while others draw: every window is one that an episode really has.

What an episode is follows from its number, its steps from theirs. So a drawn row says where it
came from, and all that must be around it; a row that is torn, shifted by one or taken from another
episode agrees with none.
"""

import numpy as np

import replay
from tests.naive_steps import Log, flat_names, major, timed

#: The observation is wider than what is packed into a record, and a record than a cache line.
FIELDS = {
    "obs": (np.int32, (100,)),
    "action": np.int64,
    "reward": np.float32,
    "who": (np.int32, (3,)),
}
FLAT = {name: kind if isinstance(kind, tuple) else (kind, ()) for name, kind in FIELDS.items()}
STREAMS = 2
#: Episodes repeat themselves after so many, which lie several laps of a ring apart.
EPISODES = 16


def length_of(episode):
    return 1 + episode % EPISODES * 7 % 11


def end_of(episode):
    """Say how an episode ends: a quarter of them are cut by the next reset."""
    kind = episode % 4
    return kind in (1, 3), kind in (2, 3)


def values(stream, episode, step):
    code = (stream * EPISODES + episode % EPISODES) * 16 + step
    return {
        "obs": (code * 1000 + np.arange(100)).astype(np.int32),
        "action": np.int64(code * 1_000_003),
        "reward": np.float32(code % 97 / 4 - 6),
        "who": np.array([stream, episode % EPISODES, step], np.int32),
    }


def write(writer, stream, episodes, done=None):
    """Play episodes, all of them or until it is said to be done; give how many."""
    played = 0
    for episode in episodes:
        if done is not None and done():
            break
        writer.reset(values(stream, episode, 0)["obs"])
        length = length_of(episode)
        for step in range(1, length + 1):
            made = values(stream, episode, step)
            flags = end_of(episode) if step == length else (False, False)
            action, reward = made["action"], made["reward"]
            writer.step(made["obs"], action, reward, *flags, who=made["who"])
        played += 1
    return played


def write_by_name(name, stream, episodes):
    """Play episodes into a buffer of another process, and leave."""
    with replay.attach(name) as buffer:
        return write(buffer.writer(stream), stream, range(episodes))


class Book:
    """Every row that a view can give of these episodes, looked up by where it came from."""

    def __init__(self, view):
        self.view = view
        self.places = np.full((STREAMS, EPISODES, 16), -1)
        rows = []
        for stream in range(STREAMS):
            for episode in range(EPISODES):
                log = Log(1, 32, FLAT)
                log.reset(0, values(stream, episode, 0))
                length = length_of(episode)
                for step in range(1, length + 1):
                    flags = end_of(episode) if step == length else (False, False)
                    log.step(0, values(stream, episode, step), *flags)
                log.reset(0, values(stream, episode, 0))
                for identity in log.drawable(view):
                    self.places[stream, episode, identity] = len(rows)
                    rows.append(log.expected(view, identity))
        self.columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def check(self, batch):
        """Compare every row of a batch with all that must be around it."""
        assert flat_names(batch) == list(self.columns)
        turned = major(self.view)
        got = {
            name: np.swapaxes(batch[name], 0, 1)
            if turned and timed(self.view, name)
            else batch[name]
            for name in self.columns
        }
        who = got["who"] if got["who"].ndim == 2 else got["who"][:, 0]
        streams, episodes, steps = who.T
        assert (streams == batch.ids % STREAMS).all()
        places = self.places[streams, episodes, steps]
        assert (places >= 0).all(), "a row was drawn whose window is not whole"
        for name, column in self.columns.items():
            if name in ("reward", "discount"):
                np.testing.assert_allclose(got[name], column[places], rtol=1e-6, atol=1e-6)
            else:
                np.testing.assert_array_equal(got[name], column[places], err_msg=name)
