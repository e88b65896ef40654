"""The actor processes: started, paced, listened to, and ended."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from replay.demo.actor import DEAF_TO, Failure, Round, run_actor
from replay.demo.config import Config
from replay.demo.errors import DemoError
from replay.demo.weights import SharedWeights

#: Seconds between two looks at the interruption while an actor is awaited.
LOOK = 0.1
#: Seconds the actors get to leave by themselves. A round takes a millisecond; an actor that was
#: still importing has nothing to lose, and nobody waits for the locks of one that is killed.
PATIENCE = 1.0


def start_deaf(process: BaseProcess) -> None:
    """
    Start a process that hears neither Ctrl-C nor the end of its terminal.

    Parameters
    ----------
    process : multiprocessing.process.BaseProcess
        Not started yet; lifts the mask once it has said that it ignores these signals.
    """
    # The first start also starts multiprocessing's resource tracker, which before Python 3.12
    # lifts the mask again: have it running first.
    resource_tracker.ensure_running()
    # A process inherits the mask, so that neither can strike while Python still starts in it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF_TO)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Crew:
    """
    A process per actor, each at the end of a pipe.

    The learner grants rounds and hears of each one played. Nothing else keeps the two in step:
    an actor without a grant waits in `recv`, and if either side dies, however it dies, the
    operating system closes the pipe and wakes the other one. There is no lock that the dead
    could hold.

    Parameters
    ----------
    config : Config
        Says how many.
    buffer_name : str
        Of the buffer the actors write to.
    weights : SharedWeights
        The policy they play.
    pause : callable
        Called again and again while an actor is awaited; what it raises ends the wait.
    """

    def __init__(
        self,
        config: Config,
        buffer_name: str,
        weights: SharedWeights,
        pause: Callable[[], None],
    ) -> None:
        # Spawned, not forked: PyTorch's and Numba's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pause = pause
        self._connections: list[Connection] = []
        self._processes: list[BaseProcess] = []
        # The forward pass of one observation is too small to share among threads.
        for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(variable, "1")
        try:
            for number in range(config.actors):
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=run_actor,
                    args=(config, number, buffer_name, weights, theirs),
                    name=f"replay-actor-{number}",
                    daemon=True,
                )
                start_deaf(process)
                # Only the actor may hold its end, or its death would not close the pipe.
                theirs.close()
                self._connections.append(ours)
                self._processes.append(process)
        except BaseException:
            self.close()
            raise

    def grant(self, number: int, steps: int, epsilon: float) -> None:
        """
        Let an actor play one more round.

        Parameters
        ----------
        number : int
            Which actor.
        steps : int
            Length of the round.
        epsilon : float
            Its share of random actions.

        Raises
        ------
        DemoError
            The actor is dead.
        """
        try:
            self._connections[number].send((steps, epsilon))
        except OSError:
            raise self._obituary(number) from None

    def hear(self, number: int) -> Round:
        """
        Wait for an actor's next round.

        Parameters
        ----------
        number : int
            Which actor.

        Returns
        -------
        Round
            Played and written.

        Raises
        ------
        DemoError
            The actor failed or died.
        """
        connection = self._connections[number]
        while not wait([connection], LOOK):
            self._pause()
        try:
            message = connection.recv()
        except (EOFError, OSError):
            raise self._obituary(number) from None
        if isinstance(message, Failure):
            raise DemoError(f"actor {number} failed: {message.reason}\n{message.details.rstrip()}")
        assert isinstance(message, Round)
        return message

    def _obituary(self, number: int) -> DemoError:
        process = self._processes[number]
        process.join(PATIENCE)
        # A signal to all processes at once was meant for the demo, not for this actor.
        self._pause()
        code = process.exitcode
        if code is not None and code < 0:
            return DemoError(f"actor {number} was killed by {signal.Signals(-code).name}")
        return DemoError(f"actor {number} ended unexpectedly (exit code {code})")

    def close(self) -> None:
        """End the actors: the pipes close, each leaves after its round, the stuck are killed."""
        for connection in self._connections:
            connection.close()
        deadline = time.monotonic() + PATIENCE
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
