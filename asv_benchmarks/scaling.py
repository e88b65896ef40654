"""
How samples, updates and adds grow: with the rows, with threads and with processes.

From a thousand to a hundred million leaves (the tree alone) and to ten million rows of 77 bytes
(whole buffers), beside what was expected: depth of the tree times a level's cost, and no growth
where nothing is searched. What bare memory takes at random places is measured in the same run, and
added: what is then left is neither the levels nor the memory. Times are medians of processor time,
in turns; rates of crews are of wall time. The largest buffers take 5 GB of memory.

    python asv_benchmarks/scaling.py [--quick] [--only memory trees buffers threads processes]
    python asv_benchmarks/scaling.py --docs     # tables and pictures of docs/scaling.md, anew
"""

import argparse
import pathlib
import time

import caches
import floor
import pages
import scaling_buffers
import scaling_crews
import scaling_trees
from turns import on_one_core

from replay.progress import Progress

PARTS = ("memory", "trees", "buffers", "threads", "processes")
#: What of it stands in docs/scaling.md.
_DOCS = ("machine", "summary", "memory", "asked", "threads", "processes")
_HERE = pathlib.Path(__file__).resolve().parent.parent


def memory_table(ground):
    ways = [(page, way) for way in floor.WAYS for page in floor.PAGES]
    head = ["touched at random", *(f"{way}, {_page(page)}" for page, way in ways)]
    lines = [
        [caches.size_text(size), *(ground.times[key][place] for key in ways)]
        for place, size in enumerate(ground.sizes)
        if place % 2 == 0 or place == len(ground.sizes) - 1
    ]
    return "ns a line of 64 bytes\n\n" + pages.table(head, lines)


def trees_table(sizes, times, lines, ground):
    told = []
    for done, line in lines.items():
        way = scaling_trees.DONE[done]
        head = [done, "bytes", "depth", "expected", "+ bare memory", "huge pages", "4 KB pages"]
        body = [
            [
                leaves,
                caches.size_text(scaling_trees.tree_bytes(leaves)),
                scaling_trees.depth(leaves),
                line.at(leaves),
                scaling_trees.with_memory(line, leaves, "huge", way, ground),
                times[done, "huge"][place],
                times[done, "small"][place],
            ]
            for place, leaves in enumerate(sizes)
        ]
        told.append(pages.table(head, [[f"{line[0]:,}", *line[1:]] for line in body]))
    return "ns each, by leaves\n\n" + "\n\n".join(told)


def asking_table(sizes, times):
    head = ["levels asked for", *map(str, scaling_trees.ASKED)]
    lines = [
        [f"{leaves:,} leaves", *(times[leaves, asked] for asked in scaling_trees.ASKED)]
        for leaves in sizes
    ]
    return "ns an update\n\n" + pages.table(head, lines)


def buffers_table(sizes, times, expected, with_memory):
    lines = []
    for done in scaling_buffers.DONE:
        if done in expected:
            lines.append([done, "expected", *expected[done]])
        if (done, "private") in with_memory:
            lines.append(["", "+ bare memory", *with_memory[done, "private"]])
        lines += [
            ["" if done in expected else done, home, *times[done, home]]
            for home in scaling_buffers.HOMES
        ]
    return "ns a row, by rows stored\n\n" + pages.table(
        ["", "", *(f"{size:,}" for size in sizes)], lines
    )


def summary_table(leaves, trees, lines, ground, rows, buffers, expected, with_memory):
    """Write how all of them grow, in huge pages and private memory."""
    sizes = (1_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
    sizes = [size for size in sizes if size <= leaves[-1]]
    head = [
        "ns of one",
        *(f"{size:,}" for size in sizes),
        "expected",
        "+ bare memory",
        "4 KB pages",
    ]
    told = []
    for done, line in lines.items():
        way = scaling_trees.DONE[done]
        beyond = scaling_trees.with_memory(line, leaves[-1], "huge", way, ground)
        at = [trees[done, "huge"][leaves.index(size)] for size in sizes]
        told.append([f"tree: {done}", *at, line.at(leaves[-1]), beyond, trees[done, "small"][-1]])
    for done in scaling_buffers.DONE[1:]:
        at = [buffers[done, "private"][rows.index(size)] if size in rows else "" for size in sizes]
        beyond = with_memory.get((done, "private"), expected[done])[-1]
        told.append([done, *at, expected[done][-1], beyond, buffers[done, "named"][-1]])
    return pages.table(head, told)


def crews_table(members, sizes, rates, others):
    head = [f"million rows a second, by {members}", *map(str, sizes), f"{sizes[-1]} over 1"]
    lines = []
    for what in dict.fromkeys(what for what, _ in rates):
        told = [rates[what, size] / 1e6 for size in sizes]
        lines.append([what, *told, told[-1] / told[0]])
    return pages.table(head, lines) + f"\n\nOthers took {others:.1f} cores meanwhile, on average."


def expectations(sizes, times, lines, ground):
    """
    Say what rows of a buffer should take.

    Returns
    -------
    expected : dict
        By what is done: what a thousand rows take, and a level's cost for each level more.
    with_memory : dict
        By (what is done, home), for what meets rows at random: the same, and by how much bare
        reads of the rows and of the tree's lines are slower than with a thousand rows.
    """
    draw, update = lines["draw, 64 at once"], lines["update, 256 at once"]
    walked = {
        "sample(256), prioritized": (draw, "reads"),
        "update(256)": (update, "additions"),
    }
    expected, with_memory = {}, {}
    for done in scaling_buffers.DONE[1:]:
        first = min(times[done, home][0] for home in scaling_buffers.HOMES)
        line, way = walked.get(done, (None, ""))
        grown = [line.at(size) - line.at(sizes[0]) if line else 0.0 for size in sizes]
        expected[done] = [first + more for more in grown]
        if done.startswith(("extend", "add")):
            continue
        for home, page in zip(scaling_buffers.HOMES, floor.PAGES, strict=True):
            bare = times["bare reads of the rows", home]
            with_memory[done, home] = [
                told
                + max(bare[place] - bare[0], 0.0)
                + (_beyond(line, sizes[place], page, way, ground) if line else 0.0)
                for place, told in enumerate(expected[done])
            ]
    return expected, with_memory


def _beyond(line, leaves, page, way, ground):
    return scaling_trees.with_memory(line, leaves, page, way, ground) - line.at(leaves)


def _page(page):
    return "huge pages" if page == "huge" else "4 KB pages"


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--rounds", type=int, default=0, help="timings of each; medians are shown")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds for quiet turns of each sort of crew"
    )
    parser.add_argument("--into", type=pathlib.Path, default=None, help="folder of the pictures")
    parser.add_argument("--docs", action="store_true", help="write into docs/scaling.md")
    options = parser.parse_args()
    parts = set(options.only)
    if options.docs and options.quick:
        parser.error("--docs and --quick are not for each other")
    if parts & {"trees", "buffers"}:
        # What is expected there is made of what memory takes.
        parts |= {"memory", "trees"}
    into = options.into or _HERE / ("docs" if options.docs else "runs")
    into.mkdir(parents=True, exist_ok=True)
    rounds = options.rounds or (3 if options.quick else 9)
    seconds = 0.005 if options.quick else 0.04
    leaves, rows = (100_000, 10_000) if options.quick else (100_000_000, 10_000_000)
    nbytes = 1 << 22 if options.quick else 1 << 30
    began = time.monotonic()
    texts = {"machine": f"`python asv_benchmarks/scaling.py`: {caches.machine()}."}
    print(texts["machine"])

    def tell(name, text):
        texts[name] = text
        print(f"\n{text}\n[{time.monotonic() - began:.0f} s]", flush=True)

    try:
        import scaling_pictures as pictures
    except ImportError:
        pictures = None
        print("matplotlib is not installed: tables alone, no pictures")
    with on_one_core():
        if "memory" in parts:
            steps = Progress("bare memory", nbytes.bit_length() - 14)
            ground = floor.measure(nbytes, rounds, seconds / 2, steps)
            tell("memory", memory_table(ground))
            if pictures:
                pictures.ground(into / "scaling-memory.png", ground)
        if "trees" in parts:
            steps = Progress("trees", len(scaling_trees.LEAVES))
            grown = scaling_trees.measure(leaves, rounds, seconds, steps)
            lines = grown[2]
            tell("trees", trees_table(*grown, ground))
            if pictures:
                pictures.trees(into / "scaling-trees.png", *grown, ground)
            asked = scaling_trees.asking(leaves, rounds, seconds, Progress("updates", 4))
            tell("asked", asking_table(*asked))
        if "buffers" in parts:
            steps = Progress("buffers", len(scaling_buffers.ROWS))
            sizes, times = scaling_buffers.measure(rows, rounds, seconds, steps)
            told = (sizes, times, *expectations(sizes, times, lines, ground))
            tell("buffers", buffers_table(*told))
            tell("summary", summary_table(grown[0], grown[1], lines, ground, *told))
            if pictures:
                pictures.buffers(into / "scaling-buffers.png", *told)
    groups = {}
    patience = options.patience or (5 if options.quick else 60)
    for part in ("threads", "processes"):
        if part in parts:
            turns = (2, 0.03, patience) if options.quick else (8, 0.15, patience)
            capacity = 100_000 if options.quick else 1_000_000
            steps = Progress(part, 100)
            rates, others = getattr(scaling_crews, part)(capacity, *turns, steps)
            sizes = scaling_crews.SIZES[part]
            groups[part] = (sizes, rates)
            tell(part, crews_table(part, sizes, rates, others))
    if groups and pictures:
        pictures.crews(into / "scaling-crews.png", groups)
    if options.docs:
        pages.replace(
            _HERE / "docs" / "scaling.md", {name: texts[name] for name in _DOCS if name in texts}
        )


if __name__ == "__main__":
    main()
