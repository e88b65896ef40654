"""
Ways in which a process with buffers open can end, for `test_endings`.

Run as a script, it ends once in each way: a child that is forked for each plays its ending and
then leaves through the end of this file, as any program does. It writes what came of each to
standard output, as JSON: how the child ended, what it printed, and the names it left.
"""

import atexit
import gc
import json
import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import threading

import numpy as np

import replay

FIELDS = {"number": np.int64, "wide": (np.uint8, (400,))}


def made(name):
    """Create a buffer and use it."""
    buffer = replay.ReplayBuffer(64, FIELDS, name=name, sampler=replay.Proportional(), seed=1)
    return used(buffer)


def used(buffer):
    """Use a buffer."""
    buffer.extend(number=np.arange(5), wide=np.zeros((5, 400), np.uint8))
    batch = buffer.sample(8)
    buffer.update_priorities(batch.ids, np.ones(8))
    return buffer


def falls_off_the_end(buffer):
    return buffer


def closes(buffer):
    buffer.close()


def leaves_a_with_block(buffer):
    with buffer:
        used(buffer)


def leaves_a_with_block_by_an_error(buffer):
    with buffer:
        sys.exit(3)


def exits(buffer):
    global kept
    kept = buffer
    sys.exit(3)


def raises(buffer):
    global kept
    kept = buffer
    raise ZeroDivisionError("meant")


def closes_and_exits_at_once(buffer):
    buffer.close()
    os._exit(0)


def is_interrupted(buffer):
    global kept
    kept = buffer
    signal.raise_signal(signal.SIGINT)


def forgets(buffer):
    del buffer


def forgets_in_a_cycle(buffer):
    ring = [buffer]
    ring.append(ring)
    del ring, buffer
    gc.collect()


def keeps_it_in_a_cycle(buffer):
    ring = [buffer]
    ring.append(ring)


def keeps_a_view(buffer):
    global kept
    kept = buffer.column("wide")


def keeps_a_writer(buffer):
    global kept
    kept = buffer.writer(0)


def has_a_daemon_inside(buffer):
    started = threading.Event()

    def add():
        rows = {"number": np.arange(60), "wide": np.zeros((60, 400), np.uint8)}
        while True:
            buffer.extend(**rows)
            started.set()

    threading.Thread(target=add, daemon=True).start()
    started.wait()


def has_a_thread_inside(buffer):
    started = threading.Event()

    def add():
        for _ in range(300):
            used(buffer)
            started.set()

    threading.Thread(target=add).start()
    started.wait()


def uses_it_at_exit(buffer):
    atexit.register(used, buffer)


def is_forked(buffer):
    global kept
    kept = buffer
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        assert len(buffer) > 0
    used(buffer)


def child_creates(name):
    made(name)


def child_keeps(name):
    global kept
    kept = made(name)


def child_attaches(name):
    global kept
    kept = used(replay.attach(name))


def child_is_given(buffer):
    used(buffer)


def _has_children(method, buffer):
    """Have children that create, attach, and are given a buffer, and return."""
    context = multiprocessing.get_context(method)
    children = [
        context.Process(target=child_creates, args=(f"{buffer.name}-1",)),
        context.Process(target=child_keeps, args=(f"{buffer.name}-2",)),
        context.Process(target=child_attaches, args=(buffer.name,)),
        context.Process(target=child_is_given, args=(buffer,)),
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, child.exitcode
    # All have left in order, and none of them has taken the buffer along.
    assert buffer.stats()["repairs"] == 0
    assert len(buffer._ring.members.table()) == 1
    used(buffer)


def has_forked_children(buffer):
    _has_children("fork", buffer)


def has_spawned_children(buffer):
    _has_children("spawn", buffer)


def has_children_of_a_server(buffer):
    _has_children("forkserver", buffer)


ENDINGS = {
    ending.__name__: ending
    for ending in (
        falls_off_the_end,
        closes,
        leaves_a_with_block,
        leaves_a_with_block_by_an_error,
        exits,
        raises,
        closes_and_exits_at_once,
        is_interrupted,
        forgets,
        forgets_in_a_cycle,
        keeps_it_in_a_cycle,
        keeps_a_view,
        keeps_a_writer,
        has_a_daemon_inside,
        has_a_thread_inside,
        uses_it_at_exit,
        is_forked,
    )
}
FAMILIES = {
    ending.__name__: ending
    for ending in (has_forked_children, has_spawned_children, has_children_of_a_server)
}


def _names(start):
    return sorted(path.name for path in pathlib.Path("/dev/shm").glob(f"replay.{start}*"))


def _watch(start, role, ending):
    """Start a child, and see what comes of it; gives its buffer in the child, None here."""
    name = f"{start}-{role}-{ending}"
    # An attacher's creator is this process.
    creator = made(name) if role == "attacher" else None
    with tempfile.TemporaryFile("w+") as printed:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
            if creator is None:
                return made(name)
            # Of its own, beside the one that it was forked with.
            return used(replay.attach(name))
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        result = {"code": os.waitstatus_to_exitcode(status), "printed": printed.read()}
    if creator is not None:
        table = creator._ring.members.table()
        result["dead"] = sum(not member.alive for member in table)
        result["alive"] = sum(member.alive for member in table)
        creator.repair()
        result["wrong"] = creator.priorities.verify()
        result["rows"] = len(creator)
        creator.close()
    result["left"] = _names(name)
    results[f"{role} {ending}"] = result
    return None


if __name__ == "__main__":
    # What the code that children run must find, as any program's does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    made(f"{sys.argv[1]}-warm").close()
    # What is there already, most of which is Numba's, is not looked through when a child ends.
    gc.freeze()
    results: dict = {}
    for now in sys.argv[2:]:
        for who in ("creator", "attacher") if now in ENDINGS else ("creator",):
            mine = _watch(sys.argv[1], who, now)
            if mine is not None:
                break
        else:
            continue
        break
    else:
        print(json.dumps(results))
        mine = None
    if mine is not None:
        (ENDINGS | FAMILIES)[now](mine)
        del mine
