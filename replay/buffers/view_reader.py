"""Drawing from one log of steps in more than one way."""

from typing import TYPE_CHECKING

from replay.buffers.reader import Reader
from replay.errors import ClosedError, InputError
from replay.memory.ring import Ring
from replay.samplers.sampler import Sampler
from replay.views.view import View
from replay.views.windows import Windows

if TYPE_CHECKING:
    from replay.buffers.replay_buffer import ReplayBuffer


class ViewReader(Reader):
    """
    Draws batches of a buffer's log, with a view and a sampler of its own.

    Parameters
    ----------
    buffer : ReplayBuffer
    ring : Ring
        Of the buffer.
    view : View
    sampler : Sampler

    Raises
    ------
    InputError
    """

    def __init__(self, buffer: "ReplayBuffer", ring: Ring, view: View, sampler: Sampler) -> None:
        if not isinstance(view, View):
            raise InputError(f"view is {view!r}, it must be a view: replay.Transition() for one")
        if not isinstance(sampler, Sampler):
            raise InputError(f"sampler is {sampler!r}, it must be a replay.Sampler")
        # Its parts were laid out with the block.
        if sampler != buffer.sampler and sampler.to_json().keys() & {"tree", "cursors"}:
            raise InputError(
                f"sampler is {sampler!r}, which keeps something in the block: only the buffer's "
                f"own can, {buffer.sampler!r}; a reader takes Uniform, Recent or Lifo"
            )
        if sampler.prioritized and view != buffer.view:
            raise InputError(f"view is {view!r}: the buffer's priorities are of {buffer.view!r}")
        self._buffer = buffer
        self.view = view
        self.sampler = sampler
        self._ring = ring
        self._schema = ring.layout.schema
        self._limiter = ring.limiter
        handle = ring.new_handle()
        gatherer = Windows(ring, view.recipe, handle)
        sampler.prepare(handle)
        self._handle = handle
        self._open_reader(ring, sampler, gatherer, handle)

    def _opened(self, method: str) -> Ring:
        if self._ring is None or self._buffer._closed:
            raise ClosedError("the buffer is closed")
        return self._ring

    def __repr__(self) -> str:
        return f"<ViewReader {self.view!r}, {self.sampler!r} of {self._buffer!r}>"
