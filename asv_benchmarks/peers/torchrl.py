"""
TorchRL: tensors in a `LazyTensorStorage`, trees in C++.

Rows are tuples of tensors, which every storage takes as it takes a `TensorDict`, in two thirds of
the time. Arrays become tensors by `torch.from_numpy`, which copies nothing, and numbers by
`torch.tensor`. The weights of prioritized rows come with `return_info=True`.

Its trees are in a compiled part that fits some versions of PyTorch only; where it does not load,
TorchRL itself refuses to make a prioritized buffer.
"""

import itertools
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torchrl.data import LazyTensorStorage, PrioritizedReplayBuffer, ReplayBuffer

from .peer import ADD, ALPHA, BETA, EXTEND, SAMPLE, SEED, UPDATE, Peer
from .peer import new_priorities as errors


class Rows(Peer):
    """`ReplayBuffer` or `PrioritizedReplayBuffer`."""

    name = "TorchRL"
    distribution = "torchrl"
    prioritized: ClassVar = frozenset({ADD, EXTEND, SAMPLE, UPDATE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        torch.set_num_threads(1)
        # It tells of every storage that it begins.
        logging.getLogger("torchrl").setLevel(logging.WARNING)
        torch.manual_seed(SEED)
        # Prioritized draws are of NumPy's own generator.
        np.random.seed(SEED)  # noqa: NPY002
        self.weighted = prioritized
        storage = LazyTensorStorage(rows)
        if prioritized:
            self.buffer = PrioritizedReplayBuffer(alpha=ALPHA, beta=BETA, storage=storage)
        else:
            self.buffer = ReplayBuffer(storage=storage)

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        index = self.buffer.extend(tuple(torch.from_numpy(column) for column in columns))
        if priorities is not None:
            self.buffer.update_priority(index, torch.from_numpy(priorities))

    def add(self, row: Sequence[Any], times: int) -> Any:
        add = self.buffer.add
        obs, action, reward, next_obs, terminated = row
        wrap, number = torch.from_numpy, torch.tensor
        for _ in itertools.repeat(None, times):
            add((wrap(obs), number(action), number(reward), wrap(next_obs), number(terminated)))

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        extend = self.buffer.extend
        obs, action, reward, next_obs, terminated = columns
        wrap = torch.from_numpy
        for _ in itertools.repeat(None, times):
            extend((wrap(obs), wrap(action), wrap(reward), wrap(next_obs), wrap(terminated)))

    def sample(self, count: int, times: int) -> Any:
        sample = self.buffer.sample
        if self.weighted:
            for _ in itertools.repeat(None, times):
                batch = sample(count, return_info=True)
        else:
            for _ in itertools.repeat(None, times):
                batch = sample(count)
        return batch

    def sample_and_update(self, count: int, times: int) -> Any:
        sample, update = self.buffer.sample, self.buffer.update_priority
        priorities = torch.from_numpy(errors(count))
        for _ in itertools.repeat(None, times):
            batch = sample(count, return_info=True)
            update(batch[1]["index"], priorities)
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        tensors = (*batch[0], batch[1]["priority_weight"]) if self.weighted else batch
        return [tensor.numpy() for tensor in tensors]
