"""Plain-Python twins of draws without replacement, of the newest row, and of shares."""

from fractions import Fraction

from tests import naive


class Generator:
    """A seed and the next counter."""

    def __init__(self, seed, counter):
        self.seed, self.counter = seed, counter

    def claim(self, count):
        self.counter += count
        return self.counter - count


def distinct(generator, live, full, drawable, count, kept=()):
    """
    Draw `count` of the live slots, all different and none of `kept`; None: there are too few.

    One by one while a batch is at most half of them, and no more tries than slots, whether there
    is a row in them or not; then by a reservoir over those that are drawable. A full buffer is
    numbered by slot and not by age.
    """
    rows = sorted(live) if full else live
    before = generator.counter
    first = generator.claim(count)
    if 2 * (count + len(kept)) <= len(rows):
        drawn, turn = [], 0
        for _ in range(len(rows)):
            seed = generator.seed ^ (turn * 0x51ED270B)
            row = rows[naive.below(seed, first + len(drawn), len(rows))]
            turn += 1
            if row not in drawn and row not in kept:
                drawn.append(row)
                turn = 0
                if len(drawn) == count:
                    return drawn
    first = generator.claim(len(rows) + count)
    left = [row for row in live if row in drawable and row not in kept]
    if len(left) < count:
        generator.counter = before
        return None
    drawn = left[:count]
    for found in range(count, len(left)):
        place = naive.below(generator.seed, first + found, found + 1)
        if place < count:
            drawn[place] = left[found]
    for place in reversed(range(1, count)):
        other = naive.below(generator.seed, first + len(rows) + place, place + 1)
        drawn[place], drawn[other] = drawn[other], drawn[place]
    return drawn


def newest(streams, batches):
    """Give the newest row of the stream whose turn it is, lists with the newest row last."""
    turns = [(batches + turn) % len(streams) for turn in range(len(streams))]
    return next((streams[turn][-1] for turn in turns if streams[turn]), None)


class Shares:
    """Give each row of a batch to whoever is owed the most."""

    def __init__(self, shares):
        self.shares = [Fraction(share) for share in shares]
        self.owed = [Fraction(0)] * len(shares)

    def divide(self, rows):
        counts = [0] * len(self.shares)
        self.owed = [
            owed + rows * share for owed, share in zip(self.owed, self.shares, strict=True)
        ]
        for _ in range(rows):
            place = self.owed.index(max(self.owed))
            counts[place] += 1
            self.owed[place] -= 1
        return counts


def sequence_priority(errors, counts, eta):
    """Mix the largest and the mean error of one sequence."""
    known = [abs(error) for error, counted in zip(errors, counts, strict=True) if counted]
    return eta * max(known) + (1 - eta) * sum(known) / len(known)
