"""
Compressed frames beside raw ones: bytes, adds and samples of Atari games, in one run.

A random policy plays; frames are those of Mnih et al. (2015), Human-level control through deep
reinforcement learning: every fourth, the maximum of two, 84 x 84 greys. Two logs take the same
steps, one with `compression="lz4"`, and are drawn from with stacks of 4 and their next
observations, in turns. NumPy's line is `np.take` of as many bytes out of the raw log's column,
fresh places each time. Medians: of processor time with one thread, of time with two, which is
worth something where two cores are idle. In microseconds a call.

    python asv_benchmarks/atari_table.py [--games Pong Seaquest SpaceInvaders] [--rows 200000]
    python asv_benchmarks/atari_table.py --hold 1000000 --games Pong

The second fills one compressed log with so many steps, every one of them played, and says what
memory the process takes.
"""

import argparse
import os
import pathlib
import platform
import statistics
import sys
import threading
import time

# The matrices that shrink a screen are too small for several threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import numpy as np

import replay

SIDE = 84
STACK = 4
SKIP = 4
BATCHES = (32, 256)
#: Distinct frames of a game; logs that are longer hold them several times.
DISTINCT = 20_000
#: Seconds that one timing takes at least.
TIMING = 0.05


def area(size, to):
    """Make the matrix that averages `size` pixels into `to`, each by its share."""
    edges = np.arange(to + 1) * (size / to)
    pixels = np.arange(size)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    return (np.clip(high - low, 0, None) * (to / size)).astype(np.float32)


class Game:
    """A game that a random policy plays, frame after frame."""

    def __init__(self, name, seed=0):
        try:
            import ale_py
            from ale_py import roms
        except ImportError:
            sys.exit("the games are those of ale-py: python -m pip install ale-py")
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self.ale = ale_py.ALEInterface()
        self.ale.setInt("random_seed", seed)
        self.ale.setFloat("repeat_action_probability", 0.0)
        snake = "".join("_" * c.isupper() + c.lower() for c in name).strip("_")
        self.ale.loadROM(roms.get_rom_path(snake))
        self.actions = self.ale.getMinimalActionSet()
        self.random = np.random.default_rng(seed)
        height, width = self.ale.getScreenDims()
        self.down, self.across = area(height, SIDE), area(width, SIDE).T
        self.reset()

    def reset(self):
        self.ale.reset_game()
        for _ in range(self.random.integers(1, 31)):
            self.ale.act(0)
        self.screens = [self.ale.getScreenGrayscale()] * 2
        return self.frame()

    def frame(self):
        screen = np.maximum(*self.screens).astype(np.float32)
        return np.rint(self.down @ screen @ self.across).astype(np.uint8)

    def step(self):
        """Play one step: the frame, the action, the reward, and whether the episode has ended."""
        action = int(self.random.integers(len(self.actions)))
        reward = 0.0
        for turn in range(SKIP):
            reward += self.ale.act(self.actions[action])
            if turn >= SKIP - 2:
                self.screens = [self.screens[-1], self.ale.getScreenGrayscale()]
        return self.frame(), action, reward, self.ale.game_over()


def played(name, count):
    """Play so many steps, and keep them."""
    game = Game(name)
    frames = np.empty((count, SIDE, SIDE), np.uint8)
    steps = []
    frames[0] = game.frame()
    steps.append((0, 0.0, None))
    began = time.monotonic()
    for place in range(1, count):
        if steps[-1][2]:
            frames[place] = game.reset()
            steps.append((0, 0.0, None))
        else:
            frames[place], *step = game.step()
            steps.append(tuple(step))
        if time.monotonic() - began > 1:
            began = time.monotonic()
            print(f"\rplaying {name}: {place:,} of {count:,}", end="", file=sys.stderr)
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return frames, steps


def log(rows, ratio):
    """Make an empty log of frames, compressed where a ratio is expected."""
    frame = replay.Field(np.uint8, (SIDE, SIDE))
    if ratio:
        frame = replay.Field(np.uint8, (SIDE, SIDE), compression="lz4", ratio=ratio)
    fields = {"obs": frame, "action": np.int64, "reward": np.float32}
    return replay.ReplayBuffer(rows, fields, view=replay.FrameStack(STACK), seed=0)


def fill(buffer, frames, steps, rounds=1):
    """Write the steps until the log is full, and give the median time of an add."""
    writer = buffer.writer()
    times = []
    for first in range(0, rounds * buffer.capacity, 256):
        pieces = [place % len(steps) for place in range(first, first + 256)]
        began = time.thread_time()
        for place in pieces:
            action, reward, ended = steps[place]
            if ended is None or place == 0:
                writer.reset(frames[place])
            else:
                writer.step(frames[place], action, reward, ended, False)
        times.append((time.thread_time() - began) / 256)
    return statistics.median(times) * 1e6


def taken(column, batch, random):
    """Take as many bytes of single frames as a batch has: of observations and of the next ones."""
    places = random.integers(STACK, len(column) - 1, (batch, 1)) + np.arange(1 - STACK, 1)
    began = time.thread_time()
    kept = np.take(column, places, axis=0), np.take(column, places + 1, axis=0)
    return time.thread_time() - began, kept


def timed(buffer, batch, calls, out=None):
    began = time.thread_time()
    for _ in range(calls):
        buffer.sample(batch, out=out)
    return (time.thread_time() - began) / calls


def timed_by_two(buffer, batch, calls, outs):
    """Time a batch where two threads draw, each into a batch of its own."""

    def draw(out):
        for _ in range(calls):
            buffer.sample(batch, out=out)

    threads = [threading.Thread(target=draw, args=(out,)) for out in outs]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - began) / calls / 2


def table(name, rows, rounds, ratio):
    frames, steps = played(name, min(DISTINCT, rows))
    logs = {"raw": log(rows, None), "lz4": log(rows, ratio)}
    adds = {kind: fill(buffer, frames, steps) for kind, buffer in logs.items()}
    column = logs["raw"].column("obs")
    random = np.random.default_rng(0)
    stats = logs["lz4"].stats()
    width = logs["raw"].handle[3] * 8
    sizes = {"raw": frames[0].nbytes + width, "lz4": stats["row_bytes"] + width + 16}
    print(f"\n{name}, {rows:,} steps, {len(logs['lz4']):,} of them held compressed")
    print(f"{'':10}{'bytes':>8}{'add':>8}", end="")
    for batch in BATCHES:
        print(f"{f'sample({batch})':>14}{'out=':>9}{'out=, by 2':>12}", end="")
    print()
    lines = {kind: [] for kind in ("np.take", *logs)}
    for batch in BATCHES:
        calls = {kind: max(1, int(TIMING / timed(logs[kind], batch, 1))) for kind in logs}
        outs = {kind: [buffer.sample(batch) for _ in range(2)] for kind, buffer in logs.items()}
        found = {kind: ([], [], []) for kind in lines}
        for _ in range(rounds):
            tries = [taken(column, batch, random)[0] for _ in range(calls["raw"])]
            found["np.take"][0].append(statistics.median(tries))
            for kind, buffer in logs.items():
                new, given, two = found[kind]
                new.append(timed(buffer, batch, calls[kind]))
                given.append(timed(buffer, batch, calls[kind], outs[kind][0]))
                two.append(timed_by_two(buffer, batch, calls[kind], outs[kind]))
        for kind, line in lines.items():
            line += [statistics.median(times) * 1e6 if times else None for times in found[kind]]
    for kind, line in lines.items():
        told = f"{sizes[kind]:8.0f}{adds[kind]:8.2f}" if kind in logs else " " * 16
        for place, value in enumerate(line):
            wide = (14, 9, 12)[place % 3]
            told += " " * wide if value is None else f"{value:{wide}.1f}"
        print(f"{kind:10}{told}")
    print(f"ratio {frames[0].nbytes / stats['row_bytes']:.1f}", flush=True)
    for buffer in logs.values():
        buffer.close()


def resident():
    """Read how many bytes of memory this process takes."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def hold(name, rows, ratio):
    """Fill a compressed log with steps that are all played, and say what it takes."""
    game = Game(name)
    buffer = log(rows, ratio)
    writer = buffer.writer()
    writer.reset(game.frame())
    before = resident()
    ended = False
    began = time.monotonic()
    transitions = 0
    while buffer.stats()["added"] < rows:
        for _ in range(1000):
            if ended:
                writer.reset(game.reset())
                ended = False
                continue
            frame, action, reward, ended = game.step()
            writer.step(frame, action, reward, ended, False)
            transitions += 1
        if time.monotonic() - began > 5:
            began = time.monotonic()
            print(f"\rplaying {name}: {len(buffer):,} of {rows:,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    stats = buffer.stats()
    print(
        f"{name}: {len(buffer):,} rows of {buffer.capacity:,}, {transitions:,} transitions, "
        f"{stats['row_bytes']:.0f} bytes of frames a row; resident {resident() / 1e6:,.0f} MB, "
        f"{(resident() - before) / 1e6:,.0f} MB more than before the first step; raw frames alone "
        f"would be {len(buffer) * SIDE * SIDE / 1e6:,.0f} MB"
    )
    buffer.sample(256)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--games", nargs="+", default=["Pong", "Seaquest", "SpaceInvaders"])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ratio", type=float, default=4.0)
    parser.add_argument("--hold", type=int)
    told = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy "
        f"{np.__version__}, Numba {numba.__version__}"
    )
    for name in told.games:
        if told.hold:
            hold(name, told.hold, told.ratio)
        else:
            table(name, told.rows, told.rounds, told.ratio)


if __name__ == "__main__":
    main()
