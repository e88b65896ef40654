"""The loop that ties actors, buffer and learner together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import replay
from replay.demo.config import Config
from replay.demo.crew import Crew
from replay.demo.evaluation import TRAINING_SEEDS, evaluate
from replay.demo.learner import Learner
from replay.demo.policy import Parameters, Policy
from replay.demo.progress import Progress
from replay.demo.tally import Tally
from replay.demo.weights import SharedWeights


@dataclass(frozen=True)
class Checkpoint:
    """
    A policy worth keeping.

    Attributes
    ----------
    steps : int
        Environment steps after which it was kept.
    score : float
        Mean return of its greedy evaluation.
    parameters : (parameter_count(hidden),) float32
        As `Policy` reads them.
    """

    steps: int
    score: float
    parameters: Parameters


class Training:
    """
    Rounds of acting and learning, until the task is solved or the steps are played.

    Parameters
    ----------
    config : Config
        How long, and at which pace.
    buffer : replay.ReplayBuffer
        That the actors write to.
    crew : Crew
        The actors.
    weights : SharedWeights
        What they play with.
    learner : Learner
        What becomes wiser.
    pause : callable
        Called every few milliseconds; what it raises ends the training.
    """

    def __init__(
        self,
        config: Config,
        buffer: replay.ReplayBuffer,
        crew: Crew,
        weights: SharedWeights,
        learner: Learner,
        pause: Callable[[], None],
    ) -> None:
        self.tally = Tally()
        self._config = config
        self._buffer = buffer
        self._crew = crew
        self._weights = weights
        self._learner = learner
        self._pause = pause
        self._granted = 0
        self._solved = False
        self._batch: Any = None
        self._best: Checkpoint | None = None

    def run(self, progress: Progress) -> Checkpoint:
        """
        Train to the end.

        Parameters
        ----------
        progress : Progress
            Told after every round.

        Returns
        -------
        Checkpoint
            The best one; the later of two that are equally good.
        """
        config, tally = self._config, self.tally
        evaluation_due = config.evaluate_every
        heard = self._grant_round()
        while heard:
            for number in heard:
                played = self._crew.hear(number)
                tally.steps += played.steps
                tally.episodes += [(tally.steps, value) for value in played.returns]
            # Granted before the updates: the actors play the next round while the learner
            # learns from this one.
            heard = self._grant_round()
            self._learner.set_progress(tally.steps / config.steps)
            while tally.updates < config.updates_due(tally.steps):
                self._update()
            if tally.steps >= evaluation_due or not heard:
                evaluation_due += config.evaluate_every
                self._evaluate()
            progress.show(tally, self._buffer.size / self._buffer.capacity)
        assert self._best is not None  # the last round ends with an evaluation
        return self._best

    def _grant_round(self) -> list[int]:
        """Publish the newest policy and let each actor play on; returns whom to listen to."""
        config = self._config
        self._weights.publish(self._learner.parameters)
        granted: list[int] = []
        if self._solved:
            return granted
        for number in range(config.actors):
            steps = min(config.round_steps, config.steps - self._granted)
            if steps:
                epsilon = config.epsilon(number, self._granted / config.steps)
                self._crew.grant(number, steps, epsilon)
                self._granted += steps
                granted.append(number)
        return granted

    def _update(self) -> None:
        """Sample, learn, tell the buffer what was learned."""
        self._pause()
        # The first batch's arrays take all later ones: nothing is allocated from here on.
        self._batch = self._buffer.sample(self._config.batch_size, out=self._batch)
        errors = self._learner.update(self._batch)
        self.tally.updates += 1
        self.tally.samples += len(errors)
        if self._config.sampler == "prioritized":
            # Ids, not slots: what the actors have overwritten since is skipped, so that no
            # fresh transition gets the priority of an old one.
            applied = self._buffer.update_priorities(
                self._batch.ids, errors + self._config.priority_floor
            )
            self.tally.stale += len(errors) - applied

    def _evaluate(self) -> None:
        parameters = self._learner.parameters
        seeds = range(TRAINING_SEEDS, TRAINING_SEEDS + self._config.checkpoint_episodes)
        returns = evaluate(Policy(parameters, self._config.hidden), seeds, self._pause)
        score = float(returns.mean())
        self.tally.evaluations.append((self.tally.steps, score))
        if self._best is None or score >= self._best.score:
            self._best = Checkpoint(self.tally.steps, score, parameters)
        last = [mean for _, mean in self.tally.evaluations[-self._config.stop_after :]]
        self._solved = 0 < self._config.stop_after <= len(last) and (
            min(last) >= self._config.stop_mean
        )
