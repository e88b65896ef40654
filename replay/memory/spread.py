"""Work on pieces, by several threads where there are several pieces."""

import collections
import os
import threading
from collections.abc import Callable, Sequence

from replay.progress import Progress

#: More would wait for memory, and each owns a piece of it.
_MOST = 3


def spread(
    pieces: Sequence[tuple[int, int]],
    make_worker: Callable[[], Callable[[int, int], None]],
    what: str,
) -> None:
    """
    Let workers take the next piece until none is left, and say how far it is if it takes long.

    Parameters
    ----------
    pieces : sequence of (int, int)
    make_worker : callable
        Gives a worker, called with a piece's two numbers: one for this thread, and one each for a
        few others.
    what : str
        That is worked on, for a person.

    Raises
    ------
    BaseException
        The first that a worker raised; no further piece is begun then.
    """
    left = collections.deque(pieces)
    errors: list[BaseException] = []
    progress = Progress(what, len(pieces))

    def run(worker: Callable[[int, int], None], progress: Progress | None = None) -> None:
        try:
            while not errors:
                try:
                    piece = left.popleft()
                except IndexError:
                    return
                worker(*piece)
                if progress is not None:
                    progress.step(len(pieces) - len(left))
        except BaseException as error:
            errors.append(error)

    count = min(_MOST, len(pieces), os.cpu_count() or 1)
    threads = [
        threading.Thread(target=run, args=(make_worker(),), daemon=True) for _ in range(count - 1)
    ]
    try:
        for thread in threads:
            thread.start()
        run(make_worker(), progress)
        for thread in threads:
            thread.join()
    finally:
        # Ctrl-C: whoever cleans up must not have a worker beside it.
        left.clear()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        progress.end()
    if errors:
        raise errors[0]
