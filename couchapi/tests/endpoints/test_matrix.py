"""Who may do what: every route and method, for every kind of caller.

The table is that of design/access-control.md, written down a second time: the code declares its
rights by itself.  A route or a method without a row fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async

from acl import store
from acl.core import tokens
from acl.core.throttle import Throttle
from couchapi import permissions
from couchapi.urls import urlpatterns

pytestmark = pytest.mark.slow

HELD = {
    "owner": "O A R W C K",
    "creator": "A R W K",
    "both": "R W K",
    "reader": "R K",
    "reader of some": "R K",
    "writer": "W K",
    "viewer": "V K",
    "nobody": "K",
    "application": "K T",
    "token": "R W K T",
    "token that ended": "",
    "stranger": "",
    "anonymous": "",
}
KINDS = tuple(HELD)
ON_A_DATABASE = set(["A", "R", "W", "V"])


class Row(NamedTuple):
    """One line: `needs` holds alternatives of rights, `R W` together or `R|W` one of them."""

    needs: str
    body: Any = b""
    headers: dict[str, str] = {}
    path: str = ""
    on_database: bool = True


JSON = {"content-type": "application/json"}
DOC = "<db:db_name>/<docid:docid>"
DESIGN = "<db:db_name>/<design:docid>"
LOCAL = "<db:db_name>/<local:docid>"
VIEW = f"{DESIGN}/_view/<view:name>"
VIEW_PATH = "/db/_design/d/_view/v"
INDEX_IN = "<design:docid>"
INDEX_PATH = "/db/_index/_design/m/json/i"
DB = "<anydb:db_name>"
REV = "1-" + "a" * 32


def _database(name: str) -> str:
    return f"<db:db_name>/{name}"


def _attachment(document: str) -> dict[tuple[str, str], Row]:
    path = "/db/d/file" if document == DOC else "/db/_design/d/file"
    route = f"{document}/<attachment:name>"
    return {
        (route, "GET"): Row("R", path=path),
        (route, "HEAD"): Row("R", path=path),
        (route, "PUT"): Row("W", b"content", {"content-type": "text/plain"}, path + "new?rev=REV"),
        (route, "DELETE"): Row("W", path=path + "?rev=REV"),
    }


def _document(route: str, path: str) -> dict[tuple[str, str], Row]:
    return {
        (route, "GET"): Row("R", path=path),
        (route, "HEAD"): Row("R", path=path),
        (route, "PUT"): Row("W", {}, path=path + "new"),
        (route, "DELETE"): Row("W", path=path + "?rev=REV"),
        (route, "COPY"): Row("R W", headers={"destination": "copied"}, path=path),
    }


def _listing(name: str, needs: str) -> dict[tuple[str, str], Row]:
    return {
        (_database(name), "GET"): Row(needs),
        (_database(name), "HEAD"): Row(needs),
        (_database(name), "POST"): Row(needs, {}),
    }


def _limit(name: str) -> dict[tuple[str, str], Row]:
    return {
        (_database(name), "GET"): Row("R"),
        (_database(name), "HEAD"): Row("R"),
        (_database(name), "PUT"): Row("A", b"500"),
    }


def _server(name: str, methods: str, needs: str, body: Any = b"") -> dict[tuple[str, str], Row]:
    return {
        (name, method): Row(needs, body, path=f"/{name}", on_database=False)
        for method in methods.split()
    }


def _config(route: str, path: str) -> dict[tuple[str, str], Row]:
    row = Row("O|T", path=f"/_node/_local/_config{path}", on_database=False)
    return {(f"_node/<str:node>/_config{route}", method): row for method in ("GET", "HEAD")}


TABLE: dict[tuple[str, str], Row] = {
    **_server("_up", "GET HEAD", ""),
    **_server("_uuids", "GET HEAD", ""),
    **_server("_session", "GET HEAD DELETE", ""),
    **_server("_session", "POST", "K"),
    **_server("", "GET HEAD", ""),
    **_server("_all_dbs", "GET HEAD", "K"),
    **_server("_dbs_info", "GET HEAD", "K"),
    **_server("_dbs_info", "POST", "K", {"keys": ["nothing"]}),
    **_server("_db_updates", "GET HEAD", "K"),
    **_server("_membership", "GET HEAD", "O"),
    **_config("", ""),
    **_config("/<str:section>", "/chttpd"),
    **_config("/<str:section>/<str:key>", "/chttpd/enable_cors"),
    (_database("_temp_view"), "POST"): Row("R", {}),
    (DB, "GET"): Row("R|W", path="/db"),
    (DB, "HEAD"): Row("R|W", path="/db"),
    (DB, "PUT"): Row("C", path="/new", on_database=False),
    (DB, "DELETE"): Row("A", path="/db"),
    (DB, "POST"): Row("W", {}, path="/db"),
    **_document(DOC, "/db/d"),
    **_document(DESIGN, "/db/_design/d"),
    **_attachment(DOC),
    **_attachment(DESIGN),
    (VIEW, "GET"): Row("R|V", path=VIEW_PATH),
    (VIEW, "HEAD"): Row("R|V", path=VIEW_PATH),
    (VIEW, "POST"): Row("R|V", {}, path=VIEW_PATH),
    (f"{VIEW}/queries", "POST"): Row("R|V", {"queries": [{}]}, path=f"{VIEW_PATH}/queries"),
    (f"{DESIGN}/_info", "GET"): Row("R", path="/db/_design/d/_info"),
    (f"{DESIGN}/_info", "HEAD"): Row("R", path="/db/_design/d/_info"),
    (LOCAL, "GET"): Row("R|W", path="/db/_local/l"),
    (LOCAL, "HEAD"): Row("R|W", path="/db/_local/l"),
    (LOCAL, "PUT"): Row("R|W", {}, path="/db/_local/new"),
    (LOCAL, "DELETE"): Row("R|W", path="/db/_local/l"),
    (_database("_bulk_docs"), "POST"): Row("W", {"docs": [{}]}),
    (_database("_bulk_get"), "POST"): Row("R", {"docs": [{"id": "d"}]}),
    (_database("_revs_diff"), "POST"): Row("R|W", {"d": [REV]}),
    (_database("_find"), "POST"): Row("R", {"selector": {}}),
    (_database("_explain"), "POST"): Row("R", {"selector": {}}),
    (_database("_index"), "GET"): Row("R"),
    (_database("_index"), "HEAD"): Row("R"),
    (_database("_index"), "POST"): Row("W", {"index": {"fields": ["a"]}}),
    (_database("_index/_bulk_delete"), "POST"): Row("W", {"docids": []}),
    (_database(f"_index/{INDEX_IN}/json/<view:name>"), "DELETE"): Row("W", path=INDEX_PATH),
    (_database("_index/<docid:docid>/json/<view:name>"), "DELETE"): Row(
        "W", path="/db/_index/m/json/i"
    ),
    (_database("_missing_revs"), "POST"): Row("R|W", {"d": [REV]}),
    **_listing("_changes", "R"),
    **_listing("_all_docs", "R"),
    **_listing("_design_docs", "R"),
    **_listing("_local_docs", "O"),
    (_database("_all_docs/queries"), "POST"): Row("R", {"queries": [{}]}),
    (_database("_design_docs/queries"), "POST"): Row("R", {"queries": [{}]}),
    (_database("_security"), "GET"): Row("A"),
    (_database("_security"), "HEAD"): Row("A"),
    (_database("_security"), "PUT"): Row("A", {}),
    **_limit("_revs_limit"),
    **_limit("_purged_infos_limit"),
    (_database("_ensure_full_commit"), "POST"): Row("R|W", headers=JSON),
    (_database("_compact"), "POST"): Row("A", headers=JSON),
    (_database("_compact/<docid:design>"), "POST"): Row("A", headers=JSON, path="/db/_compact/d"),
    (_database("_view_cleanup"), "POST"): Row("A", headers=JSON),
    (_database("_purge"), "POST"): Row("A", {}),
    (_database("_purged_infos"), "GET"): Row("A"),
    (_database("_purged_infos"), "HEAD"): Row("A"),
}


def routes() -> set[tuple[str, str]]:
    """Return every route of the API with every method that it answers."""
    found = set()
    for pattern in urlpatterns:
        route = str(pattern.pattern).strip("/^$")
        endpoint = pattern.callback.view_class()
        found |= {(route, method) for method in endpoint.allowed()}
    return found


def test_every_route_and_method_has_a_row_and_every_row_a_route() -> None:
    assert routes() == set(TABLE)


class Place(NamedTuple):
    """A database with one of everything, and one caller."""

    caller: Any
    path: str
    rev: str
    design_rev: str


@pytest.fixture(scope="module")
def people(hub_identity: Any) -> dict[str, Any]:
    return {}


@pytest.fixture
async def place(
    api: Any, database: str, people: dict[str, Any], request: pytest.FixtureRequest
) -> Place:
    kind = request.param
    rev = await _fill(api.owner, f"{database}/d")
    design_rev = await _fill(api.owner, f"{database}/_design/d")
    index = {"index": {"fields": ["x"]}, "ddoc": "m", "name": "i"}
    await api.owner.post(f"{database}/_index", index)
    caller = await _caller(api, people, kind)
    await sync_to_async(_grant)(kind, database[1:], caller)
    if kind not in ("anonymous", "token that ended"):
        await caller.put(f"{database}/_local/l", {})
    return Place(caller, database, rev, design_rev)


async def _fill(owner: Any, path: str) -> str:
    made = await owner.put(
        path,
        {
            "_attachments": {"file": {"content_type": "text/plain", "data": "YWJj"}},
            "views": {"v": {"map": "function (doc) { emit(doc._id, null); }"}},
        },
    )
    return str(made.json()["rev"])


async def _caller(api: Any, people: dict[str, Any], kind: str) -> Any:
    if kind == "owner":
        return api.owner
    if kind == "anonymous":
        return api.anonymous
    if kind == "stranger":
        return api.stranger()
    if kind not in people:
        people[kind] = await sync_to_async(_made)(api, kind)
    return people[kind]


def _made(api: Any, kind: str) -> Any:
    if kind == "application":
        return api.principal(kind, kind="application")
    if not kind.startswith("token"):
        return api.principal(kind)
    made = api.application(kind)
    if kind == "token that ended":
        store.put_token(made.name, tokens.digest_of(made.token), 0, 1)
    return made


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has sent a wrong token yet, so no answer waits."""
    monkeypatch.setattr(permissions, "_throttle", Throttle())


def _grant(kind: str, database: str, caller: Any) -> None:
    grants: dict[str, dict[str, Any]] = {
        "creator": {"read": True, "write": True, "admin": True},
        "both": {"read": True, "write": True},
        "reader": {"read": True, "write": False},
        "reader of some": {"read": True, "write": False, "selector": '{"_id": {"$gt": null}}'},
        "writer": {"read": False, "write": True},
        "viewer": {"read": True, "write": False, "view": "d/v"},
        "token": {"read": True, "write": True},
        "token that ended": {"read": True, "write": True},
    }
    if kind in grants:
        store.add_grant(database, caller.name, **grants[kind])


def expected(row: Row, kind: str) -> str:
    """Return what the table says: yes, or the error."""
    if kind == "token that ended":
        return "unauthorized"
    held = set(HELD[kind].split())
    alternatives = [set(one.split()) for one in row.needs.split("|")]
    if any(one <= held for one in alternatives):
        return "yes"
    if kind == "anonymous":
        return "unauthorized"
    if row.on_database and not held & (ON_A_DATABASE | {"O"}):
        return "not_found"
    return "forbidden"


CASES = [
    pytest.param(key, kind, id=f"{key[1]} {key[0]} {kind}")
    for key in sorted(TABLE)
    for kind in KINDS
]


@pytest.mark.parametrize(("key", "place"), CASES, indirect=["place"])
async def test_the_table_holds(
    key: tuple[str, str], place: Place, new_name: Callable[[], str], request: Any
) -> None:
    row = TABLE[key]
    kind = request.node.callspec.params["place"]
    route, method = key
    path = row.path or "/" + route.replace("<db:db_name>", "db")
    path = path.replace("/db", place.path, 1) if row.on_database else path
    path = path.replace("/new", f"/{new_name()}") if route == DB else path
    rev = place.design_rev if "_design" in path else place.rev
    path, _, query = path.replace("REV", rev).partition("?")
    params = dict([query.split("=")]) if query else {}
    body = None if method in ("GET", "HEAD") else row.body
    exchange = place.caller.exchange(method, path, body, headers=row.headers, **params)
    answer = await exchange.run()
    wanted = expected(row, kind)
    if wanted == "yes":
        gone = (410,) if route.endswith("_temp_view") else ()
        assert answer.status in (200, 201, 202, *gone), answer.body
    else:
        status = {"unauthorized": 401, "not_found": 404, "forbidden": 403}[wanted]
        assert answer.status == status, answer.body
        assert exchange.body_read == 0
        if method != "HEAD":
            assert answer.json()["error"] == wanted
            assert place.path[1:] not in answer.body.decode()


# -- what must not leak ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_a_hidden_database_answers_like_a_missing_one(
    api: Any, database: str, method: str
) -> None:
    stranger = api.stranger()
    for end in ("/d", "/_changes", "/_security", "/_bulk_docs"):
        hidden = await stranger(method, database + end, {})
        missing = await stranger(method, "/no-such-database" + end, {})
        assert (hidden.status, hidden.body, hidden.headers) == (
            missing.status,
            missing.body,
            missing.headers,
        )


async def test_a_strangers_put_is_refused_alike_whether_the_database_exists(
    api: Any, database: str
) -> None:
    stranger = api.stranger()
    there, not_there = await stranger.put(database), await stranger.put("/no-such-database")
    assert there.status == not_there.status == 403
    assert there.body == not_there.body


async def test_a_writer_without_reading_sees_no_counts(api: Any, database: str) -> None:
    await api.owner.put(f"{database}/d", {"x": 1})
    writer = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], writer.name, read=False, write=True)
    shown = (await writer.get(database)).json()
    assert shown["doc_count"] == shown["doc_del_count"] == 0
    assert shown["update_seq"] == shown["purge_seq"] == "0"
    assert set(shown["sizes"].values()) == {0}


async def test_a_writer_without_reading_learns_no_revisions(api: Any, database: str) -> None:
    rev = (await api.owner.put(f"{database}/d", {"x": 1})).json()["rev"]
    writer = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], writer.name, read=False, write=True)
    refused = await writer.put(f"{database}/d", {"x": 2})
    assert refused.status == 409
    assert rev not in refused.body.decode()
    diff = (await writer.post(f"{database}/_revs_diff", {"d": ["9-" + "a" * 32]})).json()
    assert diff == {"d": {"missing": ["9-" + "a" * 32]}}


async def test_a_checkpoint_of_one_principal_is_invisible_to_another(
    api: Any, database: str
) -> None:
    people = [await sync_to_async(api.principal)() for _ in range(2)]
    for one in people:
        await sync_to_async(store.add_grant)(database[1:], one.name, read=True, write=False)
    assert (await people[0].put(f"{database}/_local/c", {"mine": 1})).status == 201
    assert (await people[0].get(f"{database}/_local/c")).json()["mine"] == 1
    assert (await people[1].get(f"{database}/_local/c")).status == 404
    assert (await api.owner.get(f"{database}/_local/c")).status == 404


async def test_lists_of_databases_show_only_ones_own(
    api: Any, database: str, couch_database: str
) -> None:
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    assert (await reader.get("/_all_dbs")).json() == [database[1:]]
    infos = (await reader.post("/_dbs_info", {"keys": [database[1:], couch_database[1:]]})).json()
    assert infos[0]["info"]["db_name"] == database[1:]
    assert infos[1] == {"key": couch_database[1:], "error": "not_found"}
    await api.owner.put(f"{couch_database}/secret", {})
    updates = (await reader.get("/_db_updates")).json()["results"]
    assert {row["db_name"] for row in updates} == {database[1:]}


async def test_a_right_that_is_taken_away_is_gone_on_the_next_request(
    api: Any, database: str
) -> None:
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    assert (await reader.get(database)).status == 200
    await sync_to_async(store.remove_grant)(database[1:], reader.name)
    assert (await reader.get(database)).status == 404


@pytest.mark.parametrize("feed", ["continuous", "longpoll", "eventsource"])
async def test_a_right_that_is_taken_away_ends_an_open_feed(
    api: Any, database: str, feed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.feeds._SECONDS_BETWEEN_CHECKS", 0.05)
    reader = await sync_to_async(api.principal)()
    await sync_to_async(store.add_grant)(database[1:], reader.name, read=True, write=False)
    async with reader.open(f"{database}/_changes", feed=feed, heartbeat="50") as open_feed:
        pieces = open_feed.pieces()
        await anext(pieces)
        await sync_to_async(store.remove_grant)(database[1:], reader.name)
        async for _ in pieces:
            pass
    assert open_feed.status == 200


async def test_the_creator_of_a_database_administers_it_and_no_other(
    api: Any, database: str, new_name: Callable[[], str]
) -> None:
    app = await sync_to_async(api.principal)(kind="application")
    mine = f"/{new_name()}"
    assert (await app.put(mine)).status == 403
    await sync_to_async(store.allow_create_databases)(app.name)
    assert (await app.put(mine)).status == 201
    assert (await app.get(f"{mine}/_security")).status == 200
    assert (await app.delete(database)).status == 404
    assert (await app.delete(mine)).status == 200
    assert (await app.get(mine)).status == 404
