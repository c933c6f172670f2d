"""Pages with PouchDB in a real browser: two places that serve the same, and what a page does."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from thalihub.tests.hubprocess import SOURCE
from thalihub.tests.test_pages_browser import FLAGS

_POUCHDB = SOURCE / "clients" / "node_modules" / "pouchdb" / "dist"
SYNC = """async ([url, docid, options]) => {
    const local = new PouchDB(docid);
    await local.put({_id: docid, text: 'from the page'});
    try {
        await local.sync(new PouchDB(url, options));
    } catch (error) {
        return {error: error.message};
    }
    return {found: (await local.allDocs()).rows.map((row) => row.id)};
}"""
ASK = """async ([url, options]) => {
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
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield chromium
        chromium.close()
