"""The newest policy, in memory that the learner and its actors share."""

import multiprocessing
from typing import Any

import numpy as np

from replay.demo.policy import Parameters, parameter_count


class SharedWeights:
    """
    Two copies of the parameters and the version of the newer one.

    The learner writes version n + 1 beside version n and then announces it. A reader copies the
    announced one, and copies again if the version moved meanwhile: only then can the learner
    have begun to write over what was being read. Nobody waits, and a process that dies holds
    nothing that another one needs.

    Parameters
    ----------
    hidden : int
        Width of the network's hidden layers.

    Notes
    -----
    Pickled only as an argument of a new process. The operating system frees the memory with the
    last process; it has no name to leave behind.
    """

    def __init__(self, hidden: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._count = parameter_count(hidden)
        self._version: Any = context.RawValue("q", 0)
        self._memory: Any = context.RawArray("f", 2 * self._count)

    def _copy(self, version: int) -> Parameters:
        both = np.frombuffer(self._memory, np.float32).reshape(2, self._count)
        copy: Parameters = both[version % 2]
        return copy

    @property
    def version(self) -> int:
        """Versions published so far."""
        return int(self._version.value)

    def publish(self, parameters: Parameters) -> None:
        """
        Make these parameters the newest. For one process, the learner.

        Parameters
        ----------
        parameters : (parameter_count(hidden),) float32
            Copied.
        """
        version = self.version + 1
        self._copy(version)[:] = parameters
        self._version.value = version

    def read(self, out: Parameters) -> int:
        """
        Copy the newest parameters.

        Parameters
        ----------
        out : (parameter_count(hidden),) float32
            Written.

        Returns
        -------
        int
            Their version.
        """
        while True:
            version = self.version
            out[:] = self._copy(version)
            if self.version == version:
                return version
