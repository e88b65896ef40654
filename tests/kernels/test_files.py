"""Reading and writing files from kernels."""

import os

import numpy as np

from kernels.files import file_read, file_soon, file_write
from kernels.jit import kernel


@kernel
def write(descriptor, address, size, offset):
    """Write as a kernel does, and begin to bring it to the disk."""
    done = file_write(descriptor, address, size, offset)
    file_soon(descriptor, offset, size)
    return done


@kernel
def read(descriptor, address, size, offset):
    """Read as a kernel does."""
    return file_read(descriptor, address, size, offset)


def test_what_was_written_is_read(tmp_path):
    content = np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8)
    again = np.zeros_like(content)
    with open(tmp_path / "file", "wb+") as file:
        assert write(file.fileno(), content.ctypes.data, content.size, 5000)
        assert write(file.fileno(), content.ctypes.data, 0, 5000)
        assert read(file.fileno(), again.ctypes.data, content.size, 5000)
        assert (again == content).all()
    assert (tmp_path / "file").read_bytes() == bytes(5000) + content.tobytes()


def test_an_end_and_an_error_are_told(tmp_path):
    content = np.zeros(100, np.uint8)
    path = tmp_path / "file"
    path.write_bytes(bytes(60))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert not write(descriptor, content.ctypes.data, 100, 0)
        assert not read(descriptor, content.ctypes.data, 100, 0)
        assert read(descriptor, content.ctypes.data, 60, 0)
        assert read(descriptor, content.ctypes.data, 0, 60)
    finally:
        os.close(descriptor)
    assert path.read_bytes() == bytes(60)
    assert not write(-1, content.ctypes.data, 100, 0)
    assert not read(-1, content.ctypes.data, 100, 0)
