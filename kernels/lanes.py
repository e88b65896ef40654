"""Lanes: copies of one field out of many slots, or zeros where there is none."""

import numpy as np

from kernels.addresses import (
    copy,
    copy_32,
    load_int32,
    load_int64,
    store_int32,
    store_int64,
    store_uint8,
)
from kernels.jit import kernel
from kernels.rows import ADDRESS, SIZE, STRIDE
from kernels.wide import WIDE, copy_wide, head_prefetch


@kernel
def bytes_clear(to: int, size: int) -> None:
    """
    Write zeros.

    Parameters
    ----------
    to : int
        Address of bytes that are *written*.
    size : int

    Notes
    -----
    Units: bytes.
    Cost: O(size).
    Errors: none; addresses are trusted.
    Sharing: the bytes are the caller's.
    Source: own.
    """
    done = 0
    while done + 8 <= size:
        store_int64(to + done, 0)
        done += 8
    while done < size:
        store_uint8(to + done, 0)
        done += 1


@kernel
def wide_fill(plan: np.ndarray, field: int, slot: int, to: int) -> None:
    """
    Copy one wide field of a slot, or zeros where there is none.

    Parameters
    ----------
    plan : (fields, 16) int64
    field : int
        Of WIDE bytes or more.
    slot : int
        -1 for zeros.
    to : int
        Address of a row of the field, *written*.

    Notes
    -----
    Units: bytes.
    Cost: O(bytes of the field).
    Errors: none; addresses are trusted.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    if slot >= 0:
        copy_wide(to, plan[field, ADDRESS] + slot * plan[field, STRIDE], plan[field, SIZE])
    else:
        bytes_clear(to, plan[field, SIZE])


@kernel
def lanes_copy(plan: np.ndarray, field: int, to: int, lanes: np.ndarray) -> None:
    """
    Copy one field of several slots, or zeros where there is none.

    Parameters
    ----------
    plan : (fields, 16) int64
    field : int
    to : int
        Address of n rows of the field, *written*.
    lanes : (n,) int64
        Slots; -1 for zeros.

    Notes
    -----
    Units: rows.
    Cost: O(n * bytes of the field).
    Errors: none; addresses are trusted.
    Sharing: as rows_get; the caller looks at the words after.
    Source: own.
    """
    base = plan[field, ADDRESS]
    stride = plan[field, STRIDE]
    size = plan[field, SIZE]
    # The switch on the commonest sizes outside the loop.
    if size == 8:
        for lane in range(lanes.size):
            slot = lanes[lane]
            store_int64(to + lane * 8, load_int64(base + slot * stride) if slot >= 0 else 0)
        return
    if size == 4:
        for lane in range(lanes.size):
            slot = lanes[lane]
            store_int32(to + lane * 4, load_int32(base + slot * stride) if slot >= 0 else 0)
        return
    if size == 32:
        for lane in range(lanes.size):
            slot = lanes[lane]
            if slot >= 0:
                copy_32(to + lane * 32, base + slot * stride)
            else:
                bytes_clear(to + lane * 32, 32)
        return
    if size >= WIDE:
        for lane in range(lanes.size):
            slot = lanes[lane]
            if lane + 1 < lanes.size:
                head_prefetch(base + lanes[lane + 1] * stride)
            wide_fill(plan, field, slot, to + lane * size)
        return
    for lane in range(lanes.size):
        slot = lanes[lane]
        if slot >= 0:
            copy(to + lane * size, base + slot * stride, size)
        else:
            bytes_clear(to + lane * size, size)
