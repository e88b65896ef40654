"""The DQN form: push transitions, draw tuples of float32 arrays."""

from replay.compat.dqn.prioritized import PrioritizedReplayBuffer
from replay.compat.dqn.sum_tree import SumTree
from replay.compat.dqn.uniform import Experience, ReplayBuffer

__all__ = ["Experience", "PrioritizedReplayBuffer", "ReplayBuffer", "SumTree"]
