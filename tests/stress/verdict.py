"""The verdict: what must hold of a buffer once everybody has gone and repair has run."""

import numpy as np

from kernels.jit import interpreted
from kernels.minimum import NONE, minimum_rebuild
from kernels.ring import BASE, BURNT, FILLED, FLOOR, HEAD, SHIFT
from kernels.tree import tree_levels
from replay.memory.ragged import Padded
from tests.stress.rows import torn


def faults(plan, buffer, journal, ledger):
    """Count all that is wrong with a buffer that this process alone has open."""
    ring = buffer._ring
    heads = ring.block.part("heads")
    state = ring.block.part("records")[:, 0].copy()
    odd = state & 1 == 1
    holds = (state != 0) & ~odd
    per_stream = holds.reshape(plan.streams, -1).sum(axis=1)
    slots = np.flatnonzero(holds)
    streams = slots // ring.layout.rows
    tickets = (state[slots] >> SHIFT) - 1
    stored, standing = _read(ring, slots)
    writers, numbers = stored["writer"].astype(np.int64), stored["number"]
    ids = (tickets * plan.streams + streams)[standing]
    wrong = {
        "words that are odd": odd.sum(),
        "streams whose rows are counted wrongly": (per_stream != heads[:, FILLED]).sum(),
        "rows more or less than len says": abs(len(buffer) - holds.sum()),
        "members left": len(ring.members.table()) - 1,
        "rows in the slot of another ticket": (
            tickets % ring.layout.rows != slots % ring.layout.rows
        ).sum(),
        "rows of no ticket": (
            (tickets < heads[streams, BASE]) | (tickets >= heads[streams, HEAD])
        ).sum(),
        "rows that have lost their bytes": len(slots) - len(standing),
        "torn rows stored": torn(stored, **plan.shape).sum(),
        "rows stored under another id": journal.foreign(ids, writers, numbers).sum(),
        "rows stored twice": len(standing) - len(set(zip(writers, numbers, strict=True))),
        "committed rows lost": _lost(buffer, ledger, state),
        "rows added without a ticket": max(
            ledger.added - int(heads[:, HEAD].sum() - heads[:, BURNT].sum()), 0
        ),
    }
    if plan.prioritized:
        wrong |= _tree_faults(buffer, holds)
    return {what: int(count) for what, count in wrong.items() if count}


def _read(ring, slots):
    """Read the rows of slots by the kernels; say which places of `slots` they are of."""
    columns = {n: np.zeros((len(slots), *f.shape), f.dtype) for n, f in ring.fields.items()}
    ids = slots.copy()
    ring.gather(ring.handle, ids, tuple(columns.values()))
    standing = np.flatnonzero(ids >= 0)
    columns = {name: column[standing] for name, column in columns.items()}
    if "path/values" in columns:
        columns["path"] = Padded(columns.pop("path/values"), columns.pop("path/lengths"))
    return columns, standing


def _lost(buffer, ledger, state):
    """Count rows that are gone though `add` returned and no later row took their slot or bytes."""
    ring = buffer._ring
    rows = ring.layout.rows
    lost = 0
    for stream, heads in enumerate(ring.block.part("heads").tolist()):
        head, floor = heads[HEAD], heads[FLOOR]
        tickets = np.arange(max(head - rows, floor, 0), head)
        writers, numbers = ledger.row(stream, tickets)
        slots = stream * rows + tickets % rows
        here = state[slots] == (tickets + 1) << SHIFT
        here &= buffer.column("writer")[slots] == writers
        here &= buffer.column("number")[slots] == numbers
        lost += int(((writers >= 0) & ~here).sum())
    return lost


def _tree_faults(buffer, holds):
    ring = buffer._ring
    levels = interpreted(tree_levels)(ring.layout.capacity)
    tree = ring.block.part("tree")
    leaves = tree[levels[-2] :].reshape(-1)
    wrong = {
        "sums that are wrong": buffer.priorities.verify(),
        "empty slots that have a priority": (leaves[: len(holds)][~holds] != 0).sum(),
        "rows that have none": (leaves[: len(holds)][holds] <= 0).sum(),
        "leaves behind the last slot": (leaves[len(holds) :] != 0).sum(),
    }
    if "minima" in ring.layout.parts:
        minima = ring.block.part("minima").copy()
        wanted = minima.copy()
        minimum_rebuild(wanted, tree, levels)
        # Of a line without priorities, 0 says as much as NONE.
        minima, wanted = (np.where(entries == NONE, 0, entries) for entries in (minima, wanted))
        wrong["minima that are wrong"] = (minima != wanted).sum()
    return wrong
