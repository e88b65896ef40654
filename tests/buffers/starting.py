"""
A crew at one buffer, each of whom was started and given the buffer in another way.

`python -m tests.buffers.starting METHOD HOME` is a process without threads, which may fork.
"""

import concurrent.futures
import multiprocessing
import pathlib
import sys
import tempfile
import threading

import numpy as np

import replay
from tests.buffers.errands import FIELDS, checked, whole
from tests.homes import fresh_name

ROWS = 600
BATCHES = 40


def write(buffer, first):
    """Add rows in batches and one by one; give their ids with their numbers."""
    added = {}
    for start in range(first, first + ROWS, 20):
        rows = checked(range(start, start + 20))
        ids = buffer.extend(**{name: column[:10] for name, column in rows.items()}).tolist()
        for at in range(10, 20):
            ids.append(buffer.add(**{name: column[at] for name, column in rows.items()}))
        added |= dict(zip(ids, range(start, start + 20), strict=True))
    return added


def learn(buffer):
    """Draw whole rows and update their priorities; say which rows were seen."""
    seen = {}
    for turn in range(BATCHES):
        batch = buffer.sample(32)
        assert whole(batch)
        assert buffer.update_priorities(batch.ids, 0.5 + turn % 3 + np.arange(32)) == 32
        seen |= dict(zip(batch.ids.tolist(), batch.number.tolist(), strict=True))
    return seen


def answer(buffer, task, results, *arguments):
    """Put what a task gives into a queue."""
    results.put((task.__name__, task(buffer, *arguments)))


def answer_from_queue(buffers, task, results, *arguments):
    """Take the buffer itself out of a queue."""
    answer(buffers.get(), task, results, *arguments)


def pass_on(context, buffer, task, results, *arguments):
    """Have a child of this child do it."""
    child = context.Process(target=answer, args=(buffer, task, results, *arguments))
    child.start()
    child.join()
    assert child.exitcode == 0


def work_together(context, buffer):
    """Have a crew started by a context write and learn at once; give what they added and saw."""
    buffers, results = context.Queue(), context.Queue()
    crew = [
        context.Process(target=answer, args=(buffer, write, results, 10_000)),
        context.Process(target=answer_from_queue, args=(buffers, learn, results)),
        context.Process(target=pass_on, args=(context, buffer, write, results, 20_000)),
    ]
    for child in crew:
        child.start()
    buffers.put(buffer)
    with (
        context.Pool(1) as pool,
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor,
    ):
        pooled = pool.apply_async(write, (buffer, 30_000))
        executed = executor.submit(learn, buffer)
        answers = [results.get(timeout=100) for _ in crew]
        answers += [("write", pooled.get(100)), ("learn", executed.result(100))]
        # Left to itself, a pool kills its processes.
        pool.close()
        pool.join()
    for child in crew:
        child.join()
        assert child.exitcode == 0
    return answers


def work_in_threads(buffer):
    """Do the same in threads."""
    answers = []
    crew = [
        threading.Thread(target=lambda: answers.append(("write", write(buffer, 10_000)))),
        threading.Thread(target=lambda: answers.append(("write", write(buffer, 20_000)))),
        threading.Thread(target=lambda: answers.append(("write", write(buffer, 30_000)))),
        threading.Thread(target=lambda: answers.append(("learn", learn(buffer)))),
        threading.Thread(target=lambda: answers.append(("learn", learn(buffer)))),
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert len(answers) == len(crew)
    return answers


def main(method, home):
    """Run a crew and look at what it leaves behind."""
    with tempfile.TemporaryDirectory() as folder:
        place = {
            "named": {"name": fresh_name()},
            "path": {"path": pathlib.Path(folder) / "block"},
            "private": {},
        }[home]
        sampler = replay.Proportional(normalise="buffer")
        with replay.ReplayBuffer(5_000, FIELDS, sampler=sampler, seed=0, **place) as buffer:
            known = write(buffer, 0)
            if method == "threads":
                answers = work_in_threads(buffer)
            else:
                answers = work_together(multiprocessing.get_context(method), buffer)
            added = [known] + [given for task, given in answers if task == "write"]
            seen = [given for task, given in answers if task == "learn"]
            assert (len(added), len(seen)) == (4, 2)
            for given in added[1:]:
                assert not known.keys() & given.keys(), "an id was given out twice"
                known |= given
            assert len(known) == len(buffer) == 4 * ROWS
            for given in seen:
                assert given.items() <= known.items()
            slots = np.fromiter(known, np.int64) % 5_000
            assert buffer.column("number")[slots].tolist() == list(known.values())
            assert buffer.stats()["updated"] == 2 * BATCHES * 32
            assert buffer.priorities.verify() == 0
            assert np.count_nonzero(buffer.priorities.priorities()) == 4 * ROWS
            assert len(buffer._ring.members.table()) == 1, "somebody has left no farewell"


if __name__ == "__main__":
    main(*sys.argv[1:])
