"""What a run finds, and how it is printed."""

import dataclasses
from collections.abc import Iterable, Sequence

#: Over the lines of `verdicts_lines`.
VERDICTS_HEAD = f"{'':42}{'replay':>12}   {'beside':36}{'ratio':>8}{'to reach':>10}"


@dataclasses.dataclass
class Row:
    """
    One work, done by several.

    Attributes
    ----------
    work : str
    times : dict of str to float
        Microseconds, by name.
    """

    work: str
    times: dict[str, float]


@dataclasses.dataclass
class Verdict:
    """
    A figure beside another one, and what was to be reached.

    Attributes
    ----------
    work : str
    beside : str
        What it is compared with, "" where the figure stands alone.
    ours, theirs : float
        In `unit`; `theirs` is 0 where the figure stands alone.
    ratio : float
        Of the two, by turns; 0 where the figure stands alone.
    unit : str
    target : float
        Of ours / theirs, or of ours alone.
    more : bool
        More is better: at least the target is to be reached, and else at most.
    """

    work: str
    beside: str
    ours: float
    theirs: float
    ratio: float
    unit: str
    target: float
    more: bool = False

    @property
    def figure(self) -> float:
        """What is held against the target."""
        return self.ratio if self.theirs else self.ours

    @property
    def reached(self) -> bool:
        """Say whether it is reached, at the digits that are shown."""
        figure = float(digits(self.figure).replace(",", ""))
        return figure >= self.target if self.more else figure <= self.target


def digits(figure: float) -> str:
    """Write a figure with three digits."""
    if figure >= 100:
        return f"{figure:,.0f}"
    for limit, places in ((10, 1), (1, 2), (0.1, 3)):
        if figure >= limit:
            return f"{figure:.{places}f}"
    return f"{figure:.4f}"


def peers_table(rows: Iterable[Row], names: Sequence[str], ours: str) -> list[str]:
    """Write a line a work, a column a name, and what the fastest of the others takes."""
    lines = [f"{'':34}" + "".join(f"{name:>10}" for name in names) + "  fastest peer"]
    for row in rows:
        cells = "".join(
            f"{digits(row.times[name]) if name in row.times else '-':>10}" for name in names
        )
        others = {name: row.times[name] for name in names if name in row.times and name != ours}
        said = ""
        if others and ours in row.times:
            best = min(others, key=others.__getitem__)
            ratio = row.times[ours] / others[best]
            wins = f", {best} wins" if ratio > 1 else ""
            said = f"  {digits(ratio)} of {best}{wins}"
        lines.append(f"{row.work:34}{cells}{said}")
    return lines


def verdicts_lines(verdicts: Iterable[Verdict]) -> list[str]:
    """Write a line a figure: ours, theirs, the ratio, the one to reach; under VERDICTS_HEAD."""
    lines = []
    for verdict in verdicts:
        ours = f"{digits(verdict.ours)} {verdict.unit}"
        theirs = f"{digits(verdict.theirs)} {verdict.beside}" if verdict.theirs else ""
        ratio = digits(verdict.figure) if verdict.theirs else ""
        bound = f"{'>=' if verdict.more else '<='} {verdict.target:g}"
        state = "reached" if verdict.reached else "not reached"
        lines.append(f"{verdict.work:42}{ours:>12}   {theirs:36}{ratio:>8}{bound:>10}  {state}")
    return lines
