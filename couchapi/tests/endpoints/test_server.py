"""The server's own routes as CouchDB answers them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from acl import store


@pytest.fixture
async def three(api: Any, new_name: Callable[[], str]) -> tuple[Any, list[str]]:
    """Somebody who sees three databases of many, and their names in order."""
    reader = await sync_to_async(api.principal)()
    names = sorted(new_name() for _ in range(3))
    for name in names:
        await api.owner.put(f"/{name}")
        await sync_to_async(store.add_grant)(name, reader.name, read=True, write=False)
    return reader, names


async def test_the_root_says_what_this_is_without_names_or_counts(api: Any) -> None:
    shown = (await api.anonymous.get("/")).json()
    assert shown["couchdb"] == "Welcome"
    assert shown["version"].startswith("3.5")
    assert re.fullmatch("[0-9a-f]{32}", shown["uuid"])
    assert shown["vendor"]["name"] == "Thali Device Hub"
    assert shown == (await api.owner.get("/")).json()


async def test_a_hub_that_serves_is_up(api: Any) -> None:
    assert (await api.anonymous.get("/_up")).json() == {"status": "ok", "seeds": {}}


async def test_uuids_are_random_and_as_many_as_asked(owner: Any) -> None:
    assert len((await owner.get("/_uuids")).json()["uuids"]) == 1
    answer = await owner.get("/_uuids", count=1000)
    uuids = answer.json()["uuids"]
    assert len(set(uuids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in uuids)
    assert "no-cache" in answer.headers["cache-control"]


@pytest.mark.parametrize("count", ["1000000000", "1001", "-1", "x", "1e2", "9" * 200])
async def test_too_many_uuids_are_refused(owner: Any, count: str) -> None:
    answer = await owner.get("/_uuids", count=count)
    assert answer.status == 400
    assert answer.json()["error"] in ("bad_request", "query_parse_error")


async def test_all_databases_are_listed_in_order_and_ranges(three: tuple[Any, list[str]]) -> None:
    reader, (a, b, c) = three
    path = "/_all_dbs"
    assert (await reader.get(path)).json() == [a, b, c]
    assert (await reader.get(path, descending=True)).json() == [c, b, a]
    assert (await reader.get(path, limit=1)).json() == [a]
    assert (await reader.get(path, limit=0)).json() == []
    assert (await reader.get(path, skip=2)).json() == [c]
    assert (await reader.get(path, startkey=f'"{b}"')).json() == [b, c]
    assert (await reader.get(path, start_key=f'"{a}"', end_key=f'"{b}"')).json() == [a, b]
    closed = await reader.get(path, endkey=f'"{b}"', inclusive_end=False)
    assert closed.json() == [a]
    downwards = await reader.get(path, startkey=f'"{b}"', descending=True)
    assert downwards.json() == [b, a]
    assert (await reader.get(path, limit=-1)).status == 400


async def test_the_owner_sees_every_database(owner: Any, three: tuple[Any, list[str]]) -> None:
    assert set(three[1]) < set((await owner.get("/_all_dbs")).json())


async def test_databases_are_described_together(three: tuple[Any, list[str]]) -> None:
    reader, names = three
    infos = (await reader.get("/_dbs_info")).json()
    assert [one["key"] for one in infos] == names
    assert infos[0]["info"] == (await reader.get(f"/{names[0]}")).json()
    asked = (await reader.post("/_dbs_info", {"keys": [names[1], "missing"]})).json()
    assert asked[0]["info"]["db_name"] == names[1]
    assert asked[1] == {"key": "missing", "error": "not_found"}


@pytest.mark.parametrize("body", [{}, {"keys": "a"}, {"keys": [1]}, {"keys": ["a"] * 101}, []])
async def test_what_does_not_name_databases_is_refused(owner: Any, body: Any) -> None:
    answer = await owner.post("/_dbs_info", body)
    assert answer.status == 400
    assert answer.json()["error"] == "bad_request"


async def test_a_question_about_databases_needs_the_type_json(owner: Any) -> None:
    answer = await owner("POST", "/_dbs_info", b"{}", headers={"content-type": "text/plain"})
    assert answer.status == 415
    assert answer.json()["error"] == "bad_content_type"


async def test_the_configuration_passes_what_livesync_checks(owner: Any) -> None:
    config = (await owner.get("/_node/_local/_config")).json()
    assert config["chttpd"]["require_valid_user"] == config["chttpd"]["enable_cors"] == "true"
    assert int(config["chttpd"]["max_http_request_size"]) >= 4294967296
    assert int(config["couchdb"]["max_document_size"]) >= 50000000
    assert config["cors"]["credentials"] == "true"
    assert "app://obsidian.md" in config["cors"]["origins"].split(",")
    assert config["admins"] == {}


async def test_the_configuration_can_be_read_in_parts_and_not_written(owner: Any) -> None:
    path = "/_node/_local/_config/chttpd"
    assert (await owner.get(path)).json()["enable_cors"] == "true"
    assert (await owner.get(f"{path}/enable_cors")).json() == "true"
    assert (await owner.get(f"{path}/nothing")).status == 404
    assert (await owner.get("/_node/_local/_config/nothing")).json() == {}
    assert (await owner.get("/_node/elsewhere/_config")).status == 404
    for refused in (
        await owner.put(f"{path}/enable_cors", b'"false"'),
        await owner.delete(f"{path}/enable_cors"),
    ):
        assert (refused.status, refused.json()["error"]) == (404, "not_found")


async def test_what_tools_ask_of_a_cluster_is_answered(owner: Any) -> None:
    nodes = (await owner.get("/_membership")).json()
    assert nodes["all_nodes"] == nodes["cluster_nodes"]
    (node,) = nodes["all_nodes"]
    assert (await owner.get(f"/_node/{node}/_config")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/_users",
        "/_users/x",
        "/_nothing",
        "/_utils",
        "/DB/_design/d/_show/s",
        "/DB/_design/d/_list/l/v",
        "/DB/_design/d/_rewrite/x",
        "/DB/_design/d/_update/u",
        "/DB/_nothing",
    ],
)
async def test_what_there_is_not_answers_404_in_couchdbs_form(
    owner: Any, database: str, path: str
) -> None:
    answer = await owner.get(path.replace("/DB", database))
    assert answer.status == 404
    assert answer.json()["error"] == "not_found"
    assert answer.headers["content-type"] == "application/json"


async def test_a_method_that_a_route_does_not_have_names_those_it_has(owner: Any) -> None:
    answer = await owner.delete("/_all_dbs")
    assert answer.status == 405
    assert answer.json() == {"error": "method_not_allowed", "reason": "Only GET,HEAD allowed"}
    assert answer.headers["allow"] == "GET, HEAD"


async def test_head_has_the_headers_of_get(owner: Any, database: str) -> None:
    for path in ("/", "/_all_dbs", database, f"{database}/_all_docs", f"{database}/_changes"):
        answer, whole = await owner("HEAD", path), await owner.get(path)
        assert (answer.status, answer.headers) == (200, whole.headers), path


async def test_jsonp_is_not_served(owner: Any) -> None:
    assert (await owner.get("/_all_dbs", callback="steal")).status == 404


@pytest.mark.parametrize("path", ["/_all_dbs", "/_dbs_info", "/_db_updates"])
async def test_a_stranger_is_refused_where_somebody_without_grants_sees_nothing(
    api: Any, path: str
) -> None:
    assert (await api.stranger().get(path)).status == 403
    assert (await api.anonymous.get(path)).status == 401
    known = await sync_to_async(api.principal)()
    answer = await known.get(path)
    assert (answer.status, b"db" in answer.body) == (200, False)
