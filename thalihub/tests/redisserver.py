"""A Redis server of the test's own, on a free port of loopback, that keeps nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import redis

from thalihub.tests.hubprocess import eventually

SECONDS = 60


class RedisServer:
    """One server; it is not running before `start`."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        """Listen on `host` alone."""
        self._folder = folder
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The REDIS_URL."""
        return f"redis://{self._host}:{self._port}/0"

    def start(self) -> None:
        """Start, and return when it answers."""
        program = shutil.which("redis-server")
        assert program is not None
        self._process = subprocess.Popen(
            [
                *(program, "--port", str(self._port), "--bind", self._host),
                *("--save", "", "--protected-mode", "no"),
            ],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        eventually(self._answers, what="Redis answers")

    def stop(self) -> None:
        """Stop."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=SECONDS)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would: what it held is gone."""
        assert self._process is not None
        self._process.kill()
        self.stop()

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url)
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()
