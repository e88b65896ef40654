"""An actor: a process that plays CartPole and writes every transition to its own stream."""

import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

import replay
from replay.demo.config import Config
from replay.demo.environment import make_environment
from replay.demo.policy import Policy, parameter_count
from replay.demo.weights import SharedWeights

#: Signals that reach every process of a terminal: the learner alone decides what they mean.
DEAF_TO = (signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Round:
    """
    What an actor tells the learner about a round.

    Attributes
    ----------
    steps : int
        Steps played, all of them in the buffer by now.
    returns : tuple of float
        Of the episodes that ended in this round.
    """

    steps: int
    returns: tuple[float, ...]


@dataclass(frozen=True)
class Failure:
    """
    Why an actor cannot go on.

    Attributes
    ----------
    reason : str
        One line.
    details : str
        The traceback.
    """

    reason: str
    details: str


class Actor:
    """
    One environment, a copy of the policy, and a stream of the buffer.

    Parameters
    ----------
    config : Config
        The same in every process.
    number : int
        This actor's, and its stream's.
    writer : replay.Writer
        Of that stream; what it writes is at once in the learner's reach.
    weights : SharedWeights
        Where newer parameters come from.
    """

    def __init__(
        self, config: Config, number: int, writer: replay.Writer, weights: SharedWeights
    ) -> None:
        self._writer = writer
        self._weights = weights
        self._policy = Policy(np.empty(parameter_count(config.hidden), np.float32), config.hidden)
        self._random = np.random.default_rng([config.seed, number])
        self._environment = make_environment()
        self._obs = self._environment.reset(seed=int(self._random.integers(2**31)))[0]
        self._return = 0.0

    def play(self, steps: int, epsilon: float) -> Round:
        """
        Play on with the newest policy.

        Parameters
        ----------
        steps : int
            How far.
        epsilon : float
            Share of random actions.

        Returns
        -------
        Round
            What there is to tell.
        """
        self._weights.read(self._policy.parameters)
        returns = []
        for _ in range(steps):
            if self._random.random() < epsilon:
                action = int(self._random.integers(2))
            else:
                action = self._policy.act(self._obs)
            next_obs, reward, terminated, truncated, _ = self._environment.step(action)
            # next_obs is the true final observation, also at an episode's end: reset comes after.
            self._writer.add(self._obs, action, reward, next_obs, terminated, truncated)
            self._obs = next_obs
            self._return += float(reward)
            if terminated or truncated:
                returns.append(self._return)
                self._obs = self._environment.reset()[0]
                self._return = 0.0
        return Round(steps, tuple(returns))


def run_actor(
    config: Config,
    number: int,
    buffer_name: str,
    weights: SharedWeights,
    connection: Connection,
) -> None:
    """
    Play as many rounds as the learner grants. The main function of an actor process.

    Parameters
    ----------
    config : Config
        The same in every process.
    number : int
        This actor's.
    buffer_name : str
        Of the learner's buffer.
    weights : SharedWeights
        The learner's policy.
    connection : multiprocessing.connection.Connection
        Brings (steps, epsilon) for each round granted, takes a Round for each one played, and an
        empty one at the start.

    Notes
    -----
    The connection's end is the end of the actor: it closes when the learner is done and when the
    learner's process dies, in whatever way, so that no actor is ever left behind.
    """
    # The mask came with the process (see Crew), and is lifted once the signals are ignored.
    for signum in DEAF_TO:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        with replay.attach(buffer_name) as buffer:
            actor = Actor(config, number, buffer.writer(number), weights)
            connection.send(Round(0, ()))  # here and ready
            while True:
                steps, epsilon = connection.recv()
                connection.send(actor.play(steps, epsilon))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        try:
            connection.send(Failure(reason, traceback.format_exc()))
        except OSError:
            return  # nobody is left to tell
