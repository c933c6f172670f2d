"""PouchDB in a real browser that shows a client certificate: only an allowed page may use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from thalihub.tests.browserpages import ASK, SYNC, browser, origins
from thalihub.tests.hubprocess import HubProcess, Person

__all__ = ["browser", "origins"]

pytestmark = [pytest.mark.slow, pytest.mark.requires_browser, pytest.mark.requires_node]


@pytest.fixture(scope="module")
def app(hub: HubProcess, origins: list[str]) -> Person:
    """An application that may use the database `notes`, from the first of the two places."""
    with hub.client(hub.owner) as owner:
        assert owner.put("/notes").status_code == 201
        assert owner.put("/notes/hub", json={}).status_code == 201
    made = hub.add_person("notes", "notes:read,write")
    hub.manage("principal", "allow", "notes", "origin", origins[0])
    return made


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
    synced = page.evaluate(SYNC, [f"{hub.url}/notes", "mine"])
    assert synced == {"found": ["hub", "mine"]}
    with hub.client(hub.owner) as owner:
        assert owner.get("/notes/mine").json()["text"] == "from the page"


def test_a_page_of_another_origin_reads_and_writes_nothing(
    browser: Browser, hub: HubProcess, app: Person, origins: list[str]
) -> None:
    page = _open(browser, hub, app, origins[1])
    assert "error" in page.evaluate(SYNC, [f"{hub.url}/notes", "evil"])
    for options in ({}, {"method": "PUT", "body": "{}"}, {"method": "DELETE"}):
        assert page.evaluate(ASK, [f"{hub.url}/notes/evil", options]) == ["refused", 0]
    blind = {"method": "POST", "mode": "no-cors", "body": '{"_id":"evil"}'}
    assert page.evaluate(ASK, [f"{hub.url}/notes", blind]) == ["opaque", 0]
    with hub.client(hub.owner) as owner:
        assert owner.get("/notes/evil").status_code == 404


def test_the_page_of_an_application_does_not_act_for_the_owner(
    browser: Browser, hub: HubProcess, app: Person, origins: list[str]
) -> None:
    page = _open(browser, hub, hub.owner, origins[0])
    assert page.evaluate(ASK, [f"{hub.url}/notes", {}]) == ["refused", 0]
    assert page.evaluate(ASK, [f"{hub.url}/", {"mode": "no-cors"}]) == ["opaque", 0]
