"""
Plain-Python twins of the kernels: lists, integers, fractions, and no cleverness.

A twin says what a kernel must give, in the simplest way there is. Beside the twins stand a bound
for chi-square tests and a runner for threads.
"""

import decimal
import math
import threading
from fractions import Fraction

from kernels.ring import ring_clear, ring_rebase

MASK = 2**64 - 1


# atomics


def wrap(value, signed):
    """Reduce an integer to a 64-bit word."""
    value &= MASK
    return value - 2**64 if signed and value >> 63 else value


# random


def bits(seed, counter):
    """Run SplitMix64 from its start: its state grows by the golden ratio at each draw."""
    state = (seed + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


def below(seed, counter, bound):
    """Draw from [0, bound): floor(bound * bits / 2**64), less the bits that come up too often."""
    turn = 0
    while True:
        product = bits(seed ^ (0x5851F42D4C957F2D * turn), counter) * bound
        if product & MASK >= 2**64 % bound:
            return product >> 64
        turn += 1


def unit(seed, counter):
    """Draw from [0, 1)."""
    return float(Fraction(bits(seed, counter) >> 11, 2**53))


# ring


class Ring:
    """One list of slots a stream: None, ("whole", ticket) or ("taken", ticket, writer, held)."""

    def __init__(self, streams, rows):
        self.rows = rows
        self.slots = [None] * (streams * rows)
        self.counted = [False] * (streams * rows)
        self.heads = [0] * streams
        self.bases = [0] * streams

    def claim(self, stream, count):
        first = self.heads[stream]
        self.heads[stream] += count
        return first

    def locate(self, identity):
        ticket, stream = divmod(identity, len(self.heads))
        return stream * self.rows + ticket % self.rows, ticket

    def take(self, slot, ticket, writer):
        """Give 0 where the slot is not to be had, 2 where it was empty, 1 else."""
        held = self.slots[slot]
        if held is not None and (held[0] == "taken" or held[1] >= ticket):
            return 0
        self.slots[slot] = ("taken", ticket, writer, held is not None)
        return 2 if held is None else 1

    def commit(self, slot, ticket):
        self.slots[slot] = ("whole", ticket)
        self.counted[slot] = True

    def free(self, slot, writer):
        """Empty a slot that a writer was filling; say whether it was so."""
        held = self.slots[slot]
        if held is None or held[0] != "taken" or held[2] != writer:
            return False
        self.slots[slot] = None
        return True

    def recount(self):
        """Count anew, from the slots alone."""
        self.counted = [held is not None for held in self.slots]

    def clear(self):
        self.bases = list(self.heads)
        for slot, held in enumerate(self.slots):
            if held is not None and held[0] == "whole":
                self.slots[slot] = None
                self.counted[slot] = False

    def word(self, slot):
        held = self.slots[slot]
        if held is None:
            return 0
        word = (held[1] + 1) * 8192
        return word + 4 * held[2] + 2 * held[3] + 1 if held[0] == "taken" else word

    def filled(self, stream):
        return sum(self.counted[stream * self.rows : (stream + 1) * self.rows])

    def span(self, stream):
        head = self.heads[stream]
        live = [t for t in range(head) if t >= self.bases[stream] and t >= head - self.rows]
        return (live[0] if live else head), len(live)

    def live_slots(self):
        """List the slots of all live tickets, stream after stream, oldest first."""
        slots = []
        for stream in range(len(self.heads)):
            first, count = self.span(stream)
            slots += [stream * self.rows + t % self.rows for t in range(first, first + count)]
        return slots


def clear_ring(heads, records, rows):
    """Empty a whole ring, as kernels.walk_clear does."""
    for stream in range(heads.shape[0]):
        ring_rebase(heads, stream)
        for slot in range(stream * rows, (stream + 1) * rows):
            ring_clear(heads, records, stream, slot)


# tree


def tree_levels(capacity):
    """List at which line each level begins, the top one first, and how many lines there are."""
    counts = [-(-capacity // 8)]
    while counts[0] > 1:
        counts.insert(0, -(-counts[0] // 8))
    return [sum(counts[:level]) for level in range(len(counts) + 1)]


def leaf_bits(capacity):
    return 62 - (capacity - 1).bit_length()


def tree_lines(leaves, combine=sum):
    """Build every line of a tree over leaves, level by level from the bottom up."""
    entries = list(leaves)
    lines = []
    while True:
        entries += [combine([])] * (-len(entries) % 8)
        level = [entries[at : at + 8] for at in range(0, len(entries), 8)]
        lines = level + lines
        if len(level) == 1:
            return lines
        entries = [combine(line) for line in level]


def tree_lacks(lines, levels):
    """Say by how much each entry above the leaves differs from the line below it."""
    lacks = {}
    for level in range(len(levels) - 2):
        for node in range(levels[level + 2] - levels[level + 1]):
            entry = lines[levels[level] + node // 8][node % 8]
            lacks[level, node] = sum(lines[levels[level + 1] + node]) - entry
    return lacks


def tree_find(leaves, prefix):
    """Walk along the leaves."""
    for leaf, value in enumerate(leaves):
        if prefix < value:
            return leaf, prefix
        prefix -= value
    raise IndexError(prefix)


def stratum(total, draw, draws):
    """Give the first prefix of a stratum, and the first after it."""
    return total * draw // draws, total * (draw + 1) // draws


def tree_stratum(total, seed, counter, draw, draws):
    first, after = stratum(total, draw, draws)
    if first == after:
        return below(seed, counter, total)
    return first + below(seed, counter, after - first)


def smallest(values):
    """Give the smallest value above zero; 2**63 - 1 where there is none."""
    return min((value for value in values if value > 0), default=2**63 - 1)


# powers, priorities, weights


def power(value, exponent):
    """Raise a number to a power with 40 digits."""
    if value == 0:
        return decimal.Decimal(0)
    with decimal.localcontext(decimal.Context(prec=40)):
        return decimal.Decimal(value) ** decimal.Decimal(exponent)


def priority_leaf(priority, alpha, capacity):
    """Give p**alpha in fixed point as an exact number, within [1, ceiling] unless it is 0."""
    if priority == 0:
        return Fraction(0)
    scaled = Fraction(power(priority, alpha)) * 2 ** (leaf_bits(capacity) - 14)
    return min(max(scaled, Fraction(1)), Fraction(2 ** leaf_bits(capacity)))


def weights(leaves, reference, beta):
    return [math.pow(leaf / reference, -beta) for leaf in leaves]


# members


class Members:
    """Who is inside of what, and how often they ever went in."""

    def __init__(self):
        self.inside = {}
        self.entries = {}

    def enter(self, member, word):
        self.inside[member, word] = self.inside.get((member, word), 0) + 1
        self.entries[word] = self.entries.get(word, 0) + 1

    def leave(self, member, word):
        self.inside[member, word] -= 1

    def quiet(self, word):
        """Give how often anybody went in; None while somebody is."""
        if any(count for (_, which), count in self.inside.items() if which == word):
            return None
        return self.entries.get(word, 0)


# uniform


def uniform_draw(ring, seed, counter, count):
    """Draw among the live slots; a full buffer is numbered by slot and not by age."""
    live = ring.live_slots()
    if len(live) == len(ring.slots):
        live = list(range(len(live)))
    return [live[below(seed, counter + draw, len(live))] for draw in range(count)]


# rows


def rows_get(ring, columns, slots):
    """Give the ids of slots, -1 where one holds no whole row, and the bytes of each field."""
    ids = []
    for slot in slots:
        held = ring.slots[slot]
        whole = held is not None and held[0] == "whole"
        ids.append(held[1] * len(ring.heads) + slot // ring.rows if whole else -1)
    return ids, [[column[slot] for slot in slots] for column in columns]


# limit


class Limiter:
    """Rows drawn against rows added, as exact numbers; every rule as the documentation has it."""

    def __init__(self, samples_per_insert, min_size, tolerance):
        self.ratio = Fraction(samples_per_insert)
        self.min_size = min_size
        self.tolerance = Fraction(tolerance)
        self.balance = Fraction(0)

    @property
    def middle(self):
        return self.min_size * self.ratio

    def may_add(self, stored):
        return stored < self.min_size or self.balance + self.ratio <= self.middle + self.tolerance

    def may_sample(self, stored):
        return stored >= self.min_size and self.balance - 1 >= self.middle - self.tolerance

    def add(self, stored, count):
        allowed = self.may_add(stored)
        if allowed:
            self.balance += count * self.ratio
        return allowed

    def sample(self, stored, count):
        allowed = self.may_sample(stored)
        if allowed:
            self.balance -= count
        return allowed

    def begin(self, stored):
        self.balance = min(stored, self.min_size) * self.ratio


# statistics and threads


def chi_square(counts, shares):
    """Sum (seen - expected)**2 / expected; infinite where something impossible was seen."""
    draws = sum(counts)
    statistic = 0.0
    for count, share in zip(counts, shares, strict=True):
        if share == 0:
            statistic += math.inf if count else 0.0
        else:
            statistic += (count - draws * share) ** 2 / (draws * share)
    return statistic


def chi_square_limit(degrees):
    """
    Bound a chi-square statistic: it is passed with a probability of at most 1e-6.

    Laurent and Massart (2000), lemma 1: P(X > d + 2 sqrt(d x) + 2 x) <= exp(-x).
    """
    x = math.log(1e6)
    return degrees + 2 * math.sqrt(degrees * x) + 2 * x


def together(*calls):
    """Run calls at the same time, a thread each; give their results, raise what one raised."""
    results = [None] * len(calls)
    errors = []
    start = threading.Barrier(len(calls))

    def run(place, call):
        try:
            start.wait()
            results[place] = call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


# checksums


def checksum(content, seed=0):
    """Sum bytes by XXH64, as its description says it."""
    primes = (
        11400714785074694791,
        14029467366897019727,
        1609587929392839161,
        9650029242287828579,
        2870177450012600261,
    )

    def rotate(word, bits):
        return (word << bits | word >> 64 - bits) & MASK

    def turn(lane, word):
        return rotate((lane + word * primes[1]) & MASK, 31) * primes[0] & MASK

    def number(first, size):
        return int.from_bytes(content[first : first + size], "little")

    seed &= MASK
    at = 0
    if len(content) >= 32:
        lanes = [seed + primes[0] + primes[1], seed + primes[1], seed, seed - primes[0]]
        lanes = [lane & MASK for lane in lanes]
        while at + 32 <= len(content):
            lanes = [turn(lane, number(at + 8 * k, 8)) for k, lane in enumerate(lanes)]
            at += 32
        total = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            total = ((total ^ turn(0, lane)) * primes[0] + primes[3]) & MASK
    else:
        total = seed + primes[4]
    total = (total + len(content)) & MASK
    while at + 8 <= len(content):
        total = (rotate(total ^ turn(0, number(at, 8)), 27) * primes[0] + primes[3]) & MASK
        at += 8
    if at + 4 <= len(content):
        total ^= number(at, 4) * primes[0] & MASK
        total = (rotate(total, 23) * primes[1] + primes[2]) & MASK
        at += 4
    for byte in content[at:]:
        total = rotate(total ^ (byte * primes[4] & MASK), 11) * primes[0] & MASK
    total = (total ^ total >> 33) * primes[1] & MASK
    total = (total ^ total >> 29) * primes[2] & MASK
    return total ^ total >> 32
