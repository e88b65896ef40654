"""
The journal: what each process says of itself, in a file that outlives whoever is killed.

    head (seats, 16) int64      one process at a time sits in a seat, the next one goes on from it
    ids (seats, RECENT) int64   entry number % RECENT: the id of a writer's row, or UNKNOWN

A writer marks the entries of rows UNKNOWN, raises INTENDED, adds the rows, notes their ids and
raises SETTLED. So a row whose `add` has returned has its id here but for the instant between the
two, and of a row that is UNKNOWN nobody can tell whether it came to be.
"""

import mmap

import numpy as np

PROGRESS = 0
INTENDED = 1
SETTLED = 2
#: Numbers below it were read by the parent: entries before them may be used again.
READ = 3
ROWS = 4
BATCHES = 5
UPDATED = 6
STALE = 7
TORN = 8
FOREIGN = 9
JAMS = 10
EMPTY = 11
#: Nanoseconds between two steps in which the parent did not stop the process.
LONGEST = 12
#: How often the parent stopped it.
STOPS = 13
_WORDS = 16

UNKNOWN = -1
RECENT = 1 << 18


class Journal:
    """Owns the shared words of a trial, mapped before the processes are forked."""

    def __init__(self, path, seats):
        size = 8 + seats * (_WORDS + RECENT) * 8
        with open(path, "w+b") as file:
            file.truncate(size)
            memory = mmap.mmap(file.fileno(), size)
        words = np.frombuffer(memory, np.int64)
        self._over = words[:1]
        self.head = words[1 : 1 + seats * _WORDS].reshape(seats, _WORDS)
        self.ids = words[1 + seats * _WORDS :].reshape(seats, RECENT)

    @property
    def over(self):
        """Whether everybody is to end."""
        return bool(self._over[0])

    def end(self):
        """Ask everybody to end."""
        self._over[0] = 1

    def intend(self, writer, count):
        """Announce a writer's next rows; give the number of the first."""
        head = self.head[writer]
        first = int(head[INTENDED])
        self.ids[writer, np.arange(first, first + count) % RECENT] = UNKNOWN
        head[INTENDED] = first + count
        return first

    def settle(self, writer, first, ids):
        """Note the ids of rows whose `add` has returned."""
        self.ids[writer, np.arange(first, first + len(ids)) % RECENT] = ids
        head = self.head[writer]
        head[SETTLED] = first + len(ids)
        head[ROWS] += len(ids)
        head[PROGRESS] += 1

    def resume(self, writer):
        """Go on in a seat whose last process may have died between two steps."""
        self.head[writer, SETTLED] = self.head[writer, INTENDED]

    def foreign(self, ids, writers, numbers):
        """Say of each row whether its id is another than its writer was given for it."""
        wrong = writers >= len(self.head)
        writers = np.where(wrong, 0, writers)
        noted = self.ids[writers, numbers % RECENT]
        # After the entries: an entry that was used again by now shows in a number this large.
        intended = self.head[writers, INTENDED]
        recent = numbers > intended - RECENT + 1024
        wrong |= (numbers < 0) | (numbers >= intended)
        return wrong | (recent & (noted != UNKNOWN) & (noted != ids))
