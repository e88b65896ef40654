"""The handle: the words that tell the composed kernels all about a block."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels import heap as heap_words
from kernels import view as view_words
from kernels import walks
from kernels.dictionary import WORDS as DICTIONARY_WORDS
from kernels.dictionary import dictionary_fits
from kernels.jit import interpreted
from kernels.lz4_pack import LEARNED_WORDS
from kernels.rows import (
    ADDRESS,
    DESCR,
    DIMS,
    HEAPED,
    KIND,
    KINDS,
    NDIM,
    PLAN_WIDTH,
    SCALAR,
    SIZE,
    STRIDE,
)
from kernels.tree import tree_levels
from replay.memory.block import Block
from replay.memory.calls import heap_entries, structure, walk_entry
from replay.memory.fields import SEPARATOR
from replay.memory.layout import Layout
from replay.memory.window import STEP

#: Batches of a size, or arrays of ids, that are kept to be used anew: one that is held while the
#: next one is drawn, that one, and one to spare.
KEPT = 3


class Handle(np.ndarray):
    """
    The words that tell the composed kernels all about a block, see `kernels.handle`.

    It keeps the mapping alive: whoever is inside a kernel holds the handle, so a block that
    another thread closes is not unmapped under it.
    """

    memory: Any
    #: Arrays that words of it point at, of this process.
    kept: tuple[Any, ...] = ()
    #: Batches and arrays of ids that were given out; their lists stay where they are, and are
    #: empty where the block was closed.
    batches: Any = ()
    ids: Any = ()

    def twin(self) -> "Handle":
        """Copy it: the same block, and words that may be changed."""
        handle: Handle = self.copy()
        handle.memory, handle.kept = self.memory, self.kept
        # Nothing is drawn by it before it is told how, and nobody is in a kernel by it.
        for word in (words.DRAW, words.BATCHES, words.BUSY):
            handle[word] = 0
        handle.keep_ids()
        return handle

    @staticmethod
    def keep(kept: Any, made: Any) -> None:
        """Have a batch or an array of ids used anew, in place of the one that was kept longest."""
        if kept:
            # Another thread may do the same, or empty the list: neither of these minds.
            kept.insert(0, made)
            del kept[KEPT:]

    def keep_ids(self) -> None:
        """Have arrays of ids that nobody holds any more used anew."""
        self.ids = [None] * KEPT
        self[words.IDS] = id(self.ids)


def make_handle(block: Block, number: int) -> Handle:
    """
    Make the handle of a block.

    Parameters
    ----------
    block : Block
    number : int
        Of this opening among the members.

    Returns
    -------
    Handle
        Of stream 0, with no sampler's words set.
    """
    layout, fields = block.layout, block.layout.schema.fields
    handle = np.zeros(words.PLAN + len(fields) * PLAN_WIDTH, np.int64).view(Handle)
    handle.memory = block.memory
    handle[words.OPEN] = 1
    handle[words.STREAMS] = layout.streams
    handle[words.ROWS] = layout.rows
    handle[words.WIDTH] = layout.parts["records"].shape[1]
    handle[words.FIELDS] = len(fields)
    handle[words.WRITER] = number
    start = block.memory.ctypes.data
    for word, part in (
        (words.HEADS, "heads"),
        (words.RECORDS, "records"),
        (words.CONTROL, "control"),
        (words.MEMBERS, "members"),
        (words.TREE, "tree"),
        (words.MINIMA, "minima"),
        (words.CURSORS, "cursors"),
    ):
        if part in layout.parts:
            handle[word] = start + layout.parts[part].offset
    for word, value in structure().items():
        handle[word] = value
    levels = interpreted(tree_levels)(layout.capacity)
    handle[words.DEPTH] = levels.size - 1
    handle[words.LEVELS : words.LEVELS + levels.size] = levels
    plan = handle[words.PLAN :].reshape(-1, PLAN_WIDTH)
    for line, (name, field) in zip(plan, fields.items(), strict=True):
        place = layout.places[name]
        line[ADDRESS] = start + layout.parts[place.part].offset + place.offset
        line[STRIDE] = place.stride
        line[SIZE] = field.nbytes
        line[KIND] = KINDS.index(field.dtype.str)
        line[DESCR] = id(field.dtype)
        line[SCALAR] = id(field.dtype.type)
        line[NDIM] = len(field.shape)
        line[DIMS : DIMS + len(field.shape)] = field.shape
        handle[words.ROW_BYTES] += field.nbytes
    names = [sys.intern(name) for name in fields]
    # A part of a nested field is no name that a row is given by.
    known = np.array([0 if SEPARATOR in name else id(name) for name in names], np.int64)
    handle.kept = (np.array(names, object), known)
    handle[words.NAMES] = known.ctypes.data
    handle.keep_ids()
    if structure():
        handle[words.GATHER] = walk_entry(walks.enter_view if layout.view else walks.enter_gather)
        if not layout.view:
            handle[words.ADD] = walk_entry(walks.enter_add)
        if "tree" in layout.parts:
            handle[words.UPDATE] = walk_entry(walks.enter_update)
    if layout.room:
        _set_heap(handle, block, plan)
    if layout.view:
        set_view(handle, layout, layout.window.words())
    return handle


def _set_heap(handle: Handle, block: Block, plan: npt.NDArray[np.int64]) -> None:
    """Make the words of the heap."""
    layout, start = block.layout, block.memory.ctypes.data
    fields, parts = layout.schema.fields, layout.parts
    heaped = [(number, name) for number, name in enumerate(fields) if fields[name].heaped]
    heap = np.zeros(heap_words.LINES + len(heaped) * heap_words.LINE_WORDS, np.int64)
    put, get, gather = heap_entries()
    heap[heap_words.PUT], heap[heap_words.GET], heap[heap_words.GATHER] = put, get, gather
    heap[heap_words.BYTES_AT] = start + parts["heap"].offset
    heap[heap_words.STRIDE] = parts["heap"].shape[1]
    heap[heap_words.ROOM] = layout.room
    heap[heap_words.WRITING_AT] = start + parts["writing"].offset
    heap[heap_words.HEADS_AT] = handle[words.HEADS]
    heap[heap_words.ROWS_OF] = layout.rows
    heap[heap_words.COUNT] = len(heaped)
    lines = heap[heap_words.LINES :].reshape(-1, heap_words.LINE_WORDS)
    tables: list[npt.NDArray[np.int64]] = []
    for line, (number, name) in zip(lines, heaped, strict=True):
        field = fields[name]
        line[heap_words.OWNER] = heap.ctypes.data
        line[heap_words.FIELD] = number
        line[heap_words.ENTRY_AT] = plan[number, ADDRESS]
        line[heap_words.ENTRY_STRIDE] = plan[number, STRIDE]
        line[heap_words.LARGEST] = field.nbytes
        line[heap_words.UNIT] = field.unit
        line[heap_words.OPEN_END] = field.flat
        if field.unit:
            line[heap_words.LENGTHS_AT] = plan[number + 1, ADDRESS]
        if field.compression is not None:
            line[heap_words.CODEC] = heap_words.LZ4
            heap[heap_words.SCRATCH] += field.nbytes
        if layout.learns(field):
            at = parts["dictionaries"].offset + len(tables) * DICTIONARY_WORDS * 8
            tables.append(np.zeros(LEARNED_WORDS, np.int64))
            line[heap_words.DICTIONARY_AT] = start + at
            line[heap_words.FITS] = interpreted(dictionary_fits)(field.nbytes)
            line[heap_words.LEARNED_AT] = tables[-1].ctypes.data
        plan[number, HEAPED] = line.ctypes.data
    handle.kept = (*handle.kept, heap, *tables)
    handle[words.HEAP] = heap.ctypes.data


def set_view(handle: Handle, layout: Layout, view: npt.NDArray[np.int64]) -> None:
    """
    Have a handle's rows drawn as a view says.

    Parameters
    ----------
    handle : Handle
        Written; it keeps the words.
    layout : Layout
        Of a log of steps.
    view : (words,) int64 ndarray
        Written: where the steps and rewards lie.
    """
    plan = handle[words.PLAN :].reshape(-1, PLAN_WIDTH)
    names = list(layout.schema.fields)
    step = plan[names.index(STEP)]
    view[view_words.STEP_ADDRESS], view[view_words.STEP_STRIDE] = step[ADDRESS], step[STRIDE]
    if "reward" in names:
        reward = plan[names.index("reward")]
        view[view_words.REWARD_ADDRESS] = reward[ADDRESS]
        view[view_words.REWARD_STRIDE] = reward[STRIDE]
        view[view_words.REWARD_SIZE] = reward[SIZE]
    handle.kept = (*handle.kept, view)
    handle[words.VIEW] = view.ctypes.data


def forget_learned(handle: Handle) -> None:
    """Learn the dictionaries anew in a child: another thread of the parent may have been at it."""
    if handle[words.HEAP]:
        heap = next(kept for kept in handle.kept if kept.ctypes.data == handle[words.HEAP])
        lines = heap[heap_words.LINES :].reshape(-1, heap_words.LINE_WORDS)
        lines[:, heap_words.LEARNED] = 0
