"""What a DQN buffer shows of its priorities, under the names of a sum tree."""

from replay.buffers import ReplayBuffer


class SumTree:
    """
    Shows the priorities of a prioritized buffer; an empty one has 0 everywhere.

    Parameters
    ----------
    buffer : replay.ReplayBuffer
        With a `Proportional` sampler.
    """

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._buffer = buffer

    @property
    def total(self) -> float:
        """The sum of all priority ** alpha, O(1): the root of the tree is read."""
        return self._buffer.priorities.total if len(self._buffer) else 0.0

    @property
    def max(self) -> float:
        """The largest priority stored, before alpha; O(capacity)."""
        return self._buffer.priorities.largest if len(self._buffer) else 0.0

    @property
    def min(self) -> float:
        """The smallest priority stored, before alpha, of those above 0; O(capacity)."""
        return self._buffer.priorities.smallest if len(self._buffer) else 0.0

    def __repr__(self) -> str:
        return f"<SumTree total={self.total:g}, max={self.max:g}, min={self.min:g}>"
