"""Every number of the demo, in one place."""

import math
import pathlib
from dataclasses import dataclass

#: Numbers of an observation of CartPole-v1.
OBS_SIZE = 4
#: Factors on position, speed, angle, angular speed: an angle of 0.2 radians means as much as two
#: metres (the pole has fallen, the cart has left the track), so the network sees it as large.
OBS_SCALE = (1.0, 1.0, 10.0, 1.0)
#: Left and right.
ACTIONS = 2
#: Mean return at which Gymnasium calls CartPole-v1 solved.
SOLVED = 475.0


@dataclass(frozen=True)
class Config:
    """
    What the demo does, and with which constants.

    Attributes
    ----------
    sampler : str
        "prioritized" or "uniform".
    seed : int
        Of the network, the environments, the exploration and the sampler.
    steps : int
        Environment steps at most, over all actors.
    plot : pathlib.Path
        Where the learning curve goes.
    actors : int
        Processes that play; each writes to a stream of its own.
    capacity : int
        Transitions the buffer holds.
    batch_size : int
        Transitions of one learner update.
    hidden : int
        Width of the two hidden layers.
    learning_rate, final_learning_rate : float
        Adam's, falling exponentially over the run: large steps find the way, small ones stay.
    gamma : float
        Discount of a step.
    tau : float
        Share of the online network that the target network takes on at every update.
    updates_per_step : float
        Learner updates per environment step: the pace that makes the outcome the same on fast
        and slow machines.
    round_steps : int
        Steps an actor plays between two words with the learner.
    exploration_share : float
        Share of the run in which epsilon falls from 1 to its floor.
    epsilon_floors : tuple of float
        Lowest epsilon, of the first and of the last actor; those between are spaced evenly.
    alpha, beta : float
        Prioritized replay: how strongly priorities count, and the first importance exponent
        (the last is 1).
    priority_floor : float
        Added to |TD error|, so that nothing learned perfectly is lost from sight.
    evaluate_every : int
        Environment steps between two greedy evaluations.
    checkpoint_episodes : int
        Episodes of each of them: more than in the final one, because the best of many
        evaluations is partly the luckiest.
    evaluation_episodes : int
        Episodes of the final evaluation.
    stop_after : int
        Evaluations in a row with a mean of `stop_mean` or more that end the run: the task is
        solved. 0 plays all steps.
    stop_mean : float
        Nearly the largest mean there is, so that one lucky policy does not pass three times.
    """

    sampler: str = "prioritized"
    seed: int = 0
    steps: int = 50_000
    plot: pathlib.Path = pathlib.Path("cartpole.png")
    actors: int = 2
    capacity: int = 40_000
    batch_size: int = 128
    hidden: int = 128
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-4
    gamma: float = 0.98
    tau: float = 0.02
    updates_per_step: float = 0.5
    round_steps: int = 32
    exploration_share: float = 0.16
    epsilon_floors: tuple[float, float] = (0.01, 0.1)
    alpha: float = 0.6
    beta: float = 0.4
    priority_floor: float = 1e-3
    evaluate_every: int = 2_000
    checkpoint_episodes: int = 40
    evaluation_episodes: int = 20
    stop_after: int = 3
    stop_mean: float = 495.0

    @property
    def learn_after(self) -> int:
        """Environment steps before the first update."""
        return min(1_000, self.steps // 10)

    def updates_due(self, steps: int) -> int:
        """
        Learner updates that belong to so many environment steps.

        Parameters
        ----------
        steps : int
            Played so far.

        Returns
        -------
        int
            0 or more.
        """
        return max(0, int((steps - self.learn_after) * self.updates_per_step))

    def epsilon(self, actor: int, done: float) -> float:
        """
        Share of random actions.

        Parameters
        ----------
        actor : int
            Counted from 0.
        done : float
            Share of the run that is over, 0 to 1.

        Returns
        -------
        float
            Between the actor's floor and 1.
        """
        first, last = self.epsilon_floors
        floor = first + (last - first) * actor / max(1, self.actors - 1)
        return max(floor, 1.0 - (1.0 - floor) * done / self.exploration_share)

    def learning_rate_at(self, done: float) -> float:
        """
        Adam's learning rate after a share of the run.

        Parameters
        ----------
        done : float
            0 to 1.

        Returns
        -------
        float
            Falls by the same factor in every step.
        """
        ratio = self.final_learning_rate / self.learning_rate
        return self.learning_rate * math.pow(ratio, min(1.0, done))
