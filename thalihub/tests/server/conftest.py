"""Running servers for the tests of the frontend."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalihub.tests.hubprocess import SOURCE
from thalihub.tests.server.certificates import write_chain
from thalihub.tests.server.client import Client

SMALL = {
    "header_seconds": 0.4,
    "body_seconds": 0.4,
    "idle_seconds": 0.4,
    "write_seconds": 0.8,
    "linger_seconds": 0.4,
    "max_body": 100_000,
}


CROWDED = {"connections": 4}


class Served:
    """A server process: its two ports, and the folder with the certificates."""

    def __init__(self, folder: Path, limits: dict[str, float]) -> None:
        self.folder = folder
        write_chain(folder, "device")
        write_chain(folder, "client")
        (folder / "data" / "static").mkdir(parents=True)
        self.log = (folder / "log").open("wb")
        environment = {"HUB_DATA": str(folder / "data"), "PYTHONPATH": str(SOURCE)}
        environment |= {"DJANGO_SETTINGS_MODULE": "thalihub.settings"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.served", str(folder), json.dumps(limits)],
            env=os.environ | environment,
            cwd=SOURCE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )
        assert self.process.stdout is not None
        self.port, self.pages_port = json.loads(self.process.stdout.readline())

    def client(self, *, certificate: bool = True, small_window: bool = False) -> Client:
        """Return a new connection to the API."""
        return Client(self.port, self.folder if certificate else None, small_window)

    def state(self) -> dict[str, float]:
        """Return what the server says of itself."""
        with self.client() as client:
            state: dict[str, float] = client.ask("GET", "/state").json()
            return state

    def log_text(self) -> str:
        """Return what the server has logged."""
        return (self.folder / "log").read_text()

    def stop(self) -> int:
        """End the server and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return code


def _served(folder: Path, limits: dict[str, float]) -> Iterator[Served]:
    served = Served(folder, limits)
    yield served
    assert served.stop() == 0


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the ordinary limits."""
    yield from _served(tmp_path_factory.mktemp("served"), {})


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits for fractions of a second and takes bodies of 100 kB."""
    yield from _served(tmp_path_factory.mktemp("impatient"), SMALL)


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that holds four connections."""
    yield from _served(tmp_path_factory.mktemp("crowded"), CROWDED)
