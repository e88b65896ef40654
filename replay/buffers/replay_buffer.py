"""The buffer: a schema, a ring, a sampler and a view, put together."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import handle as words
from kernels.codes import CLOSED
from kernels.faults import READIED, fault_point
from replay import samplers
from replay.buffers.learning import LearningWriter, not_known
from replay.buffers.methods import install
from replay.buffers.reader import Reader
from replay.buffers.step_writer import StepWriter
from replay.buffers.vector_writer import VectorWriter
from replay.buffers.view_reader import ViewReader
from replay.buffers.writer import Writer
from replay.errors import (
    BlockFormatError,
    ClosedError,
    EmptyError,
    FieldError,
    InputError,
    ReplayError,
)
from replay.memory.block import READY_WORD, Block
from replay.memory.checkpoint import write_snapshot
from replay.memory.fields import Field, Schema
from replay.memory.home import named_path
from replay.memory.layout import Layout
from replay.memory.limiter import RateLimiter
from replay.memory.owner import Owner
from replay.memory.parse import learn_schema, parse_schema
from replay.memory.priority_tree import PriorityTree
from replay.memory.repair import Repaired
from replay.memory.ring import Ring
from replay.memory.snapshot_load import read_snapshot, snapshot_layout_of
from replay.memory.statistics import read_statistics
from replay.memory.waiting import Waiting
from replay.memory.window import STEP, with_step
from replay.progress import compiling
from replay.samplers.fifo import read_counts
from replay.samplers.sampler import Sampler
from replay.samplers.uniform import Uniform
from replay.views.rows import Rows
from replay.views.view import View, from_header
from replay.views.windows import Windows


class ReplayBuffer(LearningWriter, Reader):
    """
    Stores the last `capacity` rows and draws batches out of them.

    A row is a transition, as `add` takes it; with a view it is an observation, and an episode of T
    steps takes T + 1 of them.

    Parameters
    ----------
    capacity : int
        Rows that are kept; the oldest goes first.
    fields : mapping, Gymnasium spaces, or None
        What a transition is made of: names and dtypes, (dtype, shape) pairs, `str`, `bytes`,
        `Field(...)` for what is compressed or differs in length, or spaces; nested mappings for
        nested observations. None: the first transition shows it.
    sampler : Sampler
        Which rows a batch is made of: `Uniform()`, `Proportional(...)`, `Ranked(...)`,
        `Recent(...)`, `Fifo()`, `Lifo()` or `Combined(...)`.
    view : View, optional
        Makes the buffer a log of steps, which `writer` takes, and says what a drawn row becomes:
        `Transition()`, `NStep(...)`, `FrameStack(...)`, `Sequence(...)`, `Episodes(...)`,
        `Hindsight(...)`. None: rows come as they were added.
    streams : int
        Rings that the capacity is divided among, one an environment or writer.
    name : str, optional
        Puts the buffer into shared memory: `replay.attach(name)` in another process joins it.
    path : str or path, optional
        Puts the buffer into a file, which stays: `replay.attach(path=...)` opens it again.
    seed : int, optional
        Of the draws; with one seed and one sequence of calls come the same batches, in every home
        and from whichever process. None takes one from the system.
    limiter : RateLimiter, optional
        Holds back whoever gets ahead, the processes that add or those that sample.

    Raises
    ------
    InputError
        An argument cannot be.
    RoomError
        Memory, shared memory or the disk has too little room.
    BlockExistsError
        The name or the path is taken.

    Notes
    -----
    Any number of threads and processes may add, sample and update at once, without a lock. The
    process that creates a named buffer unlinks it when it closes it or ends.
    """

    def __init__(
        self,
        capacity: int,
        fields: Any = None,
        *,
        sampler: Sampler | None = None,
        view: View | None = None,
        streams: int = 1,
        name: str | None = None,
        path: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        if sampler is not None and not isinstance(sampler, Sampler):
            raise InputError(f"sampler is {sampler!r}, it must be a replay.Sampler")
        if view is not None and not isinstance(view, View):
            raise InputError(f"view is {view!r}, it must be a view: replay.Transition() for one")
        if limiter is not None and not isinstance(limiter, RateLimiter):
            raise InputError(f"limiter is {limiter!r}, it must be a replay.RateLimiter")
        if name is not None and path is not None:
            raise InputError(f"name is {name!r} and path is {path!r}: a buffer has one home")
        self._start(name, None if path is None else pathlib.Path(path).absolute())
        self._wanted = (sampler or Uniform(), streams, _seed(seed))
        # Refuses bad numbers now, also where the fields are to be learned.
        checked = Layout(parse_schema({"any": bool}), capacity, streams, self._wanted[0].to_json())
        self._capacity = checked.capacity
        self._view = view
        self._check_view(self._wanted[0])
        if view is not None:
            view.recipe.window.check(checked.capacity, checked.streams)
        if limiter is not None:
            limiter.check(self._capacity)
            needed = 1 if view is None else view.recipe.window.rows
            if limiter.min_size < needed:
                raise InputError(
                    f"limiter.min_size is {limiter.min_size}, it must be {needed} or more: the "
                    "view needs so many rows before anything can be drawn, and adds would be held "
                    "back before they are there"
                )
        self._limiter = limiter
        if name is not None:
            named_path(name)
        if fields is not None:
            self._create(self._steps_schema(parse_schema(fields)))

    def _check_view(self, sampler: Sampler) -> None:
        if self._view is None and sampler.needs_view:
            raise InputError(
                f"sampler is {sampler!r}, which passes priorities back along episodes: it needs a "
                "view"
            )

    def _steps_schema(self, schema: Schema) -> Schema:
        """Add what a log of steps has besides, if this is one."""
        if self._view is None:
            return schema
        schema = with_step(schema)
        self._view.recipe.check(schema)
        return schema

    def _learn_steps(self, values: dict[str, Any]) -> Ring:
        """Create the log by the values of a first step, unless another thread has done it."""
        with self._learning:
            if self._ring is None:
                if self._closed:
                    raise ClosedError("the buffer is closed")
                self._create(self._steps_schema(_float_reward(learn_schema(values))))
        return self._opened("step")

    def _start(self, name: str | None, path: pathlib.Path | None) -> None:
        LearningWriter.__init__(self)
        self._close_reader(not_known)
        self.name = name
        self.path = path
        self._tree: PriorityTree | None = None
        self._decays = False
        self._object_update: Callable[..., int] = not_known

    def _create(self, schema: Schema, snapshot: pathlib.Path | None = None) -> None:
        sampler, streams, seed = self._wanted
        limiter = {} if self._limiter is None else self._limiter.to_json()
        view = {} if self._view is None else self._view.described()
        layout = Layout(schema, self._capacity, streams, sampler.to_json(), limiter, view)
        if self.name is not None:
            block = Block.create(layout, named_path(self.name), named=True)
        elif self.path is not None:
            block = Block.create(layout, self.path, named=False)
        else:
            block = Block.private(layout)
        try:
            control = block.part("control")
            control[words.GENERATOR, 0] = seed
            if snapshot is not None:
                read_snapshot(snapshot, block)
            self._join(block, sampler, begin=snapshot is None)
            if snapshot is not None:
                self._opened("restore").trim()
            self._opened("create").begin_limiter()
        except BaseException:
            block.discard()
            raise
        fault_point(READIED)
        # Last: who attaches before it refuses the block as unfinished.
        control[words.READY, 0] = READY_WORD

    def _join(
        self, block: Block, sampler: Sampler, *, begin: bool = False, force: bool = False
    ) -> None:
        """Work on a block, new or attached."""
        with compiling():
            self._join_block(block, sampler, begin=begin, force=force)

    def _join_block(self, block: Block, sampler: Sampler, *, begin: bool, force: bool) -> None:
        ring = Ring(block, force=force)
        sampler.prepare(ring.handle)
        self._decays = bool(ring.handle[words.DECAY])
        if sampler.prioritized:
            self._tree = PriorityTree(ring, sampler.leaf_alpha)
            if begin:
                self._tree.begin(getattr(sampler, "initial", None))
        self._capacity = block.layout.capacity
        self._limiter = ring.limiter
        self._object_update = ring.calls.late("object_update")
        if sampler.prioritized:
            install(ReplayBuffer, "update_priorities")
        if self._view is None:
            self._open_reader(ring, sampler, Rows(ring), ring.handle)
        else:
            windows = Windows(ring, self._view.recipe, ring.handle)
            self._open_reader(ring, sampler, windows, ring.handle)
        self._open(ring, ring.handle)
        if self._view is not None:
            self._close_writer(_refuse_rows)

    @classmethod
    def _attach(
        cls, name: str | None, path: str | os.PathLike[str] | None, *, force: bool = False
    ) -> "ReplayBuffer":
        """Join a block that exists."""
        where = named_path(name) if name is not None else pathlib.Path(path or "").absolute()
        block = Block.attach(where, named=name is not None)
        try:
            buffer: ReplayBuffer = cls.__new__(cls)
            buffer._start(name, None if name is not None else where)
            sampler = samplers.from_json(block.layout.sampler)
            buffer._wanted = (sampler, block.layout.streams, 0)
            buffer._view = from_header(block.layout.view)
            buffer._check_view(sampler)
            buffer._join(block, sampler, force=force)
        except InputError as error:
            block.close()
            raise BlockFormatError(f"{str(where)!r} is no block of ours: {error}") from None
        except BaseException:
            block.close()
            raise
        return buffer

    def writer(self, stream: int = 0) -> Any:
        """
        Make a writer of one stream; `add` and `extend` of the buffer itself are stream 0's.

        Parameters
        ----------
        stream : int
            0 <= stream < streams.

        Returns
        -------
        Writer or StepWriter
            The latter, which takes `reset` and `step`, where the buffer has a view.

        Raises
        ------
        InputError
            There is no such stream, or the fields are not known yet; or the buffer has a view, and
            a writer of another process has the stream.
        """
        if self._view is None:
            return Writer(self._opened("writer"), stream)
        if self._closed:
            raise ClosedError("the buffer is closed")
        return StepWriter(self, stream)

    def vector_writer(self, streams: int | None = None, *, first: int = 0) -> VectorWriter:
        """
        Make a writer of many environments' steps, each to a stream of its own.

        Parameters
        ----------
        streams : int, optional
            How many; None: all from `first` on.
        first : int
            The stream of the first environment.

        Raises
        ------
        InputError
            The buffer has no view or no such streams, or a writer of another process has one.
        """
        if self._closed:
            raise ClosedError("the buffer is closed")
        if self._view is None:
            raise InputError(
                "this buffer has no view: give it view=replay.Transition() to write steps"
            )
        return VectorWriter(self, streams, first)

    def reader(self, view: View | None = None, sampler: Sampler | None = None) -> "ViewReader":
        """
        Draw from the same log in another way.

        Parameters
        ----------
        view : View, optional
            None: the buffer's own.
        sampler : Sampler, optional
            One that keeps nothing in the block, so neither priorities nor the cursors of `Fifo`,
            unless view and sampler are the buffer's own; None: `Uniform()`.

        Returns
        -------
        ViewReader
            With `sample`.

        Raises
        ------
        InputError
            The buffer has no view, the log not what the view needs, or the sampler needs
            priorities.
        """
        ring = self._opened("reader")
        if self._view is None:
            raise InputError("this buffer has no view: give it view=replay.Transition()")
        return ViewReader(self, ring, view or self._view, sampler or Uniform())

    def update_priorities(self, ids: Any, priorities: Any) -> int:
        """
        Set the priorities of rows by id.

        Parameters
        ----------
        ids : (n,) array of int64
            As `sample` and `add` gave them. Where one stands twice, its last priority wins.
        priorities : (n,) array of float
            Finite, 0 or more: np.abs of TD errors.

        Returns
        -------
        int
            How many were applied. Ids whose rows were overwritten since are skipped and counted,
            and with a view those that cannot be drawn, now or at all: whose windows are not whole
            yet or no more, and those of `reset`.

        Raises
        ------
        InputError
            An id was never given out, a priority is negative or not finite, the lengths differ,
            or the buffer keeps no priorities; nothing was changed.
        ClosedError
        """
        applied = self._object_update(self._handle, ids, priorities)
        if applied < 0:
            ring = self._opened("update_priorities")
            if self._tree is None:
                raise InputError(
                    f"this buffer samples by {self.sampler!r} and keeps no priorities: give it "
                    "sampler=replay.Proportional()"
                )
            applied = self._tree.update(ring.handle, ids, priorities)
        if self._decays and self._tree is not None:
            self._tree.pass_back(self._opened("update_priorities").handle, ids)
        return applied

    # What the compiled method calls, by this name.
    _plain_update_priorities = update_priorities

    def __len__(self) -> int:
        if self._closed:
            raise ClosedError("the buffer is closed")
        return 0 if self._ring is None else self._ring.size

    @property
    def size(self) -> int:
        """Rows that are stored now."""
        return len(self)

    @property
    def capacity(self) -> int:
        """Rows that are kept at most."""
        return self._capacity

    @property
    def is_full(self) -> bool:
        """
        Whether all slots hold a row: the next one overwrites the oldest. Compressed and ragged
        rows may go sooner, where newer ones need their bytes: see `stats()`.
        """
        return len(self) == self._capacity

    def is_ready(self, batch_size: int) -> bool:
        """
        Say whether `batch_size` rows are stored.

        With a view they may be fewer that can be drawn: `sample(n, timeout=...)` waits for those.
        """
        return len(self) >= batch_size

    def wait(self, size: int = 1, timeout: float | None = None) -> bool:
        """
        Wait until some rows are stored; with a view see `is_ready`.

        Parameters
        ----------
        size : int
            How many, from 1 to the capacity.
        timeout : float, optional
            Seconds; None: for as long as it takes.

        Returns
        -------
        bool
            False: they were not there in time.

        Raises
        ------
        InputError
            There will never be so many, or the timeout is no number of seconds.
        ClosedError
            The buffer was closed meanwhile, by another thread.
        """
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise InputError(f"size is {size!r}, it must be an int")
        if not 1 <= size <= self._capacity:
            most = f"{self._capacity}, the capacity"
            raise InputError(f"size is {size}, it must be from 1 to {most}")
        waiting = Waiting(timeout)
        while len(self) < size:
            if not waiting.nap():
                return False
            # Another thread may have brought the fields meanwhile, or closed the buffer.
            ring = self._ring
            if ring is not None:
                ring.look_after(ring.handle)
        return True

    @property
    def fields(self) -> dict[str, Any]:
        """The fields by name; nested observations as "obs/image". Empty until they are known."""
        found = {} if self._schema is None else dict(self._schema.fields)
        if self._view is not None:
            found.pop(STEP, None)
        return found

    @property
    def view(self) -> View | None:
        """What a drawn row becomes; None: it comes as it was added."""
        return self._view

    @property
    def streams(self) -> int:
        """Rings that the capacity is divided among."""
        return self._wanted[1] if self._ring is None else self._ring.layout.streams

    @property
    def sampler(self) -> Sampler:
        """How batches are drawn."""
        return self._wanted[0] if self._sampler is None else self._sampler

    @property
    def limiter(self) -> RateLimiter | None:
        """What holds back whoever gets ahead; None: nothing does."""
        return self._limiter

    @property
    def handle(self) -> npt.NDArray[np.int64]:
        """
        The words that composed kernels (`kernels.walk_add` and the like) work by, (words,) int64,
        for an agent that is compiled itself; see `kernels.handle`. Of this process, and while the
        buffer is open: a kernel looks at neither.
        """
        return self._opened("handle").handle

    @property
    def nbytes(self) -> int:
        """Bytes of the whole block; 0 until the fields are known."""
        return 0 if self._ring is None else self._ring.layout.nbytes

    @property
    def priorities(self) -> PriorityTree:
        """
        The priority tree: its total, largest and smallest priority, `verify`, `rebuild`.

        Raises
        ------
        InputError
            The buffer keeps no priorities.
        """
        self._opened("priorities")
        if self._tree is None:
            raise InputError(f"this buffer samples by {self.sampler!r} and keeps no priorities")
        return self._tree

    def column(self, name: str) -> npt.NDArray[Any]:
        """
        View the whole storage of a field, without a copy.

        Parameters
        ----------
        name : str
            As in `fields`.

        Returns
        -------
        (capacity, *shape) ndarray
            Read-only. A slot that was never filled holds zeros.

        Raises
        ------
        FieldError
            There is no such field.
        """
        return self._opened("column").column(name)

    def stats(self) -> dict[str, Any]:
        """
        Read the counters of the block, kept by all processes together.

        Returns
        -------
        dict of str to int or float
            size: rows stored. added: rows ever added. sampled, batches: rows and batches drawn.
            updated, stale: priorities applied, and skipped because their row was overwritten
            or, with a view, cannot be drawn.
            redrawn: rows drawn again because a writer passed by. burnt: tickets that found their
            slot taken.
            saturated: priorities above the largest that fits. repairs: processes that died with
            the buffer open and whose traces were removed, freed: slots that they were filling.
            mended: sums of the tree that they had left between two steps. age_mean: how many rows
            its stream had claimed since a row that was given out, on average; age_median: the
            same to within a factor of two, of one row a batch. nan before the first batch.
            balance: the rate limiter's, where there is one, in rows drawn. unread, lost: of Fifo,
            rows still to be given out, and those that never will be.
            With compressed or ragged fields: room: bytes for the rows of these fields, row_bytes:
            what one took on average so far, room_rows: how many such rows the bytes allow for,
            the capacity at most; evicted: rows that went because newer ones needed their bytes.
        """
        ring = self._opened("stats")
        ring.watch_owner()
        return {**read_statistics(ring), **read_counts(ring)}

    @property
    def owner(self) -> Owner | None:
        """
        The process that made a named buffer, and whether it is "alive", has "closed" it, or is
        "dead"; None in the other homes, and until the fields are known.
        """
        if self.name is None or (self._ring is None and not self._closed):
            return None
        return self._opened("owner").members.owner()

    def repair(self) -> Repaired:
        """
        Free the slots of processes that died with the buffer open, and mend the priority tree.

        By itself it happens when a buffer is opened, and soon after somebody died. Here the counts
        and sums are looked through in any case; everybody else goes on meanwhile.

        Returns
        -------
        Repaired
            What was done, and whether it is finished: a process that is stopped while it changes
            the tree leaves a rest for the next repair.
        """
        return self._opened("repair").repair(always=True)

    def clear(self) -> None:
        """Forget every row and priority. Ids go on growing, so old ones stay harmless."""
        if self._ring is None and not self._closed:
            return
        self._opened("clear").clear()
        if self._tree is not None:
            self._tree.begin()

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write all rows, priorities and counters to a file; `replay.load` reads it.

        A consistent snapshot, while others go on: every row that was committed before, and is not
        overwritten meanwhile, is in it. The file changes whole or not at all, every byte of it
        is behind a checksum, and it is a valid safetensors file. A second save to a file of the
        same buffer writes what has changed.

        Parameters
        ----------
        path : str or path
            An earlier file is replaced.

        Raises
        ------
        BlockError
            The file cannot be written, or another save to it is under way.
        """
        write_snapshot(self._opened("save").block, pathlib.Path(path))

    def restore(self, path: str | os.PathLike[str]) -> None:
        """
        Take over what `save` wrote, in place of all that is stored.

        Ids go on from those of the snapshot: ids of rows that were added after it count for
        nothing, and are given out anew.

        Parameters
        ----------
        path : str or path
            Of a buffer of the same fields, capacity, streams, sampler and limiter.

        Raises
        ------
        BlockMissingError, BlockFormatError
            There is no such file, it is damaged, or it is of another buffer; nothing was changed.
        """
        path = pathlib.Path(path)
        with self._learning:
            if self._ring is None and not self._closed:
                self._create(snapshot_layout_of(path).schema, path)
                return
        ring = self._opened("restore")
        read_snapshot(path, ring.block)
        ring.trim()
        # The balance of the snapshot is of actors and learners that are gone.
        ring.begin_limiter()

    def flush(self) -> None:
        """
        Bring every page of a `path=` buffer to the disk; nothing to do in the other homes.

        What was committed before survives a power cut, as long as nothing is added after; `close`
        does the same when the last process closes the file. See docs/guarantees.md.
        """
        self._opened("flush").flush()

    def close(self) -> None:
        """Let the buffer go. The creator of a named one unlinks it; a file on disk stays."""
        if self._closed:
            return
        self._closed = True
        if self._ring is not None:
            self._close_writer(_closed)
            self._close_reader(_closed)
            self._object_update = _closed
            if self._handle is not None and self._handle.batches:
                self._handle.batches.clear()
            if self._tree is not None:
                self._tree.close()
            self._ring.close()
            self._handle = self._ring.handle

    def _explain_order(self, row: tuple[Any, ...], fields: dict[str, Any]) -> tuple[Any, ...]:
        if self._view is not None:
            _refuse_rows()
        return super()._explain_order(row, fields)

    def _opened(self, method: str) -> Ring:
        if self._closed:
            raise ClosedError("the buffer is closed")
        if self._ring is None:
            if method in ("sample", "update_priorities"):
                raise EmptyError("the buffer is empty: add rows before the first sample")
            raise FieldError(f"the fields are not known yet: add a row before {method}")
        return self._ring

    def __enter__(self) -> "ReplayBuffer":  # noqa: PYI034  # Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        home = f", name={self.name!r}" if self.name else ""
        home += f", path={str(self.path)!r}" if self.path else ""
        if self._closed:
            return f"<ReplayBuffer closed{home}>"
        view = "" if self._view is None else f"{self._view!r}, "
        streams = "" if self.streams == 1 else f", streams={self.streams}"
        return (
            f"<ReplayBuffer {len(self)} of {self._capacity} rows, {view}{self.sampler!r}, fields "
            f"{', '.join(self.fields) or 'not known yet'}{streams}{home}>"
        )

    def __reduce__(self) -> Any:
        if self._closed or self._ring is None or (self.name is None and self.path is None):
            raise ReplayError(
                "only an open buffer with a name or a path can be pickled: other processes attach "
                "to it, and a private one is memory of this process alone"
            )
        return ReplayBuffer._attach, (self.name, None if self.path is None else str(self.path))


def _float_reward(schema: Schema) -> Schema:
    """Have rewards that were learned be float32: a first one of 1 says nothing about the next."""
    reward = schema.nodes.get("reward")
    if isinstance(reward, Field) and reward.dtype.kind in "biuf":
        return Schema({**schema.nodes, "reward": Field(np.float32, reward.shape)})
    return schema


def _refuse_rows(*_: Any) -> int:
    raise InputError(
        "this buffer is a log of steps: buffer.writer(stream) takes them, by reset(obs) and "
        "step(obs, action, reward, terminated, truncated)"
    )


def _closed(*_: Any) -> int:
    return CLOSED


def _seed(seed: Any) -> int:
    if seed is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 1 << 63:
        raise InputError(f"seed is {seed!r}, it must be an int from 0 to {(1 << 63) - 1}")
    return int(seed)
