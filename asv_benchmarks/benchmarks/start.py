"""From `import replay` to the first batch, in a process of its own."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import replay

from . import SAMPLERS, unless_quick
from .workload import digits

PROGRAM = """
import json, sys, time
start = time.perf_counter()
import numba, numpy as np
numba_at = time.perf_counter()
import replay
replay_at = time.perf_counter()
prioritized = sys.argv[1] == "prioritized"
sampler = replay.Proportional() if prioritized else replay.Uniform()
fields = {"obs": (np.float32, (8,)), "reward": np.float32}
buffer = replay.ReplayBuffer(1000, fields, sampler=sampler, seed=1)
obs = np.zeros((64, 8), np.float32)
buffer.add(obs[0], 0.0)
buffer.extend(obs, np.zeros(64, np.float32))
batch = buffer.sample(32)
if prioritized:
    buffer.update_priorities(batch.ids, np.ones(32))
end = time.perf_counter()
print(json.dumps({
    "numba": numba_at - start,
    "replay": replay_at - numba_at,
    "kernels": end - replay_at,
}))
"""

KINDS = unless_quick(SAMPLERS, ["prioritized"])
#: Starts of which the fastest counts; the first of all, which compiles, cannot be repeated.
WARM = unless_quick(2, 1)


def start(sampler: str, cache: str) -> dict[str, float]:
    """Start a process that keeps its kernels in a folder, and give the seconds of its parts."""
    environment = dict(
        os.environ,
        NUMBA_CACHE_DIR=cache,
        PYTHONPATH=str(pathlib.Path(replay.__file__).parents[1]),
    )
    command = [sys.executable, "-c", PROGRAM, sampler]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"a process could not start: {done.stderr}")
    return dict(json.loads(done.stdout))


class Start:
    """Cold: every kernel is compiled. Warm: machine code comes from Numba's cache on disk."""

    params = (KINDS,)
    param_names = ("sampler",)
    unit = "seconds"

    def setup_cache(self) -> dict[str, dict[str, float]]:
        measured = {}
        for sampler in KINDS:
            with tempfile.TemporaryDirectory() as empty:
                # Where nothing is timed, nothing needs to be compiled a second time.
                cache = unless_quick(empty, os.environ.get("NUMBA_CACHE_DIR", empty))
                cold = start(sampler, cache)
                warm = [start(sampler, cache) for _ in range(WARM)]
            measured[sampler] = {
                "cold": cold["kernels"],
                "warm": min(parts["kernels"] for parts in warm),
                "import": min(parts["replay"] for parts in warm),
                "numba": min(parts["numba"] for parts in warm),
            }
        return measured

    setup_cache.timeout = 300  # type: ignore[attr-defined]

    def track_kernels_cold(self, measured: dict[str, dict[str, float]], sampler: str) -> float:
        return digits(measured[sampler]["cold"])

    def track_kernels_warm(self, measured: dict[str, dict[str, float]], sampler: str) -> float:
        return digits(measured[sampler]["warm"])

    def track_import_replay(self, measured: dict[str, dict[str, float]], sampler: str) -> float:
        return digits(measured[sampler]["import"])

    def track_import_numba(self, measured: dict[str, dict[str, float]], sampler: str) -> float:
        return digits(measured[sampler]["numba"])
