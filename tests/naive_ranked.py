"""
Plain-Python twins of the draws by rank: sorted lists, sums and fractions of floats.

`Order` is an order as it was sorted, and says what is drawn by it after rows changed; `shares`
says what would be drawn by the ranks of now.
"""

import itertools
import math


def bucket(leaf):
    """Count the buckets from the largest leaf there can be down to this one."""
    fraction, exponent = math.frexp(float(leaf))
    steps = int(fraction * 2048) - 1024
    return 63 * 1024 - ((exponent - 1) * 1024 + steps)


def harmonic(count, alpha):
    """Sum the masses of so many first ranks."""
    return math.fsum(rank**-alpha for rank in range(1, count + 1))


def mean_mass(first, after, alpha):
    """Give the mean mass of the ranks first + 1 to after."""
    return math.fsum(rank**-alpha for rank in range(first + 1, after + 1)) / (after - first)


def groups(leaves):
    """List (bucket, slots) in the order of ranks; a leaf of 0 has none."""
    drawable = sorted((bucket(leaf), slot) for slot, leaf in enumerate(leaves) if leaf > 0)
    by_bucket = itertools.groupby(drawable, key=lambda pair: pair[0])
    return [(key, [slot for _, slot in pairs]) for key, pairs in by_bucket]


def normalised(masses):
    total = math.fsum(masses)
    return [mass / total for mass in masses]


def shares(leaves, alpha):
    """Say how likely each slot is to be drawn by the ranks of now."""
    masses = [0.0] * len(leaves)
    first = 0
    for _, slots in groups(leaves):
        mass = mean_mass(first, first + len(slots), alpha)
        for slot in slots:
            masses[slot] = mass
        first += len(slots)
    return normalised(masses)


class Order:
    """What a sort leaves behind."""

    def __init__(self, leaves, entered):
        self.entered = bucket(entered)
        self.groups = groups(leaves)
        self.then = {slot: key for key, slots in self.groups for slot in slots}

    def mass(self, key, ahead, alpha):
        """Give the mean mass of a bucket's ranks; of an empty one that of the next rank."""
        key = min(key, self.groups[-1][0])
        first = ahead + sum(len(slots) for other, slots in self.groups if other < key)
        inside = len(dict(self.groups).get(key, [None]))
        return mean_mass(first, first + inside, alpha)

    def row_mass(self, slot, leaves, fresh, alpha):
        """Give the mass by which a slot is drawn now, `fresh` being the slots of newer rows."""
        if leaves[slot] == 0 or (slot not in fresh and slot not in self.then):
            return 0.0
        if slot in fresh:
            then, mass = self.entered, mean_mass(0, len(fresh), alpha)
        else:
            then = self.then[slot]
            mass = self.mass(then, len(fresh), alpha)
        now = bucket(leaves[slot])
        return min(mass, self.mass(now, len(fresh), alpha)) if now > then else mass

    def shares(self, leaves, fresh, alpha):
        """Say how likely each slot is to be drawn now."""
        slots = range(len(leaves))
        return normalised([self.row_mass(slot, leaves, fresh, alpha) for slot in slots])


def variation(one, other):
    """Give the total variation distance of two lists of shares."""
    return math.fsum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2
