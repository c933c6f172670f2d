"""Management commands for tests of whole hubs, in processes that have the libraries loaded already.

Loading what the hub stands on takes most of a command's time, and these tests run hundreds of them.
Each is a fork of a server that has imported libraries and nothing of the hub: settings and apps are
read in the command's own process, by `manage.py`, from the environment it is given.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import multiprocessing
import os
import runpy
import socket
import socketserver
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

SOURCE: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 120
_FORK: Final = multiprocessing.get_context("fork")
_LIBRARIES: Final = (
    *("asgiref.sync", "celery", "celery.app.base", "cryptography.x509", "h11", "httpcore", "httpx"),
    *("cryptography.hazmat.primitives.asymmetric.ec", "django.core.management", "django.db.models"),
    *("cryptography.hazmat.primitives.serialization.pkcs12", "django.forms", "django.http"),
    *("django.template.loader", "icu", "kombu", "orjson", "psycopg", "redis.asyncio", "structlog"),
    *("django.db.backends.sqlite3.base", "django.db.migrations.executor", "yaml"),
)


# -- in the test's process -------------------------------------------------------------------------


def run(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run one management command; its process has this environment and nothing else.

    Raises subprocess.TimeoutExpired after SECONDS.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = _ask(arguments, environment, out, err)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired(["manage.py", *arguments], SECONDS) from error
        said = [_read(file) for file in (out, err)]
    return subprocess.CompletedProcess(["manage.py", *arguments], code, *said)


def _ask(arguments: Sequence[str], environment: Mapping[str, str], *files: IO[bytes]) -> int:
    asked = json.dumps({"arguments": [*arguments], "environment": {**environment}})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(_server()))
        socket.send_fds(connection, [b"\n"], [file.fileno() for file in files])
        connection.sendall(asked.encode() + b"\n")
        with connection.makefile("rb") as answer:
            return int(answer.readline())


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@functools.cache
def _server() -> Path:
    """Start the server of this process, and return where it listens."""
    folder = Path(tempfile.mkdtemp(prefix="hub-commands-"))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder / "socket")],
        cwd=SOURCE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, process, folder)
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("The server of management commands did not start.")
    return folder / "socket"


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.kill()
    process.communicate()
    (folder / "socket").unlink(missing_ok=True)
    folder.rmdir()


# -- in the server's -------------------------------------------------------------------------------


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    block_on_close = False
    _parent = os.getppid()

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self._parent:
            sys.exit()


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        _, files, _, _ = socket.recv_fds(self.request, 1, 2)
        with self.request.makefile("rb") as lines:
            asked = json.loads(lines.readline())
        command = _FORK.Process(target=_command, args=(asked, files))
        command.start()
        command.join()
        with contextlib.suppress(BrokenPipeError):  # Nobody waits for it any more.
            self.request.sendall(b"%d\n" % (command.exitcode or 0))


def _command(asked: Mapping[str, Any], files: Sequence[int]) -> None:
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["manage.py", *asked["arguments"]]
    runpy.run_path("manage.py", run_name="__main__")


def main() -> None:
    """Serve on the socket that is named, until who has started it ends."""
    for name in _LIBRARIES:
        importlib.import_module(name)
    with _Server(sys.argv[1], _Handler) as server:
        print("ready", flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main()
