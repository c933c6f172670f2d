"""Pages that ask for the owner's certificate show nothing without it, not even the login."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from thalihub.tests.hubprocess import HubProcess, Person

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with HubProcess(tmp_path_factory.mktemp("guarded"), HUB_PAGES_CERTIFICATE="yes") as hub:
        yield hub


def pages(hub: HubProcess, person: Person | None) -> httpx.Client:
    context: ssl.SSLContext = hub.context(person)
    return httpx.Client(base_url=hub.pages_url, verify=context, trust_env=False)


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/static/hub/hub.css", "/setup/x/"])
def test_without_the_owners_certificate_nothing_opens(guarded: HubProcess, path: str) -> None:
    stranger = guarded.add_person("bob" + path.replace("/", "-"))
    for person in (None, stranger):
        with pages(guarded, person) as client:
            answer = client.get(path)
            assert answer.status_code == 403
            assert "HUB_PAGES_CERTIFICATE" in answer.text


def test_with_it_there_is_the_login(guarded: HubProcess) -> None:
    with pages(guarded, guarded.owner) as client:
        assert client.get("/admin/login/").status_code == 200


def test_a_live_page_is_refused_before_its_handshake(guarded: HubProcess) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "origin": guarded.pages_url,
    }
    with pages(guarded, None) as client:
        assert client.get("/meet/", headers=upgrade).status_code == 403


def test_pages_ask_nobody_unless_the_owner_wants_it(hub: HubProcess) -> None:
    with pages(hub, None) as client:
        assert client.get("/admin/login/").status_code == 200
