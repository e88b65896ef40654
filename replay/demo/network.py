"""The action-value network, in PyTorch."""

from typing import Any

import numpy as np
import torch
from torch import nn

from replay.demo.config import OBS_SCALE
from replay.demo.policy import Parameters, layer_shapes


class Scale(nn.Module):
    """The first layer, which has nothing to learn: observations times `OBS_SCALE`."""

    def __init__(self) -> None:
        super().__init__()
        # A buffer in PyTorch's sense: it follows the network about and is no parameter.
        self.register_buffer("scale", torch.tensor(OBS_SCALE))

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """
        Scale a batch.

        Parameters
        ----------
        obs : (..., OBS_SIZE) float32
            As the environment gives them.

        Returns
        -------
        (..., OBS_SIZE) float32
            Of like magnitude.
        """
        return obs * self.scale


def make_network(hidden: int) -> nn.Sequential:
    """
    Build the network with PyTorch's own random start.

    Parameters
    ----------
    hidden : int
        Width of the two hidden layers.

    Returns
    -------
    torch.nn.Sequential
        From observations to one value per action.
    """
    layers: list[nn.Module] = [Scale()]
    for inputs, outputs in layer_shapes(hidden):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def flat_parameters(network: nn.Module) -> Parameters:
    """
    Copy a network's parameters into the order that `Policy` reads.

    Parameters
    ----------
    network : torch.nn.Module
        From `make_network`.

    Returns
    -------
    (parameter_count(hidden),) float32
        A new array.
    """
    with torch.no_grad():
        # PyTorch keeps weights as (outputs, inputs); .T leaves biases as they are.
        parts: list[Any] = [
            (parameter.T if parameter.ndim == 2 else parameter).reshape(-1)
            for parameter in network.parameters()
        ]
        return np.asarray(torch.cat(parts).numpy(), np.float32)
