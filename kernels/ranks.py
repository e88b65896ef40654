"""
Ranks: slots in the order of their leaves, the largest first, and draws by rank alone.

The order is one of buckets: leaves within 1/1024 of each other share one and count as equal, so
that a count and a copy sort them, two passes over the rows. Ranks have masses, integers in
proportion to rank ** -alpha, whose sums a draw searches; rows of one bucket share the masses of
its ranks.

    entry                       bucket << 40 | slot
    starts (STARTS,)            where each bucket begins in the order; the next word is its end
    line (8,)                   of one order
      COUNT                     slots in it
      FIRST LAST                the buckets of its first and last slot
    masses (ranks + 1,)         sums of the masses of so many first ranks

    starts[bucket] <= place < starts[bucket + 1] for FIRST <= bucket <= LAST
    masses[rank] <= prefix < masses[rank + 1] for the rank that a prefix draws, the first is 0
"""

import numpy as np

from kernels.addresses import address_of, prefetch
from kernels.jit import kernel
from kernels.power import bits_float, exp2, float_bits, log2
from kernels.tree import tree_get

#: Bits of a leaf that count beside its exponent: 1/1024 of it.
MANTISSA = 10
_DROPPED = 52 - MANTISSA
_ONE = 1023 << MANTISSA
#: Of leaves from 1 to 2**63.
BUCKETS = (63 << MANTISSA) + 1
#: Words of `starts`: whole cache lines.
STARTS = BUCKETS + 15
#: Bits of an entry that say the slot.
SLOT_BITS = 40
SLOT_MASK = (1 << SLOT_BITS) - 1
#: All masses sum to this, less what rounding takes, plus 1 a rank at most.
MASS_BITS = 61
#: Equal parts of all masses, each with a note of where in the order it begins.
CELLS = 4096
CELL_BITS = MASS_BITS - 12

COUNT = 0
FIRST = 1
LAST = 2


@kernel
def rank_bucket(leaf: int) -> int:
    """
    Say which bucket a leaf belongs in.

    Parameters
    ----------
    leaf : int
        1 or more.

    Returns
    -------
    int
        0 <= bucket < BUCKETS; the larger the leaf, the smaller the bucket.

    Notes
    -----
    Units: leaves of one bucket differ by less than 1/1024 of the smallest.
    Cost: O(1).
    Errors: none.
    Sharing: a pure function.
    Source: own; a float64 of positive sign sorts as its bits do.
    """
    return BUCKETS - 1 + _ONE - (float_bits(np.float64(leaf)) >> _DROPPED)


@kernel
def ranks_masses(masses: np.ndarray, alpha: float) -> None:
    """
    Give each rank its mass, in proportion to rank ** -alpha, and sum them.

    Parameters
    ----------
    masses : (ranks + 1,) int64, written
    alpha : float
        0 or more.

    Notes
    -----
    Units: all of them sum to 2**61 or slightly less; each is 1 at least.
    Cost: two powers a rank.
    Errors: none.
    Sharing: the array is the caller's.
    Source: Schaul et al. (2016), Prioritized Experience Replay, section 3.3: P(i) = 1 / rank(i),
    to the alpha.
    """
    # The powers alone, in a loop that is vectorised; the sums come after, one by one.
    for rank in range(1, masses.size):
        masses[rank] = float_bits(exp2(-alpha * log2(np.float64(rank))))
    total = 0.0
    for rank in range(1, masses.size):
        total += bits_float(masses[rank])
    scale = np.float64(1 << MASS_BITS) / max(total, 1.0)
    summed = 0
    masses[0] = 0
    for rank in range(1, masses.size):
        summed += np.int64(max(bits_float(masses[rank]) * scale, 1.0))
        masses[rank] = summed


@kernel
def ranks_guide(masses: np.ndarray, guide: np.ndarray) -> None:
    """
    Note which rank the first prefix of each of CELLS equal parts of all masses draws.

    Parameters
    ----------
    masses : (ranks + 1,) int64
    guide : (CELLS + 1,) int64, written

    Notes
    -----
    Units: ranks, the first is 0.
    Cost: O(ranks + CELLS).
    Errors: none.
    Sharing: the arrays are the caller's.
    Source: Chen and Asau (1974), On Generating Random Variates from an Empirical Distribution.
    """
    rank = 0
    for cell in range(CELLS):
        while rank < masses.size - 2 and masses[rank + 1] <= cell << CELL_BITS:
            rank += 1
        guide[cell] = rank
    guide[CELLS] = masses.size - 2


@kernel
def ranks_find(
    masses: np.ndarray, guide: np.ndarray, prefixes: np.ndarray, found: np.ndarray, count: int
) -> None:
    """
    Find the ranks that prefixes draw.

    Parameters
    ----------
    masses : (ranks + 1,) int64
    guide : (CELLS + 1,) int64
    prefixes : (n,) int64
        0 <= prefix < masses[ranks].
    found : (n,) int64, written
        The first rank is 0.
    count : int
        How many, at most n.

    Notes
    -----
    Units: as the masses.
    Cost: O(1) each where neighbours have about the same mass, O(log ranks) at most; the lines of
    all are asked for before the first is looked at.
    Errors: none; a prefix too large gives the last rank.
    Sharing: any number of readers.
    Source: interpolation search, Perl, Itai and Avni (1978), inside the cells of ranks_guide.
    """
    base = address_of(masses)
    for draw in range(count):
        cell = min(prefixes[draw] >> CELL_BITS, CELLS - 1)
        low = guide[cell]
        part = np.float64(prefixes[draw] - (cell << CELL_BITS)) / np.float64(1 << CELL_BITS)
        rank = low + np.int64(part * np.float64(guide[cell + 1] - low))
        found[draw] = min(rank, masses.size - 2)
        prefetch(base + found[draw] * 8)
    for draw in range(count):
        prefix = prefixes[draw]
        cell = min(prefix >> CELL_BITS, CELLS - 1)
        low = guide[cell]
        high = guide[cell + 1] + 1
        rank = found[draw]
        reach = 1
        # A guess is a rank off at most, or the mass falls steeply: then by halves.
        while low + 1 < high:
            if masses[rank] > prefix:
                high = rank
                rank = max(rank - reach, (low + high) >> 1)
            elif masses[rank + 1] <= prefix:
                low = rank + 1
                rank = min(rank + reach, (low + high) >> 1)
            else:
                break
            reach *= 2
        found[draw] = rank


@kernel
def ranks_clear(starts: np.ndarray, line: np.ndarray) -> None:
    """
    Begin an order anew.

    Parameters
    ----------
    starts : (words,) int64, written
        Zeros after.
    line : (8,) int64, written

    Notes
    -----
    Units: none.
    Cost: O(buckets between the first and the last used).
    Errors: none.
    Sharing: one sorter.
    Source: own.
    """
    for bucket in range(line[FIRST], line[LAST] + 1):
        starts[bucket + 1] = 0
    line[COUNT] = 0
    line[FIRST] = BUCKETS
    line[LAST] = -1


@kernel
def ranks_collect(
    tree: np.ndarray,
    levels: np.ndarray,
    first: int,
    after: int,
    entries: np.ndarray,
    starts: np.ndarray,
    line: np.ndarray,
) -> None:
    """
    Note the slots whose leaf is above zero, and count those of each bucket.

    Parameters
    ----------
    tree : (lines, 8) int64
    levels : (depth + 1,) int64
    first : int
        Slot to begin with.
    after : int
        Slot to end before.
    entries : (n,) int64, written
        From line[COUNT] on.
    starts : (words,) int64, written
    line : (8,) int64, written

    Notes
    -----
    Units: slots.
    Cost: O(after - first).
    Errors: none.
    Sharing: one sorter beside writers. A leaf is read once: what follows goes by its entry.
    Source: own.
    """
    count = line[COUNT]
    lowest = line[FIRST]
    highest = line[LAST]
    for slot in range(first, after):
        leaf = tree_get(tree, levels, slot)
        if leaf > 0:
            bucket = rank_bucket(leaf)
            entries[count] = bucket << SLOT_BITS | slot
            starts[bucket + 1] += 1
            count += 1
            lowest = min(lowest, bucket)
            highest = max(highest, bucket)
    line[COUNT] = count
    line[FIRST] = lowest
    line[LAST] = highest


@kernel
def ranks_sort(
    entries: np.ndarray, starts: np.ndarray, line: np.ndarray, order: np.ndarray
) -> None:
    """
    Sort what was collected by bucket.

    Parameters
    ----------
    entries : (n,) int64
    starts : (words,) int64, written
        Counts before.
    line : (8,) int64
    order : (n,) int64, written

    Notes
    -----
    Units: entries.
    Cost: O(rows + buckets between the first and the last used).
    Errors: none.
    Sharing: one sorter.
    Source: own; a counting sort, Seward (1954), Information Sorting in the Application of
    Electronic Digital Computers to Business Operations.
    """
    total = 0
    for bucket in range(line[FIRST], line[LAST] + 1):
        count = starts[bucket + 1]
        starts[bucket + 1] = total
        total += count
    for place in range(line[COUNT]):
        bucket = (entries[place] >> SLOT_BITS) + 1
        order[starts[bucket]] = entries[place]
        # At the end each stands where the next bucket begins.
        starts[bucket] += 1


@kernel
def bucket_mass(masses: np.ndarray, starts: np.ndarray, bucket: int, ahead: int) -> float:
    """
    Say the mass of each row of a bucket: the mean of its ranks'.

    Parameters
    ----------
    masses : (ranks + 1,) int64
    starts : (words,) int64
    bucket : int
        At most the last one used. Of an empty one: the mass of the rank that a row in it would
        have.
    ahead : int
        Rows before the first of the order.

    Returns
    -------
    float

    Notes
    -----
    Units: as the masses.
    Cost: four loads.
    Errors: none; ranks past the last have its mass.
    Sharing: any number of readers.
    Source: own. It is what a row has on average where rows of equal priority are in random order.
    """
    last = masses.size - 1
    first = min(ahead + starts[bucket], last - 1)
    after = min(max(ahead + starts[bucket + 1], first + 1), last)
    return np.float64(masses[after] - masses[first]) / np.float64(after - first)


@kernel
def bucket_prefetch(masses: np.ndarray, starts: np.ndarray, bucket: int, ahead: int) -> None:
    """Ask for the sums that bucket_mass will read."""
    base = address_of(masses)
    prefetch(base + (ahead + starts[bucket]) * 8)
    prefetch(base + (ahead + starts[bucket + 1]) * 8)
