"""The demo from its first line to its last."""

import sys
import time
from contextlib import closing

import replay
from replay.demo.config import SOLVED, Config
from replay.demo.crew import Crew
from replay.demo.errors import DemoError, InterruptionError
from replay.demo.evaluation import FINAL_SEEDS, evaluate
from replay.demo.interruption import Interruption
from replay.demo.policy import Policy
from replay.demo.progress import Progress, activity
from replay.demo.report import Summary, plot_curve, summary_table
from replay.demo.storage import load_kernels, make_buffer, unique_name
from replay.demo.weights import SharedWeights


def run_demo(config: Config) -> int:
    """
    Train, evaluate, report.

    Parameters
    ----------
    config : Config
        What to do.

    Returns
    -------
    int
        Exit code: 0, or 1 after an error, or 128 plus the number of the signal that ended it.
    """
    with closing(Interruption()) as interruption:
        try:
            summary = _learn(config, interruption)
            verdict = "solved" if summary.solved else f"not solved (a mean of {SOLVED:.0f} is)"
            print(f"{summary_table(config, summary)}\n{verdict}", flush=True)
            with activity(f"drawing the learning curve in {config.plot}"):
                plot_curve(config, summary, config.plot)
            interruption.check()
        except InterruptionError as interrupted:
            print("interrupted: the actors have ended, the buffer is gone", file=sys.stderr)
            return 128 + interrupted.signum
        except (DemoError, replay.ReplayError, OSError) as error:
            print(f"replay demo: {error}", file=sys.stderr)
            return 1
    return 0


def _learn(config: Config, interruption: Interruption) -> Summary:
    started = time.monotonic()
    with activity("loading PyTorch"):
        # Imported here, once there is something on the screen; see `activity`.
        from replay.demo.learner import Learner
        from replay.demo.train import Training

        learner = Learner(config)  # PyTorch loads half of itself with the first optimizer
    # The library says so itself when it has to compile.
    with activity("loading kernels", quiet=0.7):
        load_kernels(config)

    interruption.hold()
    name = unique_name()
    weights = SharedWeights(config.hidden)
    pause = interruption.check
    # The crew leaves before the buffer goes.
    with make_buffer(config, name) as buffer, closing(Crew(config, name, weights, pause)) as crew:
        with activity(f"starting {config.actors} actors that write to the buffer {name}"):
            for number in range(config.actors):
                crew.hear(number)
        training = Training(config, buffer, crew, weights, learner, pause)
        training_started = time.monotonic()
        with closing(Progress(config.steps)) as progress:
            best = training.run(progress)
        training_seconds = time.monotonic() - training_started

    episodes = config.evaluation_episodes
    with activity(f"evaluating the best policy, of step {best.steps:,}, in {episodes} episodes"):
        seeds = range(FINAL_SEEDS, FINAL_SEEDS + episodes)
        returns = evaluate(Policy(best.parameters, config.hidden), seeds, pause)
    return Summary(
        tally=training.tally,
        returns=returns,
        checkpoint_steps=best.steps,
        training_seconds=training_seconds,
        seconds=time.monotonic() - started,
    )
