"""Jobs: standing wishes to replicate, as values.

A job names a database here, a *peer* (whoever may be meant by that text), directions and a rhythm.
It becomes *links*, one for each hub or server that is meant and each direction; a link is what a
worker takes and runs, what fails and is tried again, and what has come so far.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import orjson

from acl.core.errors import KeyFormatError
from acl.core.httpkey import HttpKey, ThaliGroup
from couchapi.core import names
from discovery.core import windows
from replication.core import bandwidth
from replication.core.errors import BadJob
from replication.core.options import WITH, Options

MY_DEVICES: Final = "my devices"
"""The peer of a job that means every other hub of the owner."""

LOCAL: Final = "local:"
"""What stands before the name of another database of this hub."""

LARGEST_OPTIONS: Final = 1024 * 1024
SHORTEST_PERIOD: Final = 5
LONGEST_PERIOD: Final = 366 * 86_400
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Direction(enum.StrEnum):
    """Which way documents go, as seen from this hub."""

    PULL = "pull"
    PUSH = "push"
    BOTH = "both"

    @property
    def ways(self) -> tuple[Direction, ...]:
        """Each single way."""
        return (Direction.PULL, Direction.PUSH) if self is Direction.BOTH else (self,)


class Mode(enum.StrEnum):
    """How often."""

    ONCE = "once"
    CONTINUOUS = "continuous"
    PERIODIC = "periodic"


class Priority(enum.StrEnum):
    """What goes first; the name is that of a queue."""

    NOW = "now"
    NORMAL = "normal"
    BACKGROUND = "background"

    @property
    def rank(self) -> int:
        """0 goes first."""
        return list(Priority).index(self)


class State(enum.StrEnum):
    """How a link is."""

    PENDING = "pending"
    """It is due, and has not begun."""
    RUNNING = "running"
    WAITING = "waiting"
    """In step; it goes on when something changes, or when its time has come."""
    CRASHING = "crashing"
    """The last try failed; the next one has a time."""
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    """It does not go on by itself."""


ENDED: Final = (State.COMPLETED, State.FAILED)


class Kind(enum.StrEnum):
    """What the text that names a peer is."""

    DEVICES = "devices"
    NAME = "name"
    HUB = "hub"
    GROUP = "group"
    SERVER = "server"
    HERE = "here"


@dataclass(frozen=True)
class Wish:
    """What somebody asks for; raises BadJob, BadWindows where it cannot be meant."""

    db_name: str
    peer: str
    direction: Direction
    mode: Mode = Mode.ONCE
    every: int = 0
    """Seconds between two runs of a periodic job."""
    priority: Priority = Priority.NORMAL
    options: Options = field(default_factory=Options)
    there: str = ""
    """The database's name at the peer; empty: what the peer's URL says, else the same."""
    lasts: int = 0
    """Seconds after which the job ends unless it is renewed; 0: never."""
    windows: str = ""
    """When it runs, in UTC as `windows.parse` reads it; empty: always."""
    limit: int = 0
    """Bytes a second, both ways together; 0: no limit of its own."""

    def __post_init__(self) -> None:
        kind_of(self.peer)
        if self.mode is Mode.PERIODIC and not SHORTEST_PERIOD <= self.every <= LONGEST_PERIOD:
            raise BadJob(f"A period has {SHORTEST_PERIOD} to {LONGEST_PERIOD} seconds.")
        if len(self.options.text()) > LARGEST_OPTIONS:
            raise BadJob("This is more than a job can hold. Use a selector, or a filter.")
        if not 0 <= self.lasts <= LONGEST_PERIOD:
            raise BadJob(f"A job lasts up to {LONGEST_PERIOD} seconds; without a number, for ever.")
        windows.parse(self.windows)
        if self.limit and not bandwidth.SMALLEST <= self.limit <= bandwidth.LARGEST:
            raise BadJob(f"A limit has {bandwidth.SMALLEST} bytes a second or more; 0 is none.")


def kind_of(peer: str) -> Kind:
    """Tell what a peer's text is; raises BadJob for one that cannot be any."""
    if peer == MY_DEVICES:
        return Kind.DEVICES
    if peer.startswith(LOCAL):
        names.check_database_name(peer.removeprefix(LOCAL))
        return Kind.HERE
    scheme, colon, _ = peer.partition(":")
    if not colon or scheme.lower() not in ("httpkey", "thaligroup", "http", "https"):
        if not peer.strip():
            raise BadJob("Name a principal, a group or a URL.")
        return Kind.NAME
    try:
        if scheme == "httpkey":
            _check_path(HttpKey.parse(peer).path)
            return Kind.HUB
        if scheme == "thaligroup":
            _check_path(ThaliGroup.parse(peer).path)
            return Kind.GROUP
    except KeyFormatError as error:
        raise BadJob(error.reason) from error
    _check_server(peer)
    return Kind.SERVER


def database_at(peer: str, db_name: str) -> str:
    """Return the name of the database at the peer: that of its URL, else the same as here."""
    match kind_of(peer):
        case Kind.HUB:
            path = HttpKey.parse(peer).path
        case Kind.GROUP:
            path = ThaliGroup.parse(peer).path
        case Kind.HERE:
            return peer.removeprefix(LOCAL)
        case Kind.SERVER:
            path = urlsplit(peer).path.rstrip("/").rpartition("/")[2]
        case _:
            path = ""
    return unquote(path.strip("/")) or db_name


def shown(peer: str) -> str:
    """Return the text without a password that may be in it."""
    if kind_of(peer) is not Kind.SERVER:
        return peer
    parts = urlsplit(peer)
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=user + host).geturl()


def _check_path(path: str) -> None:
    if "/" in path.strip("/"):
        raise BadJob("After the key, the URL has the name of one database.")


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadJob("This is not a URL.") from error
    if not host or port == 0 or not parts.path.strip("/") or parts.query or parts.fragment:
        raise BadJob("A server's URL reads https://server.example/database.")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise BadJob("Documents go to other machines by https only.")


# -- options ---------------------------------------------------------------------------------------


def options_text(options: Options) -> str:
    """Return the options as they are kept."""
    return options.text().decode()


def read_options(text: str | bytes) -> Options:
    """Return what `options_text` has made."""
    held = orjson.loads(text)
    doc_ids = held.get("doc_ids")
    return Options(
        filter=held.get("filter"),
        query_params=held.get("query_params") or {},
        doc_ids=None if doc_ids is None else tuple(doc_ids),
        selector=held.get("selector"),
        since_seq=held.get("since_seq"),
        winning_revs_only=bool(held.get("winning_revs_only")),
        create_target=bool(held.get("create_target")),
        attachments=held.get("attachments", WITH),
        target=held.get("target", ""),
    )


def summary(states: Mapping[Any, State] | list[State]) -> State:
    """Return the one state that a person has to know of several."""
    held = list(states.values()) if isinstance(states, Mapping) else states
    order = [
        State.FAILED, State.CRASHING, State.RUNNING, State.PENDING, State.PAUSED, State.WAITING,
    ]  # fmt: skip
    return next((one for one in order if one in held), State.COMPLETED if held else State.PENDING)
