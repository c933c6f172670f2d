"""Pages in browsers: certificates and sessions are sent by themselves, so only allowed origins may
use them; and for a token that a page holds it is the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async

from acl import store
from couchapi.endpoints.base import Endpoint
from couchapi.urls import urlpatterns

pytestmark = pytest.mark.slow  # All together: each is below a quarter of a second.

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "COPY", "OPTIONS"]


class Page(NamedTuple):
    """An application with a right on a database, and the origin of its page."""

    app: Any
    origin: str
    path: str


@pytest.fixture(params=["certificate", "token", "session"])
async def page(api: Any, database: str, request: pytest.FixtureRequest) -> Page:
    app = await _application(api, request.param)
    origin = f"https://{database[1:]}.example"
    await sync_to_async(store.add_grant)(database[1:], app.name, read=True, write=True)
    await sync_to_async(store.allow_origin)(app.name, origin)
    await api.owner.put(f"{database}/d", {})
    return Page(app, origin, database)


async def _application(api: Any, way: str) -> Any:
    if way == "certificate":
        return await sync_to_async(api.principal)(kind="application")
    app = await sync_to_async(api.application)()
    if way == "session":
        begun = await api.anonymous.post("/_session", {"name": "app", "password": app.token})
        app.headers = {"cookie": begun.headers["set-cookie"].partition(";")[0]}
    return app


async def _from(client: Any, method: str, path: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client(method, path, None if method in ("GET", "HEAD") else {}, headers=named)


def _assert_readable(answer: Any, origin: str) -> None:
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in answer.headers["vary"]


async def test_an_allowed_page_reads_what_its_application_may_read(page: Page) -> None:
    answer = await _from(page.app, "GET", f"{page.path}/d", origin=page.origin)
    assert answer.status == 200
    _assert_readable(answer, page.origin)
    assert "etag" in answer.headers["access-control-expose-headers"]


async def test_an_allowed_page_reads_errors_too(page: Page) -> None:
    for path, status in ((f"{page.path}/missing", 404), ("/_all_docs", 404), ("/hidden", 404)):
        answer = await _from(page.app, "GET", path, origin=page.origin)
        assert answer.status == status
        if path != "/_all_docs":  # No route: nobody is asked for.
            _assert_readable(answer, page.origin)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", ["", "/d", "/_changes", "/_bulk_docs"])
async def test_a_page_of_another_origin_is_refused_on_every_method(
    page: Page, method: str, end: str
) -> None:
    for origin in ("https://evil.example", "null", page.origin + ":444", page.origin.upper()):
        answer = await _from(page.app, method, page.path + end, origin=origin)
        if answer.status == 405:
            continue  # The route has no such method for anybody.
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
        assert page.path[1:] not in answer.body.decode().replace(origin, "")


async def test_a_refused_page_is_told_nothing_on_any_route(api: Any) -> None:
    for pattern in urlpatterns:
        endpoint: Endpoint = pattern.callback.view_class()
        route = str(pattern.pattern).strip("^$")
        path = "/" + route.replace("<anydb:", "x<").replace("<", "x").replace(">", "x")
        path = path.replace(":", "").replace("xdesigndocidx", "_design/x")
        path = path.replace("xlocaldocidx", "_local/x")
        for method in endpoint.allowed():
            answer = await _from(api.owner, method, path, origin="https://evil.example")
            assert answer.status == 403, (method, path)


async def test_the_owner_is_not_reached_from_the_page_of_an_application(
    api: Any, page: Page
) -> None:
    answer = await _from(api.owner, "GET", f"{page.path}/d", origin=page.origin)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_one_applications_page_does_not_act_for_another(api: Any, page: Page) -> None:
    other = await sync_to_async(api.principal)(kind="application")
    await sync_to_async(store.add_grant)(page.path[1:], other.name, read=True, write=False)
    assert (await _from(other, "GET", page.path)).status == 200
    assert (await _from(other, "GET", page.path, origin=page.origin)).status == 403


async def test_an_origin_that_is_allowed_no_more_is_refused_at_once(page: Page) -> None:
    assert (await _from(page.app, "GET", page.path, origin=page.origin)).status == 200
    await sync_to_async(store.disallow_origin)(page.app.name, page.origin)
    assert (await _from(page.app, "GET", page.path, origin=page.origin)).status == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "what"])
async def test_a_request_of_another_site_without_origin_is_refused(
    page: Page, method: str, site: str
) -> None:
    answer = await _from(page.app, method, f"{page.path}/d", sec_fetch_site=site)
    assert answer.status == 403
    assert (await page.app.get(f"{page.path}/d")).status == 200


@pytest.mark.parametrize("site", ["none", "same-origin"])
async def test_what_the_person_typed_is_answered(page: Page, site: str) -> None:
    answer = await _from(page.app, "GET", f"{page.path}/d", sec_fetch_site=site)
    assert answer.status == 200


async def test_a_preflight_is_answered_without_certificate(api: Any, page: Page) -> None:
    answer = await _from(
        api.anonymous,
        "OPTIONS",
        f"{page.path}/d",
        origin=page.origin,
        access_control_request_method="PUT",
        access_control_request_headers="content-type,if-match",
    )
    assert answer.status == 204
    assert answer.body == b""
    _assert_readable(answer, page.origin)
    methods = set(answer.headers["access-control-allow-methods"].split(", "))
    assert methods >= {"GET", "HEAD", "POST", "PUT", "DELETE", "COPY"}
    assert answer.headers["access-control-allow-headers"] == "content-type,if-match"


async def test_a_preflight_says_the_same_of_what_is_there_and_what_is_not(
    api: Any, page: Page
) -> None:
    answers = [
        await _from(api.anonymous, "OPTIONS", path, origin=page.origin)
        for path in (f"{page.path}/d", "/nothing/d")
    ]
    assert answers[0].headers == answers[1].headers
    assert answers[0].status == answers[1].status == 204


async def test_the_preflight_of_a_refused_page_is_refused(api: Any, page: Page) -> None:
    answer = await _from(api.anonymous, "OPTIONS", page.path, origin="https://evil.example")
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_an_allowed_page_without_certificate_gets_401_and_may_read_it(
    api: Any, page: Page
) -> None:
    answer = await _from(api.anonymous, "GET", page.path, origin=page.origin)
    assert answer.status == 401
    _assert_readable(answer, page.origin)


async def test_every_origin_is_never_allowed(page: Page) -> None:
    for method in METHODS:
        for origin in (page.origin, "https://evil.example"):
            answer = await _from(page.app, method, f"{page.path}/d", origin=origin)
            assert answer.headers.get("access-control-allow-origin") != "*"


async def test_a_program_without_origin_gets_no_headers_for_pages(page: Page) -> None:
    answer = await page.app.get(page.path)
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_an_open_feed_of_an_allowed_page_can_be_read(page: Page) -> None:
    answer = await page.app(
        "GET", f"{page.path}/_changes", headers={"origin": page.origin}, feed="longpoll"
    )
    _assert_readable(answer, page.origin)


@pytest.mark.parametrize("where", ["_changes", "_db_updates"])
async def test_an_origin_that_is_allowed_no_more_gets_nothing_from_its_open_feed(
    api: Any, page: Page, where: str
) -> None:
    path = "/_db_updates" if where == "_db_updates" else f"{page.path}/_changes"
    params = {"feed": "continuous", "since": "now", "heartbeat": 10_000}
    headers = {"origin": page.origin}
    async with page.app.exchange("GET", path, None, headers=headers, **params) as feed:
        pieces = feed.pieces()
        await anext(pieces)
        await sync_to_async(store.disallow_origin)(page.app.name, page.origin)
        await api.owner.put(f"{page.path}/secret", {})
        body = b"".join([piece async for piece in pieces])
    assert b"secret" not in body
    assert b"db_name" not in body
