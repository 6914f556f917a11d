"""What this machine is, and how much memory the process holds on it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Machine:
    """Where a figure was measured."""

    device: str  # cpu, or the GPU's name
    cpu: str
    cores: int
    threads: int
    torch: str
    load: float  # programs that wanted a core in the last minute, before the run


def describe(device: torch.device) -> Machine:
    """The machine, and the threads torch has now."""
    return Machine(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        cpu=cpu_model(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
    )


def cpu_model() -> str:
    """The CPU's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def resident() -> int | None:
    """Bytes of memory the process holds now; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident() -> int | None:
    """The most bytes of memory the process ever held, libraries included; None where the system does not tell."""
    used = usage()
    if used is None:
        return None
    return used.ru_maxrss if sys.platform == "darwin" else 1024 * used.ru_maxrss


def pages() -> int | None:
    """Pages of memory that the system has given the process so far; None where it does not tell."""
    used = usage()
    return None if used is None else used.ru_minflt


def usage():
    """What the system has counted of this process; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF)
