"""The buffers that users hold."""

from replay.buffers.mixture import Mixture
from replay.buffers.opening import attach, load
from replay.buffers.replay_buffer import ReplayBuffer
from replay.buffers.step_writer import StepWriter
from replay.buffers.vector_writer import VectorWriter
from replay.buffers.view_reader import ViewReader
from replay.buffers.writer import Writer

__all__ = [
    "Mixture",
    "ReplayBuffer",
    "StepWriter",
    "VectorWriter",
    "ViewReader",
    "Writer",
    "attach",
    "load",
]
