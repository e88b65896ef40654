"""
The network's forward pass in plain NumPy.

The actors play with it: a process that need not import PyTorch starts in a second, and a batch
of one is faster this way.
"""

import numpy as np
import numpy.typing as npt

from replay.demo.config import ACTIONS, OBS_SCALE, OBS_SIZE

SCALE = np.array(OBS_SCALE, np.float32)

Parameters = npt.NDArray[np.float32]
Values = npt.NDArray[np.float32]


def layer_shapes(hidden: int) -> list[tuple[int, int]]:
    """
    Shape of each layer's weights, inputs first.

    Parameters
    ----------
    hidden : int
        Width of the two hidden layers.

    Returns
    -------
    list of tuple of int
        (inputs, outputs) of the three layers.
    """
    return [(OBS_SIZE, hidden), (hidden, hidden), (hidden, ACTIONS)]


def parameter_count(hidden: int) -> int:
    """
    Numbers in a flat vector of parameters.

    Parameters
    ----------
    hidden : int
        Width of the two hidden layers.

    Returns
    -------
    int
        Weights and biases of the three layers.
    """
    return sum(inputs * outputs + outputs for inputs, outputs in layer_shapes(hidden))


class Policy:
    """
    Greedy policy of an action-value network with two hidden layers.

    Parameters
    ----------
    parameters : (parameter_count(hidden),) float32
        For each layer its weights (inputs, outputs), then its biases; kept, not copied.
    hidden : int
        Width of the two hidden layers.
    """

    def __init__(self, parameters: Parameters, hidden: int) -> None:
        self.parameters = parameters
        self._layers = []
        start = 0
        for inputs, outputs in layer_shapes(hidden):
            middle = start + inputs * outputs
            end = middle + outputs
            weights = parameters[start:middle].reshape(inputs, outputs)
            self._layers.append((weights, parameters[middle:end]))
            start = end

    def values(self, obs: npt.NDArray[np.float32]) -> Values:
        """
        Estimate the value of each action.

        Parameters
        ----------
        obs : (..., OBS_SIZE) float32
            One observation or many.

        Returns
        -------
        (..., ACTIONS) float32
            Expected discounted return.
        """
        (w1, b1), (w2, b2), (w3, b3) = self._layers
        first = np.maximum((obs * SCALE) @ w1 + b1, 0.0)
        second = np.maximum(first @ w2 + b2, 0.0)
        values: Values = second @ w3 + b3
        return values

    def act(self, obs: npt.NDArray[np.float32]) -> int:
        """
        Choose the best action.

        Parameters
        ----------
        obs : (OBS_SIZE,) float32
            One observation.

        Returns
        -------
        int
            The first of the best.
        """
        return int(self.values(obs).argmax())
