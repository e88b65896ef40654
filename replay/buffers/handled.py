"""What has a handle at a fixed place, where compiled methods find it."""

from typing import Any

from replay.memory.handle import Handle


class Handled:
    """
    Keeps a handle in a slot, of which the place in an object is known.

    Buffers, writers and readers are of this kind: one base, so that the place is one for all.
    """

    __slots__ = ("_handle",)

    #: None while the fields are not known.
    _handle: Handle | None

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """Make an object without a handle."""
        made = super().__new__(cls)
        made._handle = None
        return made
