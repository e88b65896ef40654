"""The header of a safetensors file: what says to stock tools where each array lies."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

#: The header is made of pages of so many bytes, at most so many.
PAGE = 4096
MOST_PAGES = 256
#: Parts begin at multiples of a cache line.
ALIGNMENT = 64

_TYPES = {
    "|b1": "BOOL", "|u1": "U8", "|i1": "I8", "<u2": "U16", "<i2": "I16", "<f2": "F16",
    "<u4": "U32", "<i4": "I32", "<f4": "F32", "<u8": "U64", "<i8": "I64", "<f8": "F64",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Part:
    """Where a part lies, in bytes from the start of the block, and what it is an array of."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the part."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def aligned(offset: int) -> int:
    """Give the next multiple of a cache line."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def safetensors_header(
    metadata: Mapping[str, str], parts: Mapping[str, Part], start: int
) -> bytes:
    """
    Describe parts that follow each other, each at the next multiple of a cache line.

    Parameters
    ----------
    metadata : mapping of str to str
    parts : mapping of str to Part
        In the order of their offsets.
    start : int
        Where the first of them lies: the bytes of the header, once it is padded with blanks.

    Returns
    -------
    bytes
        Not padded yet. Gaps are declared as tensors, since the format knows none; a dtype that it
        does not know is declared as bytes.
    """
    tensors: dict[str, Any] = {}
    end = start
    for number, (name, part) in enumerate(parts.items()):
        if part.offset > end:
            tensors[f"_gap{number}"] = _tensor("U8", (part.offset - end,), end - start)
        kind = _TYPES.get(part.dtype.str)
        shape = part.shape if kind else (*part.shape, part.dtype.itemsize)
        tensors[name] = _tensor(kind or "U8", shape, part.offset - start, part.nbytes)
        end = part.offset + part.nbytes
    if aligned(end) > end:
        tensors["_end"] = _tensor("U8", (aligned(end) - end,), end - start)
    body = json.dumps({"__metadata__": metadata, **tensors})
    return (start - 8).to_bytes(8, "little") + body.encode()


def _tensor(kind: str, shape: tuple[int, ...], start: int, nbytes: int | None = None) -> Any:
    size = shape[0] if nbytes is None else nbytes
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, start + size]}
