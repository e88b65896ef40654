"""Pictures of how things grow: what was measured, what was expected, and where the caches end."""

import caches
import floor
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import scaling_buffers
import scaling_trees

mpl.use("Agg")
_COLOURS = {"huge": "#0072b2", "small": "#d55e00", "private": "#0072b2", "named": "#d55e00"}
_WAYS = {"chase": "o", "reads": "s", "additions": "^"}
_LABELS = {
    "huge": "measured, huge pages",
    "small": "measured, 4 KB pages",
    "private": "private: huge pages",
    "named": "named: 4 KB pages",
}
#: What shares a picture of buffers.
_PANELS = {
    "sample(256), uniform": ("sample(256), uniform",),
    "sample(256), prioritized": ("sample(256), prioritized",),
    "update(256)": ("update(256)",),
    "extend(256)": ("extend(256), uniform", "extend(256), prioritized"),
    "add": ("add, uniform", "add, prioritized"),
    "for comparison: bare reads of random rows": ("bare reads of the rows",),
}
_CREW = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c510a")
_WIDTH, _HEIGHT = 6.0, 4.2


def ground(path, measured):
    """Draw what a line of 64 bytes takes, by the size of the memory."""
    figure, axes = plt.subplots(figsize=(1.5 * _WIDTH, _HEIGHT), layout="constrained")
    for (pages, way), times in measured.times.items():
        label = {"huge": "huge pages", "small": "4 KB pages"}[pages]
        axes.plot(
            measured.sizes, times, marker=_WAYS[way], markersize=4, color=_COLOURS[pages],
            linestyle="-" if pages == "huge" else "--", label=f"{way}, {label}",
        )  # fmt: skip
    _logarithmic(axes, "bytes touched at random", "ns a line of 64 bytes", "Bare memory")
    axes.set_xscale("log", base=2)
    sizes = measured.sizes[::2]
    axes.set_xticks(sizes, [caches.size_text(size) for size in sizes], fontsize=8)
    axes.minorticks_off()
    _mark(axes, lambda nbytes: nbytes)
    axes.legend(fontsize=8, loc="upper left")
    _save(figure, path)


def trees(path, sizes, times, lines, measured):
    """Draw what a draw and an update take, by the number of leaves."""
    figure, panels = plt.subplots(
        1, len(lines), figsize=(_WIDTH * len(lines), 1.1 * _HEIGHT), layout="constrained"
    )
    for axes, (done, line) in zip(panels, lines.items(), strict=True):
        way = scaling_trees.DONE[done]
        fine = np.unique(np.geomspace(sizes[0], sizes[-1], 200).astype(int))
        axes.plot(
            fine, [line.at(leaves) for leaves in fine], color="black", linewidth=1,
            label=f"expected: {line.level:.1f} ns a level {line.first:+.0f} ns",
        )  # fmt: skip
        for pages in floor.PAGES:
            axes.plot(
                sizes,
                [scaling_trees.with_memory(line, size, pages, way, measured) for size in sizes],
                color=_COLOURS[pages], linestyle=":", linewidth=2,
                label=f"the same + bare {way}, " + ("huge" if pages == "huge" else "4 KB"),
            )  # fmt: skip
            axes.plot(
                sizes, times[done, pages], marker="o", markersize=5, color=_COLOURS[pages],
                label=_LABELS[pages],
            )  # fmt: skip
        _logarithmic(axes, "leaves", f"ns a {done.split(',')[0]}", done.capitalize())
        _mark(axes, _leaves_of)
        axes.legend(fontsize=8, loc="upper left")
    _save(figure, path)


def buffers(path, sizes, times, expected, with_memory):
    """
    Draw what samples, updates and adds of a buffer take, by its rows.

    Parameters
    ----------
    path : path
    sizes : list of int
    times : dict
        Of `scaling_buffers.measure`.
    expected, with_memory : dict
        By what is done, nanoseconds as long as the sizes; by (what is done, home).
    """
    record = scaling_buffers.record_bytes()
    figure, panels = plt.subplots(
        2, 3, figsize=(_WIDTH * 3, 2 * _HEIGHT), sharex=True, layout="constrained"
    )
    for axes, (title, done) in zip(panels.flat, _PANELS.items(), strict=True):
        for place, what in enumerate(done):
            several = f"{what.split(', ')[1]}: " if len(done) > 1 else ""
            if what in expected:
                axes.plot(
                    sizes, expected[what], color="black", linewidth=1,
                    label="" if place else "expected",
                )  # fmt: skip
            for home in scaling_buffers.HOMES:
                if (what, home) in with_memory:
                    label = f"expected + bare memory, {_LABELS[home].split(': ')[1]}"
                    axes.plot(
                        sizes, with_memory[what, home], color=_COLOURS[home], linestyle=":",
                        linewidth=2, label=label,
                    )  # fmt: skip
                axes.plot(
                    sizes, times[what, home], marker="os"[place], markersize=5,
                    color=_COLOURS[home], linestyle=("-", "--")[place],
                    label=several + _LABELS[home],
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel("rows stored")
        axes.set_ylabel("ns a row")
        axes.set_title(title, fontsize=11)
        axes.grid(alpha=0.3)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.45)
        _mark(axes, lambda nbytes: nbytes / record)
        axes.legend(fontsize=8, loc="upper left")
    _save(figure, path)


def crews(path, groups):
    """
    Draw the rates of several over that of one.

    Parameters
    ----------
    path : path
    groups : mapping
        By what a crew is made of: its sizes, and the rates by (what is done, size).
    """
    figure, panels = plt.subplots(
        1, len(groups), figsize=(1.1 * _WIDTH * len(groups), 1.2 * _HEIGHT), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axes, (members, (sizes, rates)) in zip(panels.flat, groups.items(), strict=True):
        axes.plot(sizes, sizes, color="black", linewidth=1, linestyle=":", label="in proportion")
        for place, what in enumerate(dict.fromkeys(what for what, _ in rates)):
            one = rates[what, 1]
            axes.plot(
                sizes, [rates[what, size] / one for size in sizes],
                marker="os^Dv<>P"[place % 8], markersize=6, color=_CREW[place % 8],
                linestyle="-" if place < 8 else "--",
                label=f"{what}: {one / 1e6:.3g} M rows/s by one",
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        ticks = [0.5, 1, 2, 4]
        axes.set_yticks(ticks, [f"{tick:g} x" for tick in ticks])
        axes.set_xlabel(members)
        axes.set_ylabel("rows a second, over those of one")
        axes.set_title(members.capitalize())
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7.5, loc="upper left")
        axes.set_ylim(0.3, 16)
    _save(figure, path)


def _leaves_of(nbytes):
    """Say of how many leaves the tree has so many bytes: 8 a leaf, and an eighth of each level."""
    return nbytes / 8 * 7 / 8


def _logarithmic(axes, across, up, title):
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    # Room for the legend above, and for the names of the caches below.
    low, high = axes.get_ylim()
    axes.set_ylim(low * (low / high) ** 0.12, high * (high / low) ** 0.3)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if str(value)[0] in "25" else "")
    axes.tick_params(axis="y", which="minor", labelsize=8)


def _mark(axes, place):
    """Mark what the caches hold and the TLB covers, where it lies inside the picture."""
    least, most = axes.get_xlim()
    low = axes.get_ylim()[0]
    for name, nbytes in caches.reaches().items():
        at = place(nbytes)
        if least * 1.2 < at < most:
            axes.axvline(at, color="grey", linewidth=0.8, linestyle="--")
            axes.text(
                at, low, f" {name}", rotation=90, fontsize=8, color="dimgrey", ha="right",
                va="bottom",
            )  # fmt: skip
    axes.set_xlim(least, most)


def _save(figure, path):
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"drawn: {path}")
