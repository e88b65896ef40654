"""The table of peers as a picture: a line a work, a dot a library, time on a log scale."""

import pathlib
from collections.abc import Sequence

from .tables import Row

#: Marks of the scale, in microseconds.
MARKS = {
    0.01: "10 ns",
    0.1: "100 ns",
    1: "1 µs",
    10: "10 µs",
    100: "100 µs",
    1e3: "1 ms",
    1e4: "10 ms",
    1e5: "100 ms",
}
#: A colour and a marker each.
STYLES = {
    "replay": ("black", "*"),
    "cpprb": ("#e69f00", "o"),
    "Tianshou": ("#56b4e9", "s"),
    "SB3": ("#009e73", "^"),
    "TorchRL": ("#d55e00", "v"),
    "Flashbax": ("#cc79a7", "D"),
    "NumPy": ("#0072b2", "P"),
    "deque": ("#7f7f7f", "X"),
}


def draw(path: pathlib.Path, rows: Sequence[Row], names: Sequence[str], below: str) -> bool:
    """Draw the rows into a PNG; False where there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.36 * len(rows)), layout="constrained")
    places = range(len(rows) - 1, -1, -1)
    for place, row in zip(places, rows, strict=True):
        shown = [row.times[name] for name in names if name in row.times]
        axes.hlines(place, min(shown), max(shown), color="0.85", zorder=1)
    for name in names[::-1]:
        colour, marker = STYLES[name]
        dots = [
            (row.times[name], place)
            for place, row in zip(places, rows, strict=True)
            if name in row.times
        ]
        if dots:
            ours = name == "replay"
            axes.scatter(
                *zip(*dots, strict=True),
                s=200 if ours else 44,
                c=colour,
                marker=marker,
                label=name,
                # The star is large, and what lies on it stays to be seen.
                zorder=2 if ours else 3,
                edgecolors="white",
                linewidths=0.6,
            )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xticks(list(MARKS), MARKS.values())
    axes.set_xlim(low, high)
    axes.set_yticks(list(places), [row.work for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(axis="x", which="major", color="0.9")
    axes.set_xlabel("time of a call, or of a row where it says so; log scale; less is better")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False
    )
    axes.set_title("replay and its peers at the same work, one core", loc="left")
    figure.supxlabel(below, fontsize=7, color="0.4", x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return True
