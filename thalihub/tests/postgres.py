"""A PostgreSQL server of the test's own, in a temporary folder, on a free port of loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg

from thalihub.tests.hubprocess import SOURCE, eventually


class PostgresServer:
    """One cluster; use it as a context manager.

    Durability is switched off where it only costs time: no power cut is tested here.
    """

    def __init__(self, host: str = "127.0.0.1", *, durable: bool = False) -> None:
        """Listen on `host` alone, and take connections from its network."""
        self._host, self._durable = host, durable
        # Not below pytest's folder: only root could enter that, and PostgreSQL refuses root.
        self._folder = Path(tempfile.mkdtemp(prefix="hub-pg-"))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> PostgresServer:
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-D", str(self._data), "-U", "hub", "--locale=C.UTF-8", "-A", "trust")
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write("host all all samenet trust\n")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The DATABASE_URL of this server's own database."""
        return f"postgres://hub@{self._host}:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        self._process = subprocess.Popen(
            [
                _program("postgres"),
                *("-D", str(self._data), "-p", str(self.port), "-k", ""),
                *("-c", f"listen_addresses={self._host}"),
                *("-c", f"fsync={'on' if self._durable else 'off'}"),
            ],
            **self._as_nobody(),
        )
        eventually(self._answers, what="PostgreSQL takes connections")

    def stop(self) -> None:
        """Stop the server; its open connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=30)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would; what was committed is in its files."""
        assert self._process is not None
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait(timeout=30)
        self._process = None
        # Its children end when they notice; before that, a new server would not start.
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(family, timeout=30)

    def processes(self) -> list[psutil.Process]:
        """Return the server's main process: those of its connections are below it."""
        assert self._process is not None
        return [psutil.Process(self._process.pid)]

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([_program(program), *arguments], check=True, **self._as_nobody())

    def _as_nobody(self) -> dict[str, object]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self._folder}
        if os.geteuid() != 0:
            return quiet
        who = pwd.getpwnam("postgres")
        return quiet | {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    assert found is not None, f"{name} is not installed"
    return found


def run_on(server: PostgresServer, *arguments: str) -> None:
    """Run tests of this repository in a process of their own, on that server."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=SOURCE,
        env=os.environ | {"HUB_TEST_DATABASE_URL": server.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
