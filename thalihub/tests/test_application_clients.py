"""Applications that have nothing but a token, as they are: Obsidian LiveSync, CouchDB's clients."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from thalihub.tests.hubprocess import SOURCE, HubProcess

pytestmark = pytest.mark.slow

ORIGINS = ("app://obsidian.md", "capacitor://localhost", "http://localhost")
LEAST = {("chttpd", "max_http_request_size"): 4294967296, ("couchdb", "max_document_size"): 50e6}
EXACT = {
    ("chttpd", "require_valid_user"): "true",
    ("chttpd_auth", "require_valid_user"): "true",
    ("chttpd", "enable_cors"): "true",
    ("httpd", "enable_cors"): "true",
    ("cors", "credentials"): "true",
}


@pytest.fixture(scope="module")
def token(hub: HubProcess) -> str:
    """The token of LiveSync, which may use the database `vault` and make it anew."""
    asked = [f"--origin={origin}" for origin in ORIGINS]
    made = hub.manage(
        "application",
        "add",
        "Obsidian",
        "--database=vault:rwa",
        "--create-databases",
        "--json",
        *asked,
    )
    return str(json.loads(made)["token"])


@pytest.fixture
def obsidian(hub: HubProcess, token: str) -> Iterator[httpx.Client]:
    """LiveSync's connection: user name and password, no certificate."""
    with hub.client() as client:
        client.auth = ("anything", token)
        yield client


def complaints(config: Mapping[str, Any]) -> list[str]:
    """Return what LiveSync's check of a server would find wrong (design/couch-api.md)."""
    found = [f"{a}/{b}" for (a, b), value in EXACT.items() if config[a][b] != value]
    found += [f"{a}/{b}" for (a, b), least in LEAST.items() if float(config[a][b]) < least]
    found += ["httpd/WWW-Authenticate"] if not config["httpd"]["WWW-Authenticate"] else []
    allowed = config["cors"]["origins"].split(",")
    found += [f"cors/origins {one}" for one in ORIGINS if one not in allowed]
    found += ["admins"] if not isinstance(config["admins"], dict) else []
    return found


def test_the_check_of_livesync_passes(obsidian: httpx.Client) -> None:
    """It asks for the configuration once for each origin that Obsidian has."""
    for origin in ORIGINS:
        headers = {"origin": origin, "content-type": "application/json"}
        answer = obsidian.get("/_node/_local/_config", headers=headers)
        assert answer.status_code == 200
        assert complaints(answer.json()) == []
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-allow-origin"] == origin


def test_the_preflights_of_livesync_pass(hub: HubProcess) -> None:
    for origin in ORIGINS:
        with hub.client() as client:
            headers = {
                "origin": origin,
                "access-control-request-method": "PUT",
                "access-control-request-headers": "authorization,content-type",
            }
            answer = client.options("/vault/_bulk_docs", headers=headers)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == origin
        assert "authorization" in answer.headers["access-control-allow-headers"]


def test_livesync_reads_and_writes_its_vault(obsidian: httpx.Client) -> None:
    assert obsidian.get("/vault/").json()["db_name"] == "vault"
    assert obsidian.get("/").json()["couchdb"] == "Welcome"
    docs = [{"_id": f"h:{number}", "data": "x" * 100, "type": "leaf"} for number in range(20)]
    assert obsidian.post("/vault/_bulk_docs", json={"docs": docs}).status_code == 201
    milestone = {"type": "milestoneinfo", "locked": False}
    assert obsidian.put("/vault/_local/obsydian_livesync_milestone", json=milestone).is_success
    keys = {"keys": ["h:1", "h:2", "missing"], "include_docs": True}
    rows = obsidian.post("/vault/_all_docs?include_docs=true", json=keys).json()["rows"]
    assert [row.get("error") for row in rows] == [None, None, "not_found"]


def test_the_feeds_of_livesync_are_answered(obsidian: httpx.Client) -> None:
    obsidian.put("/vault/note", json={"type": "plain"})
    first = obsidian.get("/vault/_changes?feed=normal&limit=1").json()
    assert isinstance(first["pending"], int)
    assert int(first["last_seq"].split("-")[0]) >= 1
    wanted = {
        "feed": "continuous", "include_docs": "true", "style": "all_docs", "conflicts": "true",
        "revs": "true", "limit": "10000", "timeout": "1000", "since": "0",
    }  # fmt: skip
    lines = obsidian.get("/vault/_changes", params=wanted).text.splitlines()
    assert any(json.loads(line).get("id") == "note" for line in lines if line)
    assert "last_seq" in json.loads(lines[-1])


def test_livesync_may_make_its_vault_anew(obsidian: httpx.Client) -> None:
    assert obsidian.delete("/vault").status_code == 200
    assert obsidian.get("/vault").status_code == 404
    assert obsidian.put("/vault").status_code == 201
    assert obsidian.put("/vault/note2", json={}).status_code == 201


def test_a_session_over_tls_is_kept_by_a_client(hub: HubProcess, token: str) -> None:
    with hub.client() as client:
        login = {"name": "Obsidian", "password": token}
        assert client.post("/_session", data=login).json()["ok"] is True
        assert client.get("/vault").status_code == 200
        assert client.get("/_session").json()["info"]["authenticated"] == "cookie"
        client.delete("/_session")
        assert client.get("/vault").status_code == 401


def test_a_hub_with_its_certificate_gets_nothing_by_a_token(hub: HubProcess, token: str) -> None:
    friend = hub.add_person("A hub")
    with hub.client(friend) as client:
        assert client.get("/vault", auth=("x", token)).status_code == 401
        assert client.get("/vault", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_that_it_was_used_can_be_seen(hub: HubProcess, obsidian: httpx.Client) -> None:
    obsidian.get("/")
    [row] = json.loads(hub.manage("application", "list", "--json"))
    assert row["last_used"] is not None


def test_a_revoked_application_is_refused_from_the_next_request_on(
    hub: HubProcess, obsidian: httpx.Client
) -> None:
    assert obsidian.get("/").status_code == 200
    hub.manage("application", "revoke", "Obsidian")
    refused = obsidian.get("/")
    assert refused.status_code == 401
    assert refused.json() == {
        "error": "unauthorized", "reason": "Name or password is incorrect."
    }  # fmt: skip


def test_the_well_known_file_says_what_the_documents_say(hub: HubProcess) -> None:
    for name in ("applications.md", "command-line.md"):
        text = (SOURCE / "docs" / name).read_text()
        [listed] = re.findall(r'`\{("api_port".*?)\}`', text, re.DOTALL)
        assert set(json.loads(f"[{listed}]")) == set(hub.status), name


def test_no_token_is_in_the_log_or_in_any_file(hub: HubProcess, token: str) -> None:
    with hub.client() as client:
        for path in (f"/vault?token={token}", f"/{token}", "/vault/%00"):
            client.get(path)
        client.post("/_session", data={"password": token})
        client.post("/_session", content=b"{" + token.encode())
    files = [path for path in hub.folder.rglob("*") if path.is_file()]
    assert hub.log in files
    assert [path.name for path in files if token.encode() in path.read_bytes()] == []
