"""A real hub in a process of its own, for tests and bench: `manage.py hub` on a temporary folder.

The hub chooses its ports at the first start and keeps them over restarts, so that a client that
was connected finds it again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from thalihub.tests import commandserver

T = TypeVar("T")
SOURCE = Path(__file__).resolve().parents[2]
_OF_THE_CALLER = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "HUB_PASSPHRASE")


def eventually(
    condition: Callable[[], T], *, what: str, seconds: float = 60, pause: float = 0.02
) -> T:
    """Return what `condition` returns once it is true; raises TimeoutError that says `what`."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {seconds} s: {what}")
        time.sleep(pause)
    return met


@dataclass(frozen=True)
class Person:
    """A name with the files of its certificate and private key."""

    name: str
    certificate: Path
    private_key: Path


class HubProcess:
    """One hub and its data folder; use it as a context manager."""

    def __init__(self, folder: Path, *, before: Sequence[str] = (), **environment: str) -> None:
        """`before`: a command that runs another one in its place, in a network of its own."""
        self.folder = folder
        self._before = before
        self.data = folder / "data"
        self.log = folder / "hub.log"
        self._environment = {"HUB_HOST": "127.0.0.1", "HUB_API_PORT": "0", "HUB_PAGES_PORT": "0"}
        self._environment |= environment
        self._process: subprocess.Popen[bytes] | None = None
        self.status: dict[str, Any] = {}

    def __enter__(self) -> HubProcess:
        self.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            sys.stderr.write(self.log_end() + "\n")
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the hub and of the commands that work on it."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HUB_", "PYTEST_")) and name not in _OF_THE_CALLER
        }
        return inherited | self._environment | {"HUB_DATA": str(self.data)}

    @property
    def url(self) -> str:
        """The API's address, without a slash at its end."""
        return f"https://127.0.0.1:{self.status['api_port']}"

    @property
    def pages_url(self) -> str:
        """The pages' address, without a slash at its end."""
        return f"https://127.0.0.1:{self.status['pages_port']}"

    @property
    def owner(self) -> Person:
        """The owner, with the certificate that the hub has made."""
        return Person("owner", self.data / "owner.crt", self.data / "owner.key")

    def start(self) -> None:
        """Start the hub, and return when it serves; raises RuntimeError with the end of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._before, sys.executable, "manage.py", "hub"],
                cwd=SOURCE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.status = eventually(self._read_status, what="the hub writes hub.json")
        except BaseException:
            self.kill()
            raise
        self._environment["HUB_API_PORT"] = str(self.status["api_port"])
        self._environment["HUB_PAGES_PORT"] = str(self.status["pages_port"])

    def _read_status(self) -> dict[str, Any] | None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"The hub ended with {self._process.returncode}:\n{self.log_end()}")
        with contextlib.suppress(FileNotFoundError):
            status: dict[str, Any] = json.loads((self.data / "hub.json").read_text())
            # The file of a hub that was killed is still there.
            return status if status["pid"] == self._process.pid else None
        return None

    def stop(self) -> int:
        """Ask the hub to end, and return its exit code; -9 if it had to be killed."""
        if self._process is None:
            return 0
        family = self._family()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL
        psutil.wait_procs(family, timeout=10)
        self._process = None
        return code

    def kill(self) -> None:
        """End the hub and its children as a power cut would."""
        if self._process is None:
            return
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(timeout=30)
        psutil.wait_procs(family, timeout=30)
        self._process = None

    def restart(self) -> None:
        """Stop the hub in order, and start it on the same ports."""
        self.stop()
        self.start()

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the children of the main process that have this name, for instance "worker"."""
        found = []
        for child in self._family()[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if " ".join(child.cmdline()).startswith(f"thali-hub {name}"):
                    found.append(child)
        return found

    def web_processes(self) -> list[psutil.Process]:
        """Return the processes that answer on the API's port."""
        holding = [process for process in self._family() if self._serves(process)]
        # The supervisor holds the socket only to hand it to its children.
        return holding[1:] or holding

    def _serves(self, process: psutil.Process) -> bool:
        return any(
            connection.status == psutil.CONN_LISTEN
            and connection.laddr.port == self.status["api_port"]
            for connection in process.net_connections("tcp")
        )

    def log_end(self, lines: int = 40) -> str:
        """Return the last lines of the hub's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def manage(self, *arguments: str, **environment: str) -> str:
        """Run one management command on this hub's data, and return what it printed.

        Raises RuntimeError with the command's output if it fails.
        """
        done = self.try_manage(*arguments, **environment)
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def try_manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one management command, whatever its exit code is."""
        if not self._before:
            return commandserver.run(arguments, self.environment | environment)
        return subprocess.run(
            [*self._before, sys.executable, "manage.py", *arguments],
            cwd=SOURCE,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def add_person(self, name: str, *grants: str) -> Person:
        """Make a principal with a new key; a grant reads `database:read`."""
        keys = self.folder / "keys"
        keys.mkdir(exist_ok=True)
        self.manage("principal", "add", name, "--new-key", str(keys))
        for grant in grants:
            database, _, rights = grant.rpartition(":")
            self.manage("grant", "add", database, rights, name)
        return Person(name, keys / f"{name}.crt", keys / f"{name}.key")

    def client(self, person: Person | None = None) -> httpx.Client:
        """Return a client that shows `person`'s certificate and takes this hub's key only."""
        return httpx.Client(
            base_url=self.url,
            verify=self.context(person),
            timeout=httpx.Timeout(60),
            trust_env=False,
        )

    def context(self, person: Person | None = None) -> PinnedContext:
        """Return the TLS side of `client`, for other libraries."""
        context = PinnedContext(self.status["device_key"])
        if person is not None:
            context.load_cert_chain(person.certificate, person.private_key)
        return context


class PinMismatch(ssl.SSLCertVerificationError):
    """The server's key is not the expected one."""


class _Pinned:
    """Compares the server's key when the handshake ends, before the first byte of HTTP."""

    def do_handshake(self, *arguments: Any) -> None:
        super().do_handshake(*arguments)  # type: ignore[misc]
        pin = self.context.pin  # type: ignore[attr-defined]
        if key_of(self.getpeercert(binary_form=True)) != pin:  # type: ignore[attr-defined]
            raise PinMismatch(f"the server's key is not {pin}")


class _PinnedSocket(_Pinned, ssl.SSLSocket):
    """For blocking clients."""


class _PinnedObject(_Pinned, ssl.SSLObject):
    """For asyncio."""


class PinnedContext(ssl.SSLContext):
    """Accepts exactly the server key of text `pin` ("sha256:…"), whatever its certificate says."""

    sslsocket_class = _PinnedSocket
    sslobject_class = _PinnedObject
    pin: str

    def __new__(cls, pin: str) -> PinnedContext:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.pin = pin
        return context


def key_of(certificate: bytes | None) -> str:
    """Return the text `sha256:…` of a DER certificate's key, or of none an empty text."""
    if certificate is None:
        return ""
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = base64.urlsafe_b64encode(hashlib.sha256(spki).digest())
    return "sha256:" + digest.rstrip(b"=").decode()
