"""
What each knob brings: pages, homes, arrays that are given, batch sizes, streams, compiled loops.

Every line sets one way of doing something beside another, in turns; medians of processor time, of
wall time where several threads run. New arrays are timed in processes of their own, since what
they take depends on settings of the C library, which are read when a process starts.

    python asv_benchmarks/tuning.py [--quick] [--only pages first-touch ...]
    python asv_benchmarks/tuning.py --docs     # the tables of docs/tuning.md, anew
"""

import argparse
import pathlib
import time

import caches
import pages
import tuning_arrays
import tuning_effects
from turns import on_one_core

_HERE = pathlib.Path(__file__).resolve().parent.parent
PARTS = (*tuning_effects.SECTIONS, "threads", "batches", "arrays")


def effects_table(effects):
    """Write what each knob brings, a line each."""
    lines = [
        [
            effect.on,
            f"{effect.instead}: {pages.duration(without)}",
            f"{effect.so}: {pages.duration(so)}",
            without / so,
        ]
        for effect, without, so in effects
    ]
    return pages.table(["what was timed", "instead", "so", "times as fast"], lines)


def batches_table(sizes, times):
    lines = [
        [work, *(times[work, size] for size in sizes)]
        for work in dict.fromkeys(work for work, _ in times)
    ]
    return "ns a row, by rows a call\n\n" + pages.table(["", *map(str, sizes)], lines)


def arrays_table(times):
    """Write what new arrays take, beside given ones, with and without a C library that keeps."""
    head = [
        "sample",
        "a batch",
        "`out=`",
        "let go",
        "all held",
        "page faults",
        "all held, kept by malloc",
        "page faults",
    ]
    lines = []
    for work in dict.fromkeys(work for work, *_ in times):
        nbytes = times[work, "plain", "bytes"]
        lines.append(
            [
                work,
                caches.size_text(nbytes),
                pages.duration(times[work, "plain", "given"]),
                pages.duration(times[work, "plain", "but one"]),
                pages.duration(times[work, "plain", "new"]),
                times[work, "plain", "faults"],
                pages.duration(times[work, "kept", "new"]),
                times[work, "kept", "faults"],
            ]
        )
    settings = " ".join(f"`{name}={value}`" for name, value in tuning_arrays.KEPT.items())
    return f"{pages.table(head, lines)}\n\nKept by malloc: with {settings} in the environment."


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--rounds", type=int, default=0, help="timings of each; medians are shown")
    parser.add_argument("--docs", action="store_true", help="write into docs/tuning.md")
    parser.add_argument(
        "--huge-folder",
        type=pathlib.Path,
        help="a tmpfs that was mounted with huge=always, to be timed beside /dev/shm",
    )
    options = parser.parse_args()
    if options.docs and (options.quick or set(options.only) != set(PARTS)):
        parser.error("--docs takes all parts, and not --quick")
    rounds = options.rounds or (3 if options.quick else 9)
    scale = tuning_effects.Scale(
        rows=50_000 if options.quick else 1_000_000,
        many=100_000 if options.quick else 10_000_000,
        rounds=rounds,
        seconds=0.005 if options.quick else 0.04,
        huge_folder=options.huge_folder,
    )
    began = time.monotonic()
    texts = {"machine": f"`python asv_benchmarks/tuning.py`: {caches.machine()}."}
    print(texts["machine"])
    effects = []
    for part in options.only:
        if part == "batches":
            with on_one_core():
                texts[part] = batches_table(*tuning_effects.batches(scale))
            told = texts[part]
        elif part == "arrays":
            texts[part] = arrays_table(
                tuning_arrays.measure(3 if options.quick else 5, options.quick)
            )
            told = texts[part]
        else:
            if part == "threads":
                found = tuning_effects.crews(scale)
            else:
                with on_one_core():
                    found = tuning_effects.measure(part, scale)
            effects += found
            told = effects_table(found)
        print(f"\n{part}\n\n{told}\n[{time.monotonic() - began:.0f} s]", flush=True)
    if options.docs:
        texts["effects"] = effects_table(effects)
        pages.replace(_HERE / "docs" / "tuning.md", texts)


if __name__ == "__main__":
    main()
