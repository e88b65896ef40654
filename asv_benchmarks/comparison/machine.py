"""What a run was made on: machine, system, versions."""

import os
import pathlib
import platform
import sys

import numba
import numpy as np

import replay


def machine(core: int, allowed: set[int]) -> list[str]:
    """Describe the machine and the versions, a line each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} "
        f"{platform.release()}; load {os.getloadavg()[0]:.1f} at the start",
        f"pinned to core {core} of {sorted(allowed)}; Python {sys.version.split()[0]}, NumPy "
        f"{np.__version__}, Numba {numba.__version__}, replay {replay.__version__}",
    ]


def processor() -> str:
    """Name the processor."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
