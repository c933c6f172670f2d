"""What belongs to another version of the hub is neither read nor written: each command says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

COMMANDS = [
    ("principal", "list"),
    ("backup", "one.thali-backup"),
    ("doctor",),
    ("setup-link",),
    ("hub", "--only", "worker"),
]
FUTURE = ("couchapi", "9999_from_the_future")


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("HUB_PASSPHRASE", "correct horse battery")
    monkeypatch.chdir(str(tmp_path))


@pytest.fixture
def newer(tables: None) -> Iterator[None]:
    """Tables to which a newer version has done something."""
    recorder = MigrationRecorder(connection)
    recorder.record_applied(*FUTURE)
    yield
    recorder.record_unapplied(*FUTURE)


@pytest.fixture
def earlier(tables: None) -> Iterator[None]:
    """Tables that lack the newest step of this version."""
    recorder = MigrationRecorder(connection)
    (newest,) = MigrationLoader(None).graph.leaf_nodes("couchapi")
    recorder.record_unapplied(*newest)
    yield
    recorder.record_applied(*newest)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_tables_of_a_newer_version_are_left_alone(newer: None, command: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="of a newer version of the hub"):
        call_command(*command)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_tables_of_an_earlier_version_are_left_alone(
    earlier: None, command: tuple[str, ...]
) -> None:
    with pytest.raises(CommandError, match="of an earlier version|older than this version"):
        call_command(*command)
