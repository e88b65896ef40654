"""
Fields: what a transition is made of, and how a value becomes the bytes of a row.

A schema maps names to fields. Nested observations are stored as flat columns ("obs/image") and
come back nested.
"""

import dataclasses
import keyword
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.rows import KINDS, MOST_DIMS
from replay.errors import FieldError, InputError

#: Names that a batch has already, or that a method takes.
RESERVED = frozenset({"weights", "ids", "count", "index"})
#: Between the names of a nested observation.
SEPARATOR = "/"
#: Marks a tuple where a schema is written as JSON, which has lists alone.
TUPLE = "(tuple)"


@dataclasses.dataclass(frozen=True)
class Field:
    """
    One value of each transition: a number or an array of fixed shape.

    Parameters
    ----------
    dtype : dtype-like
        Boolean, integer, float or complex.
    shape : tuple of int
        () for a single number; at most 8 dimensions.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()

    def __init__(self, dtype: npt.DTypeLike, shape: int | tuple[int, ...] = ()) -> None:
        try:
            parsed = np.dtype(dtype)
        except (TypeError, ValueError, SyntaxError) as error:
            raise FieldError(f"{dtype!r} is no dtype: {error}") from None
        if dtype is None:
            # NumPy's float64 for nothing at all would hide a forgotten dtype.
            raise FieldError("None is no dtype")
        # By its width and little-endian: long and long long are one type of two names.
        parsed = np.dtype(parsed.newbyteorder("<").str)
        if parsed.str not in KINDS:
            raise FieldError(
                f"dtype {parsed} cannot be a field: a field is boolean, integer, float (16, 32, "
                "64 bits) or complex (64, 128 bits)"
            )
        try:
            sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        except TypeError:
            raise FieldError(f"shape is {shape!r}, it must be a tuple of ints") from None
        if len(sizes) > MOST_DIMS:
            raise FieldError(f"shape {sizes} has {len(sizes)} dimensions, the most is {MOST_DIMS}")
        for size in sizes:
            if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
                raise FieldError(f"shape {sizes} holds {size!r}: each size is an int, 1 or more")
        object.__setattr__(self, "dtype", parsed)
        object.__setattr__(self, "shape", tuple(int(size) for size in sizes))

    @property
    def nbytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape) * self.dtype.itemsize

    def convert(self, name: str, value: Any, rows: int | None = None) -> npt.NDArray[Any]:
        """
        Make a contiguous array of this field's type out of a value, or say why it is none.

        Parameters
        ----------
        name : str
            For the message.
        value : array-like
        rows : int, optional
            How many rows the value must have; none: it is one row.

        Returns
        -------
        (*shape) or (rows, *shape) ndarray of the field's dtype, C-contiguous

        Raises
        ------
        FieldError
            Of another shape, of a type that cannot be converted safely, or out of range.
        """
        array = as_array(name, value)
        wanted = self.shape if rows is None else (rows, *self.shape)
        if array.shape != wanted:
            raise FieldError(f"field {name!r} has shape {array.shape}, it must be {wanted}")
        if array.dtype == self.dtype:
            return np.require(array, requirements=("C", "A"))
        self._check_cast(name, array)
        with np.errstate(over="ignore"):
            converted = array.astype(self.dtype, order="C")
        if self.dtype.kind in "fc":
            lost = np.isinf(converted) & np.isfinite(array)
            if lost.any():
                raise FieldError(
                    f"field {name!r} holds {array[lost].flat[0]!r}, the largest of "
                    f"{self.dtype} is {np.finfo(self.dtype).max!r}"
                )
        return converted

    def _check_cast(self, name: str, array: npt.NDArray[Any]) -> None:
        source, target = array.dtype.kind, self.dtype.kind
        if source in "biu" and target in "biu":
            limits = (0, 1) if target == "b" else _range(self.dtype)
            if array.size and not limits[0] <= int(array.min()) <= int(array.max()) <= limits[1]:
                wrong = array[(array < limits[0]) | (array > limits[1])].flat[0]
                raise FieldError(
                    f"field {name!r} holds {wrong}, {self.dtype} goes from {limits[0]} "
                    f"to {limits[1]}"
                )
        elif "biufc".index(target) < "biufc".index(source):
            raise FieldError(
                f"field {name!r} is {array.dtype}, which does not become {self.dtype} without "
                "loss: convert it first if that is meant"
            )


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def as_array(name: str, value: Any) -> npt.NDArray[Any]:
    """
    Read an array-like of numbers.

    Parameters
    ----------
    name : str
        For the message.
    value : array-like

    Returns
    -------
    ndarray
        Boolean, integer, float or complex.

    Raises
    ------
    FieldError
        Ragged, or anything but numbers.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise FieldError(f"field {name!r} is no array of numbers: {error}") from None
    if isinstance(value, int) and array.dtype == object:
        raise FieldError(
            f"field {name!r} is {value}, integers go from {-(1 << 63)} to {(1 << 64) - 1}"
        )
    if array.dtype.kind not in "biufc":
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise FieldError(f"field {name!r} is {shown}, of dtype {array.dtype}: not numbers")
    return array


@dataclasses.dataclass(frozen=True)
class Schema:
    """
    The fields of a transition, in order.

    Parameters
    ----------
    nodes : dict of str to Field, or to nested dicts and tuples of them
    """

    nodes: dict[str, Any]

    def __post_init__(self) -> None:
        if not self.nodes:
            raise FieldError("a transition needs one field at least, fields is empty")
        for name in self.nodes:
            if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
                raise FieldError(f"field name {name!r} is no Python identifier")
            if name in RESERVED or name.startswith("_"):
                raise FieldError(
                    f"field name {name!r} is taken: {', '.join(sorted(RESERVED))} and names that "
                    "begin with _ belong to the batch"
                )
        flat = dict(self._flat())
        object.__setattr__(self, "fields", flat)
        object.__setattr__(self, "names", tuple(self.nodes))
        nested = any(not isinstance(node, Field) for node in self.nodes.values())
        object.__setattr__(self, "nested", nested)

    fields: dict[str, Field] = dataclasses.field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = dataclasses.field(init=False, repr=False, compare=False)
    nested: bool = dataclasses.field(init=False, repr=False, compare=False)

    def _flat(self) -> Iterator[tuple[str, Field]]:
        for name, node in self.nodes.items():
            yield from _leaves(name, node)

    def flatten(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """
        Order the values of one transition (or batch) by column.

        Parameters
        ----------
        values : tuple
            A value for each of `names`, nested as the schema is.

        Returns
        -------
        tuple
            A value for each of `fields`.

        Raises
        ------
        FieldError
            A part is missing or unknown.
        """
        flat: list[Any] = []
        for (name, node), value in zip(self.nodes.items(), values, strict=True):
            _flatten(name, node, value, flat)
        return tuple(flat)

    def nest(self, flat: tuple[Any, ...]) -> tuple[Any, ...]:
        """
        Undo `flatten`.

        Parameters
        ----------
        flat : tuple
            A value for each of `fields`.

        Returns
        -------
        tuple
            A value for each of `names`.
        """
        values = iter(flat)
        return tuple(_nest(node, values) for node in self.nodes.values())

    def to_json(self) -> Any:
        """Describe the schema in what JSON can hold; `from_json` undoes it."""
        return {name: _to_json(node) for name, node in self.nodes.items()}

    @classmethod
    def from_json(cls, described: Any) -> "Schema":
        """
        Read what `to_json` wrote, from anywhere: nothing of it is trusted.

        Raises
        ------
        InputError
            It describes no schema.
        """
        if not isinstance(described, dict):
            raise InputError(f"schema is {type(described).__name__}, it must be an object")
        return cls({name: _from_json(name, node) for name, node in described.items()})


def _leaves(path: str, node: Any) -> Iterator[tuple[str, Field]]:
    if isinstance(node, Field):
        yield path, node
        return
    if not node:
        raise FieldError(f"field {path!r} is empty: it has no parts")
    parts = node.items() if isinstance(node, dict) else enumerate(node)
    for name, below in parts:
        if isinstance(node, dict) and not isinstance(name, str):
            raise FieldError(f"field {path!r} has a part {name!r}: names are strings")
        if SEPARATOR in str(name) or name == TUPLE:
            raise FieldError(
                f"field {path!r} has a part {name!r}: {SEPARATOR} joins names, {TUPLE} is taken"
            )
        yield from _leaves(f"{path}{SEPARATOR}{name}", below)


def _flatten(path: str, node: Any, value: Any, flat: list[Any]) -> None:
    if isinstance(node, Field):
        flat.append(value)
    elif isinstance(node, dict):
        if not isinstance(value, Mapping):
            raise FieldError(f"field {path!r} is {type(value).__name__}, it must be a mapping")
        missing, unknown = node.keys() - value.keys(), value.keys() - node.keys()
        if missing or unknown:
            raise FieldError(_parts(path, sorted(missing, key=str), sorted(unknown, key=str)))
        for name, below in node.items():
            _flatten(f"{path}{SEPARATOR}{name}", below, value[name], flat)
    else:
        if not isinstance(value, (tuple, list)) or len(value) != len(node):
            shown = f"{len(value)} parts" if isinstance(value, (tuple, list)) else repr(value)
            raise FieldError(f"field {path!r} has {shown}, it must be {len(node)} parts")
        for number, below in enumerate(node):
            _flatten(f"{path}{SEPARATOR}{number}", below, value[number], flat)


def _parts(path: str, missing: list[Any], unknown: list[Any]) -> str:
    said = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
    said += [f"has unknown {', '.join(map(repr, unknown))}"] if unknown else []
    return f"field {path!r} {' and '.join(said)}"


def _nest(node: Any, values: Iterator[Any]) -> Any:
    if isinstance(node, Field):
        return next(values)
    if isinstance(node, dict):
        return {name: _nest(below, values) for name, below in node.items()}
    return tuple(_nest(below, values) for below in node)


def _to_json(node: Any) -> Any:
    if isinstance(node, Field):
        return [node.dtype.str, list(node.shape)]
    if isinstance(node, dict):
        return {name: _to_json(below) for name, below in node.items()}
    return {TUPLE: [_to_json(below) for below in node]}


def _from_json(path: str, described: Any) -> Any:
    if isinstance(described, list):
        if len(described) != 2 or not isinstance(described[0], str):
            raise InputError(f"field {path!r} is described by {described!r}")
        if not isinstance(described[1], list):
            raise InputError(f"field {path!r} has the shape {described[1]!r}")
        return Field(described[0], tuple(described[1]))
    if not isinstance(described, dict) or not described:
        raise InputError(f"field {path!r} is described by {described!r}")
    if described.keys() == {TUPLE}:
        parts = described[TUPLE]
        if not isinstance(parts, list) or not parts:
            raise InputError(f"field {path!r} is described by {described!r}")
        return tuple(_from_json(path, part) for part in parts)
    return {
        name: _from_json(f"{path}{SEPARATOR}{name}", below) for name, below in described.items()
    }
