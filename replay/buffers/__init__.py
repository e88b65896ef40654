"""The buffers that users hold."""

from replay.buffers.opening import attach, load
from replay.buffers.replay_buffer import ReplayBuffer
from replay.buffers.writer import Writer

__all__ = ["ReplayBuffer", "Writer", "attach", "load"]
