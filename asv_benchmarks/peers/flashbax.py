"""
Flashbax: pure functions of JAX on a state, compiled for this processor.

The item buffer stores rows one by one. `add` and `set_priorities` are compiled with their state
donated, so that nothing is copied; every call is waited for. Sample and update are two calls,
since in one XLA copies the tree. Weights are computed inside the compiled sample, from the
probabilities that come with it. Numbers of 64 bits are off in JAX by default, so an action takes 4
bytes of a row here, not 8.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import flashbax
import jax
import numpy as np

from .peer import ADD, ALPHA, BETA, EXTEND, SAMPLE, SEED, UPDATE, Peer
from .peer import new_priorities as errors
from .transitions import NAMES, one

#: What JAX keeps of each field.
DTYPES = (np.float32, np.int32, np.float32, np.float32, np.bool_)


class Rows(Peer):
    """`make_item_buffer` or `make_prioritised_item_buffer`, on the CPU."""

    name = "Flashbax"
    distribution = "flashbax"
    prioritized: ClassVar = frozenset({ADD, EXTEND, SAMPLE, UPDATE})

    def __init__(self, rows: int, prioritized: bool) -> None:
        self.weighted = prioritized
        self.make = (
            functools.partial(
                flashbax.make_prioritised_item_buffer, priority_exponent=ALPHA, device="cpu"
            )
            if prioritized
            else flashbax.make_item_buffer
        )
        self.rows = rows
        single, many = self.make(rows, 1, 1), self.make(rows, 1, 1, add_sequences=True)
        self.state = jax.jit(single.init)(wrapped(one()))
        self.add_one = jax.jit(single.add, donate_argnums=0)
        self.add_many = jax.jit(many.add, donate_argnums=0)
        if prioritized:
            self.set = jax.jit(single.set_priorities, donate_argnums=0)
        self.key = jax.random.key(SEED)
        self.samplers: dict[int, Any] = {}
        self.filled = 0

    def fill(self, columns: Sequence[np.ndarray], priorities: np.ndarray | None) -> None:
        self.extend(columns, 1)
        if priorities is not None:
            indices = np.arange(self.filled, self.filled + len(priorities))
            self.state = jax.block_until_ready(self.set(self.state, indices, priorities))
        self.filled += len(columns[0])

    def add(self, row: Sequence[Any], times: int) -> Any:
        add, ready, state = self.add_one, jax.block_until_ready, self.state
        obs, action, reward, next_obs, terminated = row
        # NumPy's scalars: of Python's the dtypes are left open, which is another function to JAX.
        for _ in itertools.repeat(None, times):
            given = {
                "obs": obs,
                "action": np.int32(action),
                "reward": np.float32(reward),
                "next_obs": next_obs,
                "terminated": np.bool_(terminated),
            }
            state = ready(add(state, given))
        self.state = state

    def extend(self, columns: Sequence[np.ndarray], times: int) -> Any:
        add, ready, state = self.add_many, jax.block_until_ready, self.state
        given = wrapped(columns)
        for _ in itertools.repeat(None, times):
            state = ready(add(state, given))
        self.state = state

    def sampler(self, count: int) -> Any:
        """Compile the draw of `count` rows; the batch's size is fixed in a buffer of Flashbax."""
        if count not in self.samplers:
            sample = self.make(self.rows, 1, count).sample

            def draw(state: Any, key: Any) -> Any:
                key, now = jax.random.split(key)
                batch = sample(state, now)
                if not self.weighted:
                    return key, batch.experience
                weights = batch.probabilities**-BETA
                return key, batch.experience, weights / weights.max(), batch.indices

            self.samplers[count] = jax.jit(draw)
        return self.samplers[count]

    def sample(self, count: int, times: int) -> Any:
        draw, ready, state, key = self.sampler(count), jax.block_until_ready, self.state, self.key
        for _ in itertools.repeat(None, times):
            key, *batch = ready(draw(state, key))
        self.key = key
        return batch

    def sample_and_update(self, count: int, times: int) -> Any:
        draw, ready, state, key = self.sampler(count), jax.block_until_ready, self.state, self.key
        update = self.set
        priorities = jax.numpy.asarray(errors(count))
        for _ in itertools.repeat(None, times):
            key, *batch = draw(state, key)
            state = ready(update(state, batch[2], priorities))
        self.state, self.key = state, key
        return batch

    def columns(self, batch: Any) -> list[np.ndarray]:
        arrays = [np.asarray(batch[0][name]) for name in NAMES]
        return [*arrays, np.asarray(batch[1])] if self.weighted else arrays


def wrapped(values: Sequence[Any]) -> dict[str, np.ndarray]:
    """Make rows, or one, a dictionary of NumPy's arrays in the types of JAX."""
    return {
        name: np.asarray(value, dtype)
        for name, value, dtype in zip(NAMES, values, DTYPES, strict=True)
    }
