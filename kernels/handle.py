"""
The handle: one int64 array that tells the composed kernels all about a mapped block.

A call from Python pays for each array it passes. So a class packs addresses and numbers into one
array of its own, and the composed kernels (`walk_*`) unpack the plain arrays from it. Addresses
are of this process; nothing of a handle is shared.

    word                holds
    OPEN                1 while the block is mapped and open
    STREAMS ROWS        the ring's shape
    WIDTH               words of a record
    FIELDS              lines of the plan
    WRITER STREAM       this process's number among the members, and the stream it adds to
    HEADS RECORDS CONTROL TREE MINIMA   addresses; TREE and MINIMA are 0 where there is none
    DEPTH               levels of the tree
    LONG_DIGITS ...     addresses and numbers of the interpreter, see `structure`
    ALPHA EPSILON BETA_FIRST BETA_LAST BETA_STEPS   float64, by their bits
    STRATIFIED NORMALISE    how a proportional sampler draws and weighs
    AGAIN               1: rows are drawn in place of others, and not counted anew
    LEVELS              from here DEPTH + 1 words, the tree's levels
    MEMBERS             address of the members, see `members`
    NOTICED             1: something happened that the death of a process can explain
    LIMITS              from here 5 words, see `limit`; the first is 0 where nothing is limited
    VIEW                address of the view's words, see `view`; 0: rows as they were added
    SAMPLER             from here 8 words, the sampler's own
    CURSORS             the first of them: address of the cursors, of a sampler that keeps them
    TOKEN               of a writer of steps: what its stream's head must say, see `steps`; else 0
    DECAY               float64: the share of a leaf that the step before it gets; 0: none
    KEEP                float64: the share of a leaf that an update leaves at least
    REACH               steps that a priority is passed back
    HEAP                address of the words of the heap, see `heap`; 0: all rows are of one size
    NAMES               address of as many words as there are fields, addresses of their names; 0
                        of a part of a nested field
    ADD UPDATE DRAW GATHER  entries, see `walks`; 0: Python goes another way
    BATCH_TYPE          address of the type of the batches
    BATCHES             address of a list of batches that were given out: each is used anew when
                        nobody holds it any more; 0: Python makes the batches
    BATCH_BYTES         of one row of a batch
    IDS                 as BATCHES, of arrays of ids
    ROW_BYTES           of one row that is added
    FLAT                1: batches are flat tuples, of which Python makes what is given out
    BUSY                threads that are in a kernel without the interpreter's lock
    PLAN                from here FIELDS lines of 16 words, see `rows`

    control             one cache line each
    READY               the format's ready word, stored last; lines of members ever used; from
                        word 3 who made the block, see `replay.memory.owner`
    GENERATOR           seed, next counter
    PRIORITY            the largest leaf so far; that of new rows, see `walk_new`; word 2, with a
                        view: leaves above 0
    SAMPLES             rows drawn, batches drawn; sum of the ages of rows given out, their number
    UPDATES             priorities applied, batches of them
    STALE REDRAWS SATURATED     one counter a line; word 1 of REDRAWS: rows that lost their bytes
                        before their slots were needed
    REPAIRS             members that died, slots freed, sums corrected
    DURABILITY          see replay.memory.durability
    AGES                four lines: of one row a batch, how many had an age of so many bits
    LIMITER             the balance, see `limit`
"""

from typing import Any

from kernels.addresses import address_of, integers_at, lines_at, load_int64
from kernels.heap import COUNT, LINE_WORDS, LINES
from kernels.jit import kernel
from kernels.members import MEMBERS as MEMBER_LINES
from kernels.power import bits_float
from kernels.rows import PLAN_WIDTH
from kernels.view import OUTPUT_LINES, OUTPUTS, VIEW_WORDS

OPEN = 0
STREAMS = 1
ROWS = 2
WIDTH = 3
FIELDS = 4
WRITER = 5
HEADS = 6
RECORDS = 7
CONTROL = 8
TREE = 9
MINIMA = 10
DEPTH = 11
LONG_DIGITS = 12
TYPE_ARRAY = 13
TYPE_FLOAT = 14
TYPE_INT = 15
TYPE_FLOAT64 = 16
TYPE_INT64 = 17
TRUE = 18
FALSE = 19
DESCR_FLOAT32 = 20
DESCR_FLOAT64 = 21
DESCR_INT64 = 22
STREAM = 23
ALPHA = 24
EPSILON = 25
BETA_FIRST = 26
BETA_LAST = 27
BETA_STEPS = 28
STRATIFIED = 29
NORMALISE = 30
AGAIN = 31
LEVELS = 32
MEMBERS = 48
NOTICED = 49
LIMITS = 50
VIEW = 55
SAMPLER = 56
CURSORS = 56
TOKEN = 64
DECAY = 65
KEEP = 66
REACH = 67
HEAP = 68
NAMES = 69
ADD = 70
UPDATE = 71
DRAW = 72
GATHER = 73
BATCH_TYPE = 74
BATCHES = 75
BATCH_BYTES = 76
IDS = 77
ROW_BYTES = 78
BUSY = 79
FLAT = 80
PLAN = 88

READY = 0
GENERATOR = 1
PRIORITY = 2
SAMPLES = 3
UPDATES = 4
STALE = 5
REDRAWS = 6
SATURATED = 7
REPAIRS = 8
DURABILITY = 10
AGES = 12
LIMITER = 9
CONTROL_LINES = 24
_WORDS = 8
_LIMITS = 5


@kernel
def handle_at(address: int) -> Any:
    """View the handle at an address, (words,) int64."""
    return integers_at(address, PLAN + load_int64(address + FIELDS * 8) * PLAN_WIDTH)


@kernel
def handle_heads(handle: Any) -> Any:
    """Unpack the heads, (streams, 8) int64."""
    return lines_at(handle[HEADS], handle[STREAMS], _WORDS)


@kernel
def handle_records(handle: Any) -> Any:
    """Unpack the records, (slots, width) int64."""
    return lines_at(handle[RECORDS], handle[STREAMS] * handle[ROWS], handle[WIDTH])


@kernel
def handle_plan(handle: Any) -> Any:
    """Unpack the plan, (fields, 16) int64."""
    return lines_at(address_of(handle) + PLAN * 8, handle[FIELDS], PLAN_WIDTH)


@kernel
def handle_view(handle: Any) -> Any:
    """Unpack the words of the view, (64,) int64; only where VIEW is not 0."""
    return integers_at(handle[VIEW], VIEW_WORDS)


@kernel
def handle_outputs(handle: Any) -> Any:
    """Unpack the plan of a batch's arrays, (outputs, 16) int64: the rows' own without a view."""
    if handle[VIEW] == 0:
        return lines_at(address_of(handle) + PLAN * 8, handle[FIELDS], PLAN_WIDTH)
    count = integers_at(handle[VIEW], VIEW_WORDS)[OUTPUTS]
    return lines_at(handle[VIEW] + OUTPUT_LINES * 8, count, PLAN_WIDTH)


@kernel
def handle_heap(handle: Any) -> Any:
    """Unpack the words of the heap, (words,) int64; only where HEAP is not 0."""
    count = integers_at(handle[HEAP], LINES)[COUNT]
    return integers_at(handle[HEAP], LINES + LINE_WORDS * count)


@kernel
def handle_levels(handle: Any) -> Any:
    """Unpack the levels of the tree, (depth + 1,) int64."""
    return integers_at(address_of(handle) + LEVELS * 8, handle[DEPTH] + 1)


@kernel
def handle_tree(handle: Any) -> Any:
    """Unpack the priority tree, (lines, 8) int64; only where TREE is not 0."""
    return lines_at(handle[TREE], handle[LEVELS + handle[DEPTH]], _WORDS)


@kernel
def handle_minima(handle: Any) -> Any:
    """Unpack the minima, (lines, 8) int64; only where MINIMA is not 0."""
    return lines_at(handle[MINIMA], handle[LEVELS + handle[DEPTH] - 1], _WORDS)


@kernel
def handle_cursors(handle: Any) -> Any:
    """Unpack the cursors, (streams, 8) int64; only for a sampler that keeps them."""
    return lines_at(handle[CURSORS], handle[STREAMS], _WORDS)


@kernel
def handle_member(handle: Any) -> Any:
    """Unpack this process's own line of the members, (8,) int64."""
    return integers_at(handle[MEMBERS] + handle[WRITER] * 64, _WORDS)


@kernel
def handle_members(handle: Any) -> Any:
    """Unpack the members, (1024, 8) int64."""
    return lines_at(handle[MEMBERS], MEMBER_LINES, _WORDS)


@kernel
def handle_line(handle: Any, line: int) -> Any:
    """Unpack a line of the control words, (8,) int64."""
    return integers_at(handle[CONTROL] + line * 64, _WORDS)


@kernel
def handle_limits(handle: Any) -> Any:
    """Unpack the limits, (5,) int64; only where the first is not 0."""
    return integers_at(address_of(handle) + LIMITS * 8, _LIMITS)


@kernel
def handle_float(handle: Any, word: int) -> float:
    """Unpack a float64 that the handle keeps by its bits."""
    return bits_float(handle[word])
