"""kernels.checksum: the sums of a snapshot's bytes."""

import numpy as np

from kernels.checksum import checksum_chunks

from . import Timed, unless_quick

#: As many as a last-level cache does not hold.
BYTES = unless_quick(1 << 26, 1 << 20)


class Checksum(Timed):
    """One call over 64 MiB, as it is, in chunks of so many bytes."""

    params = ([1 << 12, 1 << 20],)
    param_names = ("chunk",)

    def setup(self, chunk: int) -> None:
        self.bytes = np.ones(BYTES, np.uint8)
        self.sums = np.zeros(-(-BYTES // chunk), np.uint64)
        checksum_chunks(self.bytes.ctypes.data, chunk, chunk, self.sums[:1])

    def time_checksum(self, chunk: int) -> None:
        checksum_chunks(self.bytes.ctypes.data, BYTES, chunk, self.sums)
