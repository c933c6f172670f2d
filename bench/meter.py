"""Measures what a workload costs the server: CPU seconds of its processes, and their memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

Call = Callable[[], Awaitable[int]]


@dataclass(frozen=True)
class Cost:
    """What `units` requests, rows or bytes cost the server."""

    units: int
    cpu: float  # seconds
    seconds: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of server CPU per unit."""
        return self.cpu / self.units * 1e6

    @property
    def per_second(self) -> float:
        """Units per second."""
        return self.units / self.seconds


class Meter:
    """Reads the clocks of a server's processes."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = processes

    def cpu(self) -> float:
        """Return the CPU seconds used so far, also by the engines of design documents."""
        return sum(map(_cpu, self._processes))

    def memory(self) -> int:
        """Return the resident bytes."""
        return sum(process.memory_info().rss for process in self._processes)

    def peak(self) -> int:
        """Return the most resident bytes since `forget_peak`."""
        return sum(_peak(process.pid) for process in self._processes)

    def forget_peak(self) -> None:
        """Begin a new peak."""
        for process in self._processes:
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")

    async def measure(self, workers: Sequence[Call], seconds: float) -> Cost:
        """Repeat each of `workers` side by side for `seconds`; a call returns its units."""
        for worker in workers:
            await worker()  # Caches and code are warm in a hub that runs.
        cpu, start = self.cpu(), time.perf_counter()
        units = await asyncio.gather(*(_repeat(call, start + seconds) for call in workers))
        return Cost(sum(units), self.cpu() - cpu, time.perf_counter() - start)


def _cpu(process: psutil.Process) -> float:
    used = sum(process.cpu_times())  # Those of the children that have ended are among them.
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(child.cpu_times()[:2])
    return float(used)


async def _repeat(call: Call, deadline: float) -> int:
    units = await call()
    while time.perf_counter() < deadline:
        units += await call()
    return units


def _peak(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
