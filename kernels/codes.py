"""What composed kernels give back in place of a count: negative, one number a reason."""

#: The arguments want the path that converts or explains.
MISMATCH = -1
#: The block was closed.
CLOSED = -2
#: Nothing is stored.
EMPTY = -3
#: Every row has priority 0.
NO_PRIORITY = -4
#: Every slot of the stream is held by writers that never finished.
JAMMED = -5
#: A batch of ids and priorities holds one that cannot be.
REFUSED = -6
#: The limiter holds the operation back; nothing was done, and it may be tried again.
HELD_BACK = -7
#: All was done, and something was met that the death of a process can explain: look after it.
NOTICE = -8
#: No stored row was found whose window is whole.
NOT_WHOLE = -9
#: As NOTICE, for an id: ids are 0 or more, and `NOTICED_ID - id` is below every other code.
NOTICED_ID = -16
#: A batch wants more rows than may be drawn now: `TOO_FEW - rows` says how many may.
TOO_FEW = -16
#: A batch wants more rows than there can be: `TOO_LARGE - rows` says how many. Rows are 2**40 at
#: most, so it is below every TOO_FEW.
TOO_LARGE = -(1 << 41)
