"""Typed readings of the environment: one line in settings.py for each variable."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ

read = environ.Env()
SOURCE = Path(__file__).resolve().parent.parent


def folder(name: str, default: str) -> Path:
    """Return the folder that variable `name` names, absolute."""
    return Path(read.str(name, default)).expanduser().resolve()


def port(name: str, default: int) -> int:
    """Return a TCP port; 0 lets the system choose one."""
    value: int = read.int(name, default)
    if not 0 <= value <= 65535:
        raise ValueError(f"{name}={value} is not a port. Use a number from 0 to 65535.")
    return value


def url(name: str) -> str:
    """Return the URL of variable `name`, with the password that the file of `<name>_PASSWORD_FILE`
    holds, if there is one: so a secret need not stand in the environment.
    """
    given: str = read.str(name, "")
    file: str = read.str(f"{name.removesuffix('_URL')}_PASSWORD_FILE", "")
    if not given or not file:
        return given
    scheme, _, rest = given.partition("://")
    user, _, host = rest.rpartition("@")
    password = quote(Path(file).read_text().strip(), safe="")
    return f"{scheme}://{user.partition(':')[0]}:{password}@{host}"


_SQLITE_OPTIONS = {
    # WAL lets readers go on while one writes.  FULL: NORMAL lost acknowledged commits in a
    # simulated power cut (design/performance.md, "Storage").
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
}


_LOST_SECONDS = 10
"""A machine that does not answer for so long is taken for lost; else TCP waits for many minutes."""
_LOOK_SECONDS, _LOOKS = 5, 3
_POSTGRESQL_OPTIONS = {
    "connect_timeout": str(_LOST_SECONDS),
    "keepalives_idle": str(_LOST_SECONDS),
    "keepalives_interval": str(_LOOK_SECONDS),
    "keepalives_count": str(_LOOKS),
    "tcp_user_timeout": str(_LOST_SECONDS * 1000),
    # The server, too, has to let go of what a lost host has locked.
    "options": f"-c tcp_keepalives_idle={_LOST_SECONDS} -c tcp_keepalives_interval={_LOOK_SECONDS}"
    f" -c tcp_keepalives_count={_LOOKS} -c tcp_user_timeout={_LOST_SECONDS * 1000}",
}


def of_tcp() -> dict[int, int]:
    """Return the options of a TCP socket that notices when the other machine is lost."""
    wanted = {
        "TCP_KEEPIDLE": _LOST_SECONDS,
        "TCP_KEEPINTVL": _LOOK_SECONDS,
        "TCP_KEEPCNT": _LOOKS,
        "TCP_USER_TIMEOUT": _LOST_SECONDS * 1000,
    }
    # Not every system has all of them.
    there = {name: value for name, value in wanted.items() if hasattr(socket, name)}
    return {getattr(socket, name): value for name, value in there.items()}


def database(name: str, default: Path) -> dict[str, Any]:
    """Return Django's entry for the database of URL `name`, else for the SQLite file `default`."""
    entry: dict[str, Any] = dict(read.db_url_config(url(name) or f"sqlite:///{default}"))
    if entry["ENGINE"].endswith("sqlite3"):
        entry["OPTIONS"] = dict(_SQLITE_OPTIONS)
        # A file, because the stores' own connections must see the tests' tables.
        entry["TEST"] = {"NAME": str(default.with_name("test.sqlite3"))}
    elif entry["ENGINE"].endswith("postgresql"):
        entry["OPTIONS"] = _POSTGRESQL_OPTIONS | entry.get("OPTIONS", {})
    return entry
