"""A job begins with what it needs on this hub."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acl import sql
from couchapi.store import databases
from replication import manager
from replication.core.errors import BadJob
from replication.core.job import Direction, Wish

HTTPKEY = "httpkey://127.0.0.1:6984/sha256:" + "A" * 43 + "/letters"


def _wish(db_name: str, direction: Direction) -> Wish:
    return Wish(db_name=db_name, peer=HTTPKEY, direction=direction)


def test_what_is_pulled_gets_its_database(tables: None, new_name: Callable[[], str]) -> None:
    db_name = new_name()
    for _ in range(2):
        manager.remove(manager.add(_wish(db_name, Direction.PULL), 0.0))
    assert sql.read_sync(lambda one: databases.find(one, db_name)) is not None


def test_what_is_not_there_cannot_be_pushed(tables: None, new_name: Callable[[], str]) -> None:
    db_name = new_name()
    with pytest.raises(BadJob, match="no database"):
        manager.add(_wish(db_name, Direction.PUSH), 0.0)
    assert sql.read_sync(lambda one: databases.find(one, db_name)) is None
