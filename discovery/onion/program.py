"""A tor of our own: found, started with a configuration of ours alone, and ended.

It works in a folder of the hub's data, and has no port that others on this machine could reach: its
control and SOCKS are sockets in that folder.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings

from discovery.core.onion import Torrc
from discovery.onion import keys

_SOCKET_PATH_BYTES = 90
_GRACE_SECONDS = 5
_LOG_BYTES = 1_000_000


def find() -> str | None:
    """Return the path of the tor program, if it is installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin"])
    return shutil.which(settings.HUB_TOR_PROGRAM, path=path)


def torrc(*, everything: bool, for_applications: bool, sockets: Path) -> Torrc:
    """Return what our tor is to run with; its sockets are in that folder."""
    place = keys.folder(settings.HUB_DATA)
    return Torrc(
        str(place / "state"),
        str(sockets / "control"),
        str(sockets / "socks"),
        str(place / "notice.log"),
        os.getpid(),
        not everything,
        for_applications,
        _more(),
    )


@functools.cache
def _more() -> Sequence[str]:
    if not settings.HUB_TOR_LINES:
        return ()
    return [line for line in Path(settings.HUB_TOR_LINES).read_text().splitlines() if line.strip()]


@contextlib.contextmanager
def sockets() -> Iterator[Path]:
    """Give a folder for tor's sockets, whose paths have to be short (unix(7))."""
    place = keys.folder(settings.HUB_DATA) / "run"
    if len(os.fsencode(place)) <= _SOCKET_PATH_BYTES:
        place.mkdir(mode=0o700, exist_ok=True)
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="thali-tor-") as name:
        yield Path(name)


@contextlib.contextmanager
def running(program: str, config: Torrc) -> Iterator[subprocess.Popen[bytes]]:
    """Run tor with this configuration and no other."""
    place = keys.folder(settings.HUB_DATA)
    Path(config.data).mkdir(mode=0o700, exist_ok=True)
    for path in (config.control, config.socks):
        Path(path).unlink(missing_ok=True)
    _begin_log(Path(config.log))
    (place / "empty").touch()
    (place / "torrc").write_text(config.text())
    command = [program, "--hush", "--defaults-torrc", place / "empty", "-f", place / "torrc"]
    with (place / "start.log").open("wb") as first_words:  # Until it has read where its log is.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=first_words, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def _begin_log(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_BYTES:
            path.unlink()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_of(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-50:]


def last_words(config: Torrc) -> str:
    """Return the last warning in tor's log, for the owner."""
    paths = (keys.folder(settings.HUB_DATA) / "start.log", Path(config.log))
    lines = [line for path in paths if path.exists() for line in _end_of(path)]
    told = [line for line in lines if "[warn]" in line or "[err]" in line]
    return told[-1].partition("] ")[2][:200] if told else ""
