"""Network namespaces around a switch, which stands in one of them: root only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from thalihub.tests.twonetworks import Side

_PREFIX = "10.78.0."


class Switch:
    """The switch's own namespace, and the machines that are plugged in; it is 10.78.0.1."""

    def __init__(self, machines: int) -> None:
        self.middle = Side(f"thali-{os.getpid()}-middle")
        self.machines = [Side(f"thali-{os.getpid()}-m{n}") for n in range(machines)]
        self.address = f"{_PREFIX}1"

    def address_of(self, machine: Side) -> str:
        """Return a machine's address."""
        return f"{_PREFIX}{self.machines.index(machine) + 2}"

    def plug_in(self, machine: Side) -> None:
        """Let packets go to this machine and from it."""
        self.middle.ip("link", "set", self._port_of(machine), "up")

    def pull_out(self, machine: Side) -> None:
        """Let no packet pass any more: who waits for an answer gets none, not even an error."""
        self.middle.ip("link", "set", self._port_of(machine), "down")

    def _port_of(self, machine: Side) -> str:
        return f"port{self.machines.index(machine)}"

    def make(self) -> None:
        """Make the namespaces and the cables."""
        for side in (self.middle, *self.machines):
            subprocess.run(["ip", "netns", "add", side.name], check=True, timeout=30)
            side.ip("link", "set", "lo", "up")
        self.middle.ip("link", "add", "lan0", "type", "bridge")
        self.middle.ip("addr", "add", f"{self.address}/24", "dev", "lan0")
        self.middle.ip("link", "set", "lan0", "up")
        for machine in self.machines:
            port = self._port_of(machine)
            cable = ("type", "veth", "peer", "name", "lan0", "netns", machine.name)
            self.middle.ip("link", "add", port, *cable)
            self.middle.ip("link", "set", port, "master", "lan0")
            machine.ip("addr", "add", f"{self.address_of(machine)}/24", "dev", "lan0")
            machine.ip("link", "set", "lan0", "up")
            self.plug_in(machine)

    def remove(self) -> None:
        """Remove them again."""
        for side in (*self.machines, self.middle):
            subprocess.run(["ip", "netns", "del", side.name], check=False, capture_output=True)


@contextlib.contextmanager
def switched(machines: int) -> Iterator[Switch]:
    """Make a switch with so many machines, and remove them again."""
    switch = Switch(machines)
    try:
        switch.make()
        yield switch
    finally:
        switch.remove()
