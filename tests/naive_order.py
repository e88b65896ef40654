"""Plain-Python twins of the samplers that go by age: each row once, newest first, and recent."""

import decimal


class Streams:
    """
    What became of each ticket of each stream.

    A slot holds the newest ticket that was committed in it. A ticket is coming, as long as an
    older one holds its slot, or none.
    """

    def __init__(self, streams, rows):
        self.rows = rows
        self.heads = [0] * streams
        self.bases = [0] * streams
        self.held = [{} for _ in range(streams)]
        self.given = set()

    def claim(self, stream, count):
        first = self.heads[stream]
        self.heads[stream] += count
        return list(range(first, first + count))

    def commit(self, stream, ticket):
        """Say whether the row found its slot free of newer ones, and the stream not cleared."""
        place = ticket % self.rows
        if ticket < self.bases[stream] or self.held[stream].get(place, -1) > ticket:
            return False
        self.held[stream][place] = ticket
        return True

    def clear(self):
        self.bases = list(self.heads)
        self.held = [{} for _ in self.held]

    def span(self, stream):
        head = self.heads[stream]
        return range(max(self.bases[stream], head - self.rows, 0), head)

    def stored(self, stream):
        """List the tickets whose rows are there, oldest first."""
        return [t for t in self.span(stream) if self.held[stream].get(t % self.rows) == t]

    def unread(self, stream):
        return [t for t in self.stored(stream) if (stream, t) not in self.given]

    def gaps(self, stream):
        """Count the runs of tickets without a row that have an unread row behind them."""
        last = max(self.unread(stream), default=-1)
        runs, before = 0, False
        for ticket in self.span(stream):
            held = self.held[stream].get(ticket % self.rows, -1)
            coming = held < ticket < last and (stream, ticket) not in self.given
            runs += coming and not before
            before = coming
        return runs

    def left(self):
        """Count the tickets that may still be given out."""
        spans = [(s, t) for s in range(len(self.heads)) for t in self.span(s)]
        return len([one for one in spans if one not in self.given])

    def lost(self):
        """Count the tickets whose slots newer ones have come to, without being given out."""
        gone = [(s, t) for s, head in enumerate(self.heads) for t in range(head - self.rows)]
        return len([one for one in gone if one not in self.given])

    def take(self, wanted, turn):
        """Give each row once: an equal share of each stream, then the rest of each in turn."""
        order = [(turn + k) % len(self.heads) for k in range(len(self.heads))]
        if sum(len(self.unread(stream)) for stream in order) < wanted:
            return None
        taken = []
        for share in (-(-wanted // len(order)), wanted):
            for stream in order:
                rows = [(stream, t) for t in self.unread(stream)]
                rows = rows[: min(share, wanted - len(taken))]
                self.given.update(rows)
                taken += rows
        return taken

    def newest(self, wanted):
        """Deal from the newest rows of the streams in turn."""
        hands = [self.stored(stream)[::-1] for stream in range(len(self.heads))]
        dealt = []
        while any(hands):
            dealt += [(stream, hand.pop(0)) for stream, hand in enumerate(hands) if hand]
        return dealt[:wanted]


def recent_rows(size, batches, eta, updates):
    """Say size * eta ** (k * 1000 / K), with 40 digits."""
    with decimal.localcontext(decimal.Context(prec=40)):
        exponent = decimal.Decimal((batches % updates + 1) * 1000) / updates
        return size * decimal.Decimal(eta) ** exponent


def recent_share(count, newest, size):
    return -(-count * newest // size)


def recent_slots(spans, rows, newest):
    """List the slots of the newest rows of each stream, newest first."""
    size = sum(len(span) for span in spans)
    slots = []
    for stream, span in enumerate(spans):
        share = recent_share(len(span), newest, size)
        slots += [stream * rows + ticket % rows for ticket in list(span)[::-1][:share]]
    return slots
