"""The ledger: which row each ticket was given to, as the writers' journal tells it."""

import numpy as np

from tests.stress import journal as words

#: Tickets of a stream that are remembered.
_TICKETS = 1 << 18
_NUMBER = (1 << 48) - 1


class Ledger:
    """Owns what the parent knows of ids; reads the journal from time to time."""

    def __init__(self, journal, writers, streams):
        self._journal = journal
        self._writers = writers
        self._streams = streams
        self._tickets = np.full((streams, _TICKETS), -1, np.int64)
        self._rows = np.zeros((streams, _TICKETS), np.int64)
        self._last = np.full((writers, streams), -1, np.int64)
        self.added = 0
        #: Ids that were given out twice, and ids of a writer that did not grow.
        self.twice = 0
        self.backwards = 0

    def read(self):
        """Enter what the writers have settled since the last time."""
        for writer in range(self._writers):
            head = self._journal.head[writer]
            first, end = int(head[words.READ]), int(head[words.SETTLED])
            numbers = np.arange(first, end)
            ids = self._journal.ids[writer, numbers % words.RECENT]
            numbers, ids = numbers[ids >= 0], ids[ids >= 0]
            for stream in range(self._streams):
                own = ids % self._streams == stream
                self._enter(writer, stream, numbers[own], ids[own] // self._streams)
            self.added += len(ids)
            head[words.READ] = end

    def _enter(self, writer, stream, numbers, tickets):
        if not len(tickets):
            return
        ordered = np.concatenate([self._last[writer, stream : stream + 1], tickets])
        self.backwards += int((np.diff(ordered) <= 0).sum())
        self._last[writer, stream] = tickets[-1]
        places = tickets % _TICKETS
        known = self._tickets[stream, places]
        self.twice += int((known == tickets).sum())
        newer = tickets > known
        self._tickets[stream, places[newer]] = tickets[newer]
        self._rows[stream, places[newer]] = writer << 48 | numbers[newer]

    def row(self, stream, tickets):
        """Say to which writer and number tickets were given; -1 where that is not known."""
        places = tickets % _TICKETS
        known = (self._tickets[stream, places] == tickets) & (tickets >= 0)
        rows = self._rows[stream, places]
        return np.where(known, rows >> 48, -1), np.where(known, rows & _NUMBER, -1)
