"""
Checksums of bytes: XXH64, which tells damage from what was written, at the speed of memory.

No protection against who means it: a checksum of forged bytes is as easy to come by.
"""

from typing import Any

import numpy as np

from kernels.addresses import load_int32, load_int64, load_uint8
from kernels.jit import INTERPRETED, kernel

_PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_MASK = 0xFFFFFFFFFFFFFFFF

if INTERPRETED:
    import ctypes
    import struct

    # Python integers: NumPy's scalars warn where machine words wrap.

    def _round(lane: int, word: int) -> int:
        lane = (lane + word * _PRIMES[1]) & _MASK
        return (((lane << 31) | (lane >> 33)) * _PRIMES[0]) & _MASK

    def _rotate(word: int, bits: int) -> int:
        return ((word << bits) | (word >> (64 - bits))) & _MASK

    def checksum(address: int, size: int, seed: int) -> int:
        first, second, third, fourth, fifth = _PRIMES
        address, size, seed = int(address), int(size), int(seed) & _MASK
        content = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
        at = size // 32 * 32
        result = (seed + fifth) & _MASK
        if at:
            a, b, c, d = seed + first + second, seed + second, seed, seed - first
            for words in struct.iter_unpack("<4Q", content[:at]):
                a, b, c, d = map(_round, (a, b, c, d), words)
            result = sum(map(_rotate, (a, b, c, d), (1, 7, 12, 18))) & _MASK
            for lane in (a, b, c, d):
                result = ((result ^ _round(0, lane)) * first + fourth) & _MASK
        result = (result + size) & _MASK
        for (word,) in struct.iter_unpack("<Q", content[at : size // 8 * 8]):
            result = (_rotate(result ^ _round(0, word), 27) * first + fourth) & _MASK
        at = size // 8 * 8
        if size - at >= 4:
            (word,) = struct.unpack_from("<I", content, at)
            result = (_rotate(result ^ (word * first & _MASK), 23) * second + third) & _MASK
            at += 4
        for byte in content[at:]:
            result = (_rotate(result ^ (byte * fifth & _MASK), 11) * first) & _MASK
        result = ((result ^ (result >> 33)) * second) & _MASK
        result = ((result ^ (result >> 29)) * third) & _MASK
        return result ^ (result >> 32)

else:
    _FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH = (np.uint64(prime) for prime in _PRIMES)

    @kernel
    def _rotate(word: Any, bits: int) -> Any:
        """Rotate an unsigned word to the left."""
        return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))

    @kernel
    def _round(lane: Any, word: int) -> Any:
        """Take a word into a lane."""
        return _rotate(lane + np.uint64(word) * _SECOND, 31) * _FIRST

    @kernel
    def checksum(address: int, size: int, seed: int) -> Any:
        """
        Sum bytes at an address.

        Parameters
        ----------
        address : int
        size : int
            Bytes, 0 or more.
        seed : int
            Any integer; each gives its own sums.

        Returns
        -------
        uint64

        Notes
        -----
        Units: bytes.
        Cost: O(size); the words of four lanes are multiplied side by side.
        Errors: none; the address is trusted.
        Sharing: of bytes that change meanwhile it sums some old and some new ones.
        Source: Collet, the XXH64 algorithm, version 0.1.1 of its description.
        """
        start = np.uint64(seed)
        end = address + size
        if size >= 32:
            a = start + _FIRST + _SECOND
            b = start + _SECOND
            c = start
            d = start - _FIRST
            while address <= end - 32:
                a = _round(a, load_int64(address))
                b = _round(b, load_int64(address + 8))
                c = _round(c, load_int64(address + 16))
                d = _round(d, load_int64(address + 24))
                address += 32
            total = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
            zero = np.uint64(0)
            total = (total ^ _round(zero, np.int64(a))) * _FIRST + _FOURTH
            total = (total ^ _round(zero, np.int64(b))) * _FIRST + _FOURTH
            total = (total ^ _round(zero, np.int64(c))) * _FIRST + _FOURTH
            total = (total ^ _round(zero, np.int64(d))) * _FIRST + _FOURTH
        else:
            total = start + _FIFTH
        total += np.uint64(size)
        while address <= end - 8:
            total ^= _round(np.uint64(0), load_int64(address))
            total = _rotate(total, 27) * _FIRST + _FOURTH
            address += 8
        if address <= end - 4:
            total ^= np.uint64(load_int32(address) & 0xFFFFFFFF) * _FIRST
            total = _rotate(total, 23) * _SECOND + _THIRD
            address += 4
        while address < end:
            total ^= np.uint64(load_uint8(address)) * _FIFTH
            total = _rotate(total, 11) * _FIRST
            address += 1
        total = (total ^ (total >> np.uint64(33))) * _SECOND
        total = (total ^ (total >> np.uint64(29))) * _THIRD
        return total ^ (total >> np.uint64(32))


@kernel
def checksum_chunks(address: int, size: int, chunk: int, sums: np.ndarray) -> None:
    """
    Sum the chunks of a stretch of bytes, each by itself.

    Parameters
    ----------
    address : int
    size : int
        Bytes; the last chunk has what is left.
    chunk : int
        Bytes of a chunk, 1 or more.
    sums : (chunks,) uint64, written

    Notes
    -----
    Units: bytes.
    Cost: O(size).
    Errors: none; the address is trusted.
    Sharing: as checksum.
    Source: as checksum.
    """
    for number in range(sums.size):
        first = number * chunk
        sums[number] = checksum(address + first, min(chunk, size - first), 0)
