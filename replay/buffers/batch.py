"""Batches: named tuples of arrays, a type for each set of field names."""

import collections
import functools
from collections.abc import Mapping
from typing import Any


@functools.cache
def batch_type(names: tuple[str, ...]) -> Any:
    """
    Make the type of a buffer's batches.

    Parameters
    ----------
    names : tuple of str
        The fields; weights and ids follow.

    Returns
    -------
    type
        A NamedTuple, and so a pytree to JAX and PyTorch: unpackable, with attributes, and also
        indexable by name, where "obs/image" is a part of a nested observation, and "note/lengths"
        one of a ragged field.
    """
    # What NamedTuple makes, with methods set on the very class: libraries know a named tuple by
    # its one base, tuple.
    make: Any = collections.namedtuple  # noqa: PYI024  # names are known at run time alone
    made = make("Batch", (*names, "weights", "ids"))
    made.__doc__ = f"Rows drawn from a buffer, one array each: {', '.join(made._fields)}."
    made.__module__ = __name__
    made.__getitem__ = _item
    made.__reduce__ = _reduce
    made.__repr__ = _repr
    return made


def _item(batch: Any, key: Any) -> Any:
    if not isinstance(key, str):
        return tuple.__getitem__(batch, key)
    first, *parts = key.split("/")
    if first not in batch._fields:
        raise KeyError(f"no field {key!r}, there are {', '.join(batch._fields)}")
    value = getattr(batch, first)
    try:
        for part in parts:
            if isinstance(value, Mapping):
                value = value[part]
            else:
                value = getattr(value, part) if part in _names(value) else value[int(part)]
    except (KeyError, IndexError, ValueError):
        raise KeyError(f"no field {key!r}: {first} has no such part") from None
    return value


def _names(value: Any) -> tuple[str, ...]:
    """Give the names of a named tuple's parts, which rows of different lengths are in."""
    return getattr(value, "_fields", ())


def _reduce(batch: Any) -> Any:
    return _rebuild, (batch._fields[:-2], tuple(batch))


def _rebuild(names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return batch_type(names)._make(values)


def _repr(batch: Any) -> str:
    parts = (f"{name}={_shape(value)}" for name, value in zip(batch._fields, batch, strict=True))
    return f"Batch({', '.join(parts)})"


def _shape(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shape(part)}" for key, part in value.items()) + "}"
    if isinstance(value, tuple) and not _names(value):
        return "(" + ", ".join(_shape(part) for part in value) + ")"
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"{value.dtype}{list(shape)}"
