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
