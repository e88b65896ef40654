"""What the processes of a trial do until they are killed or told to end."""

import time

import numpy as np

import replay
from tests.stress import journal as words
from tests.stress.rows import part, rows, torn

#: Rows made at a time: then most of a writer's time goes into the buffer.
_MADE = 256
_MOST = 48


class Watch:
    """Notes the longest time between two steps, but for those in which the process was stopped."""

    def __init__(self, head):
        self._head = head
        self._stops = int(head[words.STOPS])
        self._last = time.monotonic_ns()

    def step(self):
        """Note a step."""
        now, stops = time.monotonic_ns(), int(self._head[words.STOPS])
        if stops == self._stops and now - self._last > self._head[words.LONGEST]:
            self._head[words.LONGEST] = now - self._last
        self._last, self._stops = now, stops


def write(plan, buffer, journal, seat, seed):
    """Add rows, one by one and in batches, to all streams."""
    random = np.random.default_rng(seed)
    head = journal.head[seat]
    journal.resume(seat)
    writers = [buffer.writer(stream) for stream in range(plan.streams)]
    watch = Watch(head)
    while not journal.over:
        if head[words.INTENDED] - head[words.READ] > words.RECENT // 2:
            # The parent has not read what would be overwritten: no wait of the buffer's.
            time.sleep(0.001)
            continue
        # A killed one's numbers are not used again, so that no row is ambiguous.
        first = int(head[words.INTENDED])
        made = rows(np.full(_MADE, seat), np.arange(first, first + _MADE), **plan.shape)
        at = 0
        watch.step()
        while at < _MADE and not journal.over:
            count = min(int(random.integers(1, _MOST)), _MADE - at) if random.random() < 0.3 else 1
            stream = writers[int(random.integers(plan.streams))]
            number = journal.intend(seat, count)
            try:
                if count == 1:
                    ids = [stream.add(*part(made, at))]
                else:
                    ids = stream.extend(*part(made, slice(at, at + count)))
            except replay.errors.JammedError:
                head[words.JAMS] += 1
                journal.resume(seat)
                at += count
                continue
            journal.settle(seat, number, ids)
            at += count
            watch.step()


def learn(plan, buffer, journal, seat, seed):
    """Draw batches, look at every row, and update priorities, some of rows long gone."""
    random = np.random.default_rng(seed)
    head = journal.head[seat]
    seen = {}
    old = np.empty(0, np.int64)
    out = {}
    watch = Watch(head)
    while not journal.over:
        size = (32, 256)[int(random.integers(2))]
        try:
            batch = buffer.sample(size, out=out.get(size))
        except replay.EmptyError:
            head[words.EMPTY] += 1
            continue
        out[size] = batch
        ids, writers = batch.ids, batch.writer.astype(np.int64)
        head[words.TORN] += int(torn(batch, **plan.shape).sum())
        head[words.FOREIGN] += int(journal.foreign(ids, writers, batch.number).sum())
        head[words.FOREIGN] += _differing(seen, ids, writers << 48 | batch.number)
        if plan.prioritized:
            wanted = np.concatenate([ids, old])
            applied = buffer.update_priorities(wanted, 0.01 + random.random(len(wanted)))
            head[words.UPDATED] += applied
            head[words.STALE] += len(wanted) - applied
            old = ids[:16].copy()
        head[words.ROWS] += size
        head[words.BATCHES] += 1
        head[words.PROGRESS] += 1
        watch.step()


def _differing(seen, ids, rows):
    """Count ids under which another row was seen before."""
    pairs = set(zip(ids.tolist(), rows.tolist(), strict=True))
    now = dict(pairs)
    differing = len(pairs) - len(now)
    differing += sum(seen.get(identity, row) != row for identity, row in pairs)
    if len(seen) > 1 << 16:
        seen.clear()
    seen.update(now)
    return differing
