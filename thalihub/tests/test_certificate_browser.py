"""PouchDB in a real browser that shows a client certificate: only an allowed page may use it."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from thalihub.tests.hubprocess import SOURCE, HubProcess, Person
from thalihub.tests.test_pages_browser import FLAGS

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser, pytest.mark.requires_node]

_POUCHDB = SOURCE / "clients" / "node_modules" / "pouchdb" / "dist"
_SYNC = """async ([url, docid]) => {
    const local = new PouchDB(docid);
    await local.put({_id: docid, text: 'from the page'});
    try {
        await local.sync(url);
    } catch (error) {
        return {error: error.message};
    }
    return {found: (await local.allDocs()).rows.map((row) => row.id)};
}"""
_ASK = """async ([url, options]) => {
    try {
        const answer = await fetch(url, {credentials: 'include', ...options});
        return [answer.type, answer.status];
    } catch (error) {
        return ['refused', 0];
    }
}"""


class _Pages(http.server.SimpleHTTPRequestHandler):
    """Serves PouchDB, and a page with it."""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b'<!doctype html><script src="pouchdb.min.js"></script>')

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def origins() -> Iterator[list[str]]:
    """Two places with the same page: a port makes an origin of its own."""
    handler = functools.partial(_Pages, directory=str(_POUCHDB))
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def app(hub: HubProcess, origins: list[str]) -> Person:
    """An application that may use the database `notes`, from the first of the two places."""
    with hub.client(hub.owner) as owner:
        assert owner.put("/notes").status_code == 201
        assert owner.put("/notes/hub", json={}).status_code == 201
    made = hub.add_person("notes", "notes:read,write")
    hub.manage("principal", "allow", "notes", "origin", origins[0])
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()


def _open(browser: Browser, hub: HubProcess, person: Person, origin: str) -> Page:
    shown = {
        "origin": hub.url,
        "certPath": Path(person.certificate),
        "keyPath": Path(person.private_key),
    }
    context = browser.new_context(ignore_https_errors=True, client_certificates=[shown])
    page = context.new_page()
    page.goto(origin)
    return page


def test_a_page_of_an_allowed_origin_syncs(
    browser: Browser, hub: HubProcess, app: Person, origins: list[str]
) -> None:
    page = _open(browser, hub, app, origins[0])
    synced = page.evaluate(_SYNC, [f"{hub.url}/notes", "mine"])
    assert synced == {"found": ["hub", "mine"]}
    with hub.client(hub.owner) as owner:
        assert owner.get("/notes/mine").json()["text"] == "from the page"


def test_a_page_of_another_origin_reads_and_writes_nothing(
    browser: Browser, hub: HubProcess, app: Person, origins: list[str]
) -> None:
    page = _open(browser, hub, app, origins[1])
    assert "error" in page.evaluate(_SYNC, [f"{hub.url}/notes", "evil"])
    for options in ({}, {"method": "PUT", "body": "{}"}, {"method": "DELETE"}):
        assert page.evaluate(_ASK, [f"{hub.url}/notes/evil", options]) == ["refused", 0]
    blind = {"method": "POST", "mode": "no-cors", "body": '{"_id":"evil"}'}
    assert page.evaluate(_ASK, [f"{hub.url}/notes", blind]) == ["opaque", 0]
    with hub.client(hub.owner) as owner:
        assert owner.get("/notes/evil").status_code == 404


def test_the_page_of_an_application_does_not_act_for_the_owner(
    browser: Browser, hub: HubProcess, app: Person, origins: list[str]
) -> None:
    page = _open(browser, hub, hub.owner, origins[0])
    assert page.evaluate(_ASK, [f"{hub.url}/notes", {}]) == ["refused", 0]
    assert page.evaluate(_ASK, [f"{hub.url}/", {"mode": "no-cors"}]) == ["opaque", 0]
