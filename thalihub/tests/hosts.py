"""Several hosts that are one hub: web processes and workers on one PostgreSQL and one Redis.

Each has a data folder of its own with copies of the key files, as docs/scaling.md says, so that
they have nothing in common but the two servers.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psutil

from thalihub.tests.hubprocess import SOURCE, HubProcess, eventually

KEYS = ("identity.crt", "device.crt", "device.key", "owner.crt", "owner.key", "secret.key")
CERTIFICATES = ("identity", "device", "owner")


def another(first: HubProcess, host: HubProcess, *, signs: bool = True) -> HubProcess:
    """Give a host that was not started yet the keys of the first, and return it.

    One that does not sign new devices gets the certificates in place of identity.key.
    """
    host.data.mkdir(mode=0o700, parents=True)
    for name in KEYS:
        shutil.copy2(first.data / name, host.data / name)
    if signs:
        shutil.copy2(first.data / "identity.key", host.data / "identity.key")
    else:
        certificates = [_first_of(host.data / f"{name}.crt") for name in CERTIFICATES]
        (host.data / "adopted.pem").write_text("".join(certificates))
    return host


def _first_of(path: Path) -> str:
    end = "-----END CERTIFICATE-----\n"
    return path.read_text().partition(end)[0] + end


class Part:
    """`manage.py hub --only ROLES` on the data folder of a host; use it as a context manager."""

    def __init__(self, host: HubProcess, roles: str, *, before: Sequence[str] = ()) -> None:
        self._host, self._roles, self._before = host, roles, before
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Part:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and do not wait until it works."""
        with self._host.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._before, sys.executable, "manage.py", "hub", "--only", self._roles],
                cwd=SOURCE,
                env=self._host.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ensure(self) -> None:
        """Start it where it does not run."""
        if self._process is None:
            self.start()

    def stop(self) -> int:
        """Ask it to end, and return its exit code; -9 if it had to be killed."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            code = self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9
        self._process = None
        return code

    def kill(self) -> None:
        """End it and its children as a power cut would."""
        assert self._process is not None
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(timeout=30)
        psutil.wait_procs(family[1:], timeout=30)
        self._process = None

    def family(self) -> list[psutil.Process]:
        """Return its main process and all below."""
        assert self._process is not None
        main = psutil.Process(self._process.pid)
        return [main, *main.children(recursive=True)]


class Feed:
    """A continuous feed of changes, read in a thread; use it as a context manager."""

    def __init__(
        self, client: httpx.Client, db_name: str, *, enter: Callable[[], None] = lambda: None
    ) -> None:
        """`client` is the feed's own, and closed with it; `enter` brings its thread elsewhere."""
        self._client, self._enter = client, enter
        self._path = f"/{db_name}/_changes"
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.ids: list[str] = []

    def __enter__(self) -> Feed:
        self._thread.start()
        assert self._begun.wait(60), "the feed does not begin"
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._thread.join(60)
        self._client.close()

    def _read(self) -> None:
        self._enter()
        asked = {"feed": "continuous", "since": "now", "heartbeat": "200"}
        with (
            contextlib.suppress(httpx.HTTPError, httpx.StreamError, OSError, ValueError),
            self._client.stream("GET", self._path, params=asked) as self._answer,
        ):
            for line in self._answer.iter_lines():
                self._begun.set()  # By the first heartbeat it waits.
                if line:
                    self.ids.append(json.loads(line)["id"])

    def shows(self, docid: str) -> None:
        """Wait until a document was in the feed."""
        eventually(lambda: docid in self.ids, what=f"the feed shows {docid}")
