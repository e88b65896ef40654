"""
Where the time of a call goes, function by function: the interpreter's, and those inside kernels.

`perf record` samples the processor while one call is made over and over, and machine code of
kernels is named by the symbols of the object files that Numba makes. Samples by the clock need no
counters of the processor, so this works in virtual machines too; where `perf` is missing or not
allowed, it says so and ends.

    python asv_benchmarks/profiles.py [--calls add,sample_256] [--seconds 4] [--rows 1000000]
"""

import argparse
import collections
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

import replay
from kernels.entries import _forms

FIELDS = {
    "obs": (np.float32, (8,)),
    "action": np.int64,
    "reward": np.float32,
    "next_obs": (np.float32, (8,)),
    "terminated": bool,
}
#: Calls that are profiled, and whether the buffer keeps priorities.
CALLS = {
    "add": False,
    "extend": False,
    "sample_32": False,
    "sample_256": False,
    "prioritized_add": True,
    "prioritized_sample_32": True,
    "prioritized_sample_256": True,
    "prioritized_update_256": True,
}
_SYMBOLS, _FUNCTION = 2, 2
_FREQUENCY = 5000


def filled(rows, prioritized):
    sampler = replay.Proportional() if prioritized else None
    buffer = replay.ReplayBuffer(rows, FIELDS, sampler=sampler, seed=0)
    random = np.random.default_rng(0)
    step = 10_000
    for _ in range(-(-rows // step)):
        obs = random.normal(size=(step, 8)).astype(np.float32)
        actions = random.integers(0, 4, step)
        rewards = random.normal(size=step).astype(np.float32)
        buffer.extend(obs, actions, rewards, obs, random.random(step) < 0.01)
    return buffer


def piece_of(call, buffer):
    """Give a function that makes one call some hundred times."""
    obs = np.ones(8, np.float32)
    batch = buffer.sample(64)
    rows = tuple(batch)[:5]
    size = int(call.rsplit("_", 1)[1]) if call[-1].isdigit() else 0
    ids = [buffer.sample(size or 1).ids.copy() for _ in range(500)]
    errors = np.random.default_rng(1).random(max(size, 1))

    def add():
        for _ in range(500):
            buffer.add(obs, 1, 1.0, obs, False)

    def extend():
        for _ in range(100):
            buffer.extend(*rows)

    def sample():
        for _ in range(100):
            buffer.sample(size)

    def update():
        for some in ids:
            buffer.update_priorities(some, errors)

    pieces = {"add": add, "extend": extend, "sample": sample, "update": update}
    return next(piece for name, piece in pieces.items() if name in call)


def symbols_of(image):
    """List the functions of an ELF object file: name, offset in its section, size."""
    (sections,) = struct.unpack_from("<Q", image, 0x28)
    size, count = struct.unpack_from("<HH", image, 0x3A)
    table = [struct.unpack_from("<IIQQQQIIQQ", image, sections + n * size) for n in range(count)]
    for _, kind, _, _, offset, length, link, _, _, entry in table:
        if kind != _SYMBOLS:
            continue
        names = table[link][4]
        for at in range(offset, offset + length, entry):
            name, info, _, section, value, bytes_ = struct.unpack_from("<IBBHQQ", image, at)
            if info & 15 == _FUNCTION and section:
                end = image.index(b"\0", names + name)
                yield image[names + name : end].decode(), value, bytes_


def plain_name(symbol):
    """Give the kernel's name that a mangled symbol begins with: lengths and words."""
    found = re.match(r"(?:cfunc\.)?_ZN((?:\d+\w+?)+)B\d", symbol)
    words, rest = [], found[1] if found else ""
    while rest and rest[0].isdigit():
        length = re.match(r"\d+", rest)[0]
        words.append(rest[len(length) : len(length) + int(length)])
        rest = rest[len(length) + int(length) :]
    return words[-1] if words else symbol[:40]


def known_symbols(form):
    """Give the functions of an entry: from its object file, or as the process that made it did."""
    folder = pathlib.Path(os.environ["NUMBA_CACHE_DIR"])
    kept = folder / f"{form._pyfunc.__name__}.symbols"
    if not kept.exists():
        image = bytes(form._library._get_compiled_object())
        kept.write_text(json.dumps({name: place for name, *place in symbols_of(image)}))
    return json.loads(kept.read_text())


def map_kernels(path):
    """Write where each function of the kernels lies, as `perf` expects it of a compiler."""
    with path.open("w") as lines:
        for form in _forms.values():
            known = known_symbols(form)
            base = form.address - known[form._wrapper_name][0]
            for symbol, (at, size) in known.items():
                if size:
                    lines.write(f"{base + at:x} {size:x} kernel:{plain_name(symbol)}\n")


def work(call, rows, seconds):
    """Be the process that is sampled."""
    piece = piece_of(call, filled(rows, CALLS[call]))
    # `perf` looks for it under this name.
    path = pathlib.Path(f"/tmp/perf-{os.getpid()}.map")
    map_kernels(path)
    piece()
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        piece()
    print(started, time.monotonic(), os.getpid())


def sampled(call, rows, seconds, folder):
    """Count the samples of a call's process by function, those of its setup left out."""
    data = pathlib.Path(folder) / "samples"
    record = ["perf", "record", "-q", "-k", "CLOCK_MONOTONIC", "-F", str(_FREQUENCY)]
    record += ["-e", "cpu-clock:u", "-o", str(data), "--", sys.executable, __file__]
    record += ["--work", call, "--rows", str(rows), "--seconds", str(seconds)]
    # A cache of its own: of kernels that were compiled elsewhere the symbols are not known.
    alone = {**os.environ, "NUMBA_CACHE_DIR": folder}
    done = subprocess.run(record, capture_output=True, text=True, check=True, env=alone)
    started, ended, number = done.stdout.split()
    script = ["perf", "script", "-i", str(data), "-F", "time,ip,sym"]
    listed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    counts = collections.Counter()
    for line in listed.splitlines():
        found = re.match(r"\s*([\d.]+):\s+([0-9a-f]+)\s+(.*)", line)
        if found and float(started) <= float(found[1]) <= float(ended):
            counts[found[3]] += 1
    pathlib.Path(f"/tmp/perf-{number}.map").unlink()
    return counts


def show(call, options, folder):
    """Sample a call, and print its functions."""
    print(f"sampling {call} ...", file=sys.stderr, flush=True)
    try:
        counts = sampled(call, options.rows, options.seconds, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"perf does not serve here: {getattr(error, 'stderr', None) or error}")
    total = sum(counts.values())
    inside = sum(count for name, count in counts.items() if name.startswith("kernel:"))
    print(f"\n{call}: {total} samples, {100 * inside / max(total, 1):.0f} % in kernels")
    for name, count in counts.most_common(options.most):
        print(f"  {100 * count / total:5.1f} %  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--calls", default=",".join(CALLS), help=f"of {', '.join(CALLS)}")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows stored")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each is sampled")
    parser.add_argument("--most", type=int, default=12, help="functions that are listed")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.rows, options.seconds)
        return
    for call in options.calls.split(","):
        if call not in CALLS:
            parser.error(f"--calls holds {call!r}, it must be of {', '.join(CALLS)}")
    with tempfile.TemporaryDirectory() as folder:
        for call in options.calls.split(","):
            show(call, options, folder)


if __name__ == "__main__":
    main()
