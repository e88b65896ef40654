"""The heap in plain Python, for kernels.heap and the walks: claims, entries, rows that go."""

from tests import naive_lz4

#: Bits of an entry's second word, as its drawing says.
SIZE_BITS = 28
MOST_BYTES = (1 << SIZE_BITS) - 1


def parts(word):
    """Take an entry's second word apart: codec, bytes of the row, bytes stored."""
    return word >> (2 * SIZE_BITS), word >> SIZE_BITS & MOST_BYTES, word & MOST_BYTES


def word_of(codec, size, stored):
    """Make an entry's second word, as the int64 that it is."""
    word = (codec << (2 * SIZE_BITS) | size << SIZE_BITS | stored) & (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


def places(room, position, size):
    """Say which bytes of a ring of bytes, its margin included, a claim may write."""
    return range(position % room, position % room + size)


class Claims:
    """
    A stream's ring of bytes: who claimed what, and is not done with it.

    It remembers nothing of what it found out before: every claim looks at all others, in every
    round that they have been overtaken.
    """

    def __init__(self, room, patience):
        self.room = room
        self.patience = patience
        self.next = 0
        #: Bytes by the line of the claim: position, size.
        self.held = {}

    def images(self, behind, line):
        """Give where bytes that are held lie, as they are met from a position on."""
        for other, (start, size) in self.held.items():
            if other == line or size == 0:
                continue
            while start + size <= behind:
                start += self.room
            yield start, start + size

    def free_at(self, line, position, size):
        """Say whether nobody holds any of these bytes, byte by byte."""
        return not any(
            (byte - start) % self.room < held
            for byte in range(position, position + size)
            for other, (start, held) in self.held.items()
            if other != line
        )

    def next_free(self, line, position, size):
        """Say from where on bytes may be claimed, and up to where nobody is in the way."""
        images = list(self.images(position, line))
        in_the_way = [end for start, end in images if start < position + size]
        clear = min([start for start, _ in images], default=position + self.room)
        return max(in_the_way, default=position), min(clear, position + self.room)

    def claim(self, line, size):
        """Take the next bytes; None where too many others are in the way."""
        for _ in range(self.patience):
            first, _ = self.next_free(line, self.next, size)
            if first == self.next:
                self.held[line] = (first, size)
                self.next += size
                return first
            self.next = first
        return None

    def leave(self, line):
        """Be done with the bytes."""
        del self.held[line]


def stands(room, head, position):
    """Say whether bytes of a position are still those that were claimed there."""
    return position >= 0 and 0 <= head - position <= room


def row_of(ring, room, line, entry, length):
    """
    Unpack a row, or give None where it is none that a field can have.

    `line` is the field's: bytes of the largest row, of an element (0: all rows are the largest),
    whether rows are packed, and the rows of its dictionary, None where there is none.
    """
    position, word = entry
    largest, unit, packed, dictionary = line
    codec, size, stored = parts(word)
    if position < 0 or size > largest or stored > size:
        return None
    if (size != largest) if unit == 0 else (length * unit != size):
        return None
    start = position % room
    taken = bytes(ring[start : start + stored])
    if codec == 0:
        return taken if stored == size else None
    known = codec - 1
    if not packed or (known != 0 and (dictionary is None or not 0 <= known <= len(dictionary))):
        return None
    return naive_lz4.unpack(taken, size, b"".join((dictionary or [])[:known]))


def remaining(rows, room, head, slots):
    """
    Say which rows of one writer's stream stay, given (ticket, position) of all, the oldest first.

    As many of the newest as have their bytes, and a slot; the newest one stays in any case.
    """
    kept = []
    for ticket, position in reversed(rows[-slots:]):
        if kept and not stands(room, head, position):
            break
        kept.append(ticket)
    return kept[::-1]
