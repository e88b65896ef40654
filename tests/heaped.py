"""What tests read of the heap of a buffer: where the bytes of compressed and ragged rows lie."""

from kernels.heap import BYTES, BYTES_OF, OWNER_OF, entry_codec, entry_size, entry_stored
from kernels.jit import interpreted


def heaped_of(buffer):
    """List the columns in the heap, and in which word of a record their entries begin."""
    places = buffer._ring.layout.places
    return [(n, places[n].offset // 8) for n, field in buffer.fields.items() if field.heaped]


def entries_of(buffer, slot):
    """Give position, codec, size and stored bytes of each entry of a slot, in order."""
    record = buffer._ring.block.part("records")[slot]
    codec, size, stored = map(interpreted, (entry_codec, entry_size, entry_stored))
    words = [(int(record[at]), int(record[at + 1])) for _, at in heaped_of(buffer)]
    return [(first, codec(word), size(word), stored(word)) for first, word in words]


def claimed(buffer):
    """List how many bytes were ever claimed in each stream."""
    return buffer._ring.block.part("heads")[:, BYTES].tolist()


def assert_at_rest(buffer):
    """Find nothing that is unfinished, and nothing to be corrected."""
    before = len(buffer)
    assert not buffer._ring.block.part("writing")[:, [OWNER_OF, BYTES_OF]].any()
    done = buffer.repair()
    assert (done.dead, done.slots, done.sums, done.finished) == (0, 0, 0, True)
    assert len(buffer) == before
    if buffer.sampler.prioritized:
        assert buffer.priorities.verify() == 0
