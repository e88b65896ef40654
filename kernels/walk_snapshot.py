"""
The walks of snapshots: rows between a block and a file, through a stage or straight.

    places (parts, 6) int64     as in walk_copy, and of the file
      BLOCK STAGE SIZE
      OFFSET                    of slot 0's bytes in the file
      SUMS                      address of the part's checksums, uint64 one a chunk
      OLD                       address of those of the file that is there; 0 for a whole file

    shape (10,) int64
      ROWS                      slots of a stream
      CHUNK ROOM                slots of a chunk; of the stage, a multiple of a chunk's
      FILE JOURNAL              descriptors; JOURNAL is -1 where there is none
      MOST                      the largest leaf; -1 without priorities
      INTO                      what a load does with the rows: LOOK, PASTE, FRESH or EMPTY
      LEAVES                    which part the leaves are
      PART                      0; else the parts are the heap alone, and this is its number

    journal (words,) int64      of a save that writes what changed
      CURSOR LIMIT              where the next bytes go, and where there is too much of them
      LINES                     lines that follow
      FIRST                     from here on lines of four words: part, chunk, chunks, where
"""

import numpy as np

from kernels.addresses import integers_at, store_int64
from kernels.atomics import fetch_add
from kernels.checksum import checksum
from kernels.files import file_read, file_soon, file_write
from kernels.jit import kernel
from kernels.walk_copy import BLOCK, SIZE, STAGE, bytes_copy, rows_copy
from kernels.walk_paste import (
    SHAPE_LEAVES,
    SHAPE_MOST,
    SHAPE_ROWS,
    bytes_paste,
    rows_check,
    rows_paste,
    words_clear,
)

OFFSET = 3
SUMS = 4
OLD = 5
PLACE_WORDS = 6

ROWS = SHAPE_ROWS
CHUNK = 1
ROOM = 2
FILE = 3
JOURNAL = 4
MOST = SHAPE_MOST
INTO = 6
LEAVES = SHAPE_LEAVES
PART = 8
SHAPE_WORDS = 10

LOOK = 0
PASTE = 1
FRESH = 2
#: Nothing is read: slots become empty, before anything is pasted.
EMPTY = 3

CURSOR = 0
LIMIT = 1
LINES = 2
FIRST = 8
LINE_WORDS = 4

DONE = -1
#: What went wrong, by the rest of a code by 3; the quotient is slot * parts + part.
FAILED = 0
DAMAGED = 1
IMPOSSIBLE = 2
#: So much changed that a whole file is less work.
TOO_MUCH = -2


@kernel
def stage_sums(place: np.ndarray, chunk: int, first: int, count: int) -> None:
    """
    Sum the chunks of one part of the stage.

    Parameters
    ----------
    place : (6,) int64
        A line of places; the checksums it points at are *written*.
    chunk : int
        Slots of a chunk.
    first : int
        The first slot of the stage, a multiple of a chunk's.
    count : int

    Notes
    -----
    Units: bytes.
    Cost: O(count).
    Errors: none; addresses are trusted.
    Sharing: the chunks are the caller's.
    Source: as kernels.checksum.
    """
    size = place[SIZE]
    for number in range((count + chunk - 1) // chunk):
        some = min(chunk, count - number * chunk)
        start = place[STAGE] + number * chunk * size
        store_int64(place[SUMS] + (first // chunk + number) * 8, checksum(start, some * size, 0))


@kernel
def stage_journal(
    places: np.ndarray, shape: np.ndarray, journal: np.ndarray, part: int, first: int, count: int
) -> int:
    """
    Write those chunks of one part of the stage to the journal that the file does not have.

    Parameters
    ----------
    places : (parts, 6) int64
    shape : (10,) int64
    journal : (words,) int64, written
    part : int
    first : int
        The first slot of the stage.
    count : int

    Returns
    -------
    int
        DONE, TOO_MUCH, or FAILED.

    Notes
    -----
    Units: bytes.
    Cost: a call of the system for each run of changed chunks.
    Errors: as returned.
    Sharing: any number of threads, each with a stage of its own.
    Source: own.
    """
    chunk = shape[CHUNK]
    size = places[part, SIZE]
    begin = first // chunk
    chunks = (count + chunk - 1) // chunk
    new = integers_at(places[part, SUMS] + begin * 8, chunks)
    old = integers_at(places[part, OLD] + begin * 8, chunks)
    number = 0
    while number < chunks:
        run = number
        while run < chunks and new[run] != old[run]:
            run += 1
        if run > number:
            nbytes = (min(run * chunk, count) - number * chunk) * size
            where = fetch_add(journal, CURSOR, nbytes)
            if where + nbytes > journal[LIMIT]:
                return TOO_MUCH
            at = FIRST + LINE_WORDS * fetch_add(journal, LINES, 1)
            journal[at] = part + shape[PART]
            journal[at + 1] = begin + number
            journal[at + 2] = run - number
            journal[at + 3] = where
            start = places[part, STAGE] + number * chunk * size
            if not file_write(shape[FILE], start, nbytes, where):
                return FAILED
            file_soon(shape[FILE], where, nbytes)
        number = run + 1
    return DONE


@kernel
def rows_save(
    places: np.ndarray,
    heads: np.ndarray,
    shape: np.ndarray,
    journal: np.ndarray,
    kept: np.ndarray,
    first: int,
    count: int,
) -> int:
    """
    Copy slots that follow each other into a file, or what changed of them into a journal.

    Parameters
    ----------
    places : (parts, 6) int64
        The stage and the checksums it points at are *written*.
    heads : (streams, 8) int64, written
        See rows_copy.
    shape : (10,) int64
    journal : (words,) int64, written
    kept : (words,) int64
        See `walk_copy`.
    first : int
        The first slot, a multiple of a chunk's.
    count : int

    Returns
    -------
    int
        DONE, TOO_MUCH, or a code of FAILED.

    Notes
    -----
    Units: slots.
    Cost: as rows_copy and checksum, and a call of the system for each part and stage.
    Errors: as returned.
    Sharing: any number of writers to the block beside, as rows_copy; any number of threads, each
    with a stage of its own.
    Source: own.
    """
    parts = places.shape[0]
    for start in range(first, first + count, shape[ROOM]):
        some = min(shape[ROOM], first + count - start)
        if shape[PART] != 0:
            bytes_copy(places, start, some)
        else:
            rows_copy(places, heads, kept, shape[ROWS], start, some)
        for part in range(parts):
            stage_sums(places[part], shape[CHUNK], start, some)
            if places[part, OLD] != 0:
                code = stage_journal(places, shape, journal, part, start, some)
                if code == TOO_MUCH:
                    return TOO_MUCH
                written = code == DONE
            else:
                size = places[part, SIZE]
                offset = places[part, OFFSET] + start * size
                written = file_write(shape[FILE], places[part, STAGE], some * size, offset)
                file_soon(shape[FILE], offset, some * size)
            if not written:
                return (start * parts + part) * 3 + FAILED
    return DONE


@kernel
def rows_load(
    places: np.ndarray,
    heads: np.ndarray,
    shape: np.ndarray,
    where: np.ndarray,
    first: int,
    count: int,
) -> int:
    """
    Read slots that follow each other from a file, check them, and bring them into the block.

    Parameters
    ----------
    places : (parts, 6) int64, written
        OLD holds the checksums that there should be, SUMS has room for those that there are. With
        FRESH the stage is moved to the slots themselves.
    heads : (streams, 8) int64, written
        See rows_check.
    shape : (10,) int64
    where : (parts, chunks) int64
        Where in the journal a chunk lies, 0 for those of the file; (0, 0) without a journal.
    first : int
        The first slot, a multiple of a chunk's.
    count : int

    Returns
    -------
    int
        DONE, or a code.

    Notes
    -----
    Units: slots.
    Cost: as rows_check and checksum, and a call of the system for each part and stage.
    Errors: as returned; what was read before is in the block.
    Sharing: as rows_paste; any number of threads, each with a stage of its own.
    Source: own.
    """
    parts = places.shape[0]
    chunk = shape[CHUNK]
    for start in range(first, first + count, shape[ROOM]):
        some = min(shape[ROOM], first + count - start)
        if shape[INTO] == EMPTY:
            words_clear(places, start, some)
            continue
        for part in range(parts):
            size = places[part, SIZE]
            if shape[INTO] == FRESH:
                places[part, STAGE] = places[part, BLOCK] + start * size
            stage = places[part, STAGE]
            offset = places[part, OFFSET] + start * size
            if not file_read(shape[FILE], stage, some * size, offset):
                return (start * parts + part) * 3 + FAILED
            if where.size != 0:
                for slot in range(0, some, chunk):
                    offset = where[part, (start + slot) // chunk]
                    nbytes = min(chunk, some - slot) * size
                    if offset != 0 and not file_read(
                        shape[JOURNAL], stage + slot * size, nbytes, offset
                    ):
                        return (start * parts + part) * 3 + FAILED
            stage_sums(places[part], chunk, start, some)
            chunks = (some + chunk - 1) // chunk
            found = integers_at(places[part, SUMS] + start // chunk * 8, chunks)
            known = integers_at(places[part, OLD] + start // chunk * 8, chunks)
            for number in range(chunks):
                if found[number] != known[number]:
                    return ((start + number * chunk) * parts + part) * 3 + DAMAGED
        if shape[PART] != 0:
            if shape[INTO] == PASTE:
                bytes_paste(places, start, some)
            continue
        wrong = rows_check(places, heads, shape, start, some)
        if wrong >= 0:
            return wrong * parts * 3 + IMPOSSIBLE
        if shape[INTO] == PASTE:
            rows_paste(places, start, some)
    return DONE
