"""The buffers that users hold."""

from replay.buffers.replay_buffer import ReplayBuffer, attach, load
from replay.buffers.writer import Writer

__all__ = ["ReplayBuffer", "Writer", "attach", "load"]
