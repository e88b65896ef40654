"""The NumPy policy plays what the PyTorch network has learned."""

import numpy as np
import torch

from replay.demo.config import ACTIONS, OBS_SIZE
from replay.demo.network import flat_parameters, make_network
from replay.demo.policy import Policy, parameter_count

HIDDEN = 32


def network_and_policy():
    torch.manual_seed(0)
    network = make_network(HIDDEN)
    return network, Policy(flat_parameters(network), HIDDEN)


def test_policy_and_network_agree_on_a_batch():
    network, policy = network_and_policy()
    obs = np.random.default_rng(1).normal(size=(100, OBS_SIZE)).astype(np.float32)
    expected = network(torch.from_numpy(obs)).detach().numpy()
    np.testing.assert_allclose(policy.values(obs), expected, rtol=1e-4, atol=1e-5)
    assert policy.values(obs).shape == (100, ACTIONS)


def test_policy_takes_the_action_of_the_largest_value():
    network, policy = network_and_policy()
    for obs in np.random.default_rng(2).normal(size=(20, OBS_SIZE)).astype(np.float32):
        assert policy.act(obs) == int(network(torch.from_numpy(obs)).argmax())


def test_flat_parameters_are_a_copy():
    network, policy = network_and_policy()
    before = policy.parameters.copy()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(policy.parameters, before)
    assert len(before) == parameter_count(HIDDEN)
