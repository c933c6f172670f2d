"""`/_session`, and tokens of applications wherever they come from."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from acl import store
from acl.core import tokens
from acl.core.throttle import FREE, PAUSE, Throttle
from couchapi import permissions

WRONG = {"error": "unauthorized", "reason": "Name or password is incorrect."}


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has sent a wrong token yet, so no answer waits."""
    monkeypatch.setattr(permissions, "_throttle", Throttle())


@pytest.fixture
async def app(api: Any, database: str) -> Any:
    """An application with a token that may read and write the database."""
    made = await sync_to_async(api.application)()
    await sync_to_async(store.add_grant)(database[1:], made.name, read=True, write=True)
    return made


def basic(token: str, name: str = "anything") -> dict[str, str]:
    """The header of a client that takes the token for a password."""
    pair = base64.b64encode(f"{name}:{token}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def cookie_of(answer: Any) -> dict[str, str]:
    """The header by which a client shows the session that it was given."""
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


async def _begin(api: Any, app: Any, **headers: str) -> Any:
    body = {"name": "app", "password": app.token}
    return await api.anonymous("POST", "/_session", body, headers=headers)


# -- who one is ------------------------------------------------------------------------------------


async def test_the_session_shows_who_one_is_and_nobody_else(api: Any) -> None:
    mine = (await api.owner.get("/_session")).json()
    assert mine["userCtx"]["name"].startswith("sha256:")
    assert "_admin" in mine["userCtx"]["roles"]
    assert mine["info"]["authenticated"] == "certificate"
    for nobody in (api.anonymous, api.stranger()):
        shown = (await nobody.get("/_session")).json()
        assert shown["userCtx"] == {"name": None, "roles": []}
        assert "authenticated" not in shown["info"]


async def test_the_session_shows_ones_groups(api: Any, new_name: Callable[[], str]) -> None:
    friend, group = await sync_to_async(api.principal)(), new_name()
    await sync_to_async(store.add_group)(group)
    await sync_to_async(store.add_member)(group, friend.name)
    assert (await friend.get("/_session")).json()["userCtx"]["roles"] == [group]


async def test_with_a_certificate_logging_in_and_out_is_answered_and_changes_nothing(
    owner: Any,
) -> None:
    answer = await owner.post("/_session", {"name": "bob", "password": "secret"})
    assert answer.json()["userCtx"] == (await owner.get("/_session")).json()["userCtx"]
    assert "set-cookie" not in answer.headers
    assert (await owner.delete("/_session")).json() == {"ok": True}


# -- tokens ----------------------------------------------------------------------------------------


async def test_a_token_is_taken_as_basic_and_as_bearer(api: Any, app: Any, database: str) -> None:
    for headers in (basic(app.token), basic(app.token, ""), app.headers):
        answer = await api.anonymous("PUT", f"{database}/d{len(headers)}", {}, headers=headers)
        assert answer.status in (201, 409)
        shown = (await api.anonymous("GET", "/_session", headers=headers)).json()
        assert shown["info"]["authenticated"] == "default"
        assert shown["userCtx"]["roles"] == []


async def test_a_token_gives_what_was_granted_and_no_more(
    api: Any, app: Any, couch_database: str
) -> None:
    assert (await app.get(couch_database)).status == 404
    assert (await app.get("/_all_dbs")).status == 200
    assert couch_database[1:] not in (await app.get("/_all_dbs")).json()
    assert (await app.put(f"{couch_database}x")).status == 403
    assert (await app.get("/_membership")).status == 403


@pytest.mark.parametrize("path", ["/", "/_up", "/_session", "/_all_dbs", "/missing/d"])
@pytest.mark.parametrize(
    "authorization",
    ["Bearer thali_wrong", "Basic eDp5", "Basic !", "Negotiate x", "Bearer", ""],
)
async def test_a_wrong_token_is_refused_everywhere(api: Any, path: str, authorization: str) -> None:
    answer = await api.anonymous("GET", path, headers={"authorization": authorization})
    assert answer.status == 401
    assert answer.json() == WRONG


@pytest.mark.parametrize("change", ["revoked", "replaced", "forgotten", "ended", "promoted"])
async def test_a_token_that_is_taken_away_is_gone_on_the_next_request(
    api: Any, app: Any, database: str, change: str
) -> None:
    cookie = cookie_of(await _begin(api, app))
    for headers in (app.headers, cookie):
        assert (await api.anonymous("GET", database, headers=headers)).status == 200
    await sync_to_async(_take)(app, change)
    for headers in (app.headers, cookie):
        assert (await api.anonymous("GET", database, headers=headers)).status == 401


def _take(app: Any, change: str) -> None:
    if change == "revoked":
        store.revoke_application(app.name, int(time.time()))
    elif change == "replaced":
        store.put_token(app.name, tokens.digest_of("another"), 0, None)
    elif change == "forgotten":
        store.remove_principal(app.name)
    elif change == "ended":
        store.put_token(app.name, tokens.digest_of(app.token), 0, int(time.time()))
    else:  # A device may do everything; a token never stands for one.
        principal = store.find_principal(app.name)
        principal.kind = "device"
        principal.save()


async def test_an_open_feed_ends_when_its_token_does(
    api: Any, app: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("couchapi.feeds._SECONDS_BETWEEN_CHECKS", 0.05)
    async with app.open(
        f"{database}/_changes", feed="continuous", since="now", heartbeat=10_000
    ) as feed:
        pieces = feed.pieces()
        await anext(pieces)
        digest = tokens.digest_of(app.token)
        await sync_to_async(store.put_token)(app.name, digest, 0, int(time.time()))
        rest = b"".join([piece async for piece in pieces])
    assert b'"id"' not in rest


async def test_a_token_in_a_url_is_refused_with_what_to_do(
    api: Any, app: Any, database: str
) -> None:
    for path, params in ((database, {"token": app.token}), (f"{database}/{app.token}", {})):
        answer = await api.anonymous("GET", path, **params)
        assert answer.status == 400
        assert "URL" in answer.json()["reason"]
        assert app.token not in answer.body.decode()


# -- a certificate and a token ---------------------------------------------------------------------


async def test_a_token_beside_somebody_elses_certificate_is_refused(
    api: Any, app: Any, database: str
) -> None:
    cookie = cookie_of(await _begin(api, app))
    friend = await sync_to_async(api.principal)()
    device = await sync_to_async(api.principal)(kind="device")
    for caller in (api.owner, device, friend, api.stranger()):
        for headers in (app.headers, basic(app.token), cookie):
            answer = await caller("GET", database, headers=headers)
            assert answer.status == 401
            assert "Send one of them" in answer.json()["reason"]


async def test_a_wrong_token_beside_a_right_certificate_is_refused(
    owner: Any, database: str
) -> None:
    answer = await owner("GET", database, headers={"authorization": "Bearer x"})
    assert answer.status == 401


async def test_a_foreign_cookie_beside_a_certificate_is_nothing(owner: Any, database: str) -> None:
    """Cookies know no ports: another server of this machine may have set it."""
    for cookie in ("AuthSession=xyz", "sessionid=abc"):
        assert (await owner("GET", database, headers={"cookie": cookie})).status == 200


async def test_an_application_may_show_its_own_certificate_and_token(
    api: Any, database: str
) -> None:
    both = await sync_to_async(api.principal)(kind="application")
    token = tokens.spelled(bytes(32))
    await sync_to_async(store.put_token)(both.name, tokens.digest_of(token), 0, None)
    await sync_to_async(store.add_grant)(database[1:], both.name, read=True, write=False)
    assert (await both("GET", database, headers=basic(token))).status == 200


async def test_a_stranger_cannot_begin_a_session(api: Any, app: Any) -> None:
    body = {"name": "app", "password": app.token}
    answer = await api.stranger().post("/_session", body)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


# -- sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [True, False])
async def test_a_session_begins_with_a_form_or_json(
    api: Any, app: Any, database: str, form: bool
) -> None:
    body: Any = {"name": "app", "password": app.token}
    headers = {}
    if form:
        body = f"name=app&password={app.token}".encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
    begun = await api.anonymous("POST", "/_session", body, headers=headers)
    assert begun.status == 200
    assert begun.json()["ok"] is True
    assert app.token not in begun.headers["set-cookie"]
    cookie = cookie_of(begun)
    assert (await api.anonymous("PUT", f"{database}/d", {}, headers=cookie)).status == 201
    shown = (await api.anonymous("GET", "/_session", headers=cookie)).json()
    assert shown["userCtx"]["name"] == begun.json()["name"]
    assert shown["info"]["authenticated"] == "cookie"


async def test_the_cookie_is_for_this_hub_over_tls_and_no_script(api: Any, app: Any) -> None:
    parts = (await _begin(api, app)).headers["set-cookie"].split("; ")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=Strict"} <= set(parts)
    assert f"Max-Age={settings.HUB_SESSION_SECONDS}" in parts


async def test_the_page_of_an_allowed_origin_gets_a_cookie_that_comes_back(
    api: Any, app: Any
) -> None:
    origin = "https://session.example"
    await sync_to_async(store.allow_origin)(app.name, origin)
    begun = await _begin(api, app, origin=origin)
    assert "SameSite=None; Partitioned" in begun.headers["set-cookie"]
    assert begun.headers["access-control-allow-origin"] == origin


async def test_a_page_begins_no_session_of_an_application_it_may_not_act_for(
    api: Any, app: Any
) -> None:
    other = await sync_to_async(api.application)()
    await sync_to_async(store.allow_origin)(other.name, "https://other.example")
    for origin in ("https://other.example", "https://unknown.example", "null"):
        begun = await _begin(api, app, origin=origin)
        assert begun.status == 403
        assert "set-cookie" not in begun.headers


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]
)
async def test_the_cookie_is_no_authority_for_other_sites(
    api: Any, app: Any, database: str, headers: dict[str, str]
) -> None:
    cookie = cookie_of(await _begin(api, app))
    for method in ("GET", "PUT", "COPY", "DELETE"):
        answer = await api.anonymous(method, f"{database}/d", {}, headers=cookie | headers)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers


async def test_a_session_ends_by_itself(
    api: Any, app: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HUB_SESSION_SECONDS", 0)
    cookie = cookie_of(await _begin(api, app))
    assert (await api.anonymous("GET", database, headers=cookie)).status == 401
    shown = (await api.anonymous("GET", "/_session", headers=cookie)).json()
    assert shown["userCtx"]["name"] is None


async def test_a_client_that_logs_out_forgets_its_session(api: Any, app: Any) -> None:
    cookie = cookie_of(await _begin(api, app))
    ended = await api.anonymous("DELETE", "/_session", headers=cookie)
    assert ended.json() == {"ok": True}
    assert ended.headers["set-cookie"].startswith("AuthSession=;")
    assert "Max-Age=0" in ended.headers["set-cookie"]


async def test_a_session_is_not_prolonged_by_itself(api: Any, app: Any) -> None:
    cookie = cookie_of(await _begin(api, app))
    answer = await api.anonymous("POST", "/_session", b"", headers=cookie)
    assert answer.status == 401


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 401),
        (b"{}", "application/json", 401),
        (b'{"name": "a"}', "application/json", 401),
        (b'{"password": 7}', "application/json", 401),
        (b'{"password": "wrong"}', "application/json", 401),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"name=a&password=b", "application/x-www-form-urlencoded", 401),
        (b"password=", "application/x-www-form-urlencoded", 401),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 20, "application/x-www-form-urlencoded", 400),
        (b"name=a", "text/plain", 415),
        (b"x" * 5000, "application/json", 413),
    ],
)
async def test_a_login_that_is_wrong_is_refused(
    api: Any, body: bytes, kind: str, status: int
) -> None:
    answer = await api.anonymous("POST", "/_session", body, headers={"content-type": kind})
    assert answer.status == status
    assert "set-cookie" not in answer.headers


# -- wrong tokens are slowed down ------------------------------------------------------------------


async def test_many_wrong_tokens_are_answered_later_and_right_ones_are_not(
    api: Any, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("couchapi.permissions.asyncio.sleep", sleep)
    for _ in range(FREE + 1):
        await api.anonymous("GET", "/", headers={"authorization": "Bearer wrong"})
    await _begin_wrongly(api)
    assert pauses == [0.0] * FREE + [PAUSE] * 2
    assert (await app.get("/")).status == 200
    assert len(pauses) == FREE + 2


async def _begin_wrongly(api: Any) -> None:
    assert (await api.anonymous.post("/_session", {"password": "wrong"})).status == 401


# -- when it was used last -------------------------------------------------------------------------


async def test_it_is_noted_once_a_minute_that_an_application_was_used(
    app: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr("acl.usage._noted", {})
    monkeypatch.setattr(
        "acl.usage.sql.later", lambda job: written.append(job.keywords["principal_id"])
    )
    for _ in range(3):
        await app.get(database)
    principal = await sync_to_async(store.find_principal)(app.name)
    assert written == [principal.pk]


async def test_an_application_with_a_certificate_is_noted_too_and_a_friend_is_not(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    monkeypatch.setattr("acl.usage._noted", {})
    monkeypatch.setattr("acl.usage.sql.later", written.append)
    friend = await sync_to_async(api.principal)()
    app = await sync_to_async(api.principal)(kind="application")
    await friend.get("/")
    assert written == []
    await app.get("/")
    assert len(written) == 1
