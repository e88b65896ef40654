"""Blocks that nobody has open, as processes leave them that are killed."""

import numpy as np

import replay
from kernels.ring import ring_claim, ring_take
from replay.memory.home import named_path
from tests.homes import fresh_name

FIELDS = {"obs": (np.float32, (80,)), "action": np.int64}


def dying(**options):
    """Make a buffer of three rows, by a process that is inside a fourth."""
    buffer = replay.ReplayBuffer(
        30, FIELDS, name=fresh_name(), sampler=replay.Proportional(), **options
    )
    buffer.extend(obs=np.ones((3, 80), np.float32), action=np.arange(3))
    ring = buffer._ring
    ticket = ring_claim(ring.block.part("heads"), 0, 1)
    assert ring_take(ring.block.part("records"), 3, ticket, ring.members.number) >= 0
    return buffer


def left_behind(path=None):
    """
    Leave a block behind, as its creator and another process do that are killed.

    The locks of both are gone, and what they were doing is half done.
    """
    with dying() as creator, replay.attach(creator.name) as other:
        tree = creator._ring.block.part("tree")
        tree[0, 0] += 5
        content = named_path(creator.name).read_bytes()
        tree[0, 0] -= 5
        assert len(other) == 3
    name = fresh_name()
    path = path or named_path(name)
    path.write_bytes(content)
    path.chmod(0o600)
    return name
