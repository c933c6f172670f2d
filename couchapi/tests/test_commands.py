"""`manage.py database` and `manage.py grant`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def run(*args: str) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def grants(database: str) -> list[dict[str, Any]]:
    return json.loads(run("grant", "list", database, "--json"))


@pytest.fixture
def name(tables: None, new_name: Callable[[], str]) -> str:
    made = new_name()
    run("database", "create", made)
    return made


@pytest.fixture
def person(tables: None, api: Any) -> str:
    return api.principal("reader").name


def test_a_database_is_made_listed_and_deleted(name: str) -> None:
    listed = {row["name"]: row for row in json.loads(run("database", "list", "--json"))}
    assert listed[name] == {
        "name": name,
        "documents": 0,
        "bytes": 0,
        "conflict_policy": "lww",
        "local_only": False,
    }
    run("database", "delete", name)
    assert name not in [row["name"] for row in json.loads(run("database", "list", "--json"))]


def test_a_database_may_keep_conflicts_as_couchdb_does(
    tables: None, new_name: Callable[[], str]
) -> None:
    made = new_name()
    run("database", "create", made, "--conflict-policy", "couch")
    listed = {row["name"]: row for row in json.loads(run("database", "list", "--json"))}
    assert listed[made]["conflict_policy"] == "couch"


@pytest.mark.parametrize("bad", ["Capital", "_users", "1st", "a b"])
def test_an_illegal_name_is_refused(tables: None, bad: str) -> None:
    with pytest.raises(CommandError, match="Name"):
        run("database", "create", bad)


def test_a_second_database_of_a_name_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="already exists"):
        run("database", "create", name)


def test_deleting_what_is_not_there_says_how_to_list(tables: None) -> None:
    with pytest.raises(CommandError, match="database list"):
        run("database", "delete", "nothere")


def test_a_grant_is_added_narrowed_and_removed(name: str, person: str) -> None:
    run("grant", "add", name, "read,write", person)
    assert [(row["to"], row["read"], row["write"]) for row in grants(name)] == [
        (person, True, True)
    ]
    run("grant", "remove", name, "write", person)
    assert [(row["read"], row["write"]) for row in grants(name)] == [(True, False)]
    run("grant", "remove", name, person)
    assert grants(name) == []


def test_a_grant_may_carry_a_selector_or_name_a_view(name: str, person: str) -> None:
    run("grant", "add", name, "read", person, "--selector", '{"type": "photo"}')
    run("grant", "add", name, "read", person, "--view", "albums/by_date")
    assert [(row["view"], row["selector"]) for row in grants(name)] == [
        (None, {"type": "photo"}),
        ("albums/by_date", None),
    ]


def test_a_group_can_hold_a_grant(name: str, person: str) -> None:
    group = f"group of {person}"
    run("group", "add", group)
    run("group", "member", group, person)
    run("grant", "add", name, "read", group)
    assert [(row["to"], row["is_group"]) for row in grants(name)] == [(group, True)]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nothere", "read", "PERSON"), "database list"),
        (("NAME", "read", "nobody at all"), "Nobody is called"),
        (("NAME", "read", "PERSON", "--selector", "[1]"), "JSON object"),
        (("NAME", "read", "PERSON", "--selector", '{"a": {"$no": 1}}'), "no"),
        (("NAME", "write", "PERSON", "--view", "a/b"), "view"),
    ],
)
def test_a_grant_that_cannot_be_is_refused(
    name: str, person: str, args: tuple[str, ...], says: str
) -> None:
    words = [{"NAME": name, "PERSON": person}.get(word, word) for word in args]
    with pytest.raises(CommandError, match=says):
        run("grant", "add", *words)
    assert grants(name) == []


def test_deleting_a_database_takes_its_grants_with_it(name: str, person: str) -> None:
    run("grant", "add", name, "read", person)
    run("database", "delete", name)
    assert grants(name) == []
