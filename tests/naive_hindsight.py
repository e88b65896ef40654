"""
Plain-Python twin of relabelled goals: the rows that a goal may come from, and what becomes of it.

Each row's achieved goal is one that no other row has, so a new goal says which row it came from.
"""

import numpy as np

import replay
from tests.naive_steps import Log, flat_names


def relabelling(view):
    """Give the Hindsight in a view, and the view without it."""
    if isinstance(view, replay.Hindsight):
        return view, view.of
    if isinstance(view, replay.FrameStack) and isinstance(view.of, replay.Hindsight):
        return view.of, replay.FrameStack(view.k, view.of.of, view.fields, view.pad)
    return None, view


class GoalLog(Log):
    """A log of steps whose episodes are drawn from once they are over."""

    def window(self, view, identity):
        hindsight, plain = relabelling(view)
        steps = super().window(plain, identity)
        if hindsight is None or not steps:
            return steps
        return steps if self.steps_from(*self.place_of(identity))[1] else []

    def goals(self, view, identity):
        """List the rows that a drawn row's goal may come from."""
        strategy = relabelling(view)[0].strategy
        stream, ticket = self.place_of(identity)
        if strategy == "episode":
            episode = self.stored(stream, ticket).episode
            rows = [row for row in self.slots[stream] if row is not None and row.step > 0]
            return [row for row in rows if row.episode == episode]
        rows, over = self.steps_from(stream, ticket)
        assert over
        return rows if strategy == "future" else rows[-1:]

    def relabelled(self, view, identity, goal=None):
        """Give each array of a batch's row, with the goal of a row or its own."""
        hindsight, plain = relabelling(view)
        made = {}
        for name, value in self.expected(plain, identity).items():
            made[name] = value
            if name == "truncated":
                made["relabelled"] = np.array(goal is not None)
        if goal is None:
            return made
        stream, ticket = self.place_of(identity)
        new = goal.values[hindsight.achieved]
        for name, last in ((hindsight.desired, ticket - 1), ("next_" + hindsight.desired, ticket)):
            value = made[name].copy()
            if value.shape == new.shape:
                value[...] = new
            else:
                # A stack, of which all that is no padding is of the episode.
                frames = self.frames_to(stream, last, len(value))
                padded = len(value) - len(frames)
                value[0 if plain.pad == "first" else padded :] = new
            made[name] = value
        reached = self.stored(stream, ticket).values[hindsight.achieved]
        reward = np.asarray(hindsight.reward(reached[None], new[None]))
        made["reward"] = reward.astype(self.fields["reward"][0])[0]
        return made

    def goal_row(self, view, batch, place):
        """Say which row a relabelled row's goal came from."""
        hindsight, _ = relabelling(view)
        goal = batch["next_" + hindsight.desired][place]
        if goal.ndim > len(self.fields[hindsight.desired][1]):
            goal = goal[-1]
        for row in self.goals(view, int(batch.ids[place])):
            if np.array_equal(row.values[hindsight.achieved], goal):
                return row
        raise AssertionError(f"row {batch.ids[place]} has a goal that it cannot have: {goal}")


def assert_hindsight(log, view, batch):
    """
    Compare each row of a batch with what the lists say, in every field.

    Returns
    -------
    list of Row or None
        Where the goal of each row came from; None: it is its own.
    """
    goals = [
        log.goal_row(view, batch, place) if batch.relabelled[place] else None
        for place in range(len(batch.ids))
    ]
    rows = [
        log.relabelled(view, identity, goal)
        for identity, goal in zip(batch.ids.tolist(), goals, strict=True)
    ]
    assert flat_names(batch) == list(rows[0])
    for name in rows[0]:
        wanted = np.stack([row[name] for row in rows])
        assert batch[name].dtype == wanted.dtype, name
        assert batch[name].flags.c_contiguous, name
        np.testing.assert_array_equal(batch[name], wanted, err_msg=name)
    return goals
