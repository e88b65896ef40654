"""The buffer keeps the contract."""

from tests.buffers.contract import BufferContract


class TestReplayBuffer(BufferContract):
    """A ReplayBuffer as it stands."""
