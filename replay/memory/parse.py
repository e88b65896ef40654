"""From what users write to a schema: mappings, dtypes, Gymnasium spaces, or a first transition."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from replay.errors import FieldError
from replay.memory.fields import Field, Schema, as_array


def parse_schema(fields: Any) -> Schema:
    """
    Read a description of fields.

    Parameters
    ----------
    fields : Schema, mapping of names, or Gymnasium Dict space
        Each value is a dtype, a (dtype, shape) pair, a `Field`, a Gymnasium space, or, for a
        nested observation, a mapping of these or a tuple of fields, mappings and spaces. A Box
        keeps its dtype (uint8 stays uint8); a Discrete is an int64. `str` and `bytes` are text of
        any length.

    Returns
    -------
    Schema

    Raises
    ------
    FieldError
        Not such a description.
    """
    if isinstance(fields, Schema):
        return fields
    if not isinstance(fields, Mapping):
        fields = getattr(fields, "spaces", fields)
    if not isinstance(fields, Mapping):
        raise FieldError(
            f"fields is {type(fields).__name__}: it is a mapping from names to dtypes, "
            "(dtype, shape) pairs or Gymnasium spaces"
        )
    return Schema({name: _parse(str(name), described) for name, described in fields.items()})


def _parse(path: str, described: Any) -> Any:
    if isinstance(described, Field):
        return described
    if isinstance(described, Mapping):
        if not described:
            raise FieldError(f"field {path!r} is an empty mapping")
        return {name: _parse(f"{path}/{name}", part) for name, part in described.items()}
    if _is_space(described):
        return _parse_space(path, described)
    if isinstance(described, tuple) and described and _is_node(described[0]):
        return tuple(_parse(f"{path}/{number}", part) for number, part in enumerate(described))
    if isinstance(described, tuple) and len(described) == 2:
        return _field(path, *described)
    return _field(path, described)


def _is_space(described: Any) -> bool:
    return hasattr(described, "sample") and hasattr(described, "contains")


def _is_node(described: Any) -> bool:
    """Say whether a tuple that begins so is a tuple of fields, and no (dtype, shape) pair."""
    return isinstance(described, (Field, Mapping)) or _is_space(described)


def _field(path: str, dtype: Any, shape: Any = ()) -> Field:
    try:
        return Field(dtype, shape)
    except FieldError as error:
        raise FieldError(f"field {path!r}: {error}") from None


def _parse_space(path: str, space: Any) -> Any:
    """Read a Gymnasium space by its shape: the library does not import Gymnasium."""
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return {name: _parse(f"{path}/{name}", part) for name, part in parts.items()}
    if isinstance(parts, (tuple, list)):
        return tuple(_parse(f"{path}/{number}", part) for number, part in enumerate(parts))
    shape, dtype = getattr(space, "shape", None), getattr(space, "dtype", None)
    if shape is None or dtype is None:
        raise FieldError(
            f"field {path!r} is a {type(space).__name__} space, whose values have no fixed shape"
        )
    return _field(path, dtype, tuple(shape))


def learn_schema(values: Mapping[str, Any]) -> Schema:
    """
    Learn the fields from a first transition.

    Parameters
    ----------
    values : mapping of names to values
        Arrays and NumPy scalars keep their dtypes; a Python float becomes float32, an int int64,
        a bool bool. A mapping or tuple is a nested observation.

    Returns
    -------
    Schema

    Raises
    ------
    FieldError
        A value is no number and no array of numbers. What differs in length from row to row is
        not learned.
    """
    return Schema({name: _learn(name, value) for name, value in values.items()})


def _learn(path: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _learn(f"{path}/{name}", part) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_learn(f"{path}/{number}", part) for number, part in enumerate(value))
    if isinstance(value, (str, bytes)):
        kind = type(value).__name__
        raise FieldError(
            f"field {path!r} is {kind}, and a first row shows numbers alone: give the buffer its "
            f"fields, with {path!r} as {kind}"
        )
    array = as_array(path, value)
    if not isinstance(value, (np.ndarray, np.generic)) and array.dtype == np.float64:
        # Plain Python numbers have no width of their own; float32 is what networks take.
        return _field(path, np.float32, array.shape)
    if array.dtype.char in "gG":
        # Long doubles differ from one machine to the next: doubles hold them.
        return _field(path, np.float64 if array.dtype.char == "g" else np.complex128, array.shape)
    return _field(path, array.dtype, array.shape)
