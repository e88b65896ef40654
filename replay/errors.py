"""What can go wrong, as exceptions that say the field, the value and the limit."""


class ReplayError(Exception):
    """Any error of this library."""


class InputError(ReplayError, ValueError):
    """An argument cannot be; nothing was stored or changed."""


class FieldError(InputError):
    """A field is missing, unknown, or its value has the wrong shape, type or range."""


class EmptyError(ReplayError, LookupError):
    """There is nothing to draw from."""


class ClosedError(ReplayError):
    """The buffer was closed."""


class WaitTimeoutError(ReplayError, TimeoutError):
    """What was waited for did not come in time; nothing was stored or drawn."""


class BlockError(ReplayError):
    """A block of memory cannot be created or attached."""


class BlockMissingError(BlockError, FileNotFoundError):
    """No block has this name or path."""


class BlockExistsError(BlockError, FileExistsError):
    """A block of this name or path exists already."""


class BlockFormatError(BlockError):
    """The bytes are not a block that this release reads: foreign, cut short or damaged."""


class UnflushedError(BlockError):
    """A file on disk was open when the machine went down, and may hold torn rows."""


class RoomError(BlockError, MemoryError):
    """Memory, shared memory or the disk has too little room."""


class JammedError(ReplayError):
    """Every slot of a stream is held by writers that never finished a row."""


class StepError(ReplayError):
    """A step came out of turn: before a reset, or from a writer that another has replaced."""


class OwnerGoneWarning(RuntimeWarning):
    """The process that made a named buffer has closed it or died; attached ones go on."""
