"""The learner: Double DQN, one batch at a time."""

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from replay.demo.config import Config
from replay.demo.network import flat_parameters, make_network
from replay.demo.policy import Parameters


def double_dqn_targets(
    online: nn.Module,
    target: nn.Module,
    reward: Tensor,
    next_obs: Tensor,
    terminated: Tensor,
    gamma: float,
) -> Tensor:
    """
    Compute what the value of the action taken should have been.

    Parameters
    ----------
    online : torch.nn.Module
        Chooses the next action.
    target : torch.nn.Module
        Says what that action is worth: a network that chose and judged would believe its own
        lucky errors.
    reward : (batch,) float32
        Of the action taken.
    next_obs : (batch, OBS_SIZE) float32
        The true next observation, also where an episode was cut off.
    terminated : (batch,) bool
        The pole fell: nothing follows. An episode that was truncated at 500 steps would have
        gone on, so truncation plays no part here.
    gamma : float
        Discount of a step.

    Returns
    -------
    (batch,) float32
        Without gradient.
    """
    with torch.no_grad():
        best = online(next_obs).argmax(dim=1, keepdim=True)
        next_value = target(next_obs).gather(1, best).squeeze(1)
        targets: Tensor = reward + gamma * next_value.masked_fill(terminated, 0.0)
        return targets


class Learner:
    """
    The online and the target network, and the optimizer.

    Parameters
    ----------
    config : Config
        The seed sets PyTorch's global generator, which draws the first weights.
    """

    def __init__(self, config: Config) -> None:
        # Batches are too small to share: with more threads, each one waits for all the others,
        # and on a busy machine an update takes twenty times as long.
        torch.set_num_threads(1)
        torch.manual_seed(config.seed)
        self._config = config
        self._online = make_network(config.hidden)
        self._target = copy.deepcopy(self._online)
        # AMSGrad: once the errors are small, plain Adam takes small gradients for a reason to
        # take large steps, and walks away from a policy that had solved the task.
        self._optimizer = torch.optim.Adam(
            self._online.parameters(), lr=config.learning_rate, amsgrad=True, fused=True
        )

    @property
    def parameters(self) -> Parameters:
        """A copy of the online network's parameters, as `Policy` reads them."""
        return flat_parameters(self._online)

    def set_progress(self, done: float) -> None:
        """
        Let the learning rate follow the run.

        Parameters
        ----------
        done : float
            Share of the run that is over, 0 to 1.
        """
        self._optimizer.param_groups[0]["lr"] = self._config.learning_rate_at(done)

    def update(self, batch: Any) -> npt.NDArray[np.float32]:
        """
        Learn from one batch.

        Parameters
        ----------
        batch : replay batch
            With the fields of a transition and `weights`. Its arrays are read where they are.

        Returns
        -------
        (batch,) float32
            |TD error| of each transition, before the update.
        """
        obs, action, reward, next_obs, terminated, weights = (
            torch.from_numpy(column)
            for column in (
                batch.obs,
                batch.action,
                batch.reward,
                batch.next_obs,
                batch.terminated,
                batch.weights,
            )
        )
        targets = double_dqn_targets(
            self._online, self._target, reward, next_obs, terminated, self._config.gamma
        )
        values = self._online(obs).gather(1, action.unsqueeze(1)).squeeze(1)
        losses = nn.functional.smooth_l1_loss(values, targets, reduction="none")
        self._optimizer.zero_grad()
        torch.autograd.backward((weights * losses).mean())
        self._optimizer.step()
        with torch.no_grad():
            # The target network follows slowly: target += tau * (online - target).
            torch._foreach_lerp_(
                list(self._target.parameters()),
                list(self._online.parameters()),
                self._config.tau,
            )
            errors: npt.NDArray[np.float32] = (targets - values).abs().numpy()
        return errors
