"""
Fields: what a transition is made of, and how a value becomes the bytes of a row.

A schema maps names to fields. Nested observations are stored as flat columns ("obs/image") and
come back nested. A ragged field has two columns, of values and of lengths.
"""

import dataclasses
import fractions
import functools
import keyword
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.heap import MOST_BYTES
from kernels.rows import KINDS, MOST_DIMS
from replay.errors import FieldError, InputError
from replay.memory.heaped import (
    LONGEST,
    RATIO,
    TEXTS,
    check_compression,
    check_longest,
    check_ratio,
    check_room,
)
from replay.memory.ragged import FLAT, FLAT_TYPES, PADDED, PADDED_TYPES, flattened
from replay.memory.ragged_rows import RaggedRows, many_rows, one_row

#: Names that a batch has already, or that a method takes.
RESERVED = frozenset({"weights", "ids", "count", "index"})
#: Between the names of a nested observation.
SEPARATOR = "/"
#: The columns of a ragged field.
VALUES = "values"
LENGTHS = "lengths"
#: Marks a tuple where a schema is written as JSON, which has lists alone.
TUPLE = "(tuple)"
#: What of a ragged or compressed field is written as JSON.
_OPTIONS = frozenset({"text", "compression", "longest", "ratio", "room", "flat"})


@dataclasses.dataclass(frozen=True, repr=False)
class Field:
    """
    One value of each transition: a number, an array of fixed shape, or a row of any length.

    Parameters
    ----------
    dtype : dtype-like, bytes or str
        Boolean, integer, float or complex. bytes and str themselves are text of any length, a row
        of uint8, which str becomes as UTF-8.
    shape : tuple of int
        () for a single number; at most 8 dimensions. The first size may be None: rows are of any
        length up to `longest`, and the field is *ragged*.
    compression : {"lz4"}, optional
        Rows are stored compressed, and those that do not get smaller as they are.
    longest : int, optional
        Elements of a ragged field's longest row, bytes of text; None: 1024.
    ratio : float, optional
        How much smaller than the largest row the stored rows of a ragged or compressed field are
        expected to be on average; None: 4.
    room : int, optional
        Bytes for all stored rows of a buffer together, in place of `ratio`. Where it is used up
        before the capacity is, the oldest rows go first.
    flat : bool
        Batches of a ragged field come flat, with offsets, in place of padded, with lengths.

    Raises
    ------
    FieldError

    Notes
    -----
    The shape of a ragged field is that of its longest row.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()
    compression: str | None = None
    longest: int = 0
    ratio: float | None = None
    room: int | None = None
    flat: bool = False
    text: str | None = None

    def __init__(
        self,
        dtype: npt.DTypeLike,
        shape: int | tuple[int | None, ...] = (),
        *,
        compression: str | None = None,
        longest: int | None = None,
        ratio: float | None = None,
        room: int | None = None,
        flat: bool = False,
    ) -> None:
        text = None
        if dtype is bytes or dtype is str:
            text = dtype.__name__
            if shape != ():
                raise FieldError(
                    f"a field of {text} has no shape, it was given {shape!r}: longest= says how "
                    "many bytes a row may have"
                )
            dtype, shape = np.uint8, (None,)
        parsed = _dtype(dtype)
        sizes, ragged = _sizes(shape)
        check_compression(compression)
        if compression is not None and not sizes:
            raise FieldError("a single number, of shape (), cannot be compressed")
        if not isinstance(flat, (bool, np.bool_)):
            raise FieldError(f"flat is {flat!r}, it must be a bool")
        if not ragged and (flat or longest is not None):
            what = "flat is True" if flat else f"longest is {longest!r}"
            raise FieldError(
                f"{what}, but the field is not ragged: its shape {sizes} has no None in front"
            )
        set_ = functools.partial(object.__setattr__, self)
        unit = math.prod(sizes[ragged:]) * parsed.itemsize
        set_("dtype", parsed)
        set_("compression", compression)
        set_("longest", check_longest(longest, unit) if ragged else 0)
        set_("shape", (self.longest, *sizes[1:]) if ragged else sizes)
        set_("flat", bool(flat))
        set_("text", text)
        if self.heaped:
            if self.nbytes > MOST_BYTES:
                raise FieldError(f"a row has {self.nbytes} bytes, the most is {MOST_BYTES}")
            if ratio is not None and room is not None:
                raise FieldError(f"ratio is {ratio!r} and room is {room!r}: one says the other")
        elif ratio is not None or room is not None:
            what = f"room is {room!r}" if ratio is None else f"ratio is {ratio!r}"
            raise FieldError(f"{what}, but the field is neither ragged nor compressed")
        wanted = RATIO if self.heaped and room is None and ratio is None else ratio
        set_("ratio", None if wanted is None else check_ratio(wanted))
        set_("room", None if room is None else check_room(room, self.nbytes))

    @property
    def nbytes(self) -> int:
        """Bytes of one row; of the longest one where rows differ."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def ragged(self) -> bool:
        """Whether rows differ in length."""
        return self.longest > 0

    @property
    def heaped(self) -> bool:
        """Whether rows differ in the bytes that they are stored in."""
        return self.longest > 0 or self.compression is not None

    @property
    def unit(self) -> int:
        """Bytes of an element of a ragged field; 0 where there are none."""
        return self.nbytes // self.longest if self.longest else 0

    @property
    def bare(self) -> "Field":
        """The field as batches know it: without what says how rows are stored."""
        if not self.heaped:
            return self
        if not self.ragged:
            return Field(self.dtype, self.shape)
        return Field(*self._given, longest=self.longest, flat=self.flat)

    @property
    def _given(self) -> tuple[Any, ...]:
        """The dtype and the shape as they were given."""
        if self.text is not None:
            return (TEXTS[self.text],)
        return self.dtype, (None, *self.shape[1:]) if self.ragged else self.shape

    def room_for(self, capacity: int) -> int:
        """
        Say how many bytes the stored rows of a ragged or compressed field are to have together.

        Parameters
        ----------
        capacity : int
            Rows of the buffer.
        """
        if self.room is not None:
            return self.room
        # Exact: floats end where sizes do not.
        return math.ceil(capacity * self.nbytes / fractions.Fraction(self.ratio or RATIO))

    def options(self) -> dict[str, Any]:
        """Say what of a ragged or compressed field differs from what is usual, but for `text`."""
        told: dict[str, Any] = {}
        if self.compression is not None:
            told["compression"] = self.compression
        if self.longest not in (0, LONGEST):
            told["longest"] = self.longest
        if self.ratio not in (None, RATIO):
            told["ratio"] = self.ratio
        if self.room is not None:
            told["room"] = self.room
        if self.flat:
            told["flat"] = True
        return told

    def __repr__(self) -> str:
        if self.text is not None:
            told = [self.text]
        else:
            dtype, shape = self._given
            told = [f"dtype={dtype!r}", f"shape={shape}"]
        told += [f"{name}={value!r}" for name, value in self.options().items()]
        return f"Field({', '.join(told)})"

    def convert(self, name: str, value: Any, rows: int | None = None) -> npt.NDArray[Any]:
        """
        Make a contiguous array of this field's type out of a value, or say why it is none.

        Parameters
        ----------
        name : str
            For the message.
        value : array-like
        rows : int, optional
            How many rows the value must have; none: it is one row, of a ragged field one of any
            length.

        Returns
        -------
        (*shape) or (rows, *shape) ndarray of the field's dtype, C-contiguous
            (k, *shape[1:]) for one row of a ragged field.

        Raises
        ------
        FieldError
            Of another shape, of a type that cannot be converted safely, or out of range.
        """
        if isinstance(value, RaggedRows):
            if len(value) != rows:
                name = name.removesuffix(SEPARATOR + VALUES)
                raise FieldError(f"field {name!r} has {len(value)} rows, it must be {rows}")
            value = value.padded()
        array = as_array(name, value)
        if self.ragged and rows is None:
            array = self._checked_row(name, array)
        else:
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

    def _checked_row(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Refuse a row of a ragged field that is too long or whose elements are others."""
        inner = self.shape[1:]
        if array.shape in ((0,), (0, *inner)):
            # Of no type: what NumPy makes of [] is float64.
            return np.empty((0, *inner), self.dtype)
        if array.ndim != len(self.shape) or array.shape[1:] != inner:
            wanted = ", ".join(["n", *map(str, inner)]) + ("" if inner else ",")
            raise FieldError(f"field {name!r} has shape {array.shape}, it must be ({wanted})")
        if len(array) > self.longest:
            what = "elements" if self.text is None else "bytes"
            raise FieldError(
                f"field {name!r} has {len(array)} {what}, the most is {self.longest}: "
                f"longest={len(array)} would let it have them"
            )
        return array

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


def _dtype(dtype: Any) -> np.dtype[Any]:
    """Read the dtype of a field."""
    try:
        parsed = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise FieldError(f"{dtype!r} is no dtype: {error}") from None
    if dtype is None:
        # NumPy's float64 for nothing at all would hide a forgotten dtype.
        raise FieldError("None is no dtype")
    # By its width and little-endian: long and long long are one type of two names.
    named: np.dtype[Any] = np.dtype(parsed.newbyteorder("<").str)
    if named.str not in KINDS:
        raise FieldError(
            f"dtype {named} cannot be a field: a field is boolean, integer, float (16, 32, "
            "64 bits) or complex (64, 128 bits)"
        )
    return named


def _sizes(shape: Any) -> tuple[tuple[Any, ...], bool]:
    """Read the shape of a field, and whether its first size is open: it is None then."""
    try:
        sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    except TypeError:
        raise FieldError(f"shape is {shape!r}, it must be a tuple of ints") from None
    if len(sizes) > MOST_DIMS:
        raise FieldError(f"shape {sizes} has {len(sizes)} dimensions, the most is {MOST_DIMS}")
    ragged = bool(sizes) and sizes[0] is None
    for size in sizes[ragged:]:
        if size is None:
            raise FieldError(f"shape {sizes} holds None: only its first size may be None")
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
            raise FieldError(f"shape {sizes} holds {size!r}: each size is an int, 1 or more")
    fixed = tuple(int(size) for size in sizes[ragged:])
    return ((None, *fixed) if ragged else fixed), ragged


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
class RaggedParts:
    """
    What of a batch is ragged, where a view puts axes of its own in front of a row's.

    Parameters
    ----------
    values, lengths : Field
        The two arrays of one row of the batch.
    flat : bool
    text : str or None
        As the field's.
    """

    values: Field
    lengths: Field
    flat: bool
    text: str | None


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
        leaves = [leaf for name, node in self.nodes.items() for leaf in _leaves(name, node)]
        object.__setattr__(self, "leaves", dict(leaves))
        flat = [column for leaf in leaves for column in _columns(*leaf)]
        object.__setattr__(self, "fields", dict(flat))
        object.__setattr__(self, "names", tuple(self.nodes))
        nodes = self.nodes.values()
        nested = any(is_ragged(node) or not isinstance(node, Field) for node in nodes)
        object.__setattr__(self, "nested", nested)

    #: By the names of flat columns, of which a ragged field has two.
    fields: dict[str, Field] = dataclasses.field(init=False, repr=False, compare=False)
    #: By the names that users know them by: a ragged field is one.
    leaves: dict[str, Field] = dataclasses.field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = dataclasses.field(init=False, repr=False, compare=False)
    #: Whether columns and nodes differ: a node is a mapping, a tuple, or ragged.
    nested: bool = dataclasses.field(init=False, repr=False, compare=False)

    @property
    def bare(self) -> "Schema":
        """The schema as batches know it: without what says how rows are stored."""
        return Schema({name: _bare(node) for name, node in self.nodes.items()})

    def flatten(self, values: tuple[Any, ...], *, many: bool = False) -> tuple[Any, ...]:
        """
        Order the values of one transition, or of many, by column.

        Parameters
        ----------
        values : tuple
            A value for each of `names`, nested as the schema is.
        many : bool
            They are rows of transitions.

        Returns
        -------
        tuple
            A value for each of `fields`. Of a ragged field, converted: an array (k, *shape) and k;
            of many rows their lengths, and an array or `RaggedRows`.

        Raises
        ------
        FieldError
            A part is missing or unknown, or the value of a ragged field does not fit.
        """
        return self._flattened(values, many_rows if many else one_row)

    def flatten_batch(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """
        Order the arrays of a batch by column.

        Parameters
        ----------
        values : tuple
            A value for each of `names`, nested as the schema is; `Padded` where it is ragged.

        Returns
        -------
        tuple
            A value for each of `fields`, nothing of it checked.

        Raises
        ------
        FieldError
            A part is missing or unknown.
        """
        return self._flattened(values, _padded)

    def _flattened(self, values: tuple[Any, ...], take: "_Take") -> tuple[Any, ...]:
        flat: list[Any] = []
        for (name, node), value in zip(self.nodes.items(), values, strict=True):
            _flatten(name, node, value, flat, take)
        return tuple(flat)

    def nest(self, flat: tuple[Any, ...], *, padded: bool = False) -> tuple[Any, ...]:
        """
        Undo `flatten_batch`.

        Parameters
        ----------
        flat : tuple
            A value for each of `fields`.
        padded : bool
            Also of flat fields make no `Flat` but a `Padded`, of the very arrays.

        Returns
        -------
        tuple
            A value for each of `names`.
        """
        values = iter(flat)
        return tuple(_nest(node, values, padded) for node in self.nodes.values())

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


#: Makes the two columns of a ragged field out of it, the name for messages, and a value.
_Take = Callable[[Any, str, Any], tuple[Any, Any]]


def _leaves(path: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (Field, RaggedParts)):
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


def _columns(path: str, node: Any) -> list[tuple[str, Field]]:
    """Give the columns of a leaf."""
    if isinstance(node, RaggedParts):
        values, lengths = node.values, node.lengths
    elif isinstance(node, Field) and node.ragged:
        values, lengths = node, Field(np.int64)
    else:
        return [(path, node)] if isinstance(node, Field) else []
    return [(f"{path}{SEPARATOR}{VALUES}", values), (f"{path}{SEPARATOR}{LENGTHS}", lengths)]


def is_ragged(node: Any) -> bool:
    """Say whether a node of a schema is one of rows that differ in length."""
    return isinstance(node, RaggedParts) or (isinstance(node, Field) and node.ragged)


def _padded(node: Any, path: str, value: Any) -> tuple[Any, Any]:
    """Take the arrays of a batch's ragged field."""
    if isinstance(value, PADDED_TYPES):
        return value.values, value.lengths
    if isinstance(value, FLAT_TYPES):
        raise FieldError(
            f"field {path!r} is a Flat, whose size every batch changes: give a replay.Padded in "
            "its place, of values (n, longest, ...) and lengths (n, ...)"
        )
    raise FieldError(f"field {path!r} is {type(value).__name__}, it must be a replay.Padded")


def _flatten(path: str, node: Any, value: Any, flat: list[Any], take: _Take) -> None:
    if is_ragged(node):
        flat += take(node, path, value)
    elif isinstance(node, Field):
        flat.append(value)
    elif isinstance(node, dict):
        if not isinstance(value, Mapping):
            raise FieldError(f"field {path!r} is {type(value).__name__}, it must be a mapping")
        missing, unknown = node.keys() - value.keys(), value.keys() - node.keys()
        if missing or unknown:
            raise FieldError(_parts(path, sorted(missing, key=str), sorted(unknown, key=str)))
        for name, below in node.items():
            _flatten(f"{path}{SEPARATOR}{name}", below, value[name], flat, take)
    else:
        if not isinstance(value, (tuple, list)) or len(value) != len(node):
            shown = f"{len(value)} parts" if isinstance(value, (tuple, list)) else repr(value)
            raise FieldError(f"field {path!r} has {shown}, it must be {len(node)} parts")
        for number, below in enumerate(node):
            _flatten(f"{path}{SEPARATOR}{number}", below, value[number], flat, take)


def _parts(path: str, missing: list[Any], unknown: list[Any]) -> str:
    said = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
    said += [f"has unknown {', '.join(map(repr, unknown))}"] if unknown else []
    return f"field {path!r} {' and '.join(said)}"


def _nest(node: Any, values: Iterator[Any], padded: bool) -> Any:
    if is_ragged(node):
        both = next(values), next(values)
        if padded or not node.flat:
            return PADDED[node.text](*both)
        return FLAT[node.text](*flattened(*both))
    if isinstance(node, Field):
        return next(values)
    if isinstance(node, dict):
        return {name: _nest(below, values, padded) for name, below in node.items()}
    return tuple(_nest(below, values, padded) for below in node)


def _bare(node: Any) -> Any:
    if isinstance(node, Field):
        return node.bare
    if isinstance(node, dict):
        return {name: _bare(below) for name, below in node.items()}
    return tuple(_bare(below) for below in node) if isinstance(node, tuple) else node


def _to_json(node: Any) -> Any:
    if isinstance(node, Field):
        if not node.heaped:
            return [node.dtype.str, list(node.shape)]
        shape = [None, *node.shape[1:]] if node.ragged else list(node.shape)
        text = {} if node.text is None else {"text": node.text}
        return [node.dtype.str, shape, {**text, **node.options()}]
    if isinstance(node, dict):
        return {name: _to_json(below) for name, below in node.items()}
    return {TUPLE: [_to_json(below) for below in node]}


def _heaped_from_json(path: str, described: list[Any]) -> Field:
    """Read a ragged or compressed field; what it says must be all that it would say itself."""
    dtype, shape, options = described
    if not isinstance(options, dict) or not options.keys() <= _OPTIONS:
        raise InputError(f"field {path!r} has the options {options!r}")
    given = {name: value for name, value in options.items() if name != "text"}
    text = options.get("text")
    if "ratio" in given and not isinstance(given["ratio"], float):
        raise InputError(f"field {path!r} has the ratio {given['ratio']!r}")
    if text is None:
        field = Field(dtype, tuple(shape), **given)
    elif isinstance(text, str) and text in TEXTS:
        field = Field(TEXTS[text], **given)
    else:
        raise InputError(f"field {path!r} has the text {text!r}")
    if _to_json(field) != described:
        raise InputError(f"field {path!r} is described by {described!r}")
    return field


def _from_json(path: str, described: Any) -> Any:
    if isinstance(described, list):
        if len(described) not in (2, 3) or not isinstance(described[0], str):
            raise InputError(f"field {path!r} is described by {described!r}")
        if not isinstance(described[1], list):
            raise InputError(f"field {path!r} has the shape {described[1]!r}")
        if len(described) == 3:
            return _heaped_from_json(path, described)
        field = Field(described[0], tuple(described[1]))
        if field.heaped:
            raise InputError(f"field {path!r} is described by {described!r}")
        return field
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
