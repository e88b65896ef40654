"""What a machine says about its memory: caches, pages, the TLB; and which machine it is."""

import mmap
import os
import pathlib
import platform

import numba
import numpy as np

import replay

_CPU = pathlib.Path("/sys/devices/system/cpu")
_HUGE = pathlib.Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def cores():
    """Count the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def caches():
    """Give the bytes of each level of data cache that the first of our cores has: L1, L2, L3."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpu = min(affinity(0)) if affinity else 0
    found = {}
    for index in sorted((_CPU / f"cpu{cpu}" / "cache").glob("index*")):
        kind, level, size = (
            (index / name).read_text().strip() for name in ("type", "level", "size")
        )
        if kind != "Instruction":
            found[f"L{level}"] = int(size.rstrip("KMG")) * _UNITS.get(size[-1], 1)
    return found


def huge_page():
    """Give the bytes of a huge page, 0 where the system has none."""
    return int(_HUGE.read_text()) if _HUGE.exists() else 0


def tlb_entries():
    """
    Give how many pages the TLB holds, 0 where there is no telling.

    Linux tells it of AMD's processors alone, code's pages and data's as one number.
    """
    for line in _processor("TLB size"):
        return int(line.split()[0])
    return 0


def reaches():
    """Give what the caches hold and the TLB covers, by name, in bytes."""
    found = caches()
    entries = tlb_entries()
    if entries:
        found["TLB, 4 KB pages"] = entries * mmap.PAGESIZE
        if huge_page():
            found["TLB, huge pages"] = entries * huge_page()
    return found


def machine():
    """Say in a line or two which machine and which versions these are."""
    model = next(iter(_processor("model name")), platform.machine())
    known = ", ".join(f"{name} {size_text(size)}" for name, size in reaches().items())
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    count = cores()
    return (
        f"{count} core{'s' if count > 1 else ''}, {model} ({platform.machine()}), "
        f"{known or 'caches unknown'}{load}; "
        f"{platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"replay {replay.__version__}"
    )


def size_text(size):
    """Write bytes as people do: 512 KB."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.3g} {unit}"
        size /= 1024
    return ""


def _processor(key):
    info = pathlib.Path("/proc/cpuinfo")
    if not info.exists():
        return []
    lines = (line.partition(":") for line in info.read_text().splitlines())
    return [value.strip() for name, _, value in lines if name.strip() == key]
