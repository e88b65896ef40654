"""What a view asks of the kernels: which rows, and how each array of a batch comes about."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import view as words
from kernels.rows import ADDRESS, DESCR, DIMS, KIND, NDIM, PLAN_WIDTH, SCALAR, SIZE, STRIDE
from replay.errors import InputError
from replay.memory.fields import LENGTHS, SEPARATOR, VALUES, Field, RaggedParts, Schema
from replay.memory.window import STEP, Window
from replay.views.relabel import RELABELLED, Relabel

_BOOL = Field(bool)
#: NumPy keeps the size of an element in 32 bits.
_MOST_BYTES = (1 << 31) - 1


@dataclasses.dataclass(frozen=True)
class Output:
    """
    One array of a batch.

    Parameters
    ----------
    field : Field
        Of one row.
    source : str
        The field that it is copied from; "" where it is computed.
    group : int
        The slots that it is copied from, see `kernels.view`.
    kind : int
        How it comes about.
    timed : bool
        Whether it has an axis of time.
    """

    field: Field
    source: str = ""
    group: int = words.HERE
    kind: int = words.COPIED
    timed: bool = False


@dataclasses.dataclass(frozen=True)
class Recipe:
    """
    What a view asks of the kernels.

    Parameters
    ----------
    window : Window
    discount : float, optional
        Rewards are summed, and a batch has a discount; None: neither.
    time : bool
        A batch has an axis of time.
    major : bool
        It comes first.
    lengths : bool
        A batch says how many steps its windows have.
    state : tuple of str
        Fields that are given of the first step alone.
    stacked : tuple of str, optional
        Fields of observations that are stacked; None: all.
    stacks : bool
        Whether any are.
    zeros : bool
        Zeros lie before the first observation of a stack.
    relabel : Relabel, optional
        Some rows get a goal that was reached later; None: none.
    """

    window: Window = dataclasses.field(default_factory=Window)
    discount: float | None = None
    time: bool = False
    major: bool = False
    lengths: bool = False
    state: tuple[str, ...] = ()
    stacked: tuple[str, ...] | None = None
    stacks: bool = False
    zeros: bool = False
    relabel: Relabel | None = None

    def check(self, schema: Schema) -> None:
        """
        Refuse fields that the log has not, or not of the type that is needed.

        Raises
        ------
        InputError
        """
        fields = schema.leaves
        if self.discount is not None:
            reward = fields.get("reward")
            if reward is None or reward.shape or reward.dtype.str not in ("<f4", "<f8"):
                kind = "there is none" if reward is None else f"it is {reward}"
                raise InputError(
                    f"n-step returns need a field 'reward', a single float32 or float64: {kind}"
                )
        for name in self.state:
            if name not in fields or name == STEP or _is_obs(name):
                known = [other for other in fields if other != STEP and not _is_obs(other)]
                raise InputError(
                    f"state names {name!r}, which is no field of a step: those are "
                    f"{', '.join(known)}"
                )
        for name in self.stacked or ():
            if name not in fields or not _is_obs(name):
                known = [other for other in fields if _is_obs(other)]
                raise InputError(
                    f"fields names {name!r}, which is no part of the observation: that has "
                    f"{', '.join(known)}"
                )
        if self.relabel is not None:
            self.relabel.check(schema)
        for name, output in self.outputs(schema).items():
            if output.field.nbytes > _MOST_BYTES:
                raise InputError(
                    f"a row of a batch has {output.field.nbytes} bytes of {name!r}, the most is "
                    f"{_MOST_BYTES}"
                )

    def outputs(self, schema: Schema) -> dict[str, Output]:
        """
        Say of which arrays a batch is made, in order, by the names of flat columns.

        Parameters
        ----------
        schema : Schema
            Of the log.
        """
        steps = self.window.ahead
        made: dict[str, Output] = {}
        for name in ("obs", "action", "reward"):
            if name in schema.nodes:
                made.update(self._given(schema, name))
        if not self.time:
            made.update(self._observations(schema, "next_obs", words.NEXT, words.AFTER))
        flag = Field(bool, (steps,)) if self.time else _BOOL
        made["terminated"] = Output(flag, kind=words.TERMINATED, timed=self.time)
        made["truncated"] = Output(flag, kind=words.TRUNCATED, timed=self.time)
        if self.discount is not None:
            made["discount"] = Output(Field(np.float32), kind=words.DISCOUNTED)
        if self.time:
            made["mask"] = Output(flag, kind=words.MASK, timed=True)
        if self.lengths:
            made["lengths"] = Output(Field(np.int64), kind=words.LENGTH)
        if self.relabel is not None:
            made[RELABELLED] = Output(_BOOL, kind=words.RELABELLED)
        for name in schema.nodes:
            if name not in ("obs", "action", "reward", STEP):
                made.update(self._given(schema, name))
        return made

    def batch(self, schema: Schema) -> Schema:
        """
        Say what one row of a batch is, nested as the log is.

        Parameters
        ----------
        schema : Schema
            Of the log.
        """
        outputs = self.outputs(schema)
        nodes = {}
        for path in outputs:
            name = path.split(SEPARATOR)[0]
            like = schema.nodes.get("obs" if name == "next_obs" else name)
            nodes[name] = _nodes(name, like, outputs)
        return Schema(nodes)

    def _given(self, schema: Schema, name: str) -> dict[str, Output]:
        """Give a field of the log, or all parts of a nested one."""
        if name == "obs":
            return self._observations(schema, name, words.PAST, words.BEFORE)
        found = {}
        for path, field in schema.fields.items():
            if path.split(SEPARATOR)[0] != name:
                continue
            if path == "reward" and self.discount is not None:
                found[path] = Output(field, kind=words.REWARD_SUM)
            elif _leaf(schema, path) in self.state:
                found[path] = Output(_led(field), path, words.FIRST)
            elif self.time:
                found[path] = Output(_led(field, self.window.ahead), path, timed=True)
            else:
                found[path] = Output(_led(field), path)
        return found

    def _observations(
        self, schema: Schema, name: str, stacked: int, single: int
    ) -> dict[str, Output]:
        """Give the observation under a name, stacked where it is to be."""
        found = {}
        for path, field in schema.fields.items():
            if not _is_obs(path):
                continue
            axes: tuple[int, ...] = ()
            group = single
            if self.stacks and (self.stacked is None or _leaf(schema, path) in self.stacked):
                axes = (self.window.stack,)
                group = stacked
            if self.time:
                axes = (self.window.ahead + 1, *axes)
            kind = words.COPIED
            if self.relabel is not None and path == self.relabel.desired:
                kind = words.DESIRED
            made = Output(_led(field, *axes), path, group, kind, timed=self.time)
            found[name + path[len("obs") :]] = made
        return found

    def words(self, schema: Schema) -> npt.NDArray[np.int64]:
        """
        Make the words of the view, see `kernels.view`.

        Parameters
        ----------
        schema : Schema
            Of the log.

        Returns
        -------
        (64 + 16 * outputs,) int64 ndarray
            Without the places of steps and rewards.
        """
        outputs = self.outputs(schema)
        view = np.concatenate([self.window.words(), np.zeros(len(outputs) * PLAN_WIDTH, np.int64)])
        flags = words.ZEROS * self.zeros | words.TIME * self.time | words.MAJOR * self.major
        view[words.FLAGS] |= flags
        view.view(np.float64)[words.DISCOUNT] = 1.0 if self.discount is None else self.discount
        view[words.OUTPUTS] = len(outputs)
        view[words.BYTES] = sum(output.field.nbytes for output in outputs.values())
        used = {output.group for output in outputs.values() if output.source}
        # What is computed looks at the steps' own slots.
        used.add(words.HERE)
        names = list(schema.fields)
        if self.relabel is not None:
            used.add(words.GOAL)
            self.relabel.tell(view, names)
        times = self.window.ahead + 1 if self.time else 1
        sizes = {
            words.PAST: (times, self.window.stack),
            words.NEXT: (1, self.window.stack),
            words.BEFORE: (times, 1),
            words.AFTER: (1, 1),
            words.HERE: (self.window.ahead if self.time else 1, 1),
            words.FIRST: (1, 1),
            words.GOAL: (1, 2),
        }
        lanes = 0
        for group, (turns, inner) in sizes.items():
            at = words.GROUPS + group * words.GROUP_WORDS
            view[at + words.TIMES] = turns if group in used else 0
            view[at + words.INNER] = inner
            view[at + words.START] = lanes
            lanes += turns * inner if group in used else 0
        view[words.LANES] = lanes
        lines = view[words.OUTPUT_LINES :].reshape(-1, PLAN_WIDTH)
        for line, output in zip(lines, outputs.values(), strict=True):
            line[ADDRESS] = names.index(output.source) if output.source else -1
            line[STRIDE] = output.group
            line[SIZE] = output.field.nbytes
            line[KIND] = output.kind
            line[DESCR] = id(output.field.dtype)
            line[SCALAR] = words.MAJOR if self.major and output.timed else 0
            line[NDIM] = len(output.field.shape)
            line[DIMS : DIMS + len(output.field.shape)] = output.field.shape
        return view


def _nodes(path: str, like: Any, outputs: dict[str, Output]) -> Any:
    if path in outputs:
        return outputs[path].field
    if isinstance(like, Field):
        values, lengths = (outputs[path + SEPARATOR + part].field for part in (VALUES, LENGTHS))
        return RaggedParts(values, lengths, like.flat, like.text)
    if isinstance(like, dict):
        return {name: _nodes(f"{path}{SEPARATOR}{name}", like[name], outputs) for name in like}
    below = enumerate(like)
    return tuple(_nodes(f"{path}{SEPARATOR}{number}", node, outputs) for number, node in below)


def _led(field: Field, *axes: int) -> Field:
    """Put axes before those of a field, as an array of a batch has them."""
    return Field(field.dtype, (*axes, *field.shape))


def _leaf(schema: Schema, path: str) -> str:
    """Give the name that users know a column by."""
    return path if path in schema.leaves else path.rpartition(SEPARATOR)[0]


def _is_obs(path: str) -> bool:
    return path.split(SEPARATOR)[0] == "obs"
