"""The verdict: what must hold of a buffer once everybody has gone and repair has run."""

import numpy as np

from kernels.jit import interpreted
from kernels.minimum import NONE, minimum_rebuild
from kernels.ring import BASE, BURNT, FILLED, HEAD, SHIFT
from kernels.tree import tree_levels
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
    stored = {name: buffer.column(name)[slots] for name in buffer.fields}
    writers, numbers = stored["writer"].astype(np.int64), stored["number"]
    ids = tickets * plan.streams + streams
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
        "torn rows stored": torn(stored, wide=plan.wide).sum(),
        "rows stored under another id": journal.foreign(ids, writers, numbers).sum(),
        "rows stored twice": len(slots) - len(set(zip(writers, numbers, strict=True))),
        "committed rows lost": _lost(buffer, ledger, state),
        "rows added without a ticket": max(
            ledger.added - int(heads[:, HEAD].sum() - heads[:, BURNT].sum()), 0
        ),
    }
    if plan.prioritized:
        wrong |= _tree_faults(buffer, holds)
    return {what: int(count) for what, count in wrong.items() if count}


def _lost(buffer, ledger, state):
    """Count rows that are gone though `add` returned and no later ticket took their slot."""
    ring = buffer._ring
    rows = ring.layout.rows
    lost = 0
    for stream, head in enumerate(ring.block.part("heads")[:, HEAD].tolist()):
        tickets = np.arange(max(head - rows, 0), head)
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
